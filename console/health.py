"""Whether the installation really works: what `/health` answers, and what the supervisor acts on.

`/health` is open to everyone, so it names the part that is broken and no more than that; the sentences are for
people who have signed in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp

from console.dagster_ui import Location, Sensor, locations
from console.supervision.code_server_health import code_server_answers
from crown import departments
from crown.errors import ConfigurationError
from crown.settings.model import Settings

router = APIRouter()

Part = Literal["database", "code location", "daemon", "sensors", "folders"]
SAID: dict[Part, str] = {
    "database": "the database does not answer",
    "code location": "the code location is not loaded",
    "daemon": "the daemon does not beat",
    "sensors": "no sensor ticks",
    "folders": "a folder is not there",
}
#: These daemons beat every 30 to 35 s; the scheduler's beats come once a minute.
BEATING = ("SENSOR", "QUEUED_RUN_COORDINATOR")
#: Without a heartbeat for this long a part is broken; less than the minute in which it must be reported.
SILENT_SECONDS = 55.0
#: A look is good for so long: whoever asks often costs no more.
_KEPT_SECONDS = 5.0
#: A look that takes longer hangs at a mount that does not answer.
_LONGEST_LOOK = 3.0


@dataclass(frozen=True)
class Broken:
    """A part that does not work, with a sentence for people."""

    part: Part
    sentence: str


@dataclass
class Health:
    """Looks at everything that has to work. Signs of life count from the start of this process on.

    Attributes:
        settings: where the folders are.
        engine: on our database.
        dagster_ui: an app of `console.dagster_ui`.
    """

    settings: Settings
    engine: Engine
    dagster_ui: ASGIApp
    _started: float = field(default_factory=time.time)
    _looking: threading.Lock = field(default_factory=threading.Lock)
    _looked: float = float("-inf")
    _found: list[Broken] = field(default_factory=list)

    def look(self) -> list[Broken]:
        """What is broken now; empty when all works."""
        if not self._looking.acquire(timeout=_LONGEST_LOOK):
            return [Broken("folders", "A folder does not answer; look at its mount.")]
        try:
            if time.monotonic() - self._looked >= _KEPT_SECONDS:
                self._found = list(self._look())
                self._looked = time.monotonic()
            return self._found
        finally:
            self._looking.release()

    def _look(self) -> Iterator[Broken]:
        found = locations(self.dagster_ui)
        unloaded = [broken for one in found for broken in _location(one)]
        # Without definitions no sensor can tick: only the cause is reported.
        sensors = [] if unloaded else [sensor for one in found for sensor in one.sensors]
        try:
            with self.engine.connect() as connection:
                yield from self._daemon(connection, sensors)
        except SQLAlchemyError:
            yield Broken("database", "The database does not answer.")
            return
        yield from unloaded
        try:
            gone = departments.lost_folders(self.engine, self.settings)
        except ConfigurationError as error:
            gone = {"targets": str(error)}
        yield from (Broken("folders", f"{sentence.rstrip('.')}.") for sentence in gone.values())

    def _daemon(self, connection: Connection, sensors: Sequence[Sensor]) -> Iterator[Broken]:
        tables = "select to_regclass('dagster.daemon_heartbeats') is not null"
        beats = (
            connection.execute(text(tables)).scalar()
            and connection.execute(
                text(
                    "select min(latest) from (select max(timestamp) as latest from dagster.daemon_heartbeats"
                    " where daemon_type = any(:daemons) group by daemon_type) as each"
                ),
                {"daemons": list(BEATING)},
            ).scalar()
        )
        if self._silent(beats or None) > SILENT_SECONDS:
            yield Broken("daemon", f"The daemon has not beaten for {self._silent(beats or None):.0f} s.")
            return
        running = _running(connection, sensors) if beats else []
        if not running:
            return
        tick = connection.execute(
            text("select max(timestamp) from dagster.job_ticks where selector_id = any(:ids)"),
            {"ids": [sensor.selector_id for sensor in running]},
        ).scalar()
        # The second tick of the busiest sensor is overdue.
        limit = max(SILENT_SECONDS, 2 * min(sensor.interval_seconds for sensor in running))
        if self._silent(tick) > limit:
            yield Broken("sensors", f"No sensor has ticked for {self._silent(tick):.0f} s.")

    def _silent(self, last: datetime | None) -> float:
        """Seconds since a sign of life; Dagster stores times of UTC without saying so."""
        known = last.replace(tzinfo=UTC).timestamp() if last else 0.0
        return time.time() - max(known, self._started)


def _running(connection: Connection, sensors: Sequence[Sensor]) -> list[Sensor]:
    """The sensors that nobody switched off."""
    off = set(
        connection.execute(
            text("select selector_id from dagster.instigators where status = 'STOPPED'")
        ).scalars()
    )
    return [sensor for sensor in sensors if sensor.selector_id not in off]


def _location(location: Location) -> Iterator[Broken]:
    if location.error is not None:
        yield Broken("code location", f"The code location {location.name} is not loaded: {location.error}")
    elif location.socket is not None and not code_server_answers(Path(location.socket)):
        yield Broken("code location", f"The code server of {location.name} does not answer.")


@router.get("/health")
def health(request: Request) -> JSONResponse:
    """200 when all that has to work does, else 503 with the first part that does not, and all of them by name."""
    broken = request.app.state.health.look()
    if not broken:
        return JSONResponse({"status": "ok"})
    parts = list(dict.fromkeys(one.part for one in broken))
    return JSONResponse({"status": SAID[parts[0]], "broken": parts}, 503)
