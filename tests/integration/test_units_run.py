"""The three services of the systemd units, started by their own command lines, work together."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.supervision.probes import Console

ROOT = Path(__file__).resolve().parents[2]
CROWN = "/opt/crown/.venv/bin/crown"


def command_line(unit: str, tmp_path: Path) -> list[str]:
    """A unit's ExecStart with this machine's places in it."""
    text = (ROOT / "deploy" / "systemd" / f"{unit}.service").read_text().replace("\\\n", " ")
    (start,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    for there, here in (
        (CROWN, f"{sys.executable} -m crown_cli.main"),
        ("/opt/crown/.venv/bin/python", sys.executable),
        ("/opt/crown/deploy/workspace.yaml", str(tmp_path / "workspace.yaml")),
        ("/run/crown/code.sock", str(tmp_path / "code.sock")),
        ("/opt/crown", str(ROOT)),
    ):
        start = start.replace(there, here)
    return shlex.split(start.removeprefix("ExecStart="))


#: After this systemd kills what does not end (TimeoutStopSec).
STOP_SECONDS = 60


@contextmanager
def service(unit: str, tmp_path: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The service while it runs; it is asked to end by SIGTERM, as systemd asks."""
    # As systemd starts it. A test run in the background of a shell would hand on an ignored SIGINT, which
    # Dagster copies onto SIGTERM.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with (tmp_path / f"{unit}.log").open("wb") as log:
        try:
            process = subprocess.Popen(
                command_line(unit, tmp_path), cwd=ROOT, env=environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        finally:
            signal.signal(signal.SIGINT, before)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


@pytest.mark.integration
def test_the_units_command_lines_serve_the_definitions_and_stop_on_request(
    database_url: str, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workspace = (ROOT / "deploy" / "workspace.yaml").read_text()
    (tmp_path / "workspace.yaml").write_text(
        workspace.replace("/run/crown/code.sock", str(tmp_path / "code.sock"))
    )
    environment = {
        **os.environ,
        "CROWN_HOME": str(tmp_path / "home"),
        "CROWN_DATABASE_URL": database_url,
        "CROWN_WEB_PORT": str(port),
    }
    begun = time.time()
    console = Console(f"http://127.0.0.1:{port}", None)
    pause, processes = threading.Event(), []

    def conducting() -> bool:
        state = console.dagster()
        return (
            state is not None
            and state.definitions_loaded
            and state.beating_since is not None
            and state.beating_since >= begun
        )

    with (
        service("crown-code-server", tmp_path, environment) as code_server,
        service("crown-daemon", tmp_path, environment) as daemon,
        service("crown-console", tmp_path, environment) as web,
    ):
        processes = [code_server, daemon, web]
        deadline = time.monotonic() + 180
        while not conducting():
            ended = [process.args for process in processes if process.poll() is not None]
            assert not ended, f"ended early: {ended}; logs in {tmp_path}"
            assert time.monotonic() < deadline, f"not up in time: {console.dagster()}; logs in {tmp_path}"
            pause.wait(0.5)
        assert console.broken() == frozenset()
        doctor = [sys.executable, "-m", "crown_cli.main", "doctor"]
        found = subprocess.run(doctor, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout
        assert "is served already" in found.stdout
        assert "Dagster's tables are there" in found.stdout
    console.close()
    # uvicorn closes down in order and then ends by the signal it was sent; systemd takes both as success.
    assert {process.returncode for process in processes} <= {0, -signal.SIGTERM}
