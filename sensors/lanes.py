"""Whether a queue is busy: one run of it at a time, and one that waits, are enough."""

import dagster as dg

from sensors.schedules import LANE

_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def waiting_runs(instance: dg.DagsterInstance, lane: str) -> int:
    """Runs of the lane that have not begun: they will see whatever is there when they do."""
    return _count(instance, lane, _ACTIVE[:3])


def active_runs(instance: dg.DagsterInstance, lane: str) -> int:
    """Runs of the lane that are queued or running."""
    return _count(instance, lane, _ACTIVE)


def _count(instance: dg.DagsterInstance, lane: str, statuses: list[dg.DagsterRunStatus]) -> int:
    return instance.get_runs_count(dg.RunsFilter(tags={LANE: lane}, statuses=statuses))
