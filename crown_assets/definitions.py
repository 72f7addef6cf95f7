"""The only entry point: puts assets, checks, jobs, sensors and resources together.

Nothing else constructs Definitions; tests and other deployments pass their own resources through `build_defs`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import dagster as dg

# Beta parameters are used knowingly; this is the one place where their warning is silenced.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

from crown_assets.art_records import assets as art_records  # noqa: E402
from crown_assets.art_records import attachments as art_attachments_asset  # noqa: E402
from crown_assets.art_records import checks as art_record_checks  # noqa: E402
from crown_assets.devices import assets as devices  # noqa: E402
from crown_assets.housekeeping import assets as housekeeping  # noqa: E402
from crown_assets.housekeeping import backups  # noqa: E402
from crown_assets.motion_jobs import assets as motion_jobs  # noqa: E402
from crown_assets.motion_jobs import checks as motion_job_checks  # noqa: E402
from crown_assets.product_images import assets as product_images  # noqa: E402
from crown_assets.product_images import checks as product_image_checks  # noqa: E402
from crown_assets.sql_models import assets as sql_models  # noqa: E402
from resources.database import DatabaseResource  # noqa: E402
from resources.workspaces import (  # noqa: E402
    ArtRecordsResource,
    DevicesResource,
    MotionJobsResource,
    ProductImagesResource,
)
from sensors import art_records as art_record_sensors  # noqa: E402
from sensors import departments, failures, notices, schedules  # noqa: E402
from sensors import devices as device_sensors  # noqa: E402
from sensors import motion_jobs as motion_job_sensors  # noqa: E402
from sensors import product_images as product_image_sensors  # noqa: E402
from sensors import sql_models as sql_model_sensors  # noqa: E402


def default_resources() -> dict[str, Any]:
    """The world as the process's settings describe it; none of it can be changed by run configuration."""
    database = DatabaseResource()
    return {
        "database": database,
        "images": ProductImagesResource(database=database),
        "art": ArtRecordsResource(database=database),
        "motion": MotionJobsResource(database=database),
        "devices": DevicesResource(database=database),
        # Assets hand nothing to each other through Dagster; its default writes into a folder that a run may choose.
        "io_manager": dg.mem_io_manager,
    }


def build_defs(*, resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All definitions; `resources` replace the default ones by name.

    Loading needs no network, no database and no environment.
    """
    modules = [
        product_images,
        product_image_checks,
        housekeeping,
        backups,
        sql_models,
        art_records,
        art_attachments_asset,
        art_record_checks,
        motion_jobs,
        motion_job_checks,
        devices,
    ]
    return dg.Definitions(
        assets=dg.load_assets_from_modules(modules, include_specs=True),
        asset_checks=dg.load_asset_checks_from_modules(modules),
        jobs=schedules.JOBS,
        schedules=schedules.SCHEDULES,
        sensors=[
            *departments.SENSORS,
            *product_image_sensors.SENSORS,
            *art_record_sensors.SENSORS,
            *motion_job_sensors.SENSORS,
            *device_sensors.SENSORS,
            *failures.SENSORS,
            *notices.SENSORS,
            *sql_model_sensors.SENSORS,
        ],
        resources={**default_resources(), **(resources or {})},
        executor=dg.in_process_executor,
    )


defs = build_defs()
