"""A small code location for tests of the console and of `crown up`."""

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import dagster as dg


def _report(name: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
    folder = Path(os.environ["CROWN_HOME"])
    (folder / f"{name}.unfinished").write_text(f"{os.getpid()} {child.pid}")
    (folder / f"{name}.unfinished").rename(folder / f"{name}.pids")


@dg.asset
def quick() -> dg.MaterializeResult:
    """Done at once."""
    return dg.MaterializeResult(metadata={"answer": 42})


@dg.asset
def endless() -> None:
    """Starts a process of its own, writes both ids into a file, and waits for an end that does not come."""
    _report("endless")
    threading.Event().wait()


@dg.asset
def stubborn() -> None:
    """As endless, and does not listen when asked to end."""
    _report("stubborn")
    while True:
        with suppress(BaseException):
            threading.Event().wait()


defs = dg.Definitions(
    assets=[quick, endless, stubborn],
    jobs=[
        dg.define_asset_job(
            f"{asset.key.to_user_string()}_job", selection=[asset], executor_def=dg.in_process_executor
        )
        for asset in (quick, endless, stubborn)
    ],
)
