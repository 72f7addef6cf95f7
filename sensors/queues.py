"""Whether a queue is busy: at most one active run and one waiting run."""

import dagster as dg

from sensors.schedules import QUEUE

_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def waiting_runs(instance: dg.DagsterInstance, pool: str) -> int:
    """Runs of the queue that have not begun: they will see whatever is there when they do."""
    return _count(instance, pool, _ACTIVE[:3])


def active_runs(instance: dg.DagsterInstance, pool: str) -> int:
    """Runs of the queue that are queued or running."""
    return _count(instance, pool, _ACTIVE)


def _count(instance: dg.DagsterInstance, pool: str, statuses: list[dg.DagsterRunStatus]) -> int:
    return instance.get_runs_count(dg.RunsFilter(tags={QUEUE: pool}, statuses=statuses))
