"""Batches and jobs from the command line: upload, start, run, and looking at them. What they do is in crown/motion_jobs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from crown_cli.common.output import json_option, rows_option, show_json, show_rows
from crown_cli.common.people import acting, who_option
from crown_cli.motion.shared import batch_option, open_motion


@click.command(name="sample-csv", short_help="A CSV to start from.")
def sample_csv() -> None:
    """Print a CSV with all columns and two example rows.

    \b
    crown motion sample-csv > batch.csv
    """  # noqa: D301
    from crown.motion_jobs.jobs.csv_batches import sample

    click.echo(sample(), nl=False)


@click.command(short_help="Make a batch of a CSV file.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--user", "--who", "who", metavar="USER", help="Who uploads it; default: you.")
@json_option
def upload(file: Path, who: str | None, as_json: bool) -> None:
    """Make a batch of FILE: its good rows become jobs, bad ones are quarantined.

    The file is kept byte for byte; the same bytes again are recognised. Paths
    in it are absolute or start at its folder.

    \b
    crown motion upload spring.csv --user ann
    """  # noqa: D301
    from crown.motion_jobs.jobs import batches
    from crown.motion_jobs.jobs.jobs import findings
    from crown.motion_jobs.workspace import BATCHES

    with open_motion() as workspace:
        person = acting(workspace.engine, who, "upload", BATCHES)
        done = batches.upload(workspace, file, who=person)
        found = findings(workspace.engine, done.batch_id)
    if as_json:
        show_json({**batches.as_dict(done), "findings": found})
        return
    if done.known:
        click.echo(f"These bytes are the batch {done.batch_id} already; nothing is done twice.")
    else:
        click.echo(f"{done.batch_id}: {done.valid_jobs:,} jobs, {done.invalid_jobs:,} rows quarantined.")
    for notice in done.notices:
        click.echo(notice)
    show_rows(
        [one for one in found if one["level"] == "error"], columns=["row", "column", "reason"], empty=""
    )


@click.command(short_help="Let jobs of BATCH be processed.")
@click.argument("batch")
@click.option(
    "--max-jobs", type=click.IntRange(1), help="So many at most; default: CROWN_MOTION_JOBS_MAX_JOBS."
)
@who_option
@json_option
def start(batch: str, max_jobs: int | None, who: str | None, as_json: bool) -> None:
    """Let the next jobs of BATCH be processed: high priority first, then the oldest.

    With CROWN_MOTION_JOBS_AUTO_START new jobs start by themselves.

    \b
    crown motion start BATCH_20251030_143022 --max-jobs 20
    """  # noqa: D301
    from crown.motion_jobs.jobs import batches
    from crown.motion_jobs.workspace import INGESTED

    with open_motion() as workspace:
        person = acting(workspace.engine, who, "run", INGESTED)
        most = max_jobs or workspace.settings.motion_jobs.max_jobs
        started = batches.start(workspace, batch, most, who=person)
    if as_json:
        show_json({"batch_id": batch, "started": started})
    else:
        click.echo(f"{len(started):,} jobs of {batch} are started; the next run makes them.")


@click.command(short_help="Make whatever is due, here and now.")
@click.argument("batch", required=False)
@json_option
def run(batch: str | None, as_json: bool) -> None:
    """Take batch files in and make what is due, of BATCH or of all; `crown up` does it by itself.

    \b
    crown motion run
    crown motion run BATCH_20251030_143022
    """  # noqa: D301
    from crown.motion_jobs.jobs import batches
    from crown_cli.common.runs import dagster_instance, run_job
    from crown_cli.common.world import open_world
    from resources import queues

    runs: list[dict[str, Any]] = []
    with open_world() as world, dagster_instance(world) as instance:
        runs.append(run_job(instance, queues.MOTION_BATCHES))
        due = batches.due(world.engine)
        for name in [batch] if batch else list(due):
            runs.append({"batch": name, **run_job(instance, queues.MOTION_JOBS, partition=name)})
    if as_json:
        show_json(runs)
        return
    for one in runs:
        made = sum(int(of.get("successful", 0)) for of in one["assets"].values())
        failed = sum(int(of.get("failed", 0)) for of in one["assets"].values())
        click.echo(f"{one.get('batch', 'batches and files')}: {made:,} made, {failed:,} failed.")


@click.command(short_help="Batches, and what waits for people.")
@click.option("--limit", default=20, show_default=True, help="So many batches, the newest first.")
@rows_option
def status(limit: int, as_json: bool) -> None:
    """Show the newest batches: done, waiting for people, failed.

    \b
    crown motion status
    crown motion status --json
    """  # noqa: D301
    from crown.motion_jobs.jobs.jobs import batches

    with open_motion() as workspace:
        rows = batches(workspace.engine, limit)
    columns = [
        "batch_id",
        "csv_filename",
        "status",
        "jobs",
        "done",
        "for_people",
        "failed",
        "on_hold",
        "invalid_jobs",
    ]
    show_rows(
        rows, as_json=as_json, columns=columns, empty="No batch is uploaded yet; `crown motion sample-csv`."
    )


@click.command(name="jobs", short_help="Jobs by pattern, batch or status.")
@click.argument("patterns", metavar="[JOB...]", nargs=-1)
@batch_option
@click.option("--status", "of_status", metavar="STATUS", help="Only jobs in this status.")
@click.option("--stage", type=click.IntRange(0, 4), help="Only jobs in this stage.")
@click.option("--limit", default=100, show_default=True, help="So many jobs.")
@rows_option
def list_jobs(
    patterns: tuple[str, ...],
    batch: str | None,
    of_status: str | None,
    stage: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs in the order in which they are worked on.

    \b
    crown motion jobs --status awaiting_review
    crown motion jobs 'spring_*' --batch BATCH_20251030_143022 --json
    """  # noqa: D301
    from crown.errors import BadInput
    from crown.motion_jobs.jobs.jobs import listed
    from crown.motion_jobs.jobs.statuses import STATUSES

    if of_status is not None and of_status not in STATUSES:
        raise BadInput(f"{of_status!r} is no status; there are {', '.join(STATUSES)}.")
    with open_motion() as workspace:
        rows = listed(
            workspace.engine, patterns=patterns, batch=batch, status=of_status, stage=stage, limit=limit
        )
    columns = ["job_id", "batch_id", "stage", "status", "priority", "output_name", "critical", "error"]
    show_rows(rows, as_json=as_json, columns=columns, empty="No job.")


@click.command(short_help="Everything that is known of JOB.")
@click.argument("job")
@json_option
def show(job: str, as_json: bool) -> None:
    """Show JOB: its row, its stages, warnings, decisions and package; --json has everything.

    \b
    crown motion show spring_01
    crown motion show spring_01 --json | jq .validation.findings
    """  # noqa: D301
    from crown.motion_jobs.jobs import jobs

    with open_motion() as workspace:
        found = jobs.show(workspace, job)
    if as_json:
        show_json(found)
        return
    row = found["job"]
    click.echo(f"{row['job_id']} of {row['batch_id']}: {row['status']}, stage {row['current_stage']}")
    for name in ("psd_path", "aepx_path", "output_name", "client_name", "project_name", "priority", "notes"):
        if row[name]:
            click.echo(f"  {name}: {row[name]}")
    show_rows(found["stages"], columns=["asset", "state", "waiting_for", "error"], title="Stages")
    show_rows(
        found["warnings"],
        columns=["warning_id", "stage", "severity", "message", "resolved"],
        title="Warnings",
    )
    show_rows(
        found["decisions"], columns=["decided_at", "stage", "verdict", "who", "reason"], title="Decisions"
    )
    if found["deployment"]:
        click.echo(f"Package: {found['deployment']['project']}")
        render = found["render"]
        opened = render["opened_in_after_effects"] if render else "not tested"
        click.echo(f"Verified: structure. Opened in After Effects: {opened}.")
        if render:
            click.echo(f"Render: {render['verdict'].replace('_', ' ')}. {' '.join(render['reasons'])}")


@click.command(short_help="What is wrong with the rows of BATCH.")
@click.argument("batch")
@rows_option
def findings(batch: str, as_json: bool) -> None:
    """Show what was found in the rows of the file of BATCH: row, column and reason.

    \b
    crown motion findings BATCH_20251030_143022 --csv > to_correct.csv
    """  # noqa: D301
    from crown.motion_jobs.jobs import batches, jobs

    with open_motion() as workspace:
        batches.csv_of(workspace, batch)
        rows = jobs.findings(workspace.engine, batch)
    show_rows(rows, as_json=as_json, empty="Nothing was found.")


@click.command(name="csv", short_help="The file of BATCH, byte for byte.")
@click.argument("batch")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: the terminal or pipe."
)
def get_csv(batch: str, output: Path | None) -> None:
    """Give back the CSV file from which BATCH was made.

    \b
    crown motion csv BATCH_20251030_143022 -o spring.csv
    """  # noqa: D301
    from crown.errors import BadInput
    from crown.motion_jobs.jobs import batches

    with open_motion() as workspace:
        _, path = batches.csv_of(workspace, batch)
        raw = path.read_bytes()
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(raw)
        return
    try:
        with output.open("xb") as file:
            file.write(raw)
    except FileExistsError:
        raise BadInput(f"{output} exists already; name another file.") from None


@click.command(short_help="Totals, times, counts by stage and status.")
@json_option
def stats(as_json: bool) -> None:
    """Show totals, average completion time, counts by stage and status, the last batches.

    \b
    crown motion stats --json
    """  # noqa: D301
    from crown.motion_jobs.jobs import jobs

    with open_motion() as workspace:
        found = jobs.stats(workspace.engine)
    if as_json:
        show_json(found)
        return
    show_rows([found["summary"]], title="Jobs")
    show_rows([{"stage": stage, "jobs": count} for stage, count in found["stage_counts"].items()])
    show_rows(
        [{"status": name, "jobs": count} for name, count in found["status_counts"].items() if count], empty=""
    )


COMMANDS = (upload, start, run, status, list_jobs, show, findings, get_csv, stats, sample_csv)
