"""The driver of Shure devices with the ASCII protocol on TCP 2202: one connection for each receiver.

It asks once for everything and then listens; each minute it asks again, against lost pushes. Levels are metered once a
second, never on QLX-D, and metering is stopped before a connection is closed. METER_RATE is the only thing that it
sets: nothing on a device is changed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from crown.devices.clock import Clock
from crown.devices.drivers import metering
from crown.devices.drivers.frames import FrameReader, Message, read, write
from crown.devices.drivers.interface import Description, Endpoint, Health, Sink, mac_of
from crown.devices.drivers.shure_fields import FAMILIES, NEVER_METERED, QLXD, SLXD, Report, report
from crown.errors import Refused, TemporaryFailure

#: Answers to GET follow each other within milliseconds; after so many seconds without one there is no more.
_QUIET_SECONDS = 0.3
_IDENTITY = ("MODEL", "DEVICE_ID", "FW_VER", "RF_BAND", "SERIAL_NUM")


@dataclass(frozen=True)
class Timing:
    """Seconds between this and that.

    Attributes:
        connect: to open a connection.
        answer: to answer anything at all; a device that needs longer is silent.
        refresh: between two questions for everything.
        metering: between two samples of a channel; at least 1.
        back_off: before the first and at most before a later try to connect.
    """

    connect: float = 2
    answer: float = 10
    refresh: float = 60
    metering: float = 1
    back_off: tuple[float, float] = (2, 20)


class ShureAscii:
    """The driver; see `interface.Driver`.

    Args:
        clock: for waiting; sockets have the real time.
        timing: intervals.
        mac_at: the MAC address of the device at an address, or None.
    """

    code = "shure"

    def __init__(
        self, clock: Clock, timing: Timing | None = None, mac_at: Callable[[str], str | None] = mac_of
    ) -> None:
        self.clock = clock
        self.timing = timing or Timing()
        self._mac_at = mac_at

    async def poll(self, endpoint: Endpoint) -> list[Report]:
        """Every field once.

        Raises:
            TemporaryFailure: it did not answer.
        """
        async with self._open(endpoint) as (reader, writer):
            writer.write(_everything(endpoint.family))
            messages = await self._answers(endpoint, reader)
        found = (report(endpoint.family, message) for message in messages)
        return [one for one in found if one is not None]

    async def describe(self, endpoint: Endpoint) -> Description:
        """Who it is.

        Raises:
            TemporaryFailure: it did not answer.
        """
        async with self._open(endpoint) as (reader, writer):
            for name in _IDENTITY:
                writer.write(write("GET", None, name))
            writer.write(_everything(endpoint.family))
            messages = await self._answers(endpoint, reader)
        reports = [one for one in (report(endpoint.family, message) for message in messages) if one]
        of_device = {
            one.field: str(one.value.value) for one in reports if one.channel is None and one.value.value
        }
        return Description(
            endpoint,
            model=of_device.get("model"),
            name=of_device.get("device_name"),
            firmware=of_device.get("firmware"),
            rf_band=of_device.get("rf_band"),
            serial=of_device.get("serial"),
            mac=self._mac_at(endpoint.address),
            channels=max((one.channel for one in reports if one.channel), default=0),
        )

    async def health(self, endpoint: Endpoint) -> Health:
        """Whether it answers, and how fast."""
        began = self.clock.elapsed()
        try:
            async with self._open(endpoint) as (reader, writer):
                writer.write(write("GET", None, "DEVICE_ID"))
                await self._answers(endpoint, reader)
        except _Silent as error:
            return Health("silent", self.clock.elapsed() - began, str(error))
        except TemporaryFailure as error:
            return Health("unreachable", self.clock.elapsed() - began, str(error))
        return Health("online", self.clock.elapsed() - began, f"{endpoint} answers.")

    async def discover(self, endpoints: Sequence[Endpoint]) -> list[Description]:
        """Those of the endpoints that answer; 16 are asked at once."""
        seats = asyncio.Semaphore(16)

        async def ask(endpoint: Endpoint) -> Description | None:
            async with seats:
                with suppress(TemporaryFailure):
                    return await self.describe(endpoint)
            return None

        return [one for one in await asyncio.gather(*map(ask, endpoints)) if one is not None]

    async def configure_discovery(self, addresses: Sequence[str]) -> None:
        """There is no service to configure.

        Raises:
            Refused: always.
        """
        raise Refused(
            f"The ASCII protocol has no list of addresses ({len(addresses)} given); add each device with"
            " `crown devices add`, or configure the Shure System API."
        )

    async def listen(self, endpoint: Endpoint, sink: Sink) -> None:
        """Stay connected until cancelled; come back after every interruption."""
        spread = random.Random(str(endpoint))  # noqa: S311 - so that 200 devices do not come back in one second
        wait, longest = self.timing.back_off
        while True:
            try:
                async with self._open(endpoint) as (reader, writer):
                    sink.connected(self.clock.now(), self._mac_at(endpoint.address))
                    heard = await _Listening(self, endpoint, sink, reader, writer).run()
                    reason = f"{endpoint} {heard}."
                    wait = self.timing.back_off[0]
            except TemporaryFailure as error:
                reason = str(error)
            sink.disconnected(self.clock.now(), reason)
            await self.clock.sleep(wait * spread.uniform(1, 1.25))
            wait = min(wait * 2, longest)

    @asynccontextmanager
    async def _open(
        self, endpoint: Endpoint
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        if endpoint.family not in FAMILIES:
            raise Refused(
                f"{endpoint.family} is no family of the ASCII protocol; there are {', '.join(FAMILIES)}."
            )
        try:
            async with asyncio.timeout(self.timing.connect):
                reader, writer = await asyncio.open_connection(endpoint.address, endpoint.port)
        except TimeoutError:
            raise TemporaryFailure(
                f"{endpoint} does not answer; is it switched on and on this network?"
            ) from None
        except ConnectionRefusedError:
            raise TemporaryFailure(_refused(endpoint)) from None
        except OSError as error:
            raise TemporaryFailure(f"{endpoint} cannot be reached ({error.strerror or error}).") from None
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(self.timing.connect):
                    await writer.wait_closed()

    async def _answers(self, endpoint: Endpoint, reader: asyncio.StreamReader) -> list[Message]:
        """All messages until the device is quiet; a broken connection ends them as well.

        Raises:
            TemporaryFailure: none came.
        """
        frames, messages = FrameReader(), list[Message]()
        limit = self.timing.answer
        with suppress(TimeoutError, ConnectionError):
            while True:
                async with asyncio.timeout(limit):
                    data = await reader.read(65536)
                if not data:
                    break
                messages += [one for one in map(read, frames.feed(data)) if one is not None]
                limit = _QUIET_SECONDS
        if not messages:
            raise _Silent(f"{endpoint} is connected and says nothing; a power cycle may be needed.")
        return messages


class _Silent(TemporaryFailure):
    """A device that takes a connection and answers nothing."""


class _Listening:
    """One connection: what is metered, when the device was last heard, and the two tasks that work on it."""

    def __init__(
        self,
        driver: ShureAscii,
        endpoint: Endpoint,
        sink: Sink,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.clock, self.timing = driver.clock, driver.timing
        self.endpoint, self.sink, self.reader, self.writer = endpoint, sink, reader, writer
        self.metered: set[int] = set()
        self.heard = self.asked = self.clock.elapsed()
        self.answered = False

    async def run(self) -> str:
        """Until the connection ends; why it did."""
        tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._ask())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._stop_metering()

    async def _hear(self) -> str:
        frames = FrameReader()
        try:
            while data := await self.reader.read(65536):
                self.heard, self.answered = self.clock.elapsed(), True
                for frame in frames.feed(data):
                    self._take(read(frame))
        except ConnectionError as error:
            return f"broke the connection ({error.strerror or type(error).__name__})"
        return "closed the connection"

    async def _ask(self) -> str:
        """Ask for everything each minute; a device that stays silent after a question has no connection any more."""
        self._ask_for_everything()
        while True:
            await self.clock.sleep(1)
            now = self.clock.elapsed()
            expected = bool(self.metered) or not self.answered
            if expected and now - max(self.heard, self.asked) > self.timing.answer:
                return "is connected and says nothing"
            if now - self.asked >= self.timing.refresh:
                self._ask_for_everything()

    def _ask_for_everything(self) -> None:
        self.asked, self.answered = self.clock.elapsed(), False
        self.writer.write(_everything(self.endpoint.family))
        for name in _IDENTITY:
            self.writer.write(write("GET", None, name))

    def _take(self, message: Message | None) -> None:
        if message is None:
            return
        at, family = self.clock.now(), self.endpoint.family
        measured = metering.sample(family, message)
        if measured is not None:
            self.sink.measured(at, measured)
            return
        reported = report(family, message)
        if reported is not None:
            self.sink.reported(at, reported)
            if reported.channel is not None:
                self._meter(reported.channel)

    def _meter(self, channel: int) -> None:
        if channel in self.metered or self.endpoint.family in NEVER_METERED:
            return
        self.metered.add(channel)
        milliseconds = round(max(1, self.timing.metering) * 1000)
        self.writer.write(write("SET", channel, "METER_RATE", f"{milliseconds:05d}"))

    async def _stop_metering(self) -> None:
        with suppress(OSError, TimeoutError):
            for channel in sorted(self.metered):
                self.writer.write(write("SET", channel, "METER_RATE", "00000"))
            async with asyncio.timeout(self.timing.connect):
                await self.writer.drain()


def _everything(family: str) -> bytes:
    return write("GET", 1 if family == QLXD else 0, "ALL")


def _refused(endpoint: Endpoint) -> str:
    if endpoint.family == SLXD:
        return (
            f"{endpoint} refuses the connection: SLX-D blocks commands until third-party controller access is allowed"
            " in the receiver's menu (Advanced, Network)."
        )
    return f"{endpoint} refuses the connection; is it a device of this kind, and is its port {endpoint.port}?"
