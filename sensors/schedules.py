"""The clock: jobs by selection string, and when they run by themselves."""

import dagster as dg

LANE = "crown/lane"

# Reads every published byte: once a night, never in the run that follows each upload.
_SWEEP = dg.AssetSelection.checks(
    dg.AssetCheckKey(dg.AssetKey(["product_images", "production"]), "files_are_as_we_wrote_them")
)
product_images_job = dg.define_asset_job(
    "product_images",
    selection=dg.AssetSelection.groups("product_images") - _SWEEP,
    tags={LANE: "product_images"},
    description="From the inbox to the published share, whatever is due.",
)
sweep_job = dg.define_asset_job(
    "product_images_sweep",
    selection=_SWEEP,
    tags={LANE: "product_images_sweep"},
    description="Whether production still is what we wrote there.",
)
housekeeping_job = dg.define_asset_job(
    "housekeeping",
    selection='group:"housekeeping"',
    tags={LANE: "housekeeping"},
    description="Retention, expired claims, disk space.",
)
art_records_job = dg.define_asset_job(
    "art_records",
    selection='group:"art_records"',
    tags={LANE: "art_records"},
    description="From the exports folder to the books, with their checks; the SQL models follow by themselves.",
)
sql_models_job = dg.define_asset_job(
    "sql_models",
    selection='group:"sql"',
    tags={LANE: "sql_models"},
    description="All SQL models and their tests, whether or not anything they read has changed.",
)
JOBS = [product_images_job, sweep_job, housekeeping_job, art_records_job, sql_models_job]

#: The daily run of art records fetches the base through the API, when the settings name one.
FETCH = {"ops": {"art_records__airtable_exports": {"config": {"fetch": True}}}}

SCHEDULES = [
    # Once a day even when nothing happens, so that freshness is true.
    dg.ScheduleDefinition(
        name="product_images_daily",
        job=product_images_job,
        cron_schedule="15 5 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
    dg.ScheduleDefinition(
        name="product_images_sweep_nightly",
        job=sweep_job,
        cron_schedule="0 2 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
    dg.ScheduleDefinition(
        name="housekeeping_nightly",
        job=housekeeping_job,
        cron_schedule="30 3 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
    # The change check: an export that is the one of last time makes no version and says so.
    dg.ScheduleDefinition(
        name="art_records_daily",
        job=art_records_job,
        cron_schedule="45 5 * * *",
        run_config=FETCH,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
]
