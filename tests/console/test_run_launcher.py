"""Whether the process of a run still lives, as run monitoring asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun
from dagster._core.events import EngineEventData
from dagster._core.launcher.base import WorkerStatus
from dagster._core.test_utils import create_run_for_test

from console.run_launcher import WatchedRunLauncher

_SOCKET = {"host": "localhost", "socket": "/run/crown/code.sock"}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    """An instance with the launcher that our dagster.yaml names."""
    launcher = "{module: console.run_launcher, class: WatchedRunLauncher}"
    (tmp_path / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\nrun_launcher: {launcher}\n")
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def _run(instance: DagsterInstance, server: dict[str, object] | None) -> DagsterRun:
    tags = {} if server is None else {".dagster/grpc_info": json.dumps(server)}
    return create_run_for_test(instance, job_name="a_job", tags=tags)


def _health(instance: DagsterInstance, run: DagsterRun) -> WorkerStatus:
    assert isinstance(instance.run_launcher, WatchedRunLauncher)
    assert instance.run_launcher.supports_check_run_worker_health
    return instance.run_launcher.check_run_worker_health(run).status


def _ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    "server", [_SOCKET, {"host": "localhost", "port": 4000}, {"host": "127.0.0.1", "port": 1}]
)
def test_a_run_whose_process_is_gone_is_not_found(
    instance: DagsterInstance, server: dict[str, object]
) -> None:
    run = _run(instance, server)
    instance.report_engine_event("Started process", run, EngineEventData.in_process(_ended_process()))
    assert _health(instance, run) == WorkerStatus.NOT_FOUND


def test_a_run_whose_process_lives_runs(instance: DagsterInstance) -> None:
    run = _run(instance, _SOCKET)
    instance.report_engine_event("Started process", run, EngineEventData.in_process(os.getpid()))
    assert _health(instance, run) == WorkerStatus.RUNNING


def test_a_process_that_was_given_the_id_later_is_another_one(instance: DagsterInstance) -> None:
    run = _run(instance, _SOCKET)
    instance.report_engine_event("Started process", run, EngineEventData.in_process(os.getpid()))
    event = instance.all_logs(run.run_id)[0]
    # As if it had been reported before this process began.
    with instance.event_log_storage.run_connection(run.run_id) as connection:  # type: ignore[attr-defined]
        from sqlalchemy import text

        stored = json.loads(connection.execute(text("select event from event_logs")).scalar_one())
        stored["timestamp"] = event.timestamp - 10_000_000
        connection.execute(text("update event_logs set event = :event"), {"event": json.dumps(stored)})
    assert _health(instance, run) == WorkerStatus.NOT_FOUND


@pytest.mark.parametrize("server", [{"host": "worker-2.example", "port": 4000}, None])
def test_a_run_of_another_machine_is_never_declared_dead(
    instance: DagsterInstance, server: dict[str, object] | None
) -> None:
    run = _run(instance, server)
    instance.report_engine_event("Started process", run, EngineEventData.in_process(_ended_process()))
    assert _health(instance, run) == WorkerStatus.RUNNING


def test_a_run_that_has_not_reported_its_process_yet_is_given_time(instance: DagsterInstance) -> None:
    assert _health(instance, _run(instance, _SOCKET)) == WorkerStatus.RUNNING
