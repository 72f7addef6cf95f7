"""Failures: a notice when a queue begins to fail; not another one for each run until it has succeeded again.

Failed items are not failed runs; they are reported by notices.py.
"""

from collections.abc import Iterable, Sequence

import dagster as dg

from crown.journal import notices
from resources.database import DatabaseResource
from sensors.schedules import QUEUE

#: Subject of the notices on failed runs.
RUNS = "runs"
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]


def decide(before: Sequence[dg.DagsterRunStatus]) -> bool:
    """Whether a failed run is news: `before` are the statuses of the queue's earlier runs, the newest first."""
    return not before or before[0] is not dg.DagsterRunStatus.FAILURE


def reason_of(events: Iterable[dg.DagsterEvent], otherwise: str) -> str:
    """Why a run failed: the sentence of its first failed step; `otherwise` when no step failed."""
    for event in events:
        if event.is_step_failure:
            data = event.step_failure_data
            user = data.user_failure_data
            said = user.description if user and user.description else str(data.error and data.error.message)
            return f"{event.step_key}: {said.strip()}"
    return otherwise


@dg.run_failure_sensor(
    name="failed_runs",
    # Runs of the command line belong to no code location; they count as well.
    monitor_all_code_locations=True,
    # Its notice is sent by a sensor that ticks every quarter of an hour.
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps a notice when a queue begins to fail; the sensor `notices` sends it.",
)
def failed_runs(context: dg.RunFailureSensorContext, database: DatabaseResource) -> None:
    """Dagster calls it once for each failed run; nothing may be returned, for ticks with several runs refuse it."""
    run = context.dagster_run
    pool = run.tags.get(QUEUE)
    same = dg.RunsFilter(
        tags={QUEUE: pool} if pool else None, job_name=None if pool else run.job_name, statuses=ENDED
    )
    before = [one.status for one in context.instance.get_runs(same, cursor=run.run_id, limit=1)]
    subject = pool or run.job_name
    if not decide(before):
        context.log.info("%s was failing already; people know.", subject)
        return
    sentence = reason_of(
        context.get_step_failure_events(), context.failure_event.message or "no reason given"
    )
    with database.engine() as engine, engine.begin() as connection:
        notices.post(
            connection,
            kind="failure",
            department=subject,
            subject=RUNS,
            sentence=f"{' '.join(sentence.split())} (run {run.run_id[:8]})",
        )


SENSORS = [failed_runs]
