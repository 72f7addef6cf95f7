"""Recent failures that belong to no item: failed runs and refused files. Read-only.

Items that failed are counted by crown.ledger.counts. Code of a department does not belong here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

#: What activity.py records for a file that people put somewhere and that cannot be used.
REFUSED = "refused"
#: How far back we look.
DAYS = 7


@dataclass(frozen=True)
class FailedJob:
    """The failed runs of one job, and the newest of them.

    Attributes:
        still: no run of the job has succeeded since.
    """

    job: str
    run_id: str
    ended_at: datetime
    reason: str
    times: int
    still: bool


@dataclass(frozen=True)
class RefusedFile:
    """A file that was set aside, with the reason that is beside it."""

    at: datetime
    who: str
    department: str
    name: str
    folder: str
    reason: str


def failed_jobs(connection: Connection, days: int = DAYS) -> list[FailedJob]:
    """Jobs with failed runs of the last days, those that still fail first; from Dagster's tables, when they are there."""
    if connection.execute(text("select to_regclass('dagster.runs')")).scalar_one() is None:
        return []
    rows = connection.execute(
        text(
            """
            with ended as (
                select id, run_id, pipeline_name as job, status,
                       coalesce(to_timestamp(end_time), update_timestamp at time zone 'utc') as ended_at
                from dagster.runs
                where status in ('SUCCESS', 'FAILURE')
                      and update_timestamp at time zone 'utc' > now() - make_interval(days => :days)
            ), failed as (
                select distinct on (job) job, run_id, ended_at, id, count(*) over (partition by job) as times
                from ended where status = 'FAILURE' order by job, id desc
            )
            select f.job, f.run_id, f.ended_at, f.times,
                   not exists (select from ended s where s.job = f.job and s.status = 'SUCCESS' and s.id > f.id) as still,
                   (select event from dagster.event_logs e where e.run_id = f.run_id
                    and e.dagster_event_type in ('STEP_FAILURE', 'PIPELINE_FAILURE') order by e.id limit 1) as event
            from failed f order by still desc, f.ended_at desc
            """
        ),
        {"days": days},
    )
    return [
        FailedJob(row.job, row.run_id, row.ended_at, _reason(row.event), row.times, row.still) for row in rows
    ]


@dataclass(frozen=True)
class FailedCheck:
    """An asset check of severity ERROR whose newest result is a failure."""

    asset: str
    check: str
    reason: str


def failed_checks(connection: Connection) -> list[FailedCheck]:
    """Checks that fail now, warnings left out; from Dagster's tables, when they are there."""
    if connection.execute(text("select to_regclass('dagster.asset_check_executions')")).scalar_one() is None:
        return []
    rows = connection.execute(
        text(
            """
            select * from (
                select distinct on (asset_key, check_name) asset_key, check_name, execution_status, evaluation_event
                from dagster.asset_check_executions where execution_status in ('SUCCEEDED', 'FAILED')
                order by asset_key, check_name, id desc
            ) newest where execution_status = 'FAILED' and evaluation_event like '%AssetCheckSeverity.ERROR%'
            order by asset_key, check_name
            """
        )
    )
    return [
        FailedCheck("/".join(json.loads(row.asset_key)), row.check_name, _evaluation(row.evaluation_event))
        for row in rows
    ]


def _evaluation(event: str) -> str:
    stored: dict[str, Any] = (json.loads(event).get("dagster_event") or {}).get("event_specific_data") or {}
    return " ".join(str(stored.get("description") or "").split())


def refused_files(connection: Connection, days: int = DAYS, limit: int = 50) -> list[RefusedFile]:
    """Files that were set aside in the last days, the newest first."""
    rows = connection.execute(
        text(
            "select at, who, department, subject as name, coalesce(new_values ->> 'folder', '') as folder,"
            " coalesce(new_values ->> 'reason', details, '') as reason from journal.activity"
            " where what = :what and at > now() - make_interval(days => :days) order by activity_id desc limit :limit"
        ),
        {"what": REFUSED, "days": days, "limit": limit},
    )
    return [RefusedFile(**row._mapping) for row in rows]


def _reason(event: str | None) -> str:
    """The sentence of a run's first failure, as Dagster stored it."""
    if event is None:
        return "Its process ended without a word; the daemon's log says more."
    stored: dict[str, Any] = json.loads(event).get("dagster_event") or {}
    data = stored.get("event_specific_data") or {}
    error = data.get("error") or {}
    said = (
        (data.get("user_failure_data") or {}).get("description")
        or (error.get("cause") or {}).get("message")
        or error.get("message")
        or stored.get("message")
        or ""
    )
    return " ".join(str(said).split())
