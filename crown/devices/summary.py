"""How the platform asks devices where they are: newest sample, receivers that are offline, samples that were lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from crown.devices.records.inventory import DEPARTMENT
from crown.devices.records.reading import newest_sample
from crown.flow.summary import Department, Finding, Freshness
from crown.settings.model import Settings

FIVE_MINUTES, SAMPLES, RACK = (f"{DEPARTMENT}/{name}" for name in ("five_minutes", "samples", "rack"))


def _folders(settings: Settings) -> Mapping[str, Path]:
    return {"device buffer": settings.device_buffer}


def _freshness(connection: Connection) -> Sequence[Freshness]:
    return [Freshness(FIVE_MINUTES, "newest sample", newest_sample(connection))]


def _findings(engine: Engine, _: Settings) -> Iterator[Finding]:
    with engine.connect() as connection:
        offline = connection.execute(
            text("select count(*) from devices.receivers where lifecycle = 'offline' and address is not null")
        ).scalar_one()
        overdue = connection.execute(
            text("select count(*) from devices.open_alerts where overdue")
        ).scalar_one()
        lost = connection.execute(text("select coalesce(sum(rows), 0) from devices.losses")).scalar_one()
    if offline:
        yield Finding(
            "devices", "warn", f"{offline} receivers are offline", "`crown devices status` says why."
        )
    if overdue:
        yield Finding(
            "devices",
            "warn",
            f"{overdue} alerts are open for over 30 minutes",
            "`crown devices alerts`, then `ack`.",
        )
    if lost:
        yield Finding(
            "devices",
            "warn",
            f"{lost:,} samples were lost while the database was away",
            "Free space for CROWN_DEVICES_BUFFER; devices.losses has the times.",
        )


DEVICES = Department(
    DEPARTMENT,
    "Devices",
    "Add a receiver with `crown devices add`, then run `crown devices collect`.",
    troubles_command="crown devices alerts",
    folders=_folders,
    freshness=_freshness,
    database_findings=_findings,
)
