"""What every act of a person on jobs shares: who acts, the trail of it, and what follows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from crown.journal import activity
from crown.ledger import holds
from crown.ledger.locks import lock_assets
from crown.motion_jobs import stages
from crown.motion_jobs.jobs.jobs import Chosen
from crown.motion_jobs.workspace import DEPARTMENT, JOB_ASSETS, Workspace


@dataclass(frozen=True)
class Person:
    """Who acts, from where, and why."""

    who: str
    via: activity.Via = "cli"
    reason: str | None = None


@dataclass(frozen=True)
class Acted:
    """A job that was acted on, or would be: from which status to which, about which bytes."""

    job_id: str
    batch_id: str
    act: str
    status: str
    then: str
    content_hash: str | None = None


def record(
    connection: Connection,
    chosen: Sequence[Chosen],
    act: str,
    person: Person,
    new: Mapping[str, Any] | None = None,
) -> None:
    """Write the act on each of these jobs to the activity trail."""
    activity.record_all(
        connection,
        [
            activity.Entry(
                who=person.who,
                what=f"user_action:{act}",
                subject=one.job_id,
                department=DEPARTMENT,
                via=person.via,
                entity=one.job_id,
                details=person.reason,
                new=new,
                context={"stage": one.stage, "batch": one.batch_id},
            )
            for one in chosen
        ],
    )


def carry_out(
    workspace: Workspace,
    chosen: Sequence[Chosen],
    act: str,
    then: Mapping[str, str],
    act_in: Callable[[Connection], None] | None,
    person: Person,
) -> list[Acted]:
    """Carry an act out in one transaction, plan what follows, and report each job."""
    if act_in is not None:
        with workspace.engine.begin() as connection:
            act_in(connection)
        stages.plan(workspace)
        stages.follow(workspace, who=person.who, via=person.via)
        with workspace.engine.connect() as connection:
            now = dict(
                connection.execute(
                    text("select job_id, status from motion.job_records where job_id = any(:jobs)"),
                    {"jobs": [one.job_id for one in chosen]},
                )
                .tuples()
                .all()
            )
    else:
        now = {one.job_id: then[one.status] for one in chosen}
    return [
        Acted(one.job_id, one.batch_id, act, one.status, now[one.job_id], one.content_hash) for one in chosen
    ]


def hold_items(connection: Connection, chosen: Sequence[Chosen], person: Person) -> None:
    """Hold these jobs' items of every stage."""
    keys = [one.job_id for one in chosen]
    lock_assets(connection, JOB_ASSETS)
    for asset in JOB_ASSETS:
        holds.hold(
            connection, asset, keys, who=person.who, via=person.via, reason=(person.reason or "").strip()
        )


def release_items(connection: Connection, chosen: Sequence[Chosen], person: Person) -> None:
    """Release these jobs' items of every stage."""
    lock_assets(connection, JOB_ASSETS)
    for asset in JOB_ASSETS:
        holds.release(
            connection,
            asset,
            [one.job_id for one in chosen],
            who=person.who,
            via=person.via,
            reason=person.reason,
        )
