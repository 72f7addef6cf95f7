"""Motion jobs: a run when batch files or the files of jobs changed or people decided, and for batches with due jobs."""

from collections.abc import Collection, Mapping

import dagster as dg

from crown.ledger import counts
from crown.motion_jobs import batches, stages
from crown.motion_jobs.workspace import BATCHES, DEPARTMENT, SOURCES, Workspace
from crown_assets.motion_jobs.assets import PARTITIONS
from resources import queues
from sensors.at_load import settings
from sensors.factories import decision_sensor, edited, folder_sensor, wanted
from sensors.queues import QUEUE, active_runs, waiting_runs
from sensors.schedules import motion_batches_job, motion_jobs_job

#: So many runs of batches are asked for at once; the next look asks for more.
_AT_ONCE = 25

motion_batch_folder = folder_sensor(
    "motion_batch_folder",
    job=motion_batches_job,
    resource="motion",
    seen=batches.seen_by_people,
    every=settings.motion_jobs.interval_seconds,
    description="Looks at batches/ and at the PSDs, projects and footage of jobs; what came to rest asks for a run.",
)
motion_decisions = decision_sensor(
    "motion_decisions",
    job=motion_batches_job,
    stages=f"{DEPARTMENT}/",
    every=60,
    description="Follows approvals, rejections, overrides and holds: what is due after them is planned.",
)


def batches_to_run(due: Mapping[str, int], at_work: Collection[str]) -> list[str]:
    """The batches with due jobs for which no run is under way, in the order in which they are given."""
    return [batch for batch, count in due.items() if count and batch not in at_work][:_AT_ONCE]


@dg.sensor(
    name="motion_work",
    jobs=[motion_batches_job, motion_jobs_job],
    minimum_interval_seconds=45,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run of every batch with due jobs, the highest priority first, and a planning after an edit of"
    " recipes.",
    required_resource_keys={"motion"},
)
def motion_work(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Two queries, whatever the number of jobs; the cursor holds the recipes as of the last planning."""
    with context.resources.motion.workspace() as workspace:
        return requested(workspace, context.instance, context.cursor)


def requested(workspace: Workspace, instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    """The runs that are asked for now, and the batches that Dagster does not know yet."""
    with workspace.engine.connect() as connection:
        due = counts.due(connection, [BATCHES, SOURCES])
    by_batch = batches.due(workspace.engine)
    recipes = stages.recipe_state(workspace)
    active = active_runs(instance, queues.MOTION_BATCHES)
    reason = wanted(due, active, waiting_runs(instance, queues.MOTION_BATCHES))
    if edited(recipes, cursor, active) and reason is None:
        reason = "a recipe was edited"
    known = set(instance.get_dynamic_partitions(str(PARTITIONS.name)))
    new = [name for name in batches.names(workspace.engine) if name not in known]
    requests = [
        dg.RunRequest(
            job_name=motion_jobs_job.name,
            partition_key=batch,
            tags={"crown/reason": f"{by_batch[batch]} jobs are due"},
        )
        for batch in batches_to_run(by_batch, _at_work(instance))
    ]
    if reason is not None:
        requests.append(dg.RunRequest(job_name=motion_batches_job.name, tags={"crown/reason": reason}))
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[PARTITIONS.build_add_request(new)] if new else None,
        skip_reason=None if requests else "Nothing is due.",
        cursor=cursor if active and cursor is not None else recipes,
    )


def _at_work(instance: dg.DagsterInstance) -> set[str]:
    """Batches of which a run is queued or running."""
    runs = instance.get_runs(
        dg.RunsFilter(
            tags={QUEUE: queues.MOTION_JOBS},
            statuses=[
                dg.DagsterRunStatus.QUEUED,
                dg.DagsterRunStatus.NOT_STARTED,
                dg.DagsterRunStatus.STARTING,
                dg.DagsterRunStatus.STARTED,
                dg.DagsterRunStatus.CANCELING,
            ],
        )
    )
    return {run.tags["dagster/partition"] for run in runs if "dagster/partition" in run.tags}


SENSORS = [motion_batch_folder, motion_decisions, motion_work]
