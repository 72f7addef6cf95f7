"""The collector: listens to all receivers of the inventory, once a second enters what they said, and opens alerts.

One process leads (leader.py); rows go through writer.py, so a database that is away costs nothing but delay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import psycopg
from sqlalchemy import Connection, Engine

from crown.devices.clock import Changes, Clock
from crown.devices.collector.buffer import Buffer
from crown.devices.collector.leader import Leadership, leadership
from crown.devices.collector.rows import ReceiverRows
from crown.devices.collector.writer import AWAY, Writer
from crown.devices.drivers.interface import Driver
from crown.devices.records import alerts, inventory
from crown.devices.records.alerts import BATTERY_CRITICAL, BATTERY_LOW, BatteryWatch, Turn
from crown.devices.records.inventory import Receiver
from crown.errors import CrownError
from crown.settings.model import Settings

_log = logging.getLogger(__name__)
#: Seconds between two looks at the inventory, and between two updates of last_seen_at.
_INVENTORY_SECONDS, _SEEN_SECONDS, _RETENTION_SECONDS, _LEADER_SECONDS = 5, 15, 3600, 15
#: A database that takes longer for one second of rows is left, and the rows go to disk.
_PATIENCE_SECONDS = 20
_RETRY_SECONDS = 5


@dataclass
class _Listened:
    """A receiver, what it says, and the task that listens."""

    receiver: Receiver
    rows: ReceiverRows
    task: asyncio.Task[None]
    watches: dict[int, BatteryWatch] = field(default_factory=dict)
    lifecycle: str = ""
    reason: str | None = None
    channels: set[int] = field(default_factory=set)
    described: dict[str, str | None] = field(default_factory=dict)
    seen: datetime | None = None
    seen_at: float = 0


@dataclass(frozen=True)
class _BatteryTurn:
    """An alert of a channel to be opened or resolved, and what was known of its battery."""

    receiver_id: int
    channel: int
    name: str
    turn: Turn
    at: datetime
    snapshot: dict[str, int | None]


class Collector:
    """The work of `crown devices collect`.

    Args:
        engine: our database.
        settings: of devices.
        clock: shared with the driver.
        driver: speaks with the receivers.
        address: of the database, for the leader's lock.

    Attributes:
        writer: counts what was entered and lost.
        leads: whether this process is the one that collects.
        changes: notified after each second.
    """

    def __init__(
        self, engine: Engine, settings: Settings, clock: Clock, driver: Driver, address: str
    ) -> None:
        self._engine, self._settings, self._clock, self._driver = engine, settings, clock, driver
        self._address = address
        folder = settings.device_buffer
        self.writer = Writer(engine, Buffer(folder, round(settings.devices.buffer_mb * 1e6)))
        self.changes = Changes()
        self.leads = False
        self._listened: dict[int, _Listened] = {}
        self._samples: list[str] = []
        self._states: list[str] = []
        self._turns: list[_BatteryTurn] = []
        self._writing: asyncio.Task[bool] | None = None
        self._writing_since = 0.0
        self._due: dict[str, float] = {}
        self._open: dict[tuple[int, int | None], set[str]] = {}

    @property
    def receivers(self) -> list[ReceiverRows]:
        """What is known of each receiver that is listened to."""
        return [one.rows for one in self._listened.values()]

    async def run(self) -> None:
        """Collect until cancelled: wait for the lead, keep it while the database is away, give it up when it is lost."""
        while True:
            try:
                async with leadership(self._address) as lead:
                    self.leads = True
                    await self._collect(lead)
            except psycopg.OperationalError as error:
                _log.warning("The lead cannot be asked for (%s).", str(error).splitlines()[0])
            finally:
                self.leads = False
                await self._stop()
            await self._clock.sleep(_RETRY_SECONDS)

    async def _collect(self, lead: Leadership) -> None:
        kept: Leadership | None = lead
        _log.info("This collector leads.")
        while True:
            if self._is_due("inventory", _INVENTORY_SECONDS):
                await self._follow_inventory()
            if self._is_due("leader", _LEADER_SECONDS) and kept is not None and not await kept.is_kept():
                # The database is away: go on, the rows wait on disk. When it is back, the lock is asked for anew.
                kept = None
            if kept is None and self.writer.away_since is None:
                return
            await self._clock.sleep(_until_second_is_over(self._clock.now()))
            self._gather()
            await self._write()
            self.changes.notify()

    def _is_due(self, what: str, seconds: float) -> bool:
        now = self._clock.elapsed()
        if now < self._due.get(what, now):
            return False
        self._due[what] = now + seconds
        return True

    async def _follow_inventory(self) -> None:
        """Listen to what the inventory lists; a receiver that is as before keeps its connection."""

        def read() -> tuple[Sequence[Receiver], dict[tuple[int, int | None], set[str]]]:
            with self._engine.connect() as connection:
                return inventory.polled(connection), alerts.open_types(connection)

        try:
            receivers, self._open = await asyncio.to_thread(read)
        except AWAY:
            return
        wanted = {one.receiver_id: one for one in receivers}
        for receiver_id, listened in [*self._listened.items()]:
            now = wanted.get(receiver_id)
            if now is None or now.endpoint != listened.receiver.endpoint:
                await self._leave(receiver_id)
            else:
                listened.receiver, listened.lifecycle = now, now.lifecycle
                listened.rows.recognised(now.serial, now.mac)
        for receiver in receivers:
            if receiver.receiver_id not in self._listened:
                self._listen(receiver)

    def _listen(self, receiver: Receiver) -> None:
        rows = ReceiverRows(receiver.receiver_id, receiver.endpoint, receiver.serial, receiver.mac)
        task = asyncio.create_task(self._driver.listen(receiver.endpoint, rows))
        self._listened[receiver.receiver_id] = _Listened(
            receiver, rows, task, lifecycle=receiver.lifecycle, seen_at=self._clock.elapsed()
        )

    async def _leave(self, receiver_id: int) -> None:
        listened = self._listened.pop(receiver_id)
        listened.task.cancel()
        with suppress(asyncio.CancelledError):
            await listened.task
        self._take(listened, self._clock.now(), ends=True)

    def _gather(self) -> None:
        now = self._clock.now()
        for listened in self._listened.values():
            self._take(listened, now)
            if listened.rows.last_seen != listened.seen:
                # By elapsed seconds: a clock that jumps makes nobody silent.
                listened.seen, listened.seen_at = listened.rows.last_seen, self._clock.elapsed()
            if listened.rows.is_known:
                self._watch_batteries(listened, now)

    def _take(self, listened: _Listened, now: datetime, *, ends: bool = False) -> None:
        samples, states = listened.rows.take(now, ends=ends)
        self._samples += samples
        self._states += states

    def _watch_batteries(self, listened: _Listened, now: datetime) -> None:
        for number, channel in listened.rows.channels.items():
            watch = listened.watches.get(number)
            if watch is None:
                thresholds = {
                    BATTERY_LOW: self._settings.devices.battery_low_percent,
                    BATTERY_CRITICAL: self._settings.devices.battery_critical_percent,
                }
                known = self._open.get((listened.rows.receiver_id, number), set())
                watch = listened.watches[number] = BatteryWatch(thresholds, set(known))
            name = listened.rows.name_of(number)
            for turn in watch.look(channel.percent, now):
                self._turns.append(
                    _BatteryTurn(listened.rows.receiver_id, number, name, turn, now, dict(channel.battery))
                )

    async def _write(self) -> None:
        """Give the rows to the database in a thread; while it is slow, they are collected, and then kept on disk."""
        if self._writing is not None and not self._writing.done():
            if self._clock.elapsed() - self._writing_since > _PATIENCE_SECONDS:
                self.writer.keep(*self._handed_over())
            return
        if self._writing is not None and (error := self._writing.exception()) is not None:
            raise error
        samples, states = self._handed_over()
        self._writing_since = self._clock.elapsed()
        self._writing = asyncio.create_task(asyncio.to_thread(self._enter, samples, states))

    def _handed_over(self) -> tuple[list[str], list[str]]:
        rows = (self._samples, self._states)
        self._samples, self._states = [], []
        return rows

    def _enter(self, samples: list[str], states: list[str]) -> bool:
        """In a thread: rows, and then everything else that this second says of receivers and alerts."""
        if not self.writer.write(samples, states):
            return False
        try:
            self._upkeep([*self._turns])
            if self._is_due("retention", _RETENTION_SECONDS):
                self.writer.drop_old(self._clock.now().date(), self._settings.devices.samples_days)
        except (*AWAY, CrownError) as error:
            _log.warning("The inventory could not be brought up to date (%s); it is tried again.", error)
            return False
        return True

    def _upkeep(self, turns: Sequence[_BatteryTurn]) -> None:
        """One transaction; what it did counts as done only when it is committed."""
        done: list[Callable[[], object]] = []
        with self._engine.begin() as connection:
            for listened in [*self._listened.values()]:
                if listened.rows.stranger is not None:
                    inventory.settle(connection, listened.rows.stranger)
                    done.append(partial(self._due.pop, "inventory", None))
                    continue
                if listened.rows.identified:
                    self._describe(connection, listened, done)
                self._move(connection, listened, done)
            for one in turns:
                alerts.enter(
                    connection, one.receiver_id, one.channel, one.name, one.turn, one.at, one.snapshot
                )
            if self._is_due("seen", _SEEN_SECONDS):
                inventory.seen(connection, self._last_seen())
                alerts.follow_notices(connection)
        for note in done:
            note()
        del self._turns[: len(turns)]

    def _last_seen(self) -> dict[int, datetime]:
        rows = [one.rows for one in [*self._listened.values()]]
        return {one.receiver_id: one.last_seen for one in rows if one.last_seen and one.is_known}

    def _describe(
        self, connection: Connection, listened: _Listened, done: list[Callable[[], object]]
    ) -> None:
        rows = listened.rows
        numbers, said = set(rows.channels), dict(rows.of_device)
        if numbers - listened.channels:
            inventory.channels(connection, rows.receiver_id, numbers)
            done.append(partial(setattr, listened, "channels", numbers))
        if said != listened.described:
            inventory.described(connection, rows.receiver_id, said)
            done.append(partial(setattr, listened, "described", said))

    def _move(self, connection: Connection, listened: _Listened, done: list[Callable[[], object]]) -> None:
        rows, reason = listened.rows, listened.rows.reason
        silent = self._clock.elapsed() - listened.seen_at > self._settings.devices.offline_seconds
        heard = rows.is_known and rows.last_seen is not None and reason is None and not silent
        wanted = "online" if heard else "offline" if silent and reason else None
        if wanted is None or (wanted, reason) == (listened.lifecycle, listened.reason):
            return
        if rows.last_seen is not None:
            inventory.seen(connection, {rows.receiver_id: rows.last_seen})
        inventory.move(connection, rows.receiver_id, wanted, reason)
        done.append(partial(setattr, listened, "lifecycle", wanted))
        done.append(partial(setattr, listened, "reason", reason))

    async def _stop(self) -> None:
        """Stop metering everywhere, and enter what was heard last."""
        for receiver_id in [*self._listened]:
            await self._leave(receiver_id)
        if self._writing is not None:
            await self._writing
        self._writing = None
        samples, states = self._handed_over()
        if samples or states:
            await asyncio.to_thread(self._enter, samples, states)


def _until_second_is_over(now: datetime) -> float:
    """Seconds until shortly after the next whole one: however long a round took, each second has its own."""
    return 1.05 - now.microsecond / 1e6
