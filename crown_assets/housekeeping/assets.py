"""Housekeeping as an asset: retention, claims of lost workers, orphan files; disk and logs as checks.

Retention rules are in crown.journal.housekeeping, crown.database.retention and
crown.product_images.rehearsal.removal.
"""

import shutil
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg
from sqlalchemy import Engine, text

from crown.art_records.workspace import kept_objects
from crown.errors import Refused
from crown.journal.housekeeping import sizes, tidy
from crown.people import credentials
from crown.product_images import orphans
from crown.product_images.rehearsal import removal as rehearsal_removal
from crown.product_images.workspace import Workspace
from crown.settings.model import Settings
from crown.store import old_files
from crown_assets.factories import sentences_as_failures
from resources.workspaces import ProductImagesResource

KEY = dg.AssetKey(["housekeeping", "retention"])
_GB = 1_000_000_000
_MB = 1024 * 1024
#: A day's growth of our log table beyond which somebody should look.
_LOG_ROWS_A_DAY = 500_000


def platform_asset(key: dg.AssetKey, checks: Mapping[str, str], **more: Any) -> Any:
    """An asset of the platform itself, with its checks by name and sentence; `more` goes to `dg.asset`."""
    return dg.asset(
        key=key,
        group_name="housekeeping",
        owners=["team:platform"],
        kinds={"python", "postgres"},
        code_version="1",
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, description=sentence) for name, sentence in checks.items()
        ],
        **more,
    )


@platform_asset(
    KEY,
    {
        "disk_space": "Every folder of ours has CROWN_MIN_FREE_GB left.",
        "log_growth": "The log grew by a usual amount in the last day, and the database takes what is logged.",
    },
)
def tidied(images: ProductImagesResource) -> Iterator[dg.MaterializeResult]:
    """Old logs, Dagster's transitory events and bytes of rehearsals removed, lost claims freed, unfinished files cleared."""
    with sentences_as_failures(), images.workspace() as workspace:
        done = tidy(workspace.engine, workspace.settings)
        unfinished = orphans.remove_unfinished(workspace)
        unknown = orphans.unknown_objects(workspace, kept_objects(workspace.engine))
        yield dg.MaterializeResult(
            asset_key=KEY,
            metadata={
                "logs_removed": done.logs,
                "dagster_events_removed": done.dagster_events,
                "notices_removed": done.notices,
                "orphan_rows_removed": dg.MetadataValue.json(done.orphans),
                "claims_ended": done.claims,
                "old_claims_removed": done.old_claims,
                "old_items_removed": done.old_items,
                "sessions_removed": _old_sessions(workspace),
                "unfinished_files_removed": len(unfinished),
                **_old_rehearsals(workspace),
                **_old_files(workspace.settings),
                "unknown_objects": dg.MetadataValue.json(unknown[:100]),
            },
            check_results=[
                _disk_space(workspace.settings),
                _log_growth(workspace.engine, workspace.settings),
            ],
        )


def _old_sessions(workspace: Workspace) -> int:
    """Sessions that ended or expired are kept as long as other events."""
    age = timedelta(days=workspace.settings.events_retention_days)
    with workspace.engine.begin() as connection:
        return credentials.prune(connection, age)


def _old_rehearsals(workspace: Workspace) -> dict[str, int | str]:
    """What was removed of them, or why nothing was: the next night does it."""
    age = timedelta(days=workspace.settings.product_images.rehearsal_retention_days)
    try:
        done = rehearsal_removal.remove_old(
            workspace, age, who="housekeeping", via="run", others=kept_objects(workspace.engine)
        )
    except Refused as error:
        return {"rehearsals_left": str(error)}
    return {"rehearsals_removed": len(done.rehearsals), "rehearsed_bytes_removed": done.bytes}


def _old_files(settings: Settings) -> dict[str, int]:
    age = timedelta(days=settings.events_retention_days)
    previews = old_files.remove_old_previews(settings.home / "previews", age)
    logs = old_files.remove_old_compute_logs(settings.home / "dagster" / "storage", age)
    return {
        "old_previews_removed": previews.files,
        "old_compute_logs_removed": logs.files,
        "old_file_bytes_removed": previews.bytes + logs.bytes,
    }


def _disk_space(settings: Settings) -> dg.AssetCheckResult:
    folders = {"home": settings.home, "media": settings.media, "production": settings.production}
    free = {name: shutil.disk_usage(folder).free / _GB for name, folder in folders.items() if folder.exists()}
    least = min(free.values(), default=0.0)
    return dg.AssetCheckResult(
        passed=least >= settings.min_free_gb,
        check_name="disk_space",
        asset_key=KEY,
        metadata={
            "wanted_gb": settings.min_free_gb,
            **{f"{name}_gb": round(gb, 2) for name, gb in free.items()},
        },
    )


def _log_growth(engine: Engine, settings: Settings) -> dg.AssetCheckResult:
    with engine.connect() as connection:
        rows = connection.execute(
            text("select count(*) from logs.records where timestamp > now() - interval '1 day'")
        ).scalar_one()
    found = sizes(engine, settings)
    waiting_limit = int(settings.log_max_size_mb * _MB)
    return dg.AssetCheckResult(
        passed=rows <= _LOG_ROWS_A_DAY and found["outbox"] <= waiting_limit,
        check_name="log_growth",
        asset_key=KEY,
        severity=dg.AssetCheckSeverity.WARN,
        description=None
        if found["outbox"] <= waiting_limit
        else "Many log records wait in the outbox: the log table was long out of reach, see crown.log.",
        metadata={
            "rows_in_a_day": rows,
            "limit": _LOG_ROWS_A_DAY,
            "bytes": dg.MetadataValue.json(found),
            "outbox_limit_bytes": waiting_limit,
        },
    )
