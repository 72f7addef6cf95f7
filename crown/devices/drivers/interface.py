"""What every driver offers, whatever the manufacturer: poll, describe, health, discover, configure_discovery, listen.

No protocol and no table of the database belongs here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from crown.devices.drivers.metering import Measured
from crown.devices.drivers.shure_fields import Report

_NEIGHBOURS = Path("/proc/net/arp")


@dataclass(frozen=True)
class Endpoint:
    """Where a device answers, and in which family's words."""

    address: str
    port: int
    family: str

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Description:
    """Who a device is. The serial decides whether it is a known one, without it the MAC, without both the address."""

    endpoint: Endpoint
    model: str | None = None
    name: str | None = None
    firmware: str | None = None
    rf_band: str | None = None
    serial: str | None = None
    mac: str | None = None
    channels: int = 0


@dataclass(frozen=True)
class Health:
    """What one look at a device found; connected without data is `silent`, not `online`."""

    state: Literal["online", "silent", "unreachable"]
    seconds: float
    sentence: str


class Sink(Protocol):
    """Who hears what a listened device says; `at` is the time of day at which its bytes arrived."""

    def connected(self, at: datetime, mac: str | None) -> None:
        """A connection is open, to the device with this MAC address; None: the network does not show it."""

    def disconnected(self, at: datetime, reason: str) -> None:
        """It ended, or could not be opened."""

    def reported(self, at: datetime, report: Report) -> None:
        """A field."""

    def measured(self, at: datetime, measured: Measured) -> None:
        """A sample."""


class Driver(Protocol):
    """A way to speak with the devices of a manufacturer."""

    code: str

    async def poll(self, endpoint: Endpoint) -> list[Report]:
        """Every field once.

        Raises:
            TemporaryFailure: it did not answer.
        """
        ...

    async def describe(self, endpoint: Endpoint) -> Description:
        """Who it is.

        Raises:
            TemporaryFailure: it did not answer.
        """
        ...

    async def health(self, endpoint: Endpoint) -> Health:
        """Whether it answers, and how fast."""
        ...

    async def discover(self, endpoints: Sequence[Endpoint]) -> list[Description]:
        """Those of the endpoints that answer."""
        ...

    async def configure_discovery(self, addresses: Sequence[str]) -> None:
        """Give the manufacturer's own service the addresses to look at.

        Raises:
            Refused: there is no such service.
        """
        ...

    async def listen(self, endpoint: Endpoint, sink: Sink) -> None:
        """Stay connected until cancelled; come back after every interruption."""
        ...


def mac_of(address: str, neighbours: Path = _NEIGHBOURS) -> str | None:
    """The MAC address of a neighbour on the network as the kernel knows it; None beyond routers and elsewhere."""
    try:
        rows = neighbours.read_text("ascii").splitlines()[1:]
    except OSError:
        return None
    found = (row.split()[3].lower() for row in rows if row.split()[:1] == [address])
    return next((mac for mac in found if mac != "00:00:00:00:00:00"), None)
