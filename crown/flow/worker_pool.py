"""A queue: takes batches of items, has them made by a bounded pool of processes, enters the results.

The processes never open the database and can be killed one by one. What a task makes, and where results
are written, is the department's affair.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from crown.errors import ClaimLost, SystemicFailure
from crown.flow.pool_report import PoolReport, Progress
from crown.flow.worker_processes import LOOK_SECONDS, results
from crown.ledger import claims, counts
from crown.ledger import resources as limited
from crown.ledger.claims import Claim, Failed, Finished, Job, Made, Placing
from crown.ledger.locks import again

#: A task gets jobs that share their group and returns one result for each.
Task = Callable[[Sequence[Job], Mapping[str, Any]], Sequence[Made | Failed]]

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)

_COMMIT_EVERY = 24
#: A run that waits for a seat looks for one at least so often: whoever died with a seat notifies nobody.
_SEAT_SECONDS = 10.0


def no_context(_: Sequence[Job]) -> AbstractContextManager[None]:
    """No preparation; see WorkerPool.worker_context."""
    return nullcontext()


@dataclass(frozen=True)
class WorkerPool:
    """How the items of some assets are made.

    Attributes:
        assets: slash-joined asset keys whose items this queue makes.
        task: a function at the top level of its module, so that it can be sent to another process.
        context: what the task needs to know; plain values, no secrets.
        place: gives a made file its final name (see `claims.finish`).
        group: jobs with an equal group are made by one call of the task.
        in_process: run the task here: for work that is bookkeeping or copying.
        per_worker: items claimed at once for each process: minutes of work at most, and short tails; a multiple
            of what usually makes a group, so that no group is torn.
        item_timeout_seconds: how long an item may take, where it is not the setting's: a render takes hours.
        resources: seats by the tag of each limited resource that an item needs, such as one seat of a licence: over
            all processes and hosts no more items are in work at once. A run that finds no seat free waits for one.
        resources_of: by asset, where not all assets of the queue need the same: those that need no seat, or another,
            are made meanwhile.
        worker_context: entered around each call of the task, in the process that makes it: sets up what a worker
            process needs, such as its log; sent there like the task.
    """

    assets: tuple[str, ...]
    task: Task
    context: Mapping[str, Any]
    place: Callable[[Placing], None] | None = None
    group: Callable[[Job], object] = lambda job: job.item
    in_process: bool = False
    per_worker: int = 16
    item_timeout_seconds: float | None = None
    resources: Mapping[str, int] = field(default_factory=dict)
    resources_of: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    worker_context: Callable[[Sequence[Job]], AbstractContextManager[None]] = no_context

    @property
    def has_seats(self) -> bool:
        """Whether any of its assets needs a limited resource."""
        return bool(self.resources) or any(self.resources_of.values())

    def needs(self) -> list[tuple[tuple[str, ...], Mapping[str, int]]]:
        """Assets and the resources that they need, those with limited resources first."""
        found: dict[tuple[tuple[str, int], ...], list[str]] = {}
        for asset in self.assets:
            seats = self.resources_of.get(asset, self.resources)
            found.setdefault(tuple(sorted(seats.items())), []).append(asset)
        return sorted(
            ((tuple(assets), dict(seats)) for seats, assets in found.items()), key=lambda one: not one[1]
        )


@dataclass(frozen=True)
class Limits:
    """What bounds a run; see the settings of the same names."""

    workers: int = 1
    item_timeout_seconds: float = 300
    lease_seconds: float = 120
    max_attempts: int = 4
    back_off_seconds: float = 30
    #: Nothing new is begun after so long; what is left is for the next run. None: until nothing is due.
    run_seconds: float | None = None


def run(
    engine: Engine,
    pool: WorkerPool,
    limits: Limits,
    *,
    run_id: str | None = None,
    versions: Mapping[str, str] | None = None,
    on_progress: Progress | None = None,
    keys: Sequence[str] | None = None,
) -> PoolReport:
    """Make what is due in the queue.

    Args:
        engine: our database; the run keeps one connection of it for its claims.
        pool: what to make and how.
        limits: processes, times and attempts.
        run_id: stamped on what is made.
        versions: library versions, recorded with each output.
        on_progress: called after each commit.
        keys: these items only.

    Raises:
        SystemicFailure: the cause is outside the items; what was done is entered, the rest stays pending.
    """
    with engine.connect() as connection:
        one = _Run(connection, pool, limits, run_id, versions or {}, on_progress, keys)
        one.work()
    return one.report


@dataclass
class _Run:
    """One run of a queue: its connection, the claims it holds and what it did so far."""

    connection: Connection
    pool: WorkerPool
    limits: Limits
    run_id: str | None
    versions: Mapping[str, str]
    on_progress: Progress | None
    keys: Sequence[str] | None
    report: PoolReport = field(default_factory=PoolReport)
    #: Of the claims that are held.
    sessions: list[_ClaimSession] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    #: Sources that are out: what was claimed of them is left.
    out: set[str] = field(default_factory=set)
    #: Whether this connection is notified of seats that are left.
    listens: bool = False

    def work(self) -> None:
        """Work until nothing is due or the time is over."""
        try:
            worked = True
            while worked and not self.is_over():  # what failed meanwhile may be due again
                worked = False
                for session, made in results(self.pool, self.limits, self.groups(), self.tend):
                    worked = True
                    session.add(made)
        except SystemicFailure as failure:
            for session in self.sessions:
                if isinstance(failure.__cause__, DBAPIError):
                    session.released = True  # its claim ends with the connection
                else:
                    session.close()
            raise
        finally:
            for session in self.sessions:
                session.release()
            if self.listens:
                with suppress(DBAPIError):
                    limited.unlisten(self.connection)
            self.report.seconds = time.monotonic() - self.started

    def is_over(self) -> bool:
        """Whether nothing new is to be begun."""
        return self.seconds_left() < 0

    def seconds_left(self) -> float:
        """Until nothing new is begun."""
        most = self.limits.run_seconds
        return inf if most is None else self.started + most - time.monotonic()

    def persist(self, act: Callable[[], _Result]) -> _Result:
        """Call a transaction, and again after a deadlock or a lost connection."""
        return again(act, before_retry=self.resume)

    def resume(self) -> None:
        """The claims that are held are this connection's, which may be a new one."""
        self.listens = False
        claims.resume(self.connection, [session.claim for session in self.sessions if not session.released])

    def take(self) -> Claim | None:
        """The next claim."""
        for assets, resources in self.pool.needs():
            claim = claims.take(
                self.connection,
                assets,
                # An item that waits in this process would keep another from its seat.
                self.limits.workers * (1 if resources else self.pool.per_worker),
                lease_seconds=self.limits.lease_seconds,
                run_id=self.run_id,
                keys=self.keys,
                resources=resources,
            )
            if claim is not None:
                self.out -= set(resources)  # their sources are back
                return claim
        return None

    def groups(self) -> Iterator[tuple[_ClaimSession, list[Job]] | None]:
        """Claims, by groups of jobs, as long as something is due; None while it needs a seat that this run itself has."""
        while not self.is_over():
            claim = self.persist(self.take)
            if claim is None:
                if not self.persist(self.lacks_seat):
                    return
                if any(not session.released for session in self.sessions):
                    yield None
                else:
                    self.persist(self.wait_for_seat)
                continue
            together = [list(jobs) for _, jobs in groupby(claim.jobs, key=self.pool.group)]
            session = _ClaimSession(self, claim, len(together))
            self.sessions.append(session)
            for begun, jobs in enumerate(together):
                if session.lost or self.is_over() or not self.out.isdisjoint(claim.resources):
                    session.leave(len(together) - begun)
                    break
                yield session, jobs

    def lacks_seat(self) -> bool:
        """Whether something is due that nobody is at and whose source is not out: it lacks a seat."""
        with self.connection.begin():
            return any(
                resources and counts.is_due(self.connection, assets, resources, self.keys)
                for assets, resources in self.pool.needs()
            )

    def wait_for_seat(self) -> None:
        """Wait until a seat may be free. The first call only listens: a seat may have been left just before."""
        if self.listens:
            limited.wait_for_seat(self.connection, min(_SEAT_SECONDS, self.seconds_left()))
            return
        _log.info("All seats of %s are taken; the run waits for one.", ", ".join(sorted(self.tags())))
        limited.listen(self.connection)
        self.listens = True

    def tags(self) -> set[str]:
        """Of the limited resources that the queue needs."""
        return {tag for _, resources in self.pool.needs() for tag in resources}

    def tend(self) -> None:
        """Forget the claims that were released, look after the others."""
        self.sessions = [session for session in self.sessions if not session.released]
        for session in self.sessions:
            session.tend()


@dataclass
class _ClaimSession:
    """Collects the results of one claim and enters them every few dozen rows or seconds.

    `open` counts the groups that are not back; a lost claim is finished without entering anything.
    """

    run: _Run
    claim: Claim
    open: int
    waiting: list[Made | Failed] = field(default_factory=list)
    committed_at: float = field(default_factory=time.monotonic)
    renewed_at: float = field(default_factory=time.monotonic)
    lost: bool = False
    released: bool = False

    def add(self, results: Sequence[Made | Failed]) -> None:
        self.waiting.extend(results)
        self.run.out |= {result.outage for result in results if isinstance(result, Failed) and result.outage}
        self.leave(1)
        if (
            len(self.waiting) >= _COMMIT_EVERY or self.claim.resources
        ):  # a seat is free as soon as it is entered
            self.close()

    def leave(self, groups: int) -> None:
        """Expect no more of so many groups; when none is open, the claim ends."""
        self.open -= groups
        if not self.open:
            self.close()
            self.release()

    def close(self) -> None:
        """Enter what is waiting, or drop it when the claim was lost."""
        if not self.lost:
            try:
                self._commit()
            except ClaimLost:
                self.lost = True
        _remove_unfinished(self.waiting)
        self.run.report.dropped += len(self.waiting)
        self.waiting = []

    def release(self) -> None:
        if not self.released:
            self.run.persist(partial(claims.release, self.run.connection, self.claim))
            self.released = True

    def tend(self) -> None:
        """Enter what has waited for long, prolong the lease when it is time."""
        now = time.monotonic()
        if self.waiting and now - self.committed_at > LOOK_SECONDS:
            self.close()
        if self.lost or now - self.renewed_at <= self.run.limits.lease_seconds / 3:
            return
        try:
            self.run.persist(partial(claims.renew, self.run.connection, self.claim))
            self.renewed_at = time.monotonic()
        except ClaimLost:
            self.lost = True

    def _commit(self) -> None:
        results, self.waiting = self.waiting, []
        if not results:
            return
        try:
            finished = self.run.persist(partial(self._finish, results, set()))
        except BaseException:
            _remove_unfinished(results)
            self.run.report.dropped += len(results)
            raise
        _remove_unfinished(finished.dropped)
        entered: list[Made | Failed] = [*finished.made, *finished.failed]
        for result in entered:
            self.run.report.tallies[result.job.asset].count(result)
        self.run.report.dropped += len(finished.dropped)
        self.committed_at = time.monotonic()
        if self.run.on_progress is not None:
            self.run.on_progress(self.run.report, finished)

    def _finish(self, results: Sequence[Made | Failed], written: set[tuple[str, str]]) -> Finished:
        """Enter results; on a retry, `written` holds the items whose files have their final name already."""

        def place(placing: Placing) -> None:
            if self.run.pool.place is not None and placing.made.job.item not in written:
                self.run.pool.place(placing)
                written.add(placing.made.job.item)

        return claims.finish(
            self.run.connection,
            self.claim,
            results,
            place=place if self.run.pool.place is not None else None,
            max_attempts=self.run.limits.max_attempts,
            back_off_seconds=self.run.limits.back_off_seconds,
            versions=self.run.versions,
        )


def _remove_unfinished(results: Sequence[Made | Failed]) -> None:
    for result in results:
        if isinstance(result, Made) and result.unfinished is not None:
            with suppress(OSError):
                Path(result.unfinished).unlink(missing_ok=True)
