"""A whole run of motion jobs as a process of its own, for tests that kill it.

Usage: python -m tests.crash.motion_process DATABASE_URL HOME. Prints each stage as it begins; a person approves what waits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from crown.database.engine import connect
from crown.motion_jobs import stages
from crown.motion_jobs.jobs import batches, jobs, reviewing
from crown.motion_jobs.jobs.acts import Person
from crown.motion_jobs.workspace import (
    ASSETS,
    BATCH_FOLDER,
    MATCHES,
    PREVIEWS,
    VALIDATED,
    Workspace,
    open_workspace,
)
from crown.settings.model import load_settings

EVA = Person("eva", reason="approved by the test")
#: Acts of the person after a stage: its name, the status, and what is done.
ACTS = {
    MATCHES: ("review", "awaiting_review", reviewing.approve),
    PREVIEWS: ("approval", "awaiting_approval", reviewing.approve),
    VALIDATED: ("override", "validation_failed", reviewing.override),
}
STAGES = ("upload", *(asset.partition("/")[2] for asset in ASSETS), *(name for name, *_ in ACTS.values()))


def open_in(url: str, home: Path) -> Workspace:
    return open_workspace(connect(url), load_settings({"CROWN_HOME": str(home), "CROWN_WORKERS": "2"}, None))


def run(workspace: Workspace, say: Callable[[str], None] = lambda _: None) -> None:
    say("upload")
    for csv in sorted((workspace.settings.motion / BATCH_FOLDER).glob("*.csv")):
        batches.upload(workspace, csv, who="eva")
    for asset in ASSETS:
        say(asset.partition("/")[2])
        stages.make(workspace, asset, run_id="crash")
        if asset in ACTS:
            name, status, act = ACTS[asset]
            say(name)
            waiting = [row["job_id"] for row in jobs.listed(workspace.engine, status=status)]
            if waiting:
                more = {"with_warnings": True} if act is reviewing.approve else {}
                act(workspace, waiting, EVA, apply=True, **more)


def main() -> None:
    url, home = sys.argv[1:]
    run(open_in(url, Path(home)), lambda stage: print(stage, flush=True))


if __name__ == "__main__":
    main()
