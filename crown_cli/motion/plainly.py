"""Plainly from the command line: what it demands of a project, and mending what can be mended."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crown_cli.common.output import json_option, show_json, show_rows

if TYPE_CHECKING:
    from crown.motion_jobs.plainly import PlainlyReport

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
    from crown.motion_jobs.ae_project import read_project
    from crown.motion_jobs.plainly import fixes, validate

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
    from crown.motion_jobs.ae_diff import project_diff
    from crown.motion_jobs.ae_edit import edit_project

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


COMMANDS = (plainly,)
