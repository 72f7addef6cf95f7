"""What render machines hand back, and the old system's database, from the command line."""

from __future__ import annotations

from dataclasses import asdict
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crown_cli.common.options import apply_option
from crown_cli.common.output import json_option, show_json, show_rows
from crown_cli.common.people import acting, who_option
from crown_cli.motion.shared import open_motion

if TYPE_CHECKING:
    from crown.motion_jobs.old_system.old_import import Import

_NOT_COMPLETE = 1  # the exit code when a render is anything but complete
_SHOWN = 20
_there = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(short_help="Check a render's log and result, and enter the verdict.")
@click.argument("job")
@click.argument("log", type=_there)
@click.option("--output", type=click.Path(path_type=Path), help="The rendered file, or folder of pictures.")
@click.option("--sha256", help="The hash that the render machine gives for its file.")
@who_option
@json_option
def handback(
    job: str, log: Path, output: Path | None, sha256: str | None, who: str | None, as_json: bool
) -> None:
    """Hold the LOG of aerender or nexrender, and the result, against JOB.

    The verdict is complete, short, missing, truncated, failed, different, or
    log only when no result is given. The exit code is 1 unless it is complete.

    \b
    crown motion handback spring_01 aerender.log --output spring_01.mov
    crown motion handback spring_01 nexrender.log --output frames/
    """  # noqa: D301
    from crown.motion_jobs.renders.renders import hand_back
    from crown.motion_jobs.workspace import DEPLOYMENTS

    with open_motion() as workspace:
        person = acting(workspace.engine, who, "upload", DEPLOYMENTS)
        found = hand_back(workspace, job, log, output, sha256, who=person)
    if as_json:
        show_json(
            {
                "job": job,
                "verdict": found.verdict,
                "reasons": found.reasons,
                "opened_in_after_effects": found.opened_in_after_effects,
                "result": found.result,
            }
        )
    else:
        click.echo(found.sentence())
        click.echo(f"Opened in After Effects: {found.opened_in_after_effects}.")
    if found.verdict != "complete":
        click.get_current_context().exit(_NOT_COMPLETE)


def _zone(_: click.Context, parameter: click.Parameter, value: str) -> tzinfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter(
            f"{value!r} is no time zone; write one as Europe/Berlin", param=parameter
        ) from None


@click.command(name="import-old", short_help="Take over the old system's database.")
@click.argument("file", type=_there)
@click.option(
    "--time-zone",
    default="UTC",
    show_default=True,
    callback=_zone,
    metavar="ZONE",
    help="Of its times, such as Europe/Berlin.",
)
@apply_option
@who_option
@json_option
def import_old(file: Path, time_zone: tzinfo, carry_out: bool, who: str | None, as_json: bool) -> None:
    """Bring production.db of the old system over, with its times and users.

    Its jobs become history: reports read them, and nothing of them is made.
    Doing it again brings what is new; nothing is doubled.

    \b
    crown motion import-old production.db
    crown motion import-old production.db --time-zone Europe/Berlin --apply
    """  # noqa: D301
    from crown.motion_jobs.old_system.old_database import read_old_database
    from crown.motion_jobs.old_system.old_import import import_old as import_rows
    from crown.motion_jobs.workspace import BATCHES

    old = read_old_database(file, time_zone)
    with open_motion() as workspace:
        person = acting(workspace.engine, who, "upload", BATCHES)
        done = import_rows(workspace.engine, old, who=person, apply=carry_out)
    if as_json:
        show_json({"applied": carry_out, "stages": old.stages, **asdict(done)})
        return
    rows = [
        {
            "table": table,
            "new": one.new,
            "updated": one.updated,
            "same": one.same,
            "refused": _refused(done, table),
        }
        for table, one in done.tables.items()
    ]
    show_rows(rows, title=f"{file.name}, of the revision with {old.stages} stages")
    for title, lines in (("Refused", done.refused), ("Changed", done.changed)):
        for line in lines[:_SHOWN]:
            click.echo(f"{title}: {line}")
        if len(lines) > _SHOWN:
            click.echo(f"  and {len(lines) - _SHOWN:,} more; --json lists them all.")
    if done.hidden:
        click.echo(f"Jobs of the same name here hide old ones: {', '.join(done.hidden[:_SHOWN])}.")
    click.echo("Done." if carry_out else "Nothing is changed; --apply does it.")


def _refused(done: Import, table: str) -> int:
    return sum(line.startswith((f"{table},", f"{table} ")) for line in done.refused)


COMMANDS = (handback, import_old)
