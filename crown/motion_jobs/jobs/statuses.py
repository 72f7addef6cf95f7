"""The status of a job: it follows from the ledger and moves only as `MOVES` allows, which the database enforces.

The stages, as people know them: 0 CSV validation, 1 ingestion, 2 matching, 3 preview and approval, 4 validation and
deployment. What happens in them does not belong here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Engine, text

from crown.journal import activity
from crown.ledger.locks import in_transaction
from crown.motion_jobs.workspace import (
    APPROVED,
    DEPARTMENT,
    DEPLOYMENTS,
    INGESTED,
    JOB_ASSETS,
    MATCHES,
    PREVIEWS,
    VALIDATED,
)

Status = Literal[
    "pending", "processing", "awaiting_review", "awaiting_approval", "ready_for_validation", "validation_failed",
    "completed", "failed", "on_hold", "archived",
]  # fmt: skip
STATUSES: tuple[Status, ...] = get_args(Status)
STAGES = ("CSV validation", "ingestion", "matching", "preview and approval", "validation and deployment")

#: What a status may become. The migration has the same table for the trigger; a test compares them with the docs.
MOVES: Mapping[Status, tuple[Status, ...]] = {
    "pending": ("processing", "failed", "on_hold"),
    "processing": (
        "pending", "awaiting_review", "awaiting_approval", "ready_for_validation", "validation_failed", "completed",
        "failed", "on_hold",
    ),
    "awaiting_review": ("processing", "failed", "on_hold"),
    "awaiting_approval": ("processing", "awaiting_review", "ready_for_validation", "failed", "on_hold"),
    "ready_for_validation": ("processing", "awaiting_approval", "validation_failed", "completed", "failed", "on_hold"),
    "validation_failed": ("processing", "awaiting_review", "ready_for_validation", "failed", "on_hold"),
    "failed": ("processing", "on_hold"),
    "on_hold": (
        "pending", "processing", "awaiting_review", "awaiting_approval", "ready_for_validation", "validation_failed",
        "failed", "completed",
    ),
    "completed": ("processing", "archived"),
    "archived": ("completed",),
}  # fmt: skip

#: Stage of the work that makes each asset, and of the person that each one waits for.
_STAGE = {INGESTED: 1, MATCHES: 1, APPROVED: 3, PREVIEWS: 3, VALIDATED: 4, DEPLOYMENTS: 4}
_GATES: Mapping[str, tuple[Status, int]] = {
    APPROVED: ("awaiting_review", 2),
    VALIDATED: ("awaiting_approval", 3),
    DEPLOYMENTS: ("validation_failed", 4),
}
LAST_STAGE = 4


@dataclass(frozen=True)
class Standing:
    """The first item of a job that is not current, and whether a person holds the job."""

    asset: str
    state: str
    waiting_kind: str | None = None
    held: bool = False


def status_of(standing: Standing | None) -> tuple[Status, int]:
    """Status and stage that follow from the ledger's items of a job; None: everything is made."""
    if standing is None:
        return "completed", LAST_STAGE
    stage = _STAGE[standing.asset]
    if standing.held:
        return "on_hold", stage
    if standing.state == "quarantined":
        return "failed", stage
    if standing.state == "waiting" and standing.waiting_kind == "gate":
        return _GATES[standing.asset]
    if standing.state == "waiting" and standing.asset == INGESTED:
        return ("pending", 0) if standing.waiting_kind == "plan" else ("failed", 1)
    if standing.asset == VALIDATED:
        return "ready_for_validation", stage
    return "processing", stage


@cache
def way(old: Status, new: Status) -> tuple[Status, ...]:
    """The shortest way of allowed moves between two statuses, without the first.

    Raises:
        ValueError: there is none.
    """
    ways: deque[tuple[Status, ...]] = deque([(old,)])
    reached = {old}
    while ways:
        steps = ways.popleft()
        if steps[-1] == new:
            return steps[1:]
        for one in MOVES[steps[-1]]:
            if one not in reached and one not in ("archived",):
                reached.add(one)
                ways.append((*steps, one))
    raise ValueError(f"no move leads from {old} to {new}")


_STANDING = """
    select j.job_id, j.batch_id, j.status, j.current_stage, f.asset, f.state, f.waiting_kind, f.held
    from motion.job_records j left join lateral (
        -- An item that no planning has named yet is due.
        select a.asset, coalesce(i.state, 'pending') as state, i.waiting_kind,
               bool_or(i.state = 'held') over () as held
        from unnest(cast(:assets as text[])) with ordinality as a(asset, place)
        left join ledger.items i on i.asset = a.asset and i.key = j.job_id and i.state <> 'retired'
        where i.state is distinct from 'current'
        order by a.place limit 1) f on true
    where j.archived_at is null
      and exists (select from ledger.items p where p.asset = :first and p.key = j.job_id and p.state <> 'retired')
"""
_DECIDED = """
    (select d.who from ledger.items i join ledger.decisions d using (decision_id)
     where i.asset = :{asset} and i.key = j.job_id)
"""
_MOVE = """
    update motion.job_records j set status = :status, current_stage = :stage {more} where job_id = :job returning status
"""


@dataclass(frozen=True)
class Move:
    """A change of a job's status that was recorded."""

    job_id: str
    batch_id: str
    old: Status
    new: Status
    stage: int


def follow(
    engine: Engine, *, who: str = DEPARTMENT, via: activity.Via = "run", run_id: str | None = None
) -> list[Move]:
    """Bring the statuses of all jobs and batches to what the ledger says; each move is a row of the trail.

    Called after each planning, after items are made or decided on; calling it again changes nothing.
    """

    def act(connection: Connection) -> list[Move]:
        connection.execute(text("select pg_advisory_xact_lock(hashtextextended('motion_jobs/statuses', 1))"))
        moves = []
        for row in connection.execute(text(_STANDING), {"assets": list(JOB_ASSETS), "first": INGESTED}).all():
            standing = Standing(row.asset, row.state, row.waiting_kind, bool(row.held)) if row.asset else None
            status, stage = status_of(standing)
            if (status, stage) != (row.status, row.current_stage):
                moves.append(_move(connection, row, status, stage))
        _record(connection, moves, who, via, run_id)
        _follow_batches(connection)
        return moves

    return in_transaction(engine, act)


def _move(connection: Connection, row: Any, status: Status, stage: int) -> Move:
    """Write the way to a status, step by step; the stages that were passed get their times."""
    steps = way(row.status, status)
    for step in steps[:-1]:
        connection.execute(
            text("update motion.job_records set status = :status where job_id = :job"),
            {"status": step, "job": row.job_id},
        )
    connection.execute(
        text(_MOVE.format(more=_times(row.current_stage, stage, done=status == "completed"))),
        {"status": status, "stage": stage, "job": row.job_id, "approved": APPROVED, "validated": VALIDATED},
    )
    return Move(row.job_id, row.batch_id, row.status, status, stage)


def _times(old: int, new: int, *, done: bool) -> str:
    """What changes in the times of the stages: those that were passed are over, those after a return are cleared."""
    changed = []
    by = {2: _DECIDED.format(asset="approved"), 3: _DECIDED.format(asset="validated")}
    for number in range(1, LAST_STAGE + 1):
        if old < number <= new:
            changed.append(
                f"stage{number}_started_at = coalesce(j.stage{number}_started_at, clock_timestamp())"
            )
        if old <= number < new or (done and number == new):
            changed.append(f"stage{number}_completed_at = clock_timestamp()")
            changed.append(f"stage{number}_completed_by = coalesce({by.get(number, 'null')}, 'system')")
        if number > new:
            changed += [
                f"stage{number}_{what} = null" for what in ("started_at", "completed_at", "completed_by")
            ]
        if new < old and number == new:
            changed += [f"stage{number}_completed_at = null", f"stage{number}_completed_by = null"]
    return "".join(f", {one}" for one in changed)


def _record(
    connection: Connection, moves: Sequence[Move], who: str, via: activity.Via, run_id: str | None
) -> None:
    activity.record_all(
        connection,
        [
            activity.Entry(
                who=who,
                what="status_changed",
                subject=one.job_id,
                department=DEPARTMENT,
                via=via,
                entity=one.job_id,
                old={"status": one.old},
                new={"status": one.new},
                details=f"{one.old} to {one.new}",
                run_id=run_id,
                context={"stage": one.stage, "batch": one.batch_id},
            )
            for one in moves
        ],
    )


_BATCHES = """
    with counted as (
        select b.batch_id, b.status, count(j.job_id) as jobs, b.deleted_jobs,
               count(*) filter (where j.status in ('completed', 'archived')) as done,
               count(*) filter (where j.status = 'failed') as failed,
               count(*) filter (where j.status = 'pending') as pending
        from motion.batch_records b left join motion.job_records j using (batch_id) group by b.batch_id
    ), judged as (
        select batch_id, status, case
            when jobs = 0 then case when deleted_jobs > 0 then 'complete' else 'failed' end
            when done = jobs then 'complete'
            when failed = jobs then 'failed'
            when done + failed = jobs then 'partially_complete'
            when pending = jobs then 'validated'
            else 'processing' end as new_status
        from counted
    )
    update motion.batch_records b set status = new_status,
        completed_at = case when new_status in ('complete', 'partially_complete', 'failed') then clock_timestamp() end
    from judged where judged.batch_id = b.batch_id and judged.new_status <> judged.status
    returning b.batch_id, judged.status as old, b.status as new
"""


def _follow_batches(connection: Connection) -> None:
    rows = connection.execute(text(_BATCHES)).all()
    activity.record_all(
        connection,
        [
            activity.Entry(
                who=DEPARTMENT,
                what="batch_status_changed",
                subject=row.batch_id,
                department=DEPARTMENT,
                via="run",
                old={"status": row.old},
                new={"status": row.new},
                details=f"{row.old} to {row.new}",
            )
            for row in rows
        ],
    )


def moves_table(moves: Iterable[tuple[Status, Sequence[Status]]] | None = None) -> str:
    """The allowed moves as a table for docs/motion-jobs.md."""
    rows = [f"| {old} | {', '.join(new)} |" for old, new in (moves or MOVES.items())]
    return "\n".join(["| From | To |", "| --- | --- |", *rows])
