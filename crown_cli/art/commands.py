"""`crown art`: exports into the art tables, and taking syncs back. The domain code is in crown/art_records.

Work in the art tables (selling, moving, adding) is defined in art_work.py, looking into them in art_reading.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crown_cli.art import (
    bookkeeping as art_bookkeeping,
)
from crown_cli.art import (
    documents as art_documents,
)
from crown_cli.art import (
    pictures as art_pictures,
)
from crown_cli.art import (
    reading as art_reading,
)
from crown_cli.art import (
    work as art_work,
)
from crown_cli.art.shared import (
    TABLES,
    workspace,
)
from crown_cli.common.options import apply_option, reason_option
from crown_cli.common.output import json_option, rows_option, show_json, show_rows
from crown_cli.common.people import acting, who_option

if TYPE_CHECKING:
    from crown.art_records.workspace import Workspace

_WAITS = 3  # the exit code of a refusal: nothing went wrong, nothing was done


@click.group()
def art() -> None:
    """Art records: exports of the art base become art tables with a history; every change can be taken back.

    \b
    crown art sync                           what the exports would change
    crown art sync --apply                   write it
    crown art history "Work - 12"            what happened to an edition
    crown art rollback 7                     what taking sync 7 back changes
    crown art sell "Work - 12" --price 90    work in the art tables
    """  # noqa: D301 - click's mark for lines that keep their breaks


_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_rows = click.option("--rows", default=20, show_default=True, help="Changed records to show per table.")


def _files(command: Any) -> Any:
    for table in reversed(TABLES):
        command = click.option(
            f"--{table}", type=_file, help=f"Export of {table}; default: the newest in the exports folder."
        )(command)
    return command


def _given(workspace: Workspace, **files: Path | None) -> Mapping[str, Path]:
    given = {table: path for table, path in files.items() if path is not None}
    return given or workspace.files()


_mode = click.option(
    "--mode",
    type=click.Choice(["incremental", "merge", "full"]),
    help="How to compare; default: CROWN_ART_RECORDS_MODE, and merge once PostgreSQL is primary.",
)


@art.command(short_help="Compare exports with the art tables, or write them.")
@_files
@_mode
@apply_option
@click.option(
    "--confirm", metavar="DIFF", help="Apply a difference that waits: the one you have seen, by its hash."
)
@_rows
@reason_option()
@who_option
@json_option
@click.pass_context
def sync(
    context: click.Context, prints: Path | None, distributors: Path | None, editions: Path | None,
    mode: Any, carry_out: bool, confirm: str | None, rows: int, reason: str | None, who: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Compare exports with the art tables; with --apply write the difference, all tables or none.

    Notes and payment texts are masked. Exit code 3 when the difference waits for a decision.

    \b
    crown art sync --editions Editions.csv --mode merge
    crown art sync --apply
    crown art sync --mode full --apply --confirm 1f0c22ab90d1
    crown art sync --json | jq '.tables[].counts'
    """  # noqa: D301
    from crown.art_records.exports import arriving
    from crown.art_records.history import syncing
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records:
        person = acting(art_records.engine, who, "run", DEPARTMENT)
        files = _given(art_records, prints=prints, distributors=distributors, editions=editions)
        chosen = mode or art_records.mode
        if carry_out or confirm:
            done = arriving.bring_in_files(
                art_records, files, chosen, who=person, via="cli", confirm=confirm, reason=reason
            )
            report, waits = done.report, done.waits
        else:
            report, waits = (
                syncing.sync(
                    art_records.engine, files, chosen, objects=art_records.objects, who=person, limits=art_records.limits,
                    book=art_records.book
                ),
                None,
            )  # fmt: skip
    if as_json:
        show_json(report.as_dict())
    else:
        click.echo(report.text(rows))
        # On the error stream, so that the last line of the output is the difference's name.
        if report.applied:
            click.echo("The marts follow while `crown up` runs; `crown sql run` builds them now.", err=True)
        elif not report.noop and not waits:
            click.echo("Nothing was written; --apply writes it.", err=True)
    if waits:
        click.echo(f"crown: not applied: {waits}", err=True)
        context.exit(_WAITS)


@art.command(short_help="Take in the exports folder, as the daily run does.")
@json_option
@click.pass_context
def run(context: click.Context, as_json: bool) -> None:
    """Take in whatever is in the exports folder, as the daily run does; the run appears in the Dagster UI.

    Exit code 3 when something of it was not applied; the reason is shown.

    \b
    crown art run
    crown art run --json | jq .run_id
    """  # noqa: D301
    from crown_cli.common.runs import dagster_instance, run_job
    from crown_cli.common.world import open_world

    with open_world() as world, dagster_instance(world) as instance:
        done = run_job(instance, "art_records")
    reported = {table: done["assets"].get(f"art_records/{table}") for table in TABLES}
    arrived = [table for table in TABLES if f"art_records/clean_{table}" in done["assets"]]
    waits = [table for table in arrived if reported[table] is None]
    differs = [table for table in arrived if _became(reported[table]) == _COMPARED]
    reasons = sorted(
        {done["assets"][f"art_records/clean_{table}"].get("not_applied", "") for table in waits + differs}
    )
    if as_json:
        show_json({**done, "waiting": waits})
    else:
        show_rows(
            [
                {
                    "table": table,
                    "what": _became(made),
                    **{
                        name: (made or {}).get(f"records_{name}")
                        for name in ("created", "updated", "unchanged", "closed")
                    },
                    "in_the_art_records": (made or {}).get("dagster/row_count"),
                }
                for table in arrived
                for made in [reported[table]]
            ],
            title=f"Run {done['run_id']}",
            empty="The exports folder holds no export.",
        )
    for reason in filter(None, reasons):
        click.echo(f"crown: not applied: {reason}", err=True)
    if waits or differs:
        context.exit(_WAITS)


_COMPARED = "compared, not applied"


def _became(made: Mapping[str, Any] | None) -> str:
    """What a run did with a table, by what it reports of it."""
    if made is None:
        return "not applied"
    if "nothing_to_do" in made:
        return str(made["nothing_to_do"])
    if made["applied"]:
        return "applied"
    return "nothing new" if made["nothing_new"] else _COMPARED


@art.command(short_help="Fetch the base through the Airtable API.")
@rows_option
def fetch(as_json: bool) -> None:
    """Fetch the base through the Airtable API and write its tables into the exports folder.

    Needs CROWN_ART_RECORDS_AIRTABLE_BASE and CROWN_ART_RECORDS_AIRTABLE_TOKEN_FILE; the daily run does the same.

    \b
    crown art fetch && crown art sync
    """  # noqa: D301
    from crown.errors import ConfigurationError

    with workspace() as art_records:
        paths = art_records.fetch()
    if not paths:
        raise ConfigurationError(
            "There is no base to fetch; set CROWN_ART_RECORDS_AIRTABLE_BASE to its id (app...)."
        )
    show_rows([{"table": table, "file": path} for table, path in paths.items()], as_json=as_json)


@art.command(short_help="Decide on a difference that waits.")
@click.argument("difference")
@click.argument("verdict", type=click.Choice(["approve", "reject", "withdraw"]))
@reason_option()
@who_option
@json_option
def decide(difference: str, verdict: Any, reason: str | None, who: str | None, as_json: bool) -> None:
    """Decide on the DIFFERENCE that waits in the exports folder, by the hash that its preview shows.

    Only exactly this difference is applied, by the next run; another one needs another decision.

    \b
    crown art sync | tail -1
    crown art decide 1f0c22ab90d1 approve --reason 'two galleries closed'
    """  # noqa: D301
    from crown.art_records.exports import arriving
    from crown.art_records.workspace import EXPORTS

    with workspace() as art_records:
        person = acting(art_records.engine, who, verdict, EXPORTS)
        said = arriving.decide(art_records, difference, verdict, who=person, via="cli", reason=reason)
    if as_json:
        show_json(said)
    else:
        click.echo(f"{said.verdict} of {said.content_hash[:12]} by {said.who}, decision {said.decision_id}.")
        if said.verdict == "approve":
            click.echo("It is applied while `crown up` runs; `crown art run` applies it now.")


@art.command(short_help="Read the newest kept files again after a correction.")
@_mode
@apply_option
@click.option(
    "--confirm", metavar="DIFF", help="Apply a difference that waits: the one you have seen, by its hash."
)
@_rows
@who_option
@json_option
@click.pass_context
def rerun(
    context: click.Context,
    mode: Any,
    carry_out: bool,
    confirm: str | None,
    rows: int,
    who: str | None,
    as_json: bool,
) -> None:
    """Read the newest kept file of each table again, after a rule or a name was corrected.

    \b
    crown art rerun
    crown art rerun --apply
    crown art rerun --confirm 1f0c22ab90d1
    """  # noqa: D301
    from crown.art_records.exports import arriving
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records:
        person = acting(art_records.engine, who, "run", DEPARTMENT)
        report = arriving.read_again(
            art_records, mode or art_records.mode, who=person, via="cli", apply=carry_out, confirm=confirm
        )
    if as_json:
        show_json(report.as_dict())
    else:
        click.echo(report.text(rows))
    if carry_out and report.waiting:
        context.exit(_WAITS)


@art.command(short_help="Report everything in which exports and tables differ.")
@_files
@_rows
@json_option
@click.pass_context
def compare(
    context: click.Context, prints: Path | None, distributors: Path | None, editions: Path | None, rows: int,
    as_json: bool,
) -> None:  # fmt: skip
    """The comparison report: everything in which exports and art tables differ, whatever was read before.

    Writes nothing. Exit code 1 when they differ, 0 when they agree.

    \b
    crown art compare && echo 'the base can be switched off'
    """  # noqa: D301
    from crown.art_records.history import syncing

    with workspace() as art_records:
        files = _given(art_records, prints=prints, distributors=distributors, editions=editions)
        report = syncing.compare(
            art_records.engine, files, objects=art_records.objects, book=art_records.book
        )
    agree = all(table.nothing_new for table in report.tables)
    if as_json:
        show_json({**report.as_dict(), "agree": agree})
    else:
        click.echo(report.text(rows))
        click.echo("Art tables and exports agree." if agree else "Art tables and exports differ.")
    context.exit(0 if agree else 1)


@art.command(short_help="Take a sync back, as a new sync.")
@click.argument("sync_number", metavar="SYNC", type=int)
@apply_option
@click.option("--force", is_flag=True, help="Also what a later sync or a person changed again.")
@click.option(
    "--field",
    "fields",
    metavar="RECORD.FIELD",
    multiple=True,
    help="Also this field; RECORD. means all of it.",
)
@click.option(
    "--through-latest", is_flag=True, help="Every sync since as well: back to the state before SYNC."
)
@click.option("--confirm", metavar="DIFF", help="Refuse unless exactly this inverse is still the one.")
@_rows
@reason_option()
@who_option
@json_option
@click.pass_context
def rollback(
    context: click.Context, sync_number: int, carry_out: bool, force: bool, fields: tuple[str, ...],
    through_latest: bool, confirm: str | None, rows: int, reason: str | None, who: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Take a sync back, as a new sync that can be taken back itself. `crown art syncs` lists them.

    Each change is clean, done, superseded (a later sync), edited (a person) or blocked; clean changes are taken back.
    Exit code 3 when --apply found nothing to take back.

    \b
    crown art rollback 7
    crown art rollback 7 --apply --reason 'wrong base'
    crown art rollback 7 --apply --field recAbCdEfGhIjKlMn.retail_price
    crown art rollback 7 --through-latest
    """  # noqa: D301
    from crown.art_records.history.rollback import rollback as take_back
    from crown.art_records.workspace import DEPARTMENT

    chosen = [(record, name or None) for record, _, name in (field.partition(".") for field in fields)]
    with workspace() as art_records:
        person = acting(art_records.engine, who, "rollback", DEPARTMENT)
        report = take_back(
            art_records.engine, sync_number, who=person, apply=carry_out, choose="force" if force else "skip", fields=chosen,
            through_latest=through_latest, approved=confirm, rule_version=art_records.book.version, reason=reason,
        )  # fmt: skip
    if as_json:
        show_json(report.as_dict())
    else:
        click.echo(report.text(rows))
        if report.applied:
            click.echo("The marts follow while `crown up` runs; `crown sql run` builds them now.")
        elif not carry_out:
            click.echo("Nothing was written; --apply writes it.")
    if carry_out and not report.applied:
        click.echo(
            f"crown: nothing of sync {sync_number} was taken back: no change of it is clean; --force or --field "
            "chooses others.",
            err=True,
        )
        context.exit(_WAITS)


for command in (
    *art_reading.COMMANDS,
    *art_work.COMMANDS,
    *art_bookkeeping.COMMANDS,
    *art_documents.COMMANDS,
    art_pictures.pictures,
):
    art.add_command(command)
