"""A small code location for tests of the console and of `crown up`."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import dagster as dg


@dg.asset
def quick() -> dg.MaterializeResult:
    """Done at once."""
    return dg.MaterializeResult(metadata={"answer": 42})


@dg.asset
def endless() -> None:
    """Starts a process of its own, says so in a file, and waits for an end that does not come."""
    child = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
    Path(os.environ["TINY_FOLDER"], "endless.pids").write_text(f"{os.getpid()} {child.pid}")
    threading.Event().wait(600)


defs = dg.Definitions(assets=[quick, endless], jobs=[dg.define_asset_job("endless_job", selection=[endless])])
