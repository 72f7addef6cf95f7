"""Tasks for tests of queues: run in real worker processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crown.errors import PermanentFailure, SystemicFailure, TemporaryFailure
from crown.flow.worker_pool import failed
from crown.ledger.claims import Failed, Job, Made
from crown.store import files


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
    if trouble == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if trouble == "hangs":
        threading.Event().wait()
    if trouble == "awaits":
        while not (Path(context["folder"]) / job.key.split("-")[1]).exists():
            threading.Event().wait(0.01)
    if trouble == "systemic":
        raise SystemicFailure("No space left on device")
    target = Path(context["folder"]) / job.key
    unfinished = files.temporary(target)
    unfinished.write_text(f"{job.key} by {job.recipe_body['version']} in {os.getpid()}")
    return Made(job, files.sha256(unfinished), "r", job.key, 1, 0.01, {}, str(unfinished))
