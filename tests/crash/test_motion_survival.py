"""Motion jobs killed at random moments of each stage: a normal run afterwards ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from crown.motion_jobs import samples
from crown.motion_jobs.deliverables.packages import package_problems
from crown.motion_jobs.jobs import checks
from crown.motion_jobs.workspace import (
    APPROVED,
    BATCH_FOLDER,
    INGESTED,
    MATCHES,
    PACKAGES,
    PREVIEWS,
    VALIDATED,
    Workspace,
)
from tests.crash.motion_process import STAGES, open_in, run
from tests.motion_jobs.department import statuses

pytestmark = pytest.mark.crash
ROOT = Path(__file__).resolve().parents[2]
JOBS = ("a", "b")
#: Packages hold a batch id, and what py-aep writes anew at each edit; they are held against their manifests.
COMPARED = (INGESTED, MATCHES, APPROVED, PREVIEWS, VALIDATED)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    samples.template(folder, comp="render_promo (night)")
    for job in JOBS:
        samples.promo_psd(folder / f"{job}.psd", f"Headline {job}", "9.90")
    rows = [
        {"job_id": job, "psd_path": f"{job}.psd", "aepx_path": "promo.aepx", "output_name": f"{job}.aepx"}
        for job in JOBS
    ]
    (folder / "batch.csv").write_text(samples.batch_csv(rows))
    return folder


def filled(url: str, home: Path, given: Path) -> Workspace:
    workspace = open_in(url, home)
    shutil.copytree(given, workspace.settings.motion / BATCH_FOLDER, dirs_exist_ok=True)
    return workspace


def outputs(engine: Engine) -> list[tuple[str, str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select asset, key, content_hash from ledger.outputs where asset = any(:assets) order by 1, 2"
            ),
            {"assets": list(COMPARED)},
        )
        return [tuple(row) for row in rows]


@pytest.fixture(scope="module")
def undisturbed(
    server_url: str, given: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[tuple[str, str, str]]]:
    from tests.conftest import copy_of

    with copy_of(server_url) as url:
        workspace = filled(url, tmp_path_factory.mktemp("undisturbed"), given)
        run(workspace)
        yield outputs(workspace.engine)
        workspace.engine.dispose()


def lines(process: subprocess.Popen[str], seconds: float) -> Iterator[str]:
    assert process.stdout is not None
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    while selector.select(seconds):
        line = process.stdout.readline()
        if not line:
            return
        yield line.strip()


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_random_moments_of_a_stage_every_job_ends_as_if_nothing_had_happened(
    stage: str, database_url: str, tmp_path: Path, given: Path, undisturbed: list[tuple[str, str, str]]
) -> None:
    workspace = filled(database_url, tmp_path, given)
    chance = random.Random(stage)
    pause = selectors.DefaultSelector()
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.motion_process", database_url, str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for line in lines(process, 120):
            if line == stage:
                pause.select(chance.uniform(0.0, 0.8))
                break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    run(workspace)
    run(workspace)
    assert statuses(workspace.engine) == dict.fromkeys(JOBS, "completed")
    assert outputs(workspace.engine) == undisturbed
    packages = workspace.settings.motion / PACKAGES
    [batch] = packages.iterdir()
    assert sorted(path.name for path in batch.iterdir()) == sorted(JOBS)
    assert [package_problems(batch / job) for job in JOBS] == [[], []]
    assert all(one.complete for one in checks.accounts(workspace.engine))
    with workspace.engine.connect() as connection:
        states = connection.execute(text("select distinct state from ledger.items")).scalars().all()
        decided = connection.execute(text("select count(*) from ledger.decisions")).scalar_one()
    assert (states, decided) == (["current"], 3 * len(JOBS))
    workspace.engine.dispose()
