"""Motion jobs: a run when batch files or the files of jobs changed or people decided, and for batches with due jobs."""

from crown.motion_jobs import stages
from crown.motion_jobs.jobs import batches
from crown.motion_jobs.workspace import BATCHES, DEPARTMENT, SOURCES
from crown_assets.motion_jobs.assets import PARTITIONS
from sensors.at_load import settings
from sensors.factories import BatchedWork, FollowedDecisions, PendingWork, folder_sensor
from sensors.schedules import motion_batches_job, motion_jobs_job

motion_batch_folder = folder_sensor(
    "motion_batch_folder",
    job=motion_batches_job,
    resource="motion",
    seen=batches.seen_by_people,
    every=settings.motion_jobs.interval_seconds,
    description="Looks at batches/ and at the PSDs, projects and footage of jobs; what came to rest asks for a run.",
)
DECISIONS = FollowedDecisions(motion_batches_job, f"{DEPARTMENT}/")
WORK = PendingWork(
    DEPARTMENT,
    resource="motion",
    jobs=[(motion_batches_job, [BATCHES, SOURCES])],
    recipes=stages.recipe_state,
    batched=BatchedWork(motion_jobs_job, PARTITIONS, batches.names, batches.due),
)

SENSORS = [motion_batch_folder]
