"""`crown status`: every department on one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from crown_cli.common.output import csv_wanted, rows_option, show_json, show_rows, size

if TYPE_CHECKING:
    from crown.flow.summary import Summary
    from crown.journal.attention import FailedJob, RefusedFile


@click.command()
@rows_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """What is made, waiting and failed, per department, and how the newest runs went.

    Failed runs and refused files are those of the last seven days. Exit code 1 when something is left failed or
    quarantined, or when a job has not succeeded since it failed.

    \b
    crown status
    crown status --json
    crown status --csv > status.csv
    """  # noqa: D301
    from dataclasses import asdict

    from crown.departments import summaries
    from crown.journal import activity, attention
    from crown_cli.common.world import open_world

    with open_world() as world, world.engine.connect() as connection:
        found = summaries(connection, world.settings)
        runs = [asdict(run) for run in activity.newest_runs(connection)]
        failed_jobs = attention.failed_jobs(connection)
        refused = attention.refused_files(connection)
    departments = {one.name: one.totals for one in found}
    if as_json:
        assets = {f"{one.name}/{asset}": states for one in found for asset, states in one.assets.items()}
        show_json(
            {
                "departments": departments,
                "assets": assets,
                "summaries": [_as_dict(one) for one in found],
                "runs": runs,
                "failed_jobs": failed_jobs,
                "refused": refused,
            }
        )
    else:
        show_rows([{"department": name, **total} for name, total in departments.items()])
    if not (as_json or csv_wanted()):
        _show_counts(found)
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


def _as_dict(summary: Summary) -> dict[str, object]:
    from dataclasses import asdict

    freshness = [{**asdict(one), "stale": one.stale()} for one in summary.freshness]
    return {**asdict(summary), "totals": summary.totals, "freshness": freshness}


def _show_counts(found: Sequence[Summary]) -> None:
    """What waits and is held, reviews, dates of the data and disk, for the departments that have something."""
    from dataclasses import asdict

    waiting = [
        {
            "asset": one.asset,
            "kind": one.kind,
            "items": one.items,
            "since": one.since,
            "for": ", ".join(one.names),
        }
        for summary in found
        for one in summary.waiting
    ]
    held = [asdict(one) for summary in found for one in summary.held]
    reviews = [
        {"stage": one.stage, "items": one.items, "what": f"{one.called} wait for a decision"}
        for summary in found
        for one in summary.reviews
        if one.items
    ]
    dates = [
        {"asset": one.asset, "date_of": one.dated, "at": one.at, "stale": one.stale()}
        for summary in found
        for one in summary.freshness
        if one.at
    ]
    disks = {disk.folder: disk for summary in found if summary.assets for disk in summary.disk}
    if waiting:
        show_rows(waiting, title="Waiting")
    if held:
        show_rows(held, title="Held, until `crown release`")
    if reviews:
        show_rows(reviews, title="Waiting for a decision")
    if dates:
        show_rows(dates, title="Data")
    if disks:
        show_rows(
            [
                {
                    "folder": str(folder),
                    "free": "not there" if disk.free_bytes is None else size(disk.free_bytes),
                }
                for folder, disk in disks.items()
            ],
            title="Disk",
        )


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
                {"file": one.name, "at": one.at, "from": one.who, "folder": one.folder, "reason": one.reason}
                for one in refused
            ],
            title="Refused files",
        )
