"""Helpers of the tests of devices: a simulated device on a free port, and a sink that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from crown.devices.clock import Changes, Clock, VirtualClock
from crown.devices.drivers.interface import Endpoint
from crown.devices.drivers.metering import Measured
from crown.devices.drivers.shure_ascii import ShureAscii
from crown.devices.drivers.shure_fields import Report
from crown.devices.simulator.descriptions import Channel, Device, Event, Pack
from crown.devices.simulator.server import Server

T = TypeVar("T")
START = datetime(2026, 11, 27, 19, 0, tzinfo=UTC)


def run(work: Coroutine[Any, Any, T], seconds: float = 30) -> T:
    """Run to the end; what waits for something that never comes fails."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await work

    return asyncio.run(bounded())


class Heard:
    """A sink that remembers what it heard."""

    def __init__(self) -> None:
        self.reports: dict[tuple[int | None, int | None, str], Report] = {}
        self.samples: list[Measured] = []
        self.connections = 0
        self.reasons: list[str] = []
        self.changes = Changes()

    def connected(self, at: datetime, mac: str | None) -> None:
        self.connections += 1
        self.changes.notify()

    def disconnected(self, at: datetime, reason: str) -> None:
        self.reasons.append(reason)
        self.changes.notify()

    def reported(self, at: datetime, report: Report) -> None:
        self.reports[report.channel, report.slot, report.field] = report
        self.changes.notify()

    def measured(self, at: datetime, measured: Measured) -> None:
        self.samples.append(measured)
        self.changes.notify()

    def value(self, channel: int | None, field: str) -> Any:
        found = self.reports.get((channel, None, field))
        return found.value.value if found else None


def device(family: str = "ulxd", **more: Any) -> Device:
    """A receiver with as many channels as its model has."""
    models = {"ulxd": ("ULXD4Q", 4), "qlxd": ("QLXD4", 1), "axtd": ("AD4D", 2), "slxd": ("SLXD4", 1)}
    model, count = models[family]
    names = ("HH01 Ann", "HH02 Bob", "BP03 Cleo", "BP04 Dan")
    channels = [Channel(name=name, pack=Pack(charge_percent=80)) for name in names[:count]]
    given = {"model": model, "port": 0, "serial": "S1", "channels": channels, **more}
    return Device(family=family, **given)


@asynccontextmanager
async def served(described: Device, clock: Clock) -> AsyncIterator[Server]:
    """The simulated device, listening."""
    server = Server(described, clock)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def endpoint(server: Server) -> Endpoint:
    """Where it listens."""
    return Endpoint("127.0.0.1", server.port, server.device.family)


@asynccontextmanager
async def listened(server: Server, clock: VirtualClock) -> AsyncIterator[Heard]:
    """A driver that listens to it, and what it heard."""
    heard = Heard()
    task = asyncio.create_task(ShureAscii(clock).listen(endpoint(server), heard))
    try:
        yield heard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def passes(clock: VirtualClock, heard: Heard, holds: Any, seconds: int = 120) -> None:
    """Let time pass, second by second, until something holds; the wire has its turn in each."""
    for _ in range(seconds):
        if holds():
            return
        await clock.advance(1)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await heard.changes.until(holds)
    assert holds(), f"not within {seconds} s"


def event(do: str, channel: int = 1, value: str = "", at: float = 0) -> Event:
    """Something that happens to a device."""
    return Event(at=at, do=do, channel=channel, value=value)
