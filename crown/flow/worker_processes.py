"""The worker processes of queues: jobs are handed to them, one that hangs or dies costs its own items only.

The processes never open the database. What is claimed and entered is `worker_pool`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from crown.errors import CrownError, PermanentFailure, SourceOutage, SystemicFailure, TemporaryFailure
from crown.ledger.claims import Failed, Job, Made

if TYPE_CHECKING:
    from crown.flow.worker_pool import Limits, Task, WorkerPool

_Owner = TypeVar("_Owner")
_log = logging.getLogger(__name__)

#: Results are looked for at least so often, in seconds.
LOOK_SECONDS = 2.0
#: Groups handed to the pool for each process: the next one is ready when a process has finished one.
_AHEAD = 2


def results(
    pool: WorkerPool,
    limits: Limits,
    groups: Iterable[tuple[_Owner, list[Job]] | None],
    on_wait: Callable[[], None],
) -> Iterator[tuple[_Owner, Sequence[Made | Failed]]]:
    """Have groups of jobs made; yields the results of each as it is done, with whom it belongs to.

    `groups` is drawn from as processes become free, so that nothing is claimed long before it is worked on and no
    process is idle between two claims. A None in it means nothing now: it is asked again when something is done.
    """
    coming = iter(groups)
    if pool.in_process:
        for owner, jobs in filter(None, coming):
            yield owner, _guarded(pool.task, jobs, pool.context, pool.worker_context)
            on_wait()
        return
    processes = process_pool(limits.workers)
    ahead = 1 if pool.has_seats else _AHEAD  # what waits here would keep others from its seat
    seconds = pool.item_timeout_seconds or limits.item_timeout_seconds
    futures: dict[Future[Any], tuple[_Owner, list[Job]]] = {}
    try:
        while True:
            while len(futures) < limits.workers * ahead and (group := next(coming, None)) is not None:
                owner, jobs = group
                future = processes.schedule(
                    _guarded,
                    args=(pool.task, jobs, dict(pool.context), pool.worker_context),
                    timeout=seconds * len(jobs),
                )
                futures[future] = owner, jobs
            if not futures:
                return
            done, _ = wait(
                futures, timeout=min(LOOK_SECONDS, limits.lease_seconds / 6), return_when=FIRST_COMPLETED
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
    from multiprocessing.util import Finalize

    from pebble import ProcessPool

    processes = ProcessPool(
        max_workers=workers,
        max_tasks=500,  # a leak in a decoder never grows for days
        initializer=_prepare_worker,
        # One clean server process, which forks in milliseconds; forking this process with its threads and
        # connections would not be safe.
        context=multiprocessing.get_context("forkserver"),
    )
    # Not atexit: a run of Dagster is a child of multiprocessing, which waits for its own children before that.
    Finalize(None, _end, args=(processes,), exitpriority=0)
    return processes


def _end(processes: Any) -> None:
    processes.stop()
    processes.join()


def failed(job: Job, error: BaseException) -> Failed:
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
        except (Exception, SystemExit) as error:  # noqa: BLE001 a bug is recorded on its items, its neighbours go on
            # Where the bug is, only the log can say.
            _log.exception("%s could not be made", ", ".join(job.key for job in jobs))
            return [failed(job, error) for job in jobs]


def _outcome(future: Future[Any], jobs: list[Job], own_limit: float | None = None) -> Sequence[Made | Failed]:
    from pebble import ProcessExpired

    try:
        return future.result()
    except TimeoutError:
        limit = "CROWN_ITEM_TIMEOUT_SECONDS" if own_limit is None else f"the {own_limit:g} s of its stage"
        sentence = f"It took longer than {limit}; raise the limit or give a smaller file."
        return [Failed(job, "TimeLimit", sentence, permanent=False) for job in jobs]
    except ProcessExpired as error:
        sentence = f"The process that made it died (exit code {error.exitcode}), perhaps for want of memory."
        return [Failed(job, "ProcessDied", sentence, permanent=False) for job in jobs]


def _prepare_worker() -> None:
    """A worker leaves Ctrl-C to its parent and dies with it (with the fork server, which ends with the parent).

    It gives way to the console and to short runs: an hour of cutting out holds up no approval.
    """
    os.nice(5)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
