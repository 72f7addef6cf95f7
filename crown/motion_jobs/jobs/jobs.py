"""Reading jobs and batches: lists, one job with everything that is known of it, counts. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from crown.errors import BadInput
from crown.flow.patterns import Patterns, condition
from crown.journal import activity
from crown.motion_jobs.jobs.statuses import STATUSES
from crown.motion_jobs.renders.renders import render_of
from crown.motion_jobs.workspace import (
    APPROVED,
    DEPARTMENT,
    DEPLOYMENTS,
    JOB_ASSETS,
    MATCHES,
    PREVIEWS,
    SOURCES,
    VALIDATED,
    Workspace,
)

#: The asset on whose bytes a job in this status is decided.
DECIDED_ON = {"awaiting_review": MATCHES, "awaiting_approval": PREVIEWS, "validation_failed": VALIDATED}

_BATCHES = """
    select b.batch_id, b.csv_filename, b.status, b.uploaded_by, b.uploaded_at, b.completed_at, b.total_jobs, b.invalid_jobs,
           count(j.job_id) as jobs, count(*) filter (where j.status in ('completed', 'archived')) as done,
           count(*) filter (where j.status in ('awaiting_review', 'awaiting_approval', 'validation_failed')) as for_people,
           count(*) filter (where j.status = 'failed') as failed, count(*) filter (where j.status = 'on_hold') as on_hold
    from motion.batch_records b left join motion.job_records j using (batch_id)
    group by b.batch_id order by b.uploaded_at desc, b.batch_id desc limit :limit
"""
_JOBS = """
    select j.job_id, j.batch_id, j.current_stage as stage, j.status, j.priority, j.output_name, j.client_name,
           j.project_name, j.updated_at,
           (select count(*) from motion.job_warnings w where w.job_id = j.job_id and not w.resolved
            and w.severity = 'critical') as critical,
           coalesce(
               (select i.error from ledger.items i where i.key = j.job_id and i.asset = any(:assets)
                and i.error is not null limit 1),
               (select coalesce(i.error, i.key || ' is not there; bring it back.') from ledger.items i
                where j.status = 'failed' and i.asset = :sources and i.key in (j.psd_path, j.aepx_path)
                and i.state in ('waiting', 'quarantined', 'failed') order by i.key limit 1)) as error
    from motion.job_records j where true {conditions}
    order by array_position(array['high', 'medium', 'low'], j.priority), j.created_at, j.csv_row limit :limit
"""


@dataclass(frozen=True)
class Chosen:
    """A job that a person acts on: its status, and the bytes that a decision would be about."""

    job_id: str
    batch_id: str
    status: str
    stage: int
    content_hash: str | None


def batches(engine: Engine, limit: int = 20) -> list[dict[str, Any]]:
    """The newest batches with counts of their jobs."""
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(text(_BATCHES), {"limit": limit})]


def listed(
    engine: Engine,
    *,
    patterns: Sequence[str] = (),
    batch: str | None = None,
    status: str | None = None,
    stage: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Jobs in the order in which they are worked on."""
    conditions, bound = _conditions(patterns, batch, status, stage)
    with engine.connect() as connection:
        bound |= {"assets": list(JOB_ASSETS), "sources": SOURCES, "limit": limit}
        rows = connection.execute(
            text(_JOBS.format(conditions=conditions)),
            bound,
        )
        return [dict(row._mapping) for row in rows]


def _conditions(
    patterns: Sequence[str], batch: str | None, status: str | None, stage: int | None
) -> tuple[str, dict[str, Any]]:
    conditions = ""
    bound: dict[str, Any] = {}
    if patterns:
        chosen = Patterns.of(patterns)
        conditions += f" and {condition('j.job_id')}"
        bound |= chosen.parameters
    for name, column, value in (
        ("batch", "j.batch_id", batch),
        ("status", "j.status", status),
        ("stage", "j.current_stage", stage),
    ):
        if value is not None:
            conditions += f" and {column} = :{name}"
            bound[name] = value
    return conditions, bound


def choose(
    connection: Connection, patterns: Sequence[str], statuses: Sequence[str], *, batch: str | None = None
) -> list[Chosen]:
    """The jobs that patterns mean and that are in one of these statuses.

    Raises:
        BadInput: a pattern means no job, or none of them has such a status; the sentence says which they have.
    """
    conditions, bound = _conditions(patterns, batch, None, None)
    rows = connection.execute(
        text(
            "select j.job_id, j.batch_id, j.status, j.current_stage as stage from motion.job_records j"
            f" where true {conditions} order by j.job_id"
        ),
        bound,
    ).all()
    named = " ".join(patterns) or batch or "nothing"
    if not rows:
        raise BadInput(f"There is no job {named}; `crown motion jobs` lists them.")
    found = [row for row in rows if row.status in statuses]
    if not found:
        where = ", ".join(sorted({row.status for row in rows}))
        raise BadInput(f"{named}: {where}. This is for jobs that are {' or '.join(statuses)}.")
    hashes = _standing_hashes(connection, [row.job_id for row in found])
    return [
        Chosen(
            row.job_id,
            row.batch_id,
            row.status,
            row.stage,
            hashes.get((row.job_id, DECIDED_ON.get(row.status))),
        )
        for row in found
    ]


def _standing_hashes(connection: Connection, jobs: Sequence[str]) -> dict[tuple[str, str | None], str]:
    rows = connection.execute(
        text("select job_id, asset, content_hash from motion.made where job_id = any(:jobs)"),
        {"jobs": list(jobs)},
    )
    return {(row.job_id, row.asset): row.content_hash for row in rows}


def document(workspace: Workspace, connection: Connection, job_id: str, asset: str) -> dict[str, Any] | None:
    """The current JSON document of an asset of a job, with its hash as `content_hash`."""
    row = connection.execute(
        text("select content_hash, facts from motion.made where job_id = :job and asset = :asset"),
        {"job": job_id, "asset": asset},
    ).one_or_none()
    if row is None:
        return None
    if asset in (PREVIEWS, DEPLOYMENTS):
        body: dict[str, Any] = dict(row.facts)
    else:
        body = json.loads(workspace.objects.path(row.content_hash).read_bytes())
    return {**body, "content_hash": row.content_hash}


def show(workspace: Workspace, job_id: str) -> dict[str, Any]:
    """Everything that is known of a job.

    Raises:
        BadInput: there is no such job.
    """
    with workspace.engine.connect() as connection:
        row = connection.execute(
            text(
                "select v.*, r.extra, r.csv_row from motion.jobs v join motion.job_records r using (job_id)"
                " where job_id = :job"
            ),
            {"job": job_id},
        ).one_or_none()
        if row is None:
            raise BadInput(f"There is no job {job_id}; `crown motion jobs` lists them.")
        items = connection.execute(
            text(
                "select asset, state, waiting_for, error, attempts, changed_at from ledger.items"
                " where key = :job and asset = any(:assets) order by array_position(cast(:assets as text[]), asset)"
            ),
            {"job": job_id, "assets": list(JOB_ASSETS)},
        ).all()
        warnings = connection.execute(
            text(
                "select warning_id, stage, warning_type, severity, message, resolved, resolution_notes"
                " from motion.job_warnings where job_id = :job"
                " order by resolved, array_position(array['critical', 'warning', 'info'], severity), warning_id"
            ),
            {"job": job_id},
        ).all()
        decisions = connection.execute(
            text(
                "select decision_id, stage, verdict, reason, who, via, decided_at, content_hash from ledger.decisions"
                " where subject = :job and stage = any(:assets) order by decision_id"
            ),
            {"job": job_id, "assets": list(JOB_ASSETS)},
        ).all()
        return {
            "job": _without(dict(row._mapping), ("stage1_results", "stage3_validation_results")),
            "stages": [dict(one._mapping) for one in items],
            "matches": document(workspace, connection, job_id, MATCHES),
            "approved": document(workspace, connection, job_id, APPROVED),
            "preview": document(workspace, connection, job_id, PREVIEWS),
            "validation": document(workspace, connection, job_id, VALIDATED),
            "deployment": document(workspace, connection, job_id, DEPLOYMENTS),
            "render": render_of(connection, job_id),
            "warnings": [dict(one._mapping) for one in warnings],
            "decisions": [dict(one._mapping) for one in decisions],
            "recent_logs": [
                {"at": one.at, "who": one.who, "what": one.what, "details": one.details}
                for one in activity.history(connection, entity=job_id, department=DEPARTMENT, limit=20)
            ],
        }


def _without(mapping: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name not in names}


def findings(engine: Engine, batch: str) -> list[dict[str, Any]]:
    """What was found in the rows of a batch's file, by row."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select csv_row as row, level, job_id, csv_column as column, rule, reason from motion.row_findings"
                " where batch_id = :batch order by csv_row, place"
            ),
            {"batch": batch},
        )
        return [dict(row._mapping) for row in rows]


def stats(engine: Engine) -> dict[str, Any]:
    """What the dashboard of the old system showed: totals, counts by stage and status, the last ten batches."""
    with engine.connect() as connection:
        by_status: dict[str, int] = dict(
            connection.execute(text("select status, count(*) from motion.job_records group by status"))
            .tuples()
            .all()
        )
        by_stage: dict[int, int] = dict(
            connection.execute(
                text("select current_stage, count(*) from motion.job_records group by 1 order by 1")
            )
            .tuples()
            .all()
        )
        average = connection.execute(
            text(
                "select extract(epoch from avg(stage4_completed_at - created_at)) from motion.job_records"
                " where stage4_completed_at is not null"
            )
        ).scalar()
    done = by_status.get("completed", 0) + by_status.get("archived", 0)
    failed = by_status.get("failed", 0)
    total = sum(by_status.values())
    return {
        "summary": {
            "total": total,
            "completed": done,
            "failed": failed,
            "in_progress": total - done - failed,
            "avg_completion_seconds": None if average is None else round(float(average), 1),
        },
        "stage_counts": {str(stage): by_stage.get(stage, 0) for stage in range(5)},
        "status_counts": {status: by_status.get(status, 0) for status in STATUSES},
        "recent_batches": batches(engine, 10),
    }
