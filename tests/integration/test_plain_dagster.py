"""Plain `dagster dev` works with nothing but what `crown env` says: the stock tools always work beside ours."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.integration.up_process import ROOT, until

pytestmark = pytest.mark.integration


def test_plain_dagster_dev_runs_with_the_variables_of_crown_env(database_url: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("CROWN_", "DAGSTER_"))
    }
    environment |= {"CROWN_HOME": str(tmp_path / "home"), "CROWN_DATABASE_URL": database_url}
    command = [sys.executable, "-m", "crown_cli.main", "env"]
    dev = [str(Path(sys.executable).with_name("dagster")), "dev", "-w", "workspace.yaml", "-p", str(port)]
    process = subprocess.Popen(
        [*command, *dev],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def locations() -> list[str]:
        query = "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }"
        try:
            answer = httpx.post(
                f"http://127.0.0.1:{port}/graphql", json={"query": query}, timeout=20, trust_env=False
            )
        except httpx.TransportError:
            assert process.poll() is None, "dagster dev ended"
            return []
        entries = answer.json()["data"]["workspaceOrError"]["locationEntries"]
        return [entry["name"] for entry in entries if entry["loadStatus"] == "LOADED"]

    try:
        assert until(locations, 120, "the loaded code location") == ["crown"]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
