"""The keeper: neither a service nor anything it started outlives its supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Starts a detached grandchild as a daemon would, writes all ids, and waits.
_SERVICE = """
import os, signal, subprocess, sys, threading
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
detached = (
    "import os, sys, threading\\n"
    "if os.fork() == 0:\\n"
    "    os.setsid()\\n"
    "    open(sys.argv[1], 'w').write(str(os.getpid()))\\n"
    "    threading.Event().wait()\\n"
)
subprocess.run([sys.executable, "-c", detached, sys.argv[1] + ".2"])
open(sys.argv[1], "w").write(str(os.getpid()))
if sys.argv[2] == "ends":
    sys.exit(7)
threading.Event().wait()
"""


def _until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        threading.Event().wait(0.02)


def _start(folder: Path, manner: str, grace: float) -> tuple[subprocess.Popen[bytes], int]:
    read_end, write_end = os.pipe()
    keeper = subprocess.Popen(
        [sys.executable, "-m", "console.supervision.keeper", str(grace), "-"]
        + [sys.executable, "-c", _SERVICE, str(folder / "pid"), manner],
        stdin=read_end,
        cwd=ROOT,
    )
    os.close(read_end)
    return keeper, write_end


def _pids(folder: Path) -> list[int]:
    """The service, and the detached process that it left behind."""
    paths = (folder / "pid", folder / "pid.2")
    _until(lambda: all(path.exists() and path.read_text() for path in paths), "the start of the service")
    return [int(path.read_text()) for path in paths]


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_closed_pipe_ends_the_service_and_its_detached_children(tmp_path: Path) -> None:
    keeper, lifeline = _start(tmp_path, "listens", grace=20)
    pids = _pids(tmp_path)
    os.close(lifeline)
    assert keeper.wait(10) == 128 + signal.SIGTERM
    assert not any(map(_lives, pids))


def test_a_service_that_does_not_listen_is_killed_after_its_grace(tmp_path: Path) -> None:
    keeper, lifeline = _start(tmp_path, "deaf", grace=0.5)
    pids = _pids(tmp_path)
    began = time.monotonic()
    os.close(lifeline)
    assert keeper.wait(10) == 128 + signal.SIGKILL
    assert time.monotonic() - began >= 0.5
    assert not any(map(_lives, pids))


def test_sigterm_to_the_keeper_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    keeper, lifeline = _start(tmp_path, "deaf", grace=600)
    pids = _pids(tmp_path)
    keeper.terminate()
    assert keeper.wait(10) == 128 + signal.SIGKILL
    assert not any(map(_lives, pids))
    os.close(lifeline)


def test_a_service_that_ends_by_itself_leaves_nothing_and_passes_on_its_status(tmp_path: Path) -> None:
    keeper, lifeline = _start(tmp_path, "ends", grace=600)
    pids = _pids(tmp_path)
    assert keeper.wait(10) == 7
    assert not any(map(_lives, pids))
    os.close(lifeline)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_service_ends_when_its_keeper_is_killed(tmp_path: Path) -> None:
    keeper, lifeline = _start(tmp_path, "deaf", grace=600)
    service, detached = _pids(tmp_path)
    keeper.kill()
    keeper.wait(10)
    _until(lambda: not _lives(service), "the end of the service")
    os.kill(detached, signal.SIGKILL)
    os.close(lifeline)
