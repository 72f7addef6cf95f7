"""What is checked of all jobs together: rows accounted for, stuck jobs, round trips, packages. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from crown.motion_jobs.workspace import DEPLOYMENTS, MOTION, VALIDATED, Workspace


@dataclass(frozen=True)
class Account:
    """What became of the rows of a batch."""

    batch_id: str
    rows: int
    done: int
    quarantined: int
    waiting: int
    blank: int
    deleted: int

    @property
    def complete(self) -> bool:
        """Whether no row is lost."""
        return self.rows == self.done + self.quarantined + self.waiting + self.blank + self.deleted


_ACCOUNTS = """
    select b.batch_id, b.total_jobs as rows,
           (select count(*) from motion.job_records j where j.batch_id = b.batch_id
            and j.status in ('completed', 'archived')) as done,
           (select count(distinct csv_row) from motion.row_findings f where f.batch_id = b.batch_id
            and f.level = 'error') as quarantined,
           (select count(*) from motion.job_records j where j.batch_id = b.batch_id
            and j.status not in ('completed', 'archived')) as waiting,
           b.blank_rows as blank, b.deleted_jobs as deleted
    from motion.batch_records b order by b.batch_id
"""


def accounts(engine: Engine) -> list[Account]:
    """Of every batch, what became of its rows."""
    with engine.connect() as connection:
        return [Account(**row._mapping) for row in connection.execute(text(_ACCOUNTS))]


def stuck(engine: Engine, hours: float) -> list[dict[str, Any]]:
    """Jobs that are in work, and not with a person, for longer than so many hours."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select job_id, batch_id, status, updated_at from motion.job_records"
                " where status in ('processing', 'ready_for_validation')"
                " and updated_at < clock_timestamp() - make_interval(secs => :seconds) order by updated_at"
            ),
            {"seconds": hours * 3600},
        )
        return [dict(row._mapping) for row in rows]


def round_trips(engine: Engine) -> dict[str, str]:
    """Validated jobs whose project the codec does not give back byte for byte, with the first difference."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select m.job_id, f ->> 'message' as message from motion.made m"
                " cross join jsonb_array_elements(m.facts -> 'findings') f"
                " where m.asset = :asset and f ->> 'rule' = 'round_trip' order by m.job_id"
            ),
            {"asset": VALIDATED},
        )
        return dict(rows.tuples().all())


def packages(workspace: Workspace) -> tuple[int, dict[str, list[str]]]:
    """How many packages there are, and what is wrong with them by job."""
    from crown.motion_jobs.deliverables.packages import package_problems

    with workspace.engine.connect() as connection:
        rows = connection.execute(
            text("select job_id, path from motion.made where asset = :asset order by job_id"),
            {"asset": DEPLOYMENTS},
        ).all()
    problems = {row.job_id: package_problems(workspace.roots.path(MOTION, row.path).parent) for row in rows}
    return len(rows), {job: found for job, found in problems.items() if found}
