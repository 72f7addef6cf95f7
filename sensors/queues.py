"""Whether a queue is busy: at most one active run and one waiting run."""

from typing import Any

import dagster as dg

from sensors.schedules import QUEUE

#: The tag in which Dagster keeps the partition of a run.
_PARTITION = "dagster/partition"
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


def partitions_at_work(instance: dg.DagsterInstance, queue: str) -> set[str]:
    """Partitions of which a run of the queue is queued or running."""
    runs = instance.get_runs(dg.RunsFilter(tags={QUEUE: queue}, statuses=_ACTIVE))
    return {run.tags[_PARTITION] for run in runs if _PARTITION in run.tags}


def _count(instance: dg.DagsterInstance, queue: str, statuses: list[dg.DagsterRunStatus]) -> int:
    return instance.get_runs_count(dg.RunsFilter(tags={QUEUE: queue}, statuses=statuses))
