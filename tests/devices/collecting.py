"""A collector that runs beside a test, and questions to its database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from crown.devices.clock import VirtualClock
from crown.devices.collector.collect import Collector
from crown.devices.drivers.interface import mac_of
from crown.devices.drivers.shure_ascii import ShureAscii
from crown.devices.records import inventory
from crown.devices.simulator.server import Server
from crown.settings.model import Settings
from tests.devices.rack import endpoint


def settings_of(tmp_path: Path, **devices: Any) -> Settings:
    return Settings.model_validate({"home": tmp_path, "devices": devices})


@asynccontextmanager
async def collecting(
    engine: Engine,
    clock: VirtualClock,
    settings: Settings,
    address: str | None = None,
    mac_at: Callable[[str], str | None] = mac_of,
) -> AsyncIterator[Collector]:
    url = address or engine.url.render_as_string(hide_password=False)
    collector = Collector(engine, settings, clock, ShureAscii(clock, mac_at=mac_at), url)
    task = asyncio.create_task(collector.run())
    try:
        yield collector
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(
    clock: VirtualClock, collector: Collector, holds: Callable[[], bool], seconds: int = 200
) -> None:
    """Seconds pass until something holds; in each, wire and database have their turn."""
    for _ in range(seconds):
        if holds():
            return
        await clock.advance(1)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await collector.changes.until(holds)
    assert holds(), f"not within {seconds} s"


def one(engine: Engine, query: str, **given: Any) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(query), given).scalar()


def rows(engine: Engine, query: str, **given: Any) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query), given)]


def add(engine: Engine, server: Server) -> int:
    with engine.begin() as connection:
        return inventory.add(connection, endpoint(server), "ann")
