"""Removes old rows: from our logs, and what Dagster writes besides asset events.

Dagster's own retention covers ticks only; its event log grows by about 23 KB per one-step run for ever. All
steps of housekeeping are in crown.journal.housekeeping.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, text

_BATCH = 5000

# Dagster's guide (docs.dagster.io/deployment/troubleshooting/database-tuning) calls these transitory or system
# logs: the run page uses them for its step-by-step log only. Named one by one, so that a type that a newer
# Dagster adds is kept until someone has judged it. Rows without a type are messages of context.log.
REMOVED_EVENTS = (
    "ALERT_FAILURE",
    "ALERT_START",
    "ALERT_SUCCESS",
    "ASSET_STORE_OPERATION",
    "CODE_LOCATION_UPDATED",
    "ENGINE_EVENT",
    "FRESHNESS_STATE_EVALUATION",
    "HANDLED_OUTPUT",
    "HOOK_COMPLETED",
    "HOOK_ERRORED",
    "HOOK_SKIPPED",
    "LOADED_INPUT",
    "LOGS_CAPTURED",
    "OBJECT_STORE_OPERATION",
    "PIPELINE_CANCELING",
    "PIPELINE_DEQUEUED",
    "PIPELINE_ENQUEUED",
    "PIPELINE_STARTING",
    "RESOURCE_INIT_FAILURE",
    "RESOURCE_INIT_STARTED",
    "RESOURCE_INIT_SUCCESS",
    "STEP_EXPECTATION_RESULT",
    "STEP_INPUT",
    "STEP_OUTPUT",
    "STEP_WORKER_STARTED",
    "STEP_WORKER_STARTING",
)
# Asset events are the catalogue's history, and checks refer to them by id. Of runs and steps stays what says
# when they began, how they ended and why they failed: the timeline, step statistics and run status sensors
# read it, and "re-execute from failure" needs it.
KEPT_EVENTS = (
    "ASSET_CHECK_EVALUATION",
    "ASSET_CHECK_EVALUATION_PLANNED",
    "ASSET_FAILED_TO_MATERIALIZE",
    "ASSET_HEALTH_CHANGED",
    "ASSET_MATERIALIZATION",
    "ASSET_MATERIALIZATION_PLANNED",
    "ASSET_OBSERVATION",
    "ASSET_WIPED",
    "FRESHNESS_STATE_CHANGE",
    "PIPELINE_CANCELED",
    "PIPELINE_FAILURE",
    "PIPELINE_START",
    "PIPELINE_SUCCESS",
    "RUN_RESUMED",
    "RUN_SUSPENDED",
    "STEP_FAILURE",
    "STEP_RESTARTED",
    "STEP_SKIPPED",
    "STEP_START",
    "STEP_SUCCESS",
    "STEP_UP_FOR_RETRY",
)

# Events of a run that has not ended stay, however old.
_RUN_ENDED = (
    "not exists (select from dagster.runs r where r.run_id = t.run_id"
    " and r.status not in ('SUCCESS', 'FAILURE', 'CANCELED'))"
)
# Dagster stores its times in UTC without a zone.
_TOO_OLD = "t.timestamp < (now() at time zone 'utc') - make_interval(days => :days)"


def prune(
    engine: Engine,
    table: str,
    condition: str,
    parameters: Mapping[str, Any],
    *,
    order: str,
    dry_run: bool = False,
) -> int:
    """Delete the rows of `table` (named `t` in `condition`) in short transactions; returns how many.

    Args:
        engine: our database.
        table: schema and name.
        condition: SQL over `t` with bind parameters.
        parameters: their values.
        order: the column of an index that finds such rows first.
        dry_run: only count them.
    """
    if dry_run:
        with engine.connect() as connection:
            return connection.execute(
                text(f"select count(*) from {table} t where {condition}"), parameters
            ).scalar_one()
    statement = text(
        f"delete from {table} where ctid = any(array("
        f"select t.ctid from {table} t where {condition} order by {order} limit :batch for update skip locked))"
    )
    removed = 0
    while True:
        with engine.begin() as connection:
            rows = connection.execute(statement, {**parameters, "batch": _BATCH}).rowcount
        removed += rows
        if rows < _BATCH:
            return removed


def prune_logs(engine: Engine, days: int, *, dry_run: bool = False) -> int:
    """Remove rows of logs.records older than so many days; returns how many."""
    return prune(
        engine,
        "logs.records",
        "t.timestamp < now() - make_interval(days => :days)",
        {"days": days},
        order="t.timestamp",
        dry_run=dry_run,
    )


def prune_dagster_events(engine: Engine, days: int, *, dry_run: bool = False) -> int:
    """Remove Dagster's events of REMOVED_EVENTS and log messages of ended runs, older than so many days.

    Returns how many; 0 where Dagster has no tables.
    """
    if not _exists(engine, "dagster.event_logs"):
        return 0
    # Type by type: the index on (dagster_event_type, id) then never touches what is kept.
    kinds = ["t.dagster_event_type is null", *(f"t.dagster_event_type = '{kind}'" for kind in REMOVED_EVENTS)]
    return sum(
        prune(
            engine,
            "dagster.event_logs",
            f"{kind} and {_TOO_OLD} and {_RUN_ENDED}",
            {"days": days},
            order="t.id",
            dry_run=dry_run,
        )
        for kind in kinds
    )


def prune_orphans(engine: Engine, days: int, *, dry_run: bool = False) -> dict[str, int]:
    """Remove rows that nothing refers to any more, by table.

    Tags of Dagster's asset events that are gone; looks at files in folders that nobody has looked at for so
    many days.
    """
    removed = {
        "store.sightings": prune(
            engine,
            "store.sightings",
            "t.seen_at < now() - make_interval(days => :days)",
            {"days": days},
            order="t.seen_at",
            dry_run=dry_run,
        )
    }
    if _exists(engine, "dagster.asset_event_tags"):
        # A row younger than a day may belong to an event that is being written.
        removed["dagster.asset_event_tags"] = prune(
            engine,
            "dagster.asset_event_tags",
            "not exists (select from dagster.event_logs e where e.id = t.event_id)"
            " and t.event_timestamp < (now() at time zone 'utc') - interval '1 day'",
            {},
            order="t.id",
            dry_run=dry_run,
        )
    return removed


def _exists(engine: Engine, table: str) -> bool:
    with engine.connect() as connection:
        return (
            connection.execute(text("select to_regclass(:table)"), {"table": table}).scalar_one() is not None
        )
