"""The departments in the order in which people read them; whoever is above knows them only through this list.

A new department adds its summary.py and one line here.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, Engine

from crown.art_records.summary import ART_RECORDS
from crown.devices.summary import DEVICES
from crown.flow.summary import Department, Finding, Summary
from crown.motion_jobs.summary import MOTION_JOBS
from crown.photo_library.summary import PHOTO_LIBRARY
from crown.product_data.summary import PRODUCT_DATA
from crown.product_images.summary import PRODUCT_IMAGES
from crown.settings.model import Settings
from crown.store import mounts

DEPARTMENTS: tuple[Department, ...] = (
    PRODUCT_IMAGES,
    PRODUCT_DATA,
    ART_RECORDS,
    MOTION_JOBS,
    DEVICES,
    PHOTO_LIBRARY,
)


def summaries(connection: Connection, settings: Settings) -> list[Summary]:
    """The summaries of all departments, in reading order. Read-only."""
    return [department.summary(connection, settings) for department in DEPARTMENTS]


def lost_folders(engine: Engine, settings: Settings) -> dict[str, str]:
    """Folders that were there and are gone, roots of shares first, by name, with a sentence each.

    Raises:
        ConfigurationError: the settings of a department cannot be used.
    """
    found = dict(mounts.lost(settings))
    for department in DEPARTMENTS:
        found |= department.lost(engine, settings)
    return found


def findings(settings: Settings) -> Iterator[Finding]:
    """What the departments answer `crown doctor`, without the database."""
    for department in DEPARTMENTS:
        yield from department.findings(settings)


def database_findings(engine: Engine, settings: Settings) -> Iterator[Finding]:
    """What the departments answer `crown doctor` with the database: their own checks, failures and stale data."""
    for department in DEPARTMENTS:
        yield from department.database_findings(engine, settings)
        with engine.connect() as connection:
            yield from _standing(department.summary(connection, settings))


def _standing(summary: Summary) -> Iterator[Finding]:
    check = summary.title.lower()
    if summary.broken:
        yield Finding(
            check,
            "warn",
            f"{summary.broken:,} items failed or need a person",
            f"`{summary.troubles_command}`.",
        )
    elif summary.assets:
        yield Finding(check, "ok", f"{summary.totals['current']:,} items are current, none failed")
    for fresh in summary.freshness:
        if fresh.stale():
            yield Finding(
                check, "warn", fresh.sentence.rstrip("."), "Bring newer data, or look at its source."
            )
