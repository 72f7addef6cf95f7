"""Limited resources and time limits of a stage, through runs with real worker processes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from crown.flow import worker_pool
from crown.flow.pool_report import PoolReport, Progress
from crown.flow.worker_pool import Limits, WorkerPool
from crown.ledger import claims, planning, resources
from crown.ledger.claims import Finished, Made
from crown.ledger.recipes import Recipe, register
from tests.flow.pool_tasks import write_key
from tests.flow.test_worker_pool import WANTED, states

RENDERS, SHEETS = "test/renders", "test/sheets"
LICENCE = {"licence": 1}
KEYS = ["alone-1", "alone-2", "alone-3", "alone-4", "alone-5"]


def want(engine: Engine, asset: str, keys: list[str]) -> None:
    recipe = Recipe(asset, "write", {"version": 1})
    with engine.begin() as connection:
        register(connection, [recipe])
        planning.plan(connection, asset, WANTED, {"recipe": recipe.hash, "keys": keys})


def run(
    engine: Engine,
    folder: Path,
    pool: Mapping[str, Any],
    on_progress: Progress | None = None,
    assets: tuple[str, ...] = (RENDERS,),
    **limits: Any,
) -> PoolReport:
    def place(placing: claims.Placing) -> None:
        Path(placing.made.unfinished or "").rename(folder / placing.made.job.key)

    one = WorkerPool(assets, write_key, {"folder": str(folder)}, place, **pool)
    return worker_pool.run(engine, one, Limits(workers=2, **limits), on_progress=on_progress)


@contextmanager
def seat_taken(engine: Engine) -> Iterator[threading.Event]:
    """Somebody else is at an item with the only licence, until the event is set or the block ends."""
    want(engine, "test/others", ["theirs"])
    with engine.connect() as connection:
        claim = claims.take(connection, ["test/others"], 1, resources=LICENCE)
        assert claim is not None
        leave = threading.Event()

        def finish() -> None:
            leave.wait()
            claims.finish(connection, claim, [Made(claim.jobs[0], "h")])
            claims.release(connection, claim)

        with ThreadPoolExecutor(1) as threads:
            done = threads.submit(finish)
            try:
                yield leave
            finally:
                leave.set()
                done.result()


class Heard(logging.Handler):
    """Says that a run waits for a seat."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.waits = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "the run waits for one" in record.getMessage():
            self.waits.set()


@pytest.fixture
def heard() -> Iterator[Heard]:
    log = logging.getLogger("crown.flow.worker_pool")
    handler, level = Heard(), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)
    log.setLevel(level)


def test_two_runs_with_one_seat_are_never_at_two_items_at_once(engine: Engine, tmp_path: Path) -> None:
    want(engine, RENDERS, KEYS)
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(run, engine, tmp_path, {"resources": LICENCE}) for _ in range(2)]
        reports = [one.result() for one in both]
    assert [report.failed for report in reports] == [0, 0], "an item found another one at work"
    assert sum(report.made for report in reports) == len(KEYS)
    assert states(engine) == dict.fromkeys(KEYS, ("current", None))


def test_a_run_without_a_free_seat_waits_and_leaves_no_work_undone(
    engine: Engine, tmp_path: Path, heard: Heard
) -> None:
    want(engine, RENDERS, KEYS)
    with seat_taken(engine) as leave, ThreadPoolExecutor(1) as threads:
        running = threads.submit(run, engine, tmp_path, {"resources": LICENCE})
        assert heard.waits.wait(60)
        assert states(engine)["alone-1"] == ("pending", None)
        leave.set()
        assert running.result().made == len(KEYS)
    with engine.connect() as connection:
        listening = connection.execute(text("select pg_listening_channels()")).scalars().all()
    assert listening == [], "a connection that goes back to the pool is notified of nothing"


def test_items_that_need_no_seat_are_made_while_others_wait_for_theirs(
    engine: Engine, tmp_path: Path, heard: Heard
) -> None:
    want(engine, RENDERS, KEYS)
    want(engine, SHEETS, ["s1", "s2", "s3"])
    made: list[str] = []
    with seat_taken(engine) as leave:

        def note(_: PoolReport, finished: Finished) -> None:
            made.extend(result.job.key for result in finished.made)
            if {"s1", "s2", "s3"} <= set(made):
                leave.set()

        pool = {"resources_of": {RENDERS: LICENCE}}
        report = run(engine, tmp_path, pool, note, assets=(RENDERS, SHEETS))
    assert sorted(made[:3]) == ["s1", "s2", "s3"]
    assert (report.tallies[RENDERS].made, report.tallies[SHEETS].made) == (5, 3)


def test_a_run_whose_time_is_over_ends_although_it_waits_for_a_seat(engine: Engine, tmp_path: Path) -> None:
    want(engine, RENDERS, KEYS)
    with seat_taken(engine):
        report = run(engine, tmp_path, {"resources": LICENCE}, run_seconds=0.5)
        assert report.made == 0
        assert states(engine)["alone-1"] == ("pending", None)


def test_a_source_that_is_out_ends_its_part_of_the_run_and_blames_no_item(
    engine: Engine, tmp_path: Path
) -> None:
    want(engine, RENDERS, ["outage-1", "z1", "z2", "z3"])
    want(engine, SHEETS, ["s1"])
    pool = {"resources_of": {RENDERS: {"photos": 1}}}
    report = run(engine, tmp_path, pool, assets=(RENDERS, SHEETS))
    assert (report.tallies[RENDERS].made, report.tallies[SHEETS].made) == (0, 1)
    assert {key: state for key, (state, _) in states(engine).items()} == {
        **dict.fromkeys(["outage-1", "z1", "z2", "z3"], "pending"),
        "s1": "current",
    }
    with engine.connect() as connection:
        assert [one.resource for one in resources.closed(connection)] == ["photos"]


def test_an_item_beyond_the_time_limit_of_its_stage_ends_with_its_sentence_while_others_go_on(
    engine: Engine, tmp_path: Path
) -> None:
    want(engine, RENDERS, ["a", "hangs-1", "z"])
    report = run(engine, tmp_path, {"item_timeout_seconds": 1.5}, item_timeout_seconds=600)
    assert (report.made, report.failed) == (2, 1)
    with engine.connect() as connection:
        row = connection.execute(text("select state, error from ledger.items where key = 'hangs-1'")).one()
    assert tuple(row) == (
        "failed",
        "It took longer than the 1.5 s of its stage; raise the limit or give a smaller file.",
    )
