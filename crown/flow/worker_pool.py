"""A queue: takes batches of items, has them made by a bounded pool of processes, enters the results.

The processes never open the database and can be killed one by one. What a task makes, and where results
are written, is the department's affair.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import signal
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from crown.errors import (
    ClaimLost,
    CrownError,
    PermanentFailure,
    SourceOutage,
    SystemicFailure,
    TemporaryFailure,
)
from crown.ledger import claims
from crown.ledger.claims import Claim, Failed, Finished, Job, Made, Placing
from crown.ledger.locks import again

#: A task gets jobs that share their group and returns one result for each.
Task = Callable[[Sequence[Job], Mapping[str, Any]], Sequence[Made | Failed]]

_Owner = TypeVar("_Owner")
_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)

_COMMIT_EVERY = 24
_COMMIT_SECONDS = 2.0
#: Groups handed to the pool for each process: the next one is ready when a process has finished one.
_AHEAD = 2
_SLOWEST = 3
_EXAMPLES = 24


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
            all processes and hosts no more items are in work at once. A run that finds no seat free ends.
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
    worker_context: Callable[[Sequence[Job]], AbstractContextManager[None]] = no_context


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


@dataclass
class Tally:
    """What a run did to one asset: counts, and a few examples; its size does not grow with the run."""

    made: int = 0
    failed: int = 0
    bytes_made: int = 0
    #: Failures by error class.
    errors: Counter[str] = field(default_factory=Counter)
    #: (seconds, key), the slowest first.
    slowest: list[tuple[float, str]] = field(default_factory=list)
    #: Root and path of the files that were made last.
    newest: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_EXAMPLES))

    def count(self, result: Made | Failed) -> None:
        """Add a result."""
        if isinstance(result, Failed):
            self.failed += 1
            self.errors[result.error_class] += 1
            return
        self.made += 1
        self.bytes_made += result.size_bytes or 0
        if result.root is not None and result.path is not None:
            self.newest.append((result.root, result.path))
        if result.seconds is not None:
            self.slowest = sorted([*self.slowest, (result.seconds, result.job.key)], reverse=True)[:_SLOWEST]


@dataclass
class PoolReport:
    """What a run of a queue did, by asset."""

    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    dropped: int = 0
    seconds: float = 0.0

    @property
    def made(self) -> int:
        """Items made, of all assets."""
        return sum(tally.made for tally in self.tallies.values())

    @property
    def failed(self) -> int:
        """Tries that failed, of all assets."""
        return sum(tally.failed for tally in self.tallies.values())


#: Called after each commit with the sums so far and what was entered.
Progress = Callable[[PoolReport, Finished], None]


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
    #: Whether a source that everything here needs is out.
    is_out: bool = False

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
            if not isinstance(failure.__cause__, DBAPIError):
                for session in self.sessions:
                    session.close()
            raise
        finally:
            for session in self.sessions:
                session.release()
            self.report.seconds = time.monotonic() - self.started

    def is_over(self) -> bool:
        """Whether nothing new is to be begun."""
        if self.is_out:
            return True
        most = self.limits.run_seconds
        return most is not None and time.monotonic() - self.started > most

    def persist(self, act: Callable[[], _Result]) -> _Result:
        """Call a transaction, and again after a deadlock or a lost connection."""
        return again(act, before_retry=self.resume)

    def resume(self) -> None:
        """The claims that are held are this connection's, which may be a new one."""
        claims.resume(self.connection, [session.claim for session in self.sessions if not session.released])

    def take(self) -> Claim | None:
        """The next claim."""
        return claims.take(
            self.connection,
            self.pool.assets,
            # An item that waits in this process would keep another from its seat.
            self.limits.workers * (1 if self.pool.resources else self.pool.per_worker),
            lease_seconds=self.limits.lease_seconds,
            run_id=self.run_id,
            keys=self.keys,
            resources=self.pool.resources,
        )

    def groups(self) -> Iterator[tuple[_ClaimSession, list[Job]]]:
        """Claims, by groups of jobs, as long as something is due."""
        while not self.is_over() and (claim := self.persist(self.take)) is not None:
            together = [list(jobs) for _, jobs in groupby(claim.jobs, key=self.pool.group)]
            session = _ClaimSession(self, claim, len(together))
            self.sessions.append(session)
            for begun, jobs in enumerate(together):
                if session.lost or self.is_over():
                    session.leave(len(together) - begun)
                    break
                yield session, jobs

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
        out = {result.outage for result in results if isinstance(result, Failed)}
        self.run.is_out = self.run.is_out or not out.isdisjoint(self.run.pool.resources)
        self.leave(1)
        if (
            len(self.waiting) >= _COMMIT_EVERY or self.run.pool.resources
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
            claims.release(self.run.connection, self.claim)
            self.released = True

    def tend(self) -> None:
        """Enter what has waited for long, prolong the lease when it is time."""
        now = time.monotonic()
        if self.waiting and now - self.committed_at > _COMMIT_SECONDS:
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


def results(
    pool: WorkerPool, limits: Limits, groups: Iterable[tuple[_Owner, list[Job]]], on_wait: Callable[[], None]
) -> Iterator[tuple[_Owner, Sequence[Made | Failed]]]:
    """Have groups of jobs made; yields the results of each as it is done, with whom it belongs to.

    `groups` is drawn from as processes become free, so that nothing is claimed long before it is worked on and no
    process is idle between two claims.
    """
    coming = iter(groups)
    if pool.in_process:
        for owner, jobs in coming:
            yield owner, _guarded(pool.task, jobs, pool.context, pool.worker_context)
            on_wait()
        return
    processes = process_pool(limits.workers)
    seconds = pool.item_timeout_seconds or limits.item_timeout_seconds
    futures: dict[Future[Any], tuple[_Owner, list[Job]]] = {}
    try:
        while True:
            for owner, jobs in islice(coming, limits.workers * _AHEAD - len(futures)):
                future = processes.schedule(
                    _guarded,
                    args=(pool.task, jobs, dict(pool.context), pool.worker_context),
                    timeout=seconds * len(jobs),
                )
                futures[future] = owner, jobs
            if not futures:
                return
            done, _ = wait(
                futures, timeout=min(_COMMIT_SECONDS, limits.lease_seconds / 6), return_when=FIRST_COMPLETED
            )
            for future in done:
                owner, jobs = futures.pop(future)
                yield owner, _outcome(future, jobs, pool.item_timeout_seconds)
            on_wait()
    finally:
        for future in futures:
            future.cancel()  # kills the process that is at it


@cache
def process_pool(workers: int) -> Any:
    """This process's pebble ProcessPool, made once; its processes die with this one."""
    import multiprocessing

    from pebble import ProcessPool

    processes = ProcessPool(
        max_workers=workers,
        max_tasks=500,  # a leak in a decoder never grows for days
        initializer=_prepare_worker,
        # One clean server process, which forks in milliseconds; forking this process with its threads and
        # connections would not be safe.
        context=multiprocessing.get_context("forkserver"),
    )
    atexit.register(_end, processes)
    return processes


def _end(processes: Any) -> None:
    processes.stop()
    processes.join()


def failed(job: Job, error: Exception) -> Failed:
    """The failure that an exception means for an item: only a PermanentFailure is final at once, an outage never."""
    sentence = str(error) or type(error).__name__
    if not isinstance(error, CrownError):
        sentence = f"{type(error).__name__}: {sentence}"
    return Failed(
        job,
        type(error).__name__,
        sentence,
        isinstance(error, PermanentFailure),
        error.retry_after if isinstance(error, TemporaryFailure) else None,
        error.source if isinstance(error, SourceOutage) else None,
    )


def _guarded(
    task: Task,
    jobs: Sequence[Job],
    context: Mapping[str, Any],
    worker_context: Callable[[Sequence[Job]], AbstractContextManager[None]],
) -> Sequence[Made | Failed]:
    with worker_context(jobs):
        try:
            return task(jobs, context)
        except SystemicFailure:
            raise
        except Exception as error:  # noqa: BLE001 a bug in a task is recorded on its items, its neighbours go on
            # Where the bug is, only the log can say.
            _log.exception("%s could not be made", ", ".join(job.key for job in jobs))
            return [failed(job, error) for job in jobs]


def _outcome(future: Future[Any], jobs: list[Job], own_limit: float | None = None) -> Sequence[Made | Failed]:
    from pebble import ProcessExpired

    try:
        return future.result()
    except TimeoutError:
        limit = "CROWN_ITEM_TIMEOUT_SECONDS" if own_limit is None else f"the {own_limit:.0f} s of its stage"
        sentence = f"It took longer than {limit}; raise the limit or give a smaller file."
        return [Failed(job, "TimeLimit", sentence, permanent=False) for job in jobs]
    except ProcessExpired as error:
        sentence = f"The process that made it died (exit code {error.exitcode}), perhaps for want of memory."
        return [Failed(job, "ProcessDied", sentence, permanent=False) for job in jobs]


def _remove_unfinished(results: Sequence[Made | Failed]) -> None:
    for result in results:
        if isinstance(result, Made) and result.unfinished is not None:
            with suppress(OSError):
                Path(result.unfinished).unlink(missing_ok=True)


def _prepare_worker() -> None:
    """A worker leaves Ctrl-C to its parent and dies with it (with the fork server, which ends with the parent).

    It gives way to the console and to short runs: an hour of cutting out holds up no approval.
    """
    os.nice(5)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
