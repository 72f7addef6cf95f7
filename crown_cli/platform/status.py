"""`crown status`: every department on one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from crown_cli.common.output import json_option, show_json, show_rows

if TYPE_CHECKING:
    from crown.journal.attention import FailedJob, RefusedFile


@click.command()
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """What is made, waiting and failed, per department, and how the newest runs went.

    Failed runs and refused files are those of the last seven days. Exit code 1 when something is left failed or
    quarantined, or when a job has not succeeded since it failed.

    \b
    crown status
    crown status --json
    """  # noqa: D301
    from dataclasses import asdict

    from console import overview
    from crown.journal import activity, attention
    from crown_cli.common.world import open_world

    with open_world() as world, world.engine.connect() as connection:
        found = overview.departments(connection)
        runs = [asdict(run) for run in activity.newest_runs(connection)]
        failed_jobs = attention.failed_jobs(connection)
        refused = attention.refused_files(connection)
    departments = {one.name: one.totals for one in found if one.assets}
    if as_json:
        assets = {f"{one.name}/{asset}": states for one in found for asset, states in one.assets.items()}
        show_json(
            {
                "departments": departments,
                "assets": assets,
                "runs": runs,
                "failed_jobs": failed_jobs,
                "refused": refused,
            }
        )
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
        _show_what_went_wrong(failed_jobs, refused)
    left = sum(total["failed"] + total["quarantined"] for total in departments.values())
    context.exit(1 if left or any(one.still for one in failed_jobs) else 0)


def _show_what_went_wrong(failed_jobs: Sequence[FailedJob], refused: Sequence[RefusedFile]) -> None:
    if failed_jobs:
        show_rows(
            [
                {
                    "job": one.job,
                    "run": one.run_id[:8],
                    "ended_at": one.ended_at,
                    "times": one.times,
                    "still_fails": one.still,
                    "reason": one.reason,
                }
                for one in failed_jobs
            ],
            title="Failed runs",
        )
    if refused:
        show_rows(
            [
                {"file": one.name, "at": one.at, "from": one.who, "lies_in": one.folder, "reason": one.reason}
                for one in refused
            ],
            title="Refused files",
        )
