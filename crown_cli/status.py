"""`crown status`: every department on one page."""

from __future__ import annotations

import click

from crown_cli.output import json_option, show_json, show_rows


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
    from dataclasses import asdict

    from crown.journal import activity
    from crown.ledger import counts
    from crown_cli.world import open_world

    with open_world() as world, world.engine.connect() as connection:
        states = counts.by_state(connection)
        runs = [asdict(run) for run in activity.newest_runs(connection)]
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
        show_rows(
            [
                {
                    "run": run["run_id"][:8],
                    "ended_at": run["ended_at"],
                    "departments": ", ".join(run["departments"]),
                    **{name: run[name] for name in ("total", "successful", "failed", "skipped")},
                }
                for run in runs
            ],
            title="Newest runs",
            empty="No run has ended yet.",
        )
    left = sum(total["failed"] + total["quarantined"] for total in departments.values())
    context.exit(1 if left else 0)
