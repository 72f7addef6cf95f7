"""`crown up` as a real process, for tests: started, asked, signalled, and searched for what it left running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = ROOT / "tests" / "console"
START_SECONDS = 150.0
_READY = re.compile(r"^Crown is ready: (\S+)", re.MULTILINE)
_LAUNCH = """
mutation Launch($job: String!) { launchRun(executionParams: {runConfigData: {}, selector: {
  repositoryLocationName: "crown", repositoryName: "__repository__", jobName: $job}}) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
_STATUS = "query Status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
_Value = TypeVar("_Value")


def until(condition: Callable[[], _Value], seconds: float, what: str) -> _Value:
    """The first true answer of the condition; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        pause.wait(0.1)
    return value


class UpProcess:
    """One `crown up` in a home of its own."""

    def __init__(
        self,
        home: Path,
        *options: str,
        module: str = "tiny_definitions",
        folder: Path = DEFINITIONS,
        ignore_sigint: bool = False,
        stderr: int | IO[bytes] = subprocess.PIPE,
        **variables: str,
    ) -> None:
        self.home = home
        self._token = variables.get("WEB_TOKEN")
        foreign = ("CROWN_", "CROWNPIPE_", "DAGSTER_")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        environ |= {"CROWN_HOME": str(home), **{f"CROWN_{name}": value for name, value in variables.items()}}
        if "--port" not in options:
            options = (*options, "--port", "0")
        # With what a shell gives to a command that it starts with `&`.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if ignore_sigint else None
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "crown_cli.main", "up", *options, "--module", module]
                + ["--folder", str(folder)],
                cwd=ROOT,
                env=environ,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        finally:
            if before is not None:
                signal.signal(signal.SIGINT, before)
        self._texts: dict[str, list[str]] = {"out": [], "err": []}
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream), daemon=True)
            for name, stream in (("out", self.process.stdout), ("err", self.process.stderr))
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    @property
    def out(self) -> str:
        """Standard output so far."""
        return "".join(self._texts["out"])

    @property
    def err(self) -> str:
        """Standard error so far."""
        return "".join(self._texts["err"])

    def address(self) -> str:
        """Wait until it says that it is ready; returns the address."""

        def ready() -> str | None:
            assert self.process.poll() is None, f"crown up ended:\n{self.err}"
            found = _READY.search(self.out)
            return found and found[1]

        return str(until(ready, START_SECONDS, "the start"))

    def client(self) -> httpx.Client:
        """A client of the web address that shows the token, if one is set."""
        return self._client({"Authorization": f"Bearer {self._token}"} if self._token else {})

    def stranger(self) -> httpx.Client:
        """A client of the web address that shows no token."""
        return self._client({})

    def _client(self, headers: dict[str, str]) -> httpx.Client:
        return httpx.Client(base_url=self.address(), headers=headers, timeout=30, trust_env=False)

    def graphql(self, query: str, **variables: object) -> Any:
        """The `data` of a GraphQL answer."""
        with self.client() as client:
            answer = client.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(self, job: str) -> str:
        """Launch a job; returns the run's id."""
        launched = self.graphql(_LAUNCH, job=job)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def run_status(self, run_id: str) -> str:
        """The status of a run."""
        return str(self.graphql(_STATUS, run=run_id)["runOrError"]["status"])

    def pids(self, name: str) -> list[int]:
        """The run worker of a tiny job and the process that it started, once they are there."""
        path = self.home / f"{name}.pids"
        until(path.exists, 90, f"the start of {name}")
        return [int(pid) for pid in path.read_text().split()]

    def end(self, number: int = signal.SIGINT, seconds: float = 90) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds: float) -> int:
        """Wait for the end; returns the exit status."""
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(10)
        return status

    def left(self) -> list[str]:
        """What still runs of it: whoever has this home in its environment or its command."""
        return [
            f"{process.pid} {' '.join(process.info['cmdline'] or [])}" for process in processes_of(self.home)
        ]

    def close(self) -> None:
        """End whatever is left, for the next test's sake."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for process in processes_of(self.home):
            process.kill()

    def _read(self, name: str, stream: Any) -> None:
        for raw in stream:
            self._texts[name].append(raw.decode())
        stream.close()


def processes_of(home: Path) -> list[psutil.Process]:
    """All living processes that belong to an installation."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        info = process.info
        mine = str(home) == (info["environ"] or {}).get("CROWN_HOME") or any(
            str(home) in part for part in info["cmdline"] or []
        )
        if mine and info["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
            found.append(process)
    return found
