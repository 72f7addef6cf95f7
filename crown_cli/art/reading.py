"""Looking into the art tables from the command line: syncs, history, states, quarantine, checks, conflicts, files.

Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from crown_cli.art.shared import (
    DAY,
    TABLES,
    workspace,
    write_private,
)
from crown_cli.common.output import csv_wanted, json_option, rows_option, show_json, show_rows


@click.command(short_help="List every act that wrote to the art tables.")
@click.option("--limit", default=30, show_default=True, help="Rows to show.")
@rows_option
def syncs(limit: int, as_json: bool) -> None:
    """Every act that wrote to the art tables, the newest first, table by table.

    \b
    crown art syncs
    crown art syncs --limit 1000 --json
    """  # noqa: D301
    from crown.art_records.history.states import syncs as newest

    with workspace() as art_records:
        rows = newest(art_records.engine, limit)
    if as_json:
        show_json(rows)
        return
    shown = [
        {
            "sync": row["sync_number"], "table": row["table_name"], "what": _what(row), "who": row["who"],
            "records": _counts(row),
            "at": f"{row['completed_at'].astimezone():%Y-%m-%d %H:%M}" if row["completed_at"] else None,
            "from": row["source_file"] or row["reason"],
        }
        for row in rows
    ]  # fmt: skip
    show_rows(shown, empty="Nothing was written yet.", width=100)


def _what(sync: Mapping[str, Any]) -> str:
    """The kind of a sync, and its status where it is another than completed."""
    kind, status = (str(sync[name]).replace("_", " ") for name in ("sync_type", "status"))
    return kind if status == "completed" else f"{kind}, {status}"


def _counts(sync: Mapping[str, Any]) -> str:
    """The records and values that a sync touched in one table."""
    counts = {
        "new": sync["records_created"],
        "changed": sync["records_updated"],
        "closed": sync["records_deleted"],
        "set aside": sync["values_quarantined"],
    }
    return ", ".join(f"{count:,} {called}" for called, count in counts.items() if count) or "none"


@click.command(short_help="Show the history of RECORD, oldest first.")
@click.argument("record")
@json_option
def history(record: str, as_json: bool) -> None:
    """The history of RECORD (a record id, or its name when it is unique), oldest first.

    \b
    crown art history recAbCdEfGhIjKlMn
    crown art history "Work - 12" --json
    """  # noqa: D301
    from crown.art_records.history.states import history as states_of

    with workspace() as art_records:
        events = states_of(art_records.engine, record)
    if as_json:
        show_json(events)
        return
    if events:
        click.echo(events[0].subject)
    for event in events:
        click.echo(event.text())


@click.command(short_help="Show RECORD as it is, or was on a day.")
@click.argument("record")
@click.option("--as-of", type=DAY, metavar="DAY", help="The state at the end of this day; default: now.")
@click.option("--recorded", is_flag=True, help="With --as-of: as the art tables said when that day ended.")
@click.option("--personal", is_flag=True, help="Show notes and payment texts in the clear.")
@json_option
@click.pass_context
def show(
    context: click.Context, record: str, as_of: date | None, recorded: bool, personal: bool, as_json: bool
) -> None:
    """RECORD as it is, or as it was on a day. Exit code 1 when it was not in the art tables then.

    Without --recorded every act counts from its own day: an export from the day it
    was made, a sale from the day of the sale, whenever it was entered.

    \b
    crown art show "Work - 12" --as-of 2025-11-30
    crown art show "Work - 12" --as-of 2025-11-30 --recorded
    crown art show recAbCdEfGhIjKlMn --json
    """  # noqa: D301
    from crown.art_records.history.comparing import masked
    from crown.art_records.history.states import as_of as state
    from crown.art_records.wording import names_in

    if recorded and as_of is None:
        raise click.UsageError("--recorded asks about a day; give it with --as-of.")
    on = as_of or date.max
    with workspace() as art_records:
        found = state(art_records.engine, record, on, recorded=recorded or as_of is None)
        with art_records.engine.connect() as connection:
            names = names_in(connection, found or {})
    if found is None:
        click.echo(f"crown: {record} was not in the art tables on {on}.", err=True)
        context.exit(1)
    shown = {name: value if personal else masked(name, value) for name, value in found.items()}
    if as_json:
        show_json(shown)
    else:
        show_rows(
            [
                {"field": name, "value": _value(name, value, names)}
                for name, value in shown.items()
                if value is not None
            ]
        )


def _value(name: str, value: Any, names: dict[str, str]) -> Any:
    """A field of a record for people; a personal text is masked before, or asked for in the clear."""
    from crown.art_records.tables import PERSONAL
    from crown.art_records.wording import said

    return value if isinstance(value, datetime) or name in PERSONAL else said(name, value, names)


@click.command(short_help="List values that were withheld, repaired or flagged.")
@click.option("--table", type=click.Choice(TABLES), help="Only this table.")
@click.option("--outcome", type=click.Choice(["withheld", "repaired", "flagged"]), help="Only these.")
@click.option("--sync", "sync_number", type=int, help="Of this sync; default: the newest of each table.")
@click.option("--limit", default=50, show_default=True, help="Rows to show.")
@rows_option
def quarantine(
    table: str | None, outcome: str | None, sync_number: int | None, limit: int, as_json: bool
) -> None:
    """Values that failed their rule, were repaired or are doubtful, the most money first.

    \b
    crown art quarantine --outcome withheld
    crown art quarantine --sync 7 --json
    """  # noqa: D301
    from crown.art_records.exports.quarantine import quarantined
    from crown.art_records.wording import money

    with workspace() as art_records:
        rows = quarantined(
            art_records.engine, table=table, outcome=outcome, sync_number=sync_number, limit=limit
        )
    if as_json:
        show_json(rows)
        return
    shown = [
        {
            "table": row["table_name"], "row": row["file_row"],
            "record": row["name"] or row["airtable_id"], "column": row["column_name"], "outcome": row["outcome"],
            "problem": row["problem"], "text": row["raw_value"], "read as": row["loaded_value"],
            "at stake": None if row["money_at_stake"] is None else money(row["money_at_stake"]),
        }
        for row in rows
    ]  # fmt: skip
    show_rows(shown, empty="Nothing was set aside.", width=100)


@click.command(short_help="Run the checks and compare formulas.")
@rows_option
@click.pass_context
def checks(context: click.Context, as_json: bool) -> None:
    """Doubtful records in the art tables, and differences from the export's own formulas.

    Exit code 1 when there is an error; doubtful records are warnings. What was
    accepted (`crown art accept`) stays in the counts and warns no more.

    \b
    crown art checks
    crown art checks --json | jq '.questions[] | select(.count > 0)'
    """  # noqa: D301
    from crown.art_records.checks import run_checks
    from crown.art_records.exports.oracles import formula_oracles
    from crown.art_records.wording import money

    with workspace() as art_records:
        asked = run_checks(art_records.engine)
        formulas = formula_oracles(art_records.engine, art_records.objects)
    wrong = [r for r in asked if not r.passed and r.check.severity == "error"] + [
        f for f in formulas if not f.passed
    ]
    if as_json:
        show_json({"questions": [r.as_dict() for r in asked], "formulas": [f.as_dict() for f in formulas]})
    else:
        show_rows(
            [
                {"check": r.check.name, "severity": r.check.severity, "new": r.new, "accepted": r.accepted,
                 "money": money(r.money), "promise": r.check.says} for r in asked if r.count
            ],
            title=f"{len(asked)} checks",
            empty="Nothing deserves a look.",
            width=100,
        )  # fmt: skip
    if not (as_json or csv_wanted()):
        show_rows(
            [
                {"formula": f.column, "rows": f.rows, "equal": f.equal, "excused": f.excused, "differ": len(f.wrong)}
                for f in formulas
            ],
            title="The export's formulas",
            empty="No export with formula columns is in the art tables.",
            width=100,
        )  # fmt: skip
        for formula in formulas:
            if not formula.passed:
                click.echo(click.wrap_text(f"{formula.column}: {formula.sentence()}", 100))
    context.exit(1 if wrong else 0)


@click.command(short_help="List fields that both sides changed.")
@rows_option
def conflicts(as_json: bool) -> None:
    """Fields that both sides changed since the last export; they keep what was entered here until decided.

    \b
    crown art conflicts
    crown art resolve 12 source
    """  # noqa: D301
    from crown.art_records.history.states import open_conflicts
    from crown.art_records.wording import named, said

    with workspace() as art_records:
        rows = open_conflicts(art_records.engine)
    if as_json:
        show_json(rows)
        return
    shown = [
        {
            "conflict": row["conflict_id"], "record": named(row["airtable_id"], {row["airtable_id"]: row["name"]}),
            "field": row["field"],
            **{side: said(row["field"], row[f"{side}_value"]) for side in ("base", "local", "source")},
        }
        for row in rows
    ]  # fmt: skip
    show_rows(shown, empty="No conflict waits.", width=100)


@click.command(short_help="Write a table of the art tables as CSV.")
@click.argument("table", type=click.Choice(TABLES))
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def export(table: str, output: Path | None) -> None:
    """A table of the art tables as CSV in which no cell is a formula; notes and payment texts are in it.

    \b
    crown art export editions --output editions.csv
    """  # noqa: D301
    import sys

    from crown.art_records.outgoing import art_records_csv

    with workspace() as art_records:
        content = art_records_csv(art_records.engine, table)
    if output is None:
        sys.stdout.buffer.write(content)
        return
    write_private(output, content)
    click.echo(str(output.absolute()))


COMMANDS = (syncs, history, show, quarantine, checks, conflicts, export)
