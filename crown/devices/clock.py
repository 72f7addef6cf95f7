"""The clock that devices, drivers and the collector share, so that ten minutes can pass in a moment.

`SystemClock` is the real one, also faster than real; `VirtualClock` moves only when it is advanced. Sockets are
always real.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

#: Turns of the event loop between two moments of a virtual clock, so that whoever woke up can act.
_TURNS = 5


class Clock(Protocol):
    """Time of day, elapsed seconds, and waiting."""

    def now(self) -> datetime:
        """The time of day, UTC. It may jump both ways."""
        ...

    def elapsed(self) -> float:
        """Seconds since some moment; never backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds of this clock."""
        ...


class SystemClock:
    """The real clock.

    Args:
        speed: seconds of this clock in a real second.
    """

    def __init__(self, speed: float = 1) -> None:
        self._speed = speed
        self._start, self._began = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        """The time of day, UTC."""
        if self._speed == 1:
            return datetime.now(UTC)
        return self._start + timedelta(seconds=self.elapsed())

    def elapsed(self) -> float:
        """Seconds since this clock was made."""
        return (time.monotonic() - self._began) * self._speed

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds / self._speed)


class VirtualClock:
    """A clock that stays where it is until `advance`.

    Args:
        start: its time of day.
    """

    def __init__(self, start: datetime) -> None:
        self._now, self._elapsed = start, 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = itertools.count()

    def now(self) -> datetime:
        """The time of day, UTC."""
        return self._now

    def elapsed(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been advanced so far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._number), awake))
        await awake

    def jump(self, seconds: float) -> None:
        """Set the time of day, as a clock that is corrected; nobody wakes up."""
        self._now += timedelta(seconds=seconds)

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass; sleepers wake up in order, each at its moment."""
        end = self._elapsed + seconds
        await self._turns()
        while self._sleepers and self._sleepers[0][0] <= end:
            moment, _, awake = heapq.heappop(self._sleepers)
            self._move_to(moment)
            if not awake.done():
                awake.set_result(None)
                await self._turns()
        self._move_to(end)
        await self._turns()

    def _move_to(self, moment: float) -> None:
        self._now += timedelta(seconds=moment - self._elapsed)
        self._elapsed = moment

    async def _turns(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)


class Changes:
    """Lets others wait until a condition on somebody's state holds; whoever changes the state calls `notify`."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """The state has changed."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as `holds`."""
        while not holds():
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                self._waiting.discard(waiting)
