"""A lane: takes batches of items, has them made by a bounded pool of processes, enters the results.

The processes never open the database and can be killed one by one. What a task makes, and where results
stand, is the department's affair.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from crown.errors import ClaimLost, CrownError, PermanentFailure, SystemicFailure
from crown.ledger import claims
from crown.ledger.claims import Claim, Failed, Job, Made, Placing

#: A task gets jobs that share their group and returns one result for each.
Task = Callable[[Sequence[Job], Mapping[str, Any]], Sequence[Made | Failed]]

_Owner = TypeVar("_Owner")
_log = logging.getLogger(__name__)

_COMMIT_EVERY = 24
_COMMIT_SECONDS = 2.0
#: Groups handed to the pool for each process: the next one lies ready when a process is done with one.
_AHEAD = 2


def nothing_around(_: Sequence[Job]) -> AbstractContextManager[None]:
    """No preparation; see Lane.around."""
    return nullcontext()


@dataclass(frozen=True)
class Lane:
    """How the items of some assets are made.

    Attributes:
        assets: slash-joined asset keys whose items this lane makes.
        task: a function at the top level of its module, so that it can be sent to another process.
        context: what the task needs to know; plain values, no secrets.
        place: gives a made file its final name (see `claims.finish`).
        group: jobs with an equal group are made by one call of the task.
        in_process: run the task here: for work that is bookkeeping or copying.
        per_worker: items claimed at once for each process: minutes of work at most, and short tails; a multiple
            of what usually makes a group, so that no group is torn.
        around: entered around each call of the task, in the process that makes it: sets up what a worker
            process needs, such as its log; sent there like the task.
    """

    assets: tuple[str, ...]
    task: Task
    context: Mapping[str, Any]
    place: Callable[[Placing], None] | None = None
    group: Callable[[Job], object] = lambda job: job.item
    in_process: bool = False
    per_worker: int = 16
    around: Callable[[Sequence[Job]], AbstractContextManager[None]] = nothing_around


@dataclass(frozen=True)
class Limits:
    """What bounds a run; see the settings of the same names."""

    workers: int = 1
    item_timeout_seconds: float = 300
    lease_seconds: float = 120
    max_attempts: int = 4
    back_off_seconds: float = 30


@dataclass
class LaneReport:
    """What a run of a lane did."""

    made: list[Made] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    dropped: int = 0
    seconds: float = 0.0

    @property
    def bytes_made(self) -> int:
        """Bytes of all results."""
        return sum(made.size_bytes or 0 for made in self.made)

    def failures_by_class(self) -> dict[str, int]:
        """How many items failed, by error class."""
        return dict(Counter(failed.error_class for failed in self.failed).most_common())

    def slowest(self, count: int = 3) -> list[tuple[str, float]]:
        """The slowest items: (key, seconds)."""
        timed = [(made.job.key, made.seconds) for made in self.made if made.seconds is not None]
        return sorted(timed, key=lambda pair: -pair[1])[:count]


def run(
    engine: Engine,
    lane: Lane,
    limits: Limits,
    *,
    run_id: str | None = None,
    versions: Mapping[str, str] | None = None,
    on_progress: Callable[[LaneReport], None] | None = None,
) -> LaneReport:
    """Make everything that is due in the lane.

    Args:
        engine: our database; the run keeps one connection of it for its claims.
        lane: what to make and how.
        limits: processes, times and attempts.
        run_id: stamped on what is made.
        versions: library versions, recorded with each making.
        on_progress: called after each commit.

    Raises:
        SystemicFailure: the cause lies outside the items; what was done is entered, the rest stays pending.
    """
    report, started = LaneReport(), time.monotonic()
    desks: list[_Desk] = []  # of the claims that are held

    def groups(connection: Connection) -> Iterator[tuple[_Desk, list[Job]]]:
        batch = limits.workers * lane.per_worker
        while (
            claim := claims.take(
                connection, lane.assets, batch, lease_seconds=limits.lease_seconds, run_id=run_id
            )
        ) is not None:
            together = [list(jobs) for _, jobs in groupby(claim.jobs, key=lane.group)]
            desk = _Desk(connection, claim, lane, limits, versions or {}, report, on_progress, len(together))
            desks.append(desk)
            for jobs in together:
                if desk.lost:
                    break
                yield desk, jobs

    with engine.connect() as connection:
        try:
            worked = True
            while worked:  # what failed meanwhile may be due again
                worked = False
                for desk, made in results(lane, limits, groups(connection), partial(_tend, desks)):
                    worked = True
                    desk.add(made)
        except SystemicFailure:
            for desk in desks:
                desk.close()
            raise
        finally:
            for desk in desks:
                desk.release()
            report.seconds = time.monotonic() - started
    return report


def _tend(desks: list[_Desk]) -> None:
    """Forget the claims that were released, look after the others."""
    desks[:] = [desk for desk in desks if not desk.released]
    for desk in desks:
        desk.tend()


@dataclass
class _Desk:
    """Collects the results of one claim and enters them every few dozen rows or seconds.

    `open` counts the groups that are not back; a claim that was lost is worked off without entering anything.
    """

    connection: Connection
    claim: Claim
    lane: Lane
    limits: Limits
    versions: Mapping[str, str]
    report: LaneReport
    on_progress: Callable[[LaneReport], None] | None
    open: int
    waiting: list[Made | Failed] = field(default_factory=list)
    committed_at: float = field(default_factory=time.monotonic)
    renewed_at: float = field(default_factory=time.monotonic)
    lost: bool = False
    released: bool = False

    def add(self, results: Sequence[Made | Failed]) -> None:
        self.waiting.extend(results)
        self.open -= 1
        if not self.open:
            self.close()
            self.release()
        elif len(self.waiting) >= _COMMIT_EVERY:
            self.close()

    def close(self) -> None:
        """Enter what is waiting, or drop it when the claim was lost."""
        if not self.lost:
            try:
                self._commit()
            except ClaimLost:
                self.lost = True
        _remove_unfinished(self.waiting)
        self.report.dropped += len(self.waiting)
        self.waiting = []

    def release(self) -> None:
        if not self.released:
            claims.release(self.connection, self.claim)
            self.released = True

    def tend(self) -> None:
        """Enter what has waited for long, prolong the lease when it is time."""
        now = time.monotonic()
        if self.waiting and now - self.committed_at > _COMMIT_SECONDS:
            self.close()
        if self.lost or now - self.renewed_at <= self.limits.lease_seconds / 3:
            return
        try:
            claims.renew(self.connection, self.claim)
            self.renewed_at = time.monotonic()
        except ClaimLost:
            self.lost = True

    def _commit(self) -> None:
        results, self.waiting = self.waiting, []
        if not results:
            return
        try:
            finished = claims.finish(
                self.connection,
                self.claim,
                results,
                place=self.lane.place,
                max_attempts=self.limits.max_attempts,
                back_off_seconds=self.limits.back_off_seconds,
                versions=self.versions,
            )
        except BaseException:
            _remove_unfinished(results)
            self.report.dropped += len(results)
            raise
        _remove_unfinished(finished.dropped)
        self.report.made.extend(finished.made)
        self.report.failed.extend(finished.failed)
        self.report.dropped += len(finished.dropped)
        self.committed_at = time.monotonic()
        if self.on_progress is not None:
            self.on_progress(self.report)


def results(
    lane: Lane, limits: Limits, groups: Iterable[tuple[_Owner, list[Job]]], on_wait: Callable[[], None]
) -> Iterator[tuple[_Owner, Sequence[Made | Failed]]]:
    """Have groups of jobs made; yields the results of each as it is done, with whom it belongs to.

    `groups` is drawn from as processes become free, so that nothing is claimed long before it is worked on and no
    process stands still between two claims.
    """
    coming = iter(groups)
    if lane.in_process:
        for owner, jobs in coming:
            yield owner, _guarded(lane.task, jobs, lane.context, lane.around)
            on_wait()
        return
    pool = process_pool(limits.workers)
    futures: dict[Future[Any], tuple[_Owner, list[Job]]] = {}
    try:
        while True:
            for owner, jobs in islice(coming, limits.workers * _AHEAD - len(futures)):
                future = pool.schedule(
                    _guarded,
                    args=(lane.task, jobs, dict(lane.context), lane.around),
                    timeout=limits.item_timeout_seconds * len(jobs),
                )
                futures[future] = owner, jobs
            if not futures:
                return
            done, _ = wait(
                futures, timeout=min(_COMMIT_SECONDS, limits.lease_seconds / 6), return_when=FIRST_COMPLETED
            )
            for future in done:
                owner, jobs = futures.pop(future)
                yield owner, _outcome(future, jobs)
            on_wait()
    finally:
        for future in futures:
            future.cancel()  # kills the process that is at it


@cache
def process_pool(workers: int) -> Any:
    """This process's pebble ProcessPool, made once; its processes die with this one."""
    import multiprocessing

    from pebble import ProcessPool

    pool = ProcessPool(
        max_workers=workers,
        max_tasks=500,  # a leak in a decoder never grows for days
        initializer=_prepare_worker,
        # One clean server process, which forks in milliseconds; forking this process with its threads and
        # connections would not be safe.
        context=multiprocessing.get_context("forkserver"),
    )
    atexit.register(_end, pool)
    return pool


def _end(pool: Any) -> None:
    pool.stop()
    pool.join()


def failed(job: Job, error: Exception) -> Failed:
    """The failure that an exception means for an item: only a PermanentFailure is final at once."""
    sentence = str(error) or type(error).__name__
    if not isinstance(error, CrownError):
        sentence = f"{type(error).__name__}: {sentence}"
    return Failed(job, type(error).__name__, sentence, isinstance(error, PermanentFailure))


def _guarded(
    task: Task,
    jobs: Sequence[Job],
    context: Mapping[str, Any],
    around: Callable[[Sequence[Job]], AbstractContextManager[None]],
) -> Sequence[Made | Failed]:
    with around(jobs):
        try:
            return task(jobs, context)
        except SystemicFailure:
            raise
        except Exception as error:  # noqa: BLE001 a bug in a task is recorded on its items, its neighbours go on
            # Where the bug is, only the log can say.
            _log.exception("%s could not be made", ", ".join(job.key for job in jobs))
            return [failed(job, error) for job in jobs]


def _outcome(future: Future[Any], jobs: list[Job]) -> Sequence[Made | Failed]:
    from pebble import ProcessExpired

    try:
        return future.result()
    except TimeoutError:
        sentence = "It took longer than CROWN_ITEM_TIMEOUT_SECONDS; raise the limit or give a smaller file."
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
    """A worker leaves Ctrl-C to its parent and dies with it (with the fork server, which ends with the parent)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
