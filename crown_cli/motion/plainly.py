"""Plainly from the command line: what it demands of a project, and mending what can be mended."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crown_cli.common.options import apply_option
from crown_cli.common.output import json_option, show_json, show_rows
from crown_cli.common.people import acting, who_option
from crown_cli.motion.shared import open_motion

if TYPE_CHECKING:
    from crown.motion_jobs.deliverables.plainly import PlainlyReport
    from crown.motion_jobs.workspace import Workspace

_BROKEN = 1  # the exit code when something critical is left


@click.command(short_help="Hold a project against Plainly's rules, and mend it.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--fix", is_flag=True, help="Write a copy in which names are mended.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="New file, with --fix.")
@json_option
def plainly(file: Path, fix: bool, output: Path | None, as_json: bool) -> None:
    """Show what Plainly's rules find in a project, with score and grade.

    --fix mends names in a copy, with the proof of every edit, and shows what differs. Names that an expression
    spells out stay. The exit code is 1 when something critical is left.

    \b
    crown motion plainly promo.aepx
    crown motion plainly promo.aepx --fix -o fixed.aepx
    """  # noqa: D301
    from crown.motion_jobs.after_effects.ae_project import read_project
    from crown.motion_jobs.deliverables.plainly import fixes, validate

    if fix != (output is not None):
        raise click.UsageError("--fix and -o go together.")
    project = read_project(file)
    report = validate(project)
    changed: list[Any] = []
    if output is not None:
        changed = _mended(file, fixes(project), output)
        report = validate(read_project(output)) if changed else report
    if as_json:
        show_json(
            {
                "score": report.score,
                "grade": report.grade,
                "valid": report.valid,
                "plainly_ready": report.plainly_ready,
                "findings": report.findings,
                "changes": changed,
                "output": output if changed else None,
            }
        )
    else:
        _show(report, changed, output)
    if not report.valid:
        click.get_current_context().exit(_BROKEN)


def _mended(file: Path, edits: Any, output: Path) -> list[Any]:
    """Write the copy, when there is something to mend, and say what differs in it."""
    from crown.errors import Refused
    from crown.motion_jobs.after_effects.ae_diff import project_diff
    from crown.motion_jobs.after_effects.ae_edit import edit_project

    if output.exists():
        raise Refused(f"{output} exists already. Remove it, or name another file.")
    if not edits.layer_names and not edits.comp_names:
        return []
    edit_project(file, edits, output)
    return list(project_diff(file, output).changes)


def _show(report: PlainlyReport, changed: list[Any], output: Path | None) -> None:
    for change in changed:
        click.echo(change.sentence())
    if output is not None:
        click.echo(
            f"{output} is written." if changed else "Nothing can be mended by itself; no file is written."
        )
    click.echo(
        f"{report.score} points, grade {report.grade}; {'ready' if report.plainly_ready else 'not ready'}."
    )
    rows = [{name: asdict(one)[name] for name in ("severity", "rule", "message")} for one in report.findings]
    show_rows(rows, empty="All rules are kept.")


@click.command(name="plainly-batch", short_help="Send the completed jobs of BATCH to Plainly.")
@click.argument("batch")
@click.option("--project-id", required=True, help="Plainly's id of the uploaded project.")
@click.option("--template-id", required=True, help="Plainly's id of its template.")
@click.option(
    "--media-url", required=True, metavar="URL", help="Where Plainly finds pictures, as URL/JOB/FILE."
)
@click.option("--again", is_flag=True, help="Send a batch whose answer got lost once more.")
@apply_option
@who_option
@json_option
def plainly_batch(
    batch: str,
    project_id: str,
    template_id: str,
    media_url: str,
    again: bool,
    carry_out: bool,
    who: str | None,
    as_json: bool,
) -> None:
    """Make one batch for Plainly of the completed jobs of BATCH, and send it.

    Without --apply the payload is made and checked, and nothing is sent. The
    same batch is never sent twice by itself.

    \b
    crown motion plainly-batch BATCH_20251030_143022 --project-id p1 \\
        --template-id t1 --media-url https://media.example --json
    """  # noqa: D301
    from crown.motion_jobs.deliverables.plainly_batch import payload_hash, send_batch
    from crown.motion_jobs.deliverables.plainly_sending import (
        PlainlyRecord,
        PlainlyTarget,
        payload_of_batch,
    )
    from crown.motion_jobs.workspace import DEPLOYMENTS

    with open_motion() as workspace:
        payload = payload_of_batch(workspace, batch, PlainlyTarget(project_id, template_id, media_url))
        names = [one["attributes"]["job_id"] for one in payload["batchData"]]
        sent = None
        if carry_out:
            person = acting(workspace.engine, who, "approve", DEPLOYMENTS)
            record = PlainlyRecord(workspace.engine, names, person)
            if again:
                record.forget(payload_hash(payload))
            sent = send_batch(payload, workspace.settings.motion_jobs.plainly_url, _key(workspace), record)
    if as_json:
        show_json({"applied": carry_out, "payload": payload, "sent": sent})
    elif sent is None:
        click.echo(f"{len(names)} jobs fit the template: {', '.join(names[:20])}.")
        click.echo("Nothing is sent; --apply sends it, --json shows the payload.")
    else:
        said = "has it already" if sent.again else "took it"
        click.echo(f"Plainly {said}: batch {sent.batch_id} with {sent.renders} jobs.")


def _key(workspace: Workspace) -> str:
    from crown.errors import ConfigurationError
    from crown.journal.secret_files import read_secret

    path = workspace.settings.motion_jobs.plainly_api_key_file
    if path is None:
        raise ConfigurationError(
            "CROWN_MOTION_JOBS_PLAINLY_API_KEY_FILE is not set; name the file with the key of Plainly's API."
        )
    return read_secret(path, "key", "CROWN_MOTION_JOBS_PLAINLY_API_KEY_FILE")


COMMANDS = (plainly, plainly_batch)
