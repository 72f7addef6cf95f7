"""The clock: jobs by selection string, and when they run by themselves."""

import dagster as dg

LANE = "crown/lane"

product_images_job = dg.define_asset_job(
    "product_images",
    selection='group:"product_images"',
    tags={LANE: "product_images"},
    description="From the inbox to the published share, whatever is due.",
)
housekeeping_job = dg.define_asset_job(
    "housekeeping",
    selection='group:"housekeeping"',
    tags={LANE: "housekeeping"},
    description="Retention, expired claims, disk space.",
)
JOBS = [product_images_job, housekeeping_job]

SCHEDULES = [
    # Once a day even when nothing happens, so that freshness is true and the sweep of production runs.
    dg.ScheduleDefinition(
        name="product_images_daily",
        job=product_images_job,
        cron_schedule="15 5 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
    dg.ScheduleDefinition(
        name="housekeeping_nightly",
        job=housekeeping_job,
        cron_schedule="30 3 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
]
