"""`crown status`: every department on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from crown_cli.output import json_option, show_json, show_rows

if TYPE_CHECKING:
    from sqlalchemy import Connection


@click.command()
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """What is made, waiting and failed, per department, and how the newest runs went.

    Exit code 1 when something is left failed or quarantined.

    \b
    crown status
    crown status --json
    """  # noqa: D301
    from crown.ledger import counts
    from crown_cli.world import open_world

    with open_world() as world, world.engine.connect() as connection:
        states = counts.by_state(connection)
        runs = _newest_runs(connection)
    departments: dict[str, dict[str, int]] = {}
    for asset, count in states.items():
        total = departments.setdefault(asset.split("/")[0], dict.fromkeys(counts.STATES, 0))
        for state, items in count.items():
            total[state] += items
    if as_json:
        show_json({"departments": departments, "assets": states, "runs": runs})
    else:
        show_rows(
            [{"department": name, **total} for name, total in departments.items()], empty="Nothing yet."
        )
        show_rows(runs, title="Newest runs that made something", empty="No run has made anything yet.")
    left = sum(total["failed"] + total["quarantined"] for total in departments.values())
    context.exit(1 if left else 0)


def _newest_runs(connection: Connection) -> list[dict[str, object]]:
    from sqlalchemy import text

    rows = connection.execute(
        text(
            "select run_id, max(made_at) as ended_at, count(*) as successful, sum(size_bytes) as bytes,"
            " count(distinct asset) as assets from ledger.makings where run_id is not null"
            " group by run_id order by max(making_id) desc limit 5"
        )
    )
    return [dict(row._mapping) for row in rows]
