"""Changing and deleting jobs, and resolving their warnings, from the command line."""

from __future__ import annotations

from dataclasses import asdict

import click

from crown_cli.common.options import apply_option, reason_option
from crown_cli.common.output import json_option, show_json, show_rows
from crown_cli.common.people import acting, who_option
from crown_cli.motion.shared import batch_option, open_motion


@click.command(short_help="Change priority, notes, client, output name.")
@click.argument("job")
@click.argument("values", metavar="COLUMN=TEXT...", nargs=-1, required=True)
@apply_option
@reason_option()
@who_option
@json_option
def change(
    job: str, values: tuple[str, ...], carry_out: bool, reason: str | None, who: str | None, as_json: bool
) -> None:
    """Change columns of jobs: priority, notes, client_name, project_name, output_name.

    \b
    crown motion change spring_01 priority=high --apply
    crown motion change 'spring_*' client_name='Harbour FC' --apply
    """  # noqa: D301
    from crown.errors import BadInput
    from crown.motion_jobs.jobs import changing
    from crown.motion_jobs.jobs.acts import Person
    from crown.motion_jobs.workspace import DEPARTMENT

    given = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals:
            raise BadInput(f"{value!r} is not COLUMN=TEXT; write for instance priority=high.")
        given[name] = text
    with open_motion() as workspace:
        person = Person(acting(workspace.engine, who, "edit", DEPARTMENT), "cli", reason)
        changed = changing.edit(workspace, [job], given, person, apply=carry_out)
    if as_json:
        show_json({"applied": carry_out, "jobs": changed})
        return
    rows = [{"job": one["job_id"], "old": str(one["old"]), "new": str(one["new"])} for one in changed]
    show_rows(rows, empty="Nothing differs.")
    click.echo("Done." if carry_out else "Nothing is changed; --apply does it.")


@click.command(short_help="Delete jobs, or a batch.")
@click.argument("jobs", metavar="[JOB...]", nargs=-1)
@batch_option
@apply_option
@reason_option(required=True)
@who_option
@json_option
def delete(
    jobs: tuple[str, ...],
    batch: str | None,
    carry_out: bool,
    reason: str | None,
    who: str | None,
    as_json: bool,
) -> None:
    """Delete jobs and their packages; --batch alone deletes the batch too, so that its file may come again.

    A package that somebody changed is kept; what was done stays in the trail.

    \b
    crown motion delete spring_01 --reason 'cancelled by the client'
    crown motion delete --batch BATCH_20251030_143022 --reason wrong --apply
    """  # noqa: D301
    from crown.errors import BadInput
    from crown.motion_jobs.jobs import changing
    from crown.motion_jobs.jobs.acts import Person
    from crown.motion_jobs.workspace import DEPARTMENT

    if not jobs and batch is None:
        raise BadInput("Name jobs, or a batch with --batch.")
    with open_motion() as workspace:
        person = Person(acting(workspace.engine, who, "retire", DEPARTMENT), "cli", reason)
        deleted = changing.delete(workspace, jobs, person, batch=batch, apply=carry_out)
    if as_json:
        show_json({"applied": carry_out, "jobs": [asdict(one) for one in deleted]})
        return
    show_rows([asdict(one) for one in deleted], empty="No job.")
    click.echo("Done." if carry_out else "Nothing is deleted; --apply does it.")


@click.command(short_help="Mark warnings of JOB as dealt with.")
@click.argument("job")
@click.argument("warnings", metavar="WARNING...", nargs=-1, required=True, type=int)
@click.option("--undo", is_flag=True, help="They are not dealt with after all.")
@reason_option(help="A note that is kept with the warning.")
@who_option
@json_option
def resolve(
    job: str, warnings: tuple[int, ...], undo: bool, reason: str | None, who: str | None, as_json: bool
) -> None:
    """Mark warnings of JOB as dealt with, by the numbers that `show` gives.

    \b
    crown motion resolve spring_01 12 13 --reason 'the client knows'
    crown motion resolve spring_01 12 --undo
    """  # noqa: D301
    from crown.motion_jobs.jobs import changing
    from crown.motion_jobs.jobs.acts import Person
    from crown.motion_jobs.workspace import DEPARTMENT

    with open_motion() as workspace:
        person = Person(acting(workspace.engine, who, "edit", DEPARTMENT), "cli", reason)
        count = changing.resolve(workspace, job, warnings, person, resolved=not undo)
    if as_json:
        show_json({"job_id": job, "changed": count, "resolved": not undo})
    else:
        click.echo(f"{count} warnings of {job} are {'open again' if undo else 'resolved'}.")


COMMANDS = (change, delete, resolve)
