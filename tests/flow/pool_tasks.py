"""Tasks for tests of queues: run in real worker processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crown.errors import PermanentFailure, SourceOutage, SystemicFailure, TemporaryFailure
from crown.flow.worker_processes import failed, process_pool
from crown.ledger.claims import Failed, Job, Made
from crown.store import files


def use_the_pool(folder: str) -> None:
    """What a run does, in a process of its own: it uses the pool and leaves its workers' ids behind."""
    ids = [future.result() for future in [process_pool(2).schedule(os.getpid) for _ in range(2)]]
    (Path(folder) / "workers").write_text(" ".join(map(str, ids)))


def write_key(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Write the key into a file; keys that begin with a trouble make that trouble, `awaits-x` waits for the file x."""
    return [_one(job, context) for job in jobs]


def _one(job: Job, context: Mapping[str, Any]) -> Made | Failed:
    trouble = job.key.split("-")[0]
    if trouble == "permanent":
        return failed(job, PermanentFailure("it is what it is"))
    if trouble == "temporary":
        return failed(job, TemporaryFailure("busy"))
    if trouble == "bug":
        raise ZeroDivisionError("division by zero")
    if trouble in ("killed", "exits", "hangs", "stubborn"):
        _never_returns(trouble)
    if trouble == "awaits":
        while not (Path(context["folder"]) / job.key.split("-")[1]).exists():
            threading.Event().wait(0.01)
    if trouble == "outage":
        raise SourceOutage("The photo service is out.", source="photos", retry_after=900)
    if trouble == "alone":
        return _alone(job, context)
    if trouble == "systemic":
        raise SystemicFailure("No space left on device")
    return _write(job, context)


def _never_returns(trouble: str) -> None:
    if trouble == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if trouble == "exits":
        sys.exit(3)
    if trouble == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Event().wait()


def _alone(job: Job, context: Mapping[str, Any]) -> Made:
    """Fails when another item like it is at work; takes long enough for another one to begin."""
    at_work = Path(context["folder"]) / "at-work"
    at_work.touch(exist_ok=False)
    try:
        threading.Event().wait(0.05)
        return _write(job, context)
    finally:
        at_work.unlink()


def _write(job: Job, context: Mapping[str, Any]) -> Made:
    target = Path(context["folder"]) / job.key
    unfinished = files.temporary(target)
    unfinished.write_text(f"{job.key} by {job.recipe_body['version']} in {os.getpid()}")
    return Made(job, files.sha256(unfinished), "r", job.key, 1, 0.01, {}, str(unfinished))
