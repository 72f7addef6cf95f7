"""A parent process of one service, so that neither service nor supervisor outlives the other.

`python -m console.supervision.keeper GRACE FDS COMMAND...` starts the command and waits on a pipe (its standard input)
that the supervisor holds open. When the pipe closes, because the supervisor lets go or was killed, the
service gets SIGTERM, GRACE seconds, then SIGKILL; SIGTERM to the keeper skips the waiting. Whatever the
service started is ended with it, run workers and detached grandchildren included: on Linux they become
children of the keeper when their own parents die. It imports little, since one runs beside each service.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TICK = 0.05
#: How long a killed process may take to vanish (one in uninterruptible sleep does not, on a dead mount).
_LAST_SECONDS = 10.0


def keep(command: list[str], grace: float, fds: tuple[int, ...] = (), lifeline: int = 0) -> int:
    """Run the command until it ends or the lifeline closes; returns its exit status, 128+n for signal n."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    at_once = False

    def end_at_once(*_: object) -> None:
        nonlocal at_once
        at_once = True

    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # only wakes the loop
    signal.signal(signal.SIGTERM, end_at_once)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # preexec_fn is safe here: this process has one thread.
    service = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=fds, preexec_fn=_as_service)
    for fd in fds:
        os.close(fd)
    watched = [wake_read, lifeline]
    deadline: float | None = None
    while service.poll() is None and not at_once and (deadline is None or time.monotonic() < deadline):
        ready, _, _ = select.select(watched, [], [], None if deadline is None else _TICK)
        if wake_read in ready:
            os.read(wake_read, 4096)
            _reap(service.pid)
        if lifeline in ready and not os.read(lifeline, 1):
            watched.remove(lifeline)
            deadline = time.monotonic() + grace
            with suppress(ProcessLookupError):
                service.terminate()
    _end_descendants()
    status = service.wait()
    _reap(service.pid)
    return status if status >= 0 else 128 - status


def _end_descendants() -> None:
    """Kill every descendant of this process and wait until none is left."""
    me = psutil.Process()
    deadline = time.monotonic() + _LAST_SECONDS
    # Once more after each round: a process may have been forked between the listing and the kill.
    while (left := [child for child in me.children(recursive=True) if _alive(child)]) and (
        time.monotonic() < deadline
    ):
        for child in left:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        time.sleep(_TICK)  # not psutil's wait: it would take the service's exit status from us


def _reap(service: int) -> None:
    """Take the exit statuses of orphans that came to us; the service's own is taken elsewhere."""
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.pid != service and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


def _alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _as_service() -> None:
    # Were the keeper itself killed, the kernel ends the service. SIGINT must not stay ignored: Dagster
    # copies its handler onto SIGTERM, and would then ignore both.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def main() -> None:
    """The entry point: GRACE, the numbers of the file descriptors to hand on (or `-`), COMMAND."""
    grace, fds, *command = sys.argv[1:]
    handed_on = tuple(int(fd) for fd in fds.split(",")) if fds != "-" else ()
    sys.exit(keep(command, float(grace), handed_on))


if __name__ == "__main__":
    main()
