"""Killed, doubled, stopped and starved: whatever happens, a normal run afterwards ends as if nothing had."""

from __future__ import annotations

import os
import random
import resource
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from crown.flow.verify import verify
from crown.ledger import counts
from crown.product_images import orphans
from crown.product_images.workspace import INBOX, PRODUCTION, Workspace
from crown.store import files
from tests.crash.flow_process import STAGES, open_in, run
from tests.pictures import draw_cut_out, draw_part

pytestmark = pytest.mark.crash
ROOT = Path(__file__).resolve().parents[2]
#: One that is really cut out; the others come cut out already, which saves minutes.
PHOTOS = ("52000123.jpg", "52000123_1.png", "52000124.png", "52000125.png")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, name in enumerate(PHOTOS):
        if name.endswith(".jpg"):
            draw_part(folder / name, seed=number, size=(240, 180), hole=20)
        else:
            draw_cut_out(folder / name, shade=60 + number)
    return folder


def start(url: str, home: Path, *settings: str, **keywords: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crash.flow_process", url, str(home), *settings],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **keywords,  # type: ignore[call-overload]
    )


def fill(workspace: Workspace, pictures: Path) -> None:
    for picture in pictures.iterdir():
        shutil.copyfile(picture, workspace.media(INBOX) / picture.name)


def published(workspace: Workspace) -> dict[str, str]:
    folder = workspace.roots[PRODUCTION]
    return {str(p.relative_to(folder)): files.sha256(p) for p in folder.rglob("*") if p.is_file()}


def outputs(engine: Engine) -> list[tuple[str, str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(text("select asset, key, content_hash from ledger.outputs order by 1, 2"))
        return [tuple(row) for row in rows]


@pytest.fixture(scope="module")
def undisturbed(
    server_url: str, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workspace]:
    """The end state of a run that nothing disturbed."""
    from tests.conftest import _database, _execute

    _execute(server_url, "create database undisturbed template template_crown")
    url = _database(server_url, "undisturbed")
    workspace = open_in(url, tmp_path_factory.mktemp("undisturbed"))
    fill(workspace, pictures)
    run(workspace)
    run(workspace)
    yield workspace
    workspace.engine.dispose()
    _execute(server_url, "drop database undisturbed with (force)")


def assert_as_if_nothing_had_happened(workspace: Workspace, undisturbed: Workspace) -> None:
    orphans.remove_unfinished(workspace, older_than=timedelta(0))
    assert published(workspace) == published(undisturbed)
    assert outputs(workspace.engine) == outputs(undisturbed.engine)
    assert list(workspace.media(INBOX).iterdir()) == []
    with workspace.engine.connect() as connection:
        states = counts.by_state(connection)
    assert sum(count["current"] for count in states.values()) == sum(sum(c.values()) for c in states.values())
    known = {made[2] for made in outputs(workspace.engine)}
    for folder in (workspace.objects.folder, workspace.roots[PRODUCTION], workspace.media("products")):
        for path in folder.rglob("*"):
            assert path.is_dir() or files.sha256(path) in known, f"{path} is a half file"


def lines(process: subprocess.Popen[str], seconds: float) -> Iterator[str]:
    """Lines as they come, until the process ends or is silent for so long."""
    assert process.stdout is not None
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    while selector.select(seconds):
        line = process.stdout.readline()
        if not line:
            return
        yield line.strip()


@pytest.mark.parametrize("stage", ["intake", *STAGES, "review"])
def test_killed_at_random_moments_of_a_stage_nothing_is_lost_and_nothing_made_twice(
    stage: str, database_url: str, tmp_path: Path, pictures: Path, undisturbed: Workspace
) -> None:
    workspace = open_in(database_url, tmp_path / "home")
    fill(workspace, pictures)
    chance = random.Random(stage)
    pause = selectors.DefaultSelector()
    for _ in range(3):
        process = start(database_url, tmp_path / "home")
        for line in lines(process, 60):
            if line == stage:
                pause.select(chance.uniform(0.0, 0.6))
                break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    run(workspace)
    run(workspace)
    assert_as_if_nothing_had_happened(workspace, undisturbed)
    workspace.engine.dispose()


def test_two_runs_at_once_make_everything_exactly_once(
    database_url: str, tmp_path: Path, pictures: Path, undisturbed: Workspace
) -> None:
    workspace = open_in(database_url, tmp_path / "home")
    fill(workspace, pictures)
    both = [start(database_url, tmp_path / "home") for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    run(workspace)
    assert_as_if_nothing_had_happened(workspace, undisturbed)
    workspace.engine.dispose()


def test_a_worker_stopped_past_its_lease_and_continued_puts_nothing_old_over_new(
    database_url: str, tmp_path: Path, pictures: Path, undisturbed: Workspace
) -> None:
    workspace = open_in(database_url, tmp_path / "home")
    fill(workspace, pictures)
    process = start(database_url, tmp_path / "home")
    for line in lines(process, 60):
        if line == "cutouts":
            break
    claimed = text("select count(*) from ledger.claims where asset like '%cutouts' and ended_at is null")
    with workspace.engine.connect() as connection:
        while not connection.execute(claimed).scalar_one():
            connection.rollback()
    os.killpg(process.pid, signal.SIGSTOP)
    with workspace.engine.begin() as connection:
        connection.execute(
            text("update ledger.claims set lease_until = now() - interval '1 s' where ended_at is null")
        )
    run(workspace)
    run(workspace)
    before = published(workspace)
    os.killpg(process.pid, signal.SIGCONT)
    process.communicate(timeout=120)
    assert published(workspace) == before
    assert_as_if_nothing_had_happened(workspace, undisturbed)
    workspace.engine.dispose()


def test_a_full_disk_stops_the_run_with_a_sentence_and_blames_no_picture(
    database_url: str, tmp_path: Path, pictures: Path, undisturbed: Workspace
) -> None:
    workspace = open_in(database_url, tmp_path / "home")
    fill(workspace, pictures)

    def small_disk() -> None:
        limit = min(picture.stat().st_size for picture in pictures.iterdir()) // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = start(database_url, tmp_path / "home", preexec_fn=small_disk)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 9
    assert "free or mend the disk" in errors
    with workspace.engine.connect() as connection:
        assert counts.troubles(connection) == []
    run(workspace)
    run(workspace)
    assert_as_if_nothing_had_happened(workspace, undisturbed)
    workspace.engine.dispose()


def test_a_disk_that_fills_up_while_rendering_stops_the_run_and_blames_no_picture(
    database_url: str, tmp_path: Path
) -> None:
    workspace = open_in(database_url, tmp_path / "home")
    # A flat picture is small as a cut-out and larger on the canvas of its JPEG: the disk is full in between.
    draw_cut_out(workspace.media(INBOX) / "52000123.png")

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))

    process = start(database_url, tmp_path / "home", preexec_fn=small_disk)
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, out.split()[-1]) == (9, "renditions"), errors
    with workspace.engine.connect() as connection:
        assert counts.troubles(connection) == []
    assert not [path for folder in workspace.roots.folders.values() for path in folder.rglob(".crown-*")]
    run(workspace)
    assert len(published(workspace)) == 5
    assert verify(workspace).sound
    workspace.engine.dispose()
