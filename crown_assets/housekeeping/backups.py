"""Backups as assets: a nightly one with retention, and the proof that the newest one can be restored.

The contents and comparison of a backup are defined in crown.database; a backup that a timer made is not made again.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from crown.art_records.workspace import kept_objects
from crown.database import backup_folder
from crown.errors import CrownError
from crown.product_images.orphans import only_rehearsed_at
from crown.settings.model import Settings
from crown_assets.factories import sentences_as_failures
from crown_assets.housekeeping.assets import platform_asset
from resources.database import DatabaseResource

BACKUP = dg.AssetKey(["housekeeping", "backup"])
RESTORE_TEST = dg.AssetKey(["housekeeping", "restore_test"])
#: A backup that is younger is the one of this night, whoever made it.
_OF_THIS_NIGHT = timedelta(hours=12)
_FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))


@platform_asset(
    BACKUP,
    {"originals_are_whole": "Every original that was copied has the bytes of the hash in its name."},
    freshness_policy=_FRESH,
)
def saved(database: DatabaseResource) -> Iterator[dg.MaterializeResult]:
    """The newest backup in CROWN_BACKUP_ROOT; old ones are removed after CROWN_BACKUP_KEEP_DAYS."""
    settings = database.settings()
    with sentences_as_failures(), database.engine() as engine:
        url = engine.url.render_as_string(hide_password=False)
        there = backup_folder.backups_in(settings.backups)
        damaged: tuple[str, ...] = ()
        if there and datetime.now(UTC) - there[0][1] < _OF_THIS_NIGHT:
            folder, made = there[0][0], False
        else:
            done = backup_folder.save(url, settings.objects, settings.backups, files=settings.backup_files)
            folder, damaged, made = done.folder, done.damaged, True
        removed = backup_folder.remove_old(settings.backups, timedelta(days=settings.backup_keep_days))
        manifest = backup_folder.read_manifest(folder)
        yield dg.MaterializeResult(
            asset_key=BACKUP,
            metadata={
                "folder": dg.MetadataValue.path(str(folder)),
                "made_at": dg.MetadataValue.timestamp(manifest.made_at),
                "made_by_this_run": made,
                "rows": manifest.database.contents.rows,
                "dump_bytes": manifest.database.bytes,
                "originals": manifest.originals.count,
                "originals_copied": manifest.originals.copied,
                "removed": dg.MetadataValue.json([path.name for path in removed]),
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=not damaged,
                    check_name="originals_are_whole",
                    asset_key=BACKUP,
                    description=f"{len(damaged)} originals are damaged; bring them back from an older backup."
                    if damaged
                    else None,
                    metadata={"damaged": dg.MetadataValue.json(list(damaged[:100]))},
                )
            ],
        )


@platform_asset(
    RESTORE_TEST,
    {
        "newest_backup_restores": "The newest backup was restored beside the database, and every figure agreed with its"
        " manifest."
    },
    deps=[BACKUP],
    freshness_policy=_FRESH,
)
def restored(database: DatabaseResource) -> Iterator[dg.MaterializeResult]:
    """A restore of the newest backup into a scratch database, compared and dropped; nothing is replaced."""
    settings = database.settings()
    with sentences_as_failures(), database.engine() as engine:
        yield _proved(settings, engine.url.render_as_string(hide_password=False))


def _proved(settings: Settings, url: str) -> dg.MaterializeResult:
    there = backup_folder.backups_in(settings.backups)
    if not there:
        raise CrownError(
            f"There is no backup in {settings.backups}; make one: crown backup {settings.backups}."
        )
    folder, made_at = there[0]
    begun = datetime.now(UTC)
    metadata: dict[str, dg.MetadataValue | int | float | str] = {
        "folder": dg.MetadataValue.path(str(folder)),
        "made_at": dg.MetadataValue.timestamp(made_at),
    }
    try:
        found, originals = backup_folder.restore(
            url,
            settings.objects,
            folder,
            dry_run=True,
            passing=lambda restored_url: only_rehearsed_at(restored_url, kept_objects),
        )
    except CrownError as error:
        reason: str | None = str(error)
    else:
        missing = len(originals.missing)
        reason = f"{missing} originals of the backup are nowhere to be found." if missing else None
        metadata |= {
            "rows": found.rows,
            "tables": found.tables,
            "revision": found.revision,
            "originals_there": originals.there,
            "originals_in_backup_only": len(originals.from_backup),
            "originals_missing": missing,
            "seconds": round((datetime.now(UTC) - begun).total_seconds(), 1),
        }
    return dg.MaterializeResult(
        asset_key=RESTORE_TEST,
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                passed=reason is None,
                check_name="newest_backup_restores",
                asset_key=RESTORE_TEST,
                description=reason,
                metadata={"folder": str(folder)},
            )
        ],
    )
