"""Dagster's default run launcher, which can also say whether the process of a run still lives.

Without it, runs whose process was killed together with its code server count as started for hours and
hold their places in the queue. Run monitoring asks here and marks them failed. Nothing is launched
differently; for several machines dagster-celery's launcher takes its place.
"""

from __future__ import annotations

import psutil
from dagster import DagsterEventType, DagsterRun, DefaultRunLauncher
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._serdes import ConfigurableClassData

_NEAR = frozenset({"localhost", "127.0.0.1", "::1"})
#: Clocks of the event log and of the kernel's process table agree to less than this.
_SECONDS = 2.0


class WatchedRunLauncher(DefaultRunLauncher):
    """Launches as the default does, and answers `check_run_worker_health`."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes, for runs of this machine."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """NOT_FOUND when the run was launched on this machine and its process is gone, else RUNNING.

        The process is known by its id and by having started before it reported so: an id that the
        system gave to another process since then does not count.
        """
        if not _launched_here(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its process cannot be seen from this machine")
        started = [
            (int(str(metadata["pid"].value)), entry.timestamp)
            for entry in self._instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
            if entry.dagster_event and (metadata := entry.dagster_event.engine_event_data.metadata).get("pid")
        ]
        if not started:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its process has not reported yet")
        pid, reported = started[0]
        if _lives(pid, reported):
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"process {pid}")
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"process {pid} has ended without a word")


def _launched_here(run: DagsterRun) -> bool:
    import json

    # Dagster's own note of the code server that launched the run (GRPC_INFO_TAG).
    server = json.loads(run.tags.get(".dagster/grpc_info", "{}"))
    return "socket" in server or server.get("host") in _NEAR


def _lives(pid: int, reported: float) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= reported + _SECONDS
    except psutil.NoSuchProcess:
        return False
