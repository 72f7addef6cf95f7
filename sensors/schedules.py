"""The clock: jobs by selection string, and when they run by themselves."""

import os
from pathlib import Path

import dagster as dg

from crown.settings.model import Settings, is_zone
from resources import queues
from sensors.at_load import settings

QUEUE = queues.TAG

# Reads every published byte: once a night, never in the run that follows each upload.
_ROTATING_CHECK = dg.AssetSelection.checks(
    dg.AssetCheckKey(dg.AssetKey(["product_images", "production"]), "files_are_as_we_wrote_them")
)
product_images_job = dg.define_asset_job(
    "product_images",
    selection=dg.AssetSelection.groups("product_images") - _ROTATING_CHECK,
    tags={QUEUE: queues.PRODUCT_IMAGES},
    description="From the inbox to the published share, whatever is due, for about CROWN_RUN_SECONDS; what is left and"
    " the cut-outs are made by the runs that follow by themselves.",
)
cutouts_job = dg.define_asset_job(
    queues.CUTOUTS,
    selection=dg.AssetSelection.assets(dg.AssetKey(["product_images", "cutouts"])),
    tags={QUEUE: queues.CUTOUTS},
    description="Cut-outs by an engine, laid out for review as they are made.",
)
rotating_check_job = dg.define_asset_job(
    "product_images_rotating_check",
    selection=_ROTATING_CHECK,
    tags={QUEUE: "product_images_rotating_check"},
    description="Whether production still is what we wrote there.",
)
_BACKUPS = dg.AssetSelection.assets(
    *(dg.AssetKey(["housekeeping", name]) for name in ("backup", "restore_test"))
)
housekeeping_job = dg.define_asset_job(
    "housekeeping",
    selection=dg.AssetSelection.groups("housekeeping") - _BACKUPS,
    tags={QUEUE: "housekeeping"},
    description="Retention, expired claims, disk space.",
)
backups_job = dg.define_asset_job(
    "backups",
    selection=_BACKUPS,
    tags={QUEUE: "backups"},
    description="A backup, unless there is one of this night, and a restore of the newest beside the database.",
)
_ATTACHMENTS = dg.AssetSelection.assets(dg.AssetKey(["art_records", "attachments"]))
art_records_job = dg.define_asset_job(
    "art_records",
    selection=dg.AssetSelection.groups("art_records") - _ATTACHMENTS,
    tags={QUEUE: "art_records"},
    description="From the exports folder to the art tables, with their checks; the SQL models follow by themselves.",
)
attachments_job = dg.define_asset_job(
    queues.ART_ATTACHMENTS,
    selection=_ATTACHMENTS,
    tags={QUEUE: queues.ART_ATTACHMENTS},
    description="Pictures of prints that the newest export names, downloaded and kept by hash.",
)
sql_models_job = dg.define_asset_job(
    "sql_models",
    selection='group:"sql"',
    tags={QUEUE: "sql_models"},
    description="All SQL models and their tests, whether or not anything they read has changed.",
)
motion_batches_job = dg.define_asset_job(
    queues.MOTION_BATCHES,
    selection=dg.AssetSelection.assets(
        *(dg.AssetKey(["motion_jobs", name]) for name in ("job_batches", "source_files"))
    ),
    tags={QUEUE: queues.MOTION_BATCHES},
    description="Takes batch files in, looks at the PSDs, projects and footage that jobs need, and plans what follows.",
)
motion_jobs_job = dg.define_asset_job(
    queues.MOTION_JOBS,
    selection=dg.AssetSelection.groups("motion_jobs")
    - dg.AssetSelection.assets(
        *(dg.AssetKey(["motion_jobs", name]) for name in ("job_batches", "source_files", "batch_folder"))
    ),
    tags={QUEUE: queues.MOTION_JOBS},
    description="The jobs of one batch, from ingestion to the package, as far as they go without a person.",
)
devices_job = dg.define_asset_job(
    queues.DEVICES,
    selection=dg.AssetSelection.assets(dg.AssetKey(["devices", "five_minutes"])),
    tags={QUEUE: queues.DEVICES},
    description="Rolls one day of samples up into five minutes.",
)
JOBS = [
    devices_job,
    motion_batches_job,
    motion_jobs_job,
    product_images_job,
    cutouts_job,
    rotating_check_job,
    housekeeping_job,
    backups_job,
    art_records_job,
    attachments_job,
    sql_models_job,
]

#: The daily run of art records fetches the base through the API, when the settings name one.
FETCH = {"ops": {"art_records__airtable_exports": {"config": {"fetch": True}}}}


def time_zone(settings: Settings = settings) -> str:
    """The zone in which the schedules run: CROWN_TIME_ZONE, else this machine's, else UTC."""
    local = Path("/etc/localtime")
    linked = local.resolve().as_posix().partition("/zoneinfo/")[2] if local.is_symlink() else ""
    given = (settings.time_zone, os.environ.get("TZ", "").lstrip(":"), linked)
    return next((zone for zone in given if zone and is_zone(zone)), "UTC")


SCHEDULES = [
    dg.ScheduleDefinition(
        name="motion_jobs_batches_daily",
        job=motion_batches_job,
        cron_schedule="30 5 * * *",
        execution_timezone=time_zone(),
        description="Looks at batch files and at the files of all jobs once a day, even when nothing happened.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
    # Once a day even when nothing happens, so that freshness is true.
    dg.ScheduleDefinition(
        name="product_images_daily",
        job=product_images_job,
        cron_schedule="15 5 * * *",
        execution_timezone=time_zone(),
        description="Whatever is due of product images, once a day even when nothing happened.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
    dg.ScheduleDefinition(
        name="product_images_rotating_check_nightly",
        job=rotating_check_job,
        cron_schedule="0 2 * * *",
        execution_timezone=time_zone(),
        description="Reads published files and says which are missing, changed or not ours.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
    dg.ScheduleDefinition(
        name="housekeeping_nightly",
        job=housekeeping_job,
        cron_schedule="30 3 * * *",
        execution_timezone=time_zone(),
        description="Removes old logs, previews and events, frees lost claims, looks at the disks.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
    dg.ScheduleDefinition(
        name="backups_nightly",
        job=backups_job,
        cron_schedule="0 4 * * *",
        execution_timezone=time_zone(),
        description="Saves the database into CROWN_BACKUP_ROOT, removes old backups, proves the newest by a restore.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
    # The change check: an export that is the one of last time makes no version and says so.
    dg.ScheduleDefinition(
        name="art_records_daily",
        job=art_records_job,
        cron_schedule="45 5 * * *",
        execution_timezone=time_zone(),
        description="Fetches the art base, when one is set, and compares its newest export with the art tables.",
        run_config=FETCH,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
]
