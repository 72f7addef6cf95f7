"""Whether a queue is busy: at most one active run and one waiting run."""

from typing import Any

import dagster as dg

from sensors.schedules import QUEUE

_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def queue_of(job: Any) -> str:
    """The queue of a job of `dg.define_asset_job`."""
    return str(job.tags[QUEUE])


def waiting_runs(instance: dg.DagsterInstance, queue: str) -> int:
    """Runs of the queue that have not begun: they will see whatever is there when they do."""
    return _count(instance, queue, _ACTIVE[:3])


def active_runs(instance: dg.DagsterInstance, queue: str) -> int:
    """Runs of the queue that are queued or running."""
    return _count(instance, queue, _ACTIVE)


def _count(instance: dg.DagsterInstance, queue: str, statuses: list[dg.DagsterRunStatus]) -> int:
    return instance.get_runs_count(dg.RunsFilter(tags={QUEUE: queue}, statuses=statuses))
