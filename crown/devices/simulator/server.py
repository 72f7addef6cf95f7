"""Serves a simulated device over TCP: answers, pushes, metering per connection, and the faults of real lines.

One server for each device, on its own address and port. What a device answers is in device.py.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

from crown.devices.clock import Changes, Clock
from crown.devices.drivers.frames import FrameReader, Message, read, write
from crown.devices.drivers.shure_fields import QLXD
from crown.devices.simulator.descriptions import Device, Rack
from crown.devices.simulator.device import SimulatedDevice
from crown.errors import ConfigurationError

_ERROR = b"< REP ERR >"
#: A client that leaves so many bytes unread is cut off.
_SLOW_READER = 256 * 1024


class _Connection:
    """One client: its writer, and a metering task for each channel that it meters."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.metering: dict[int, asyncio.Task[None]] = {}

    def stop_metering(self) -> None:
        for task in self.metering.values():
            task.cancel()
        self.metering.clear()


class Server:
    """A simulated device on the network.

    Args:
        described: the device.
        clock: its time.

    Attributes:
        device: its state.
        received: the commands of all clients, in order.
        locked: whether it needs a power cycle (QLX-D whose metering client vanished).
        changed: notified at every command, connection and tick.
    """

    def __init__(self, described: Device, clock: Clock) -> None:
        self.device = SimulatedDevice(described)
        self.clock = clock
        self.received: list[str] = []
        self.locked = False
        self.changed = Changes()
        self.port = described.port
        self._connections: list[_Connection] = []
        self._random = random.Random(described.seed)  # noqa: S311 - repeatable
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    @property
    def meters(self) -> int:
        """How many channels are metered, over all clients."""
        return sum(len(one.metering) for one in self._connections)

    async def start(self) -> None:
        """Listen, unless a fault forbids it, and let the device's time pass.

        Raises:
            ConfigurationError: the address or port cannot be used.
        """
        await self._listen()
        self._ticking = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Close everything."""
        if self._ticking is not None:
            self._ticking.cancel()
        await self._vanish()
        for task in [*self._tasks]:
            task.cancel()

    async def power_cycle(self) -> None:
        """As pulling the plug: connections end, metering is off, nothing is locked."""
        await self._vanish()
        self.locked = False
        await self._listen()

    async def push(self, frames: Sequence[bytes]) -> None:
        """Send frames to every client."""
        for connection in [*self._connections]:
            await self._send(connection, frames)

    async def _listen(self) -> None:
        described = self.device.described
        if {"refused", "blocked"} & set(described.faults):
            return
        try:
            self._server = await asyncio.start_server(self._serve, described.address, self.port)
        except OSError as error:
            raise ConfigurationError(
                f"{described.address}:{self.port} cannot be listened on ({error.strerror}); choose another address or"
                " port of this machine."
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def _vanish(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in [*self._connections]:
            connection.stop_metering()
            connection.writer.transport.abort()
        self._connections.clear()
        self.changed.notify()

    async def _tick(self) -> None:
        while True:
            await self.clock.sleep(1)
            frames = self.device.pass_time(1)
            if self._server is not None and not self.device.reachable:
                await self._vanish()
            elif self._server is None and self.device.reachable:
                await self._listen()
            await self.push(frames)
            self.changed.notify()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection, frames = _Connection(writer), FrameReader()
        self._connections.append(connection)
        self.changed.notify()
        try:
            while data := await reader.read(4096):
                for frame in frames.feed(data):
                    self.received.append(frame)
                    await self._obey(connection, read(frame))
                self.changed.notify()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.locked = self.locked or (self.device.family == QLXD and bool(connection.metering))
            connection.stop_metering()
            if connection in self._connections:
                self._connections.remove(connection)
            writer.transport.abort()
            self._tasks.discard(task)
            self.changed.notify()

    async def _obey(self, connection: _Connection, message: Message | None) -> None:
        if "silent" in self.device.described.faults or self.locked:
            return
        if message is None:
            await self._send(connection, [_ERROR])
        elif message.verb == "GET":
            await self._send(connection, self._get(message) or [_ERROR])
        elif message.verb == "SET" and message.name == "METER_RATE":
            await self._meter(connection, message)
        else:
            await self._send(connection, [_ERROR])

    def _get(self, message: Message) -> list[bytes]:
        if message.channel is not None and message.channel not in self.device.channels:
            return []
        if message.name == "ALL":
            return self.device.all_of(message.channel)
        return self.device.one_of(message.channel, message.name)

    async def _meter(self, connection: _Connection, message: Message) -> None:
        numbers = list(self.device.channels) if message.channel is None else [message.channel]
        if not message.value.isdigit() or not set(numbers) <= set(self.device.channels):
            await self._send(connection, [_ERROR])
            return
        milliseconds = int(message.value)
        for number in numbers:
            if number in connection.metering:
                connection.metering.pop(number).cancel()
            if milliseconds:
                loop = self._metering(connection, number, milliseconds / 1000)
                connection.metering[number] = asyncio.create_task(loop)
            # A SET is answered by a REP to every client.
            await self.push([write("REP", number, "METER_RATE", f"{milliseconds:05d}")])

    async def _metering(self, connection: _Connection, number: int, seconds: float) -> None:
        with suppress(ConnectionError):
            while True:
                await self.clock.sleep(seconds)
                if not self.locked:
                    await self._send(connection, [self.device.sample(number)])

    async def _send(self, connection: _Connection, frames: Sequence[bytes]) -> None:
        faults: set[str] = set(self.device.described.faults)
        if not frames or self.locked or "silent" in faults or connection.writer.is_closing():
            return
        if "garbage" in faults:
            frames = [part for frame in frames for part in (b"\x00\xff}< REP 1 BATT", frame)]
        data = b"".join(frames)
        if connection.writer.transport.get_write_buffer_size() > _SLOW_READER:
            connection.writer.transport.abort()
            return
        try:
            for piece in self._pieces(data, faults):
                connection.writer.write(piece)
                if len(piece) < len(data):
                    await connection.writer.drain()
                    await self.clock.sleep(0.01 if "slow" in faults else 0)
        except ConnectionError:
            connection.stop_metering()

    def _pieces(self, data: bytes, faults: set[str]) -> list[bytes]:
        if not {"cut", "slow"} & faults:
            return [data]
        places = sorted(self._random.sample(range(1, len(data)), min(5, len(data) - 1)))
        return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


class SimulatedRack:
    """All devices of a rack; `async with SimulatedRack(rack, clock) as rack:` serves them."""

    def __init__(self, rack: Rack, clock: Clock) -> None:
        self.servers = [Server(device, clock) for device in rack.devices]

    async def __aenter__(self) -> SimulatedRack:
        started = []
        try:
            for server in self.servers:
                await server.start()
                started.append(server)
        except ConfigurationError:
            for server in started:
                await server.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self.servers:
            await server.stop()
