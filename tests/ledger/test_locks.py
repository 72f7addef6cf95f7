"""Locks in one order, and queues that get over deadlocks and lost connections; provoked in a real server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from crown.flow import worker_pool
from crown.flow.pool_report import PoolReport
from crown.flow.worker_pool import Limits, WorkerPool
from crown.ledger import claims, planning
from crown.ledger.claims import Job, Made
from crown.ledger.locks import lock_assets
from crown.ledger.recipes import Recipe, register
from tests.flow.pool_tasks import write_key
from tests.flow.test_worker_pool import WANTED

ASSETS = ("test/b", "test/a", "test/c")


def plan(engine: Engine, keys: list[str], assets: Sequence[str] = ASSETS, version: int = 1) -> None:
    for asset in assets:
        recipe = Recipe(asset, "write", {"version": version})
        with engine.begin() as connection:
            register(connection, [recipe])
            planning.plan(connection, asset, WANTED, {"recipe": recipe.hash, "keys": keys})


def run(engine: Engine, folder: Path, task: Callable[..., Any], place: Callable[..., None]) -> PoolReport:
    one = WorkerPool(("test/a",), task, {"folder": str(folder)}, place, in_process=True)
    return worker_pool.run(engine, one, Limits())


def rename_in(folder: Path, placed: list[str]) -> Callable[[claims.Placing], None]:
    def place(placing: claims.Placing) -> None:
        Path(placing.made.unfinished or "").rename(folder / placing.made.job.key)
        placed.append(placing.made.job.key)

    return place


def outputs(engine: Engine) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select m.key, i.state from ledger.outputs m join ledger.items i using (output_id) order by m.key"
            )
        )
        return [tuple(row) for row in rows]


def test_assets_are_locked_in_one_order_and_another_order_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        lock_assets(connection, ["test/b", "test/a"])
        lock_assets(connection, ["test/a"])
        lock_assets(connection, ["test/c"])
        with pytest.raises(RuntimeError, match="lock all assets of a transaction in one call"):
            lock_assets(connection, ["test/0"])
    with engine.begin() as connection:
        lock_assets(connection, ["test/0"])


def test_a_pool_whose_connection_is_ended_makes_everything_once(engine: Engine, tmp_path: Path) -> None:
    keys = [f"k{n:02}" for n in range(60)]
    plan(engine, keys, ["test/a"])
    placed: list[str] = []
    ended: list[int] = []

    def task(jobs: Sequence[Job], context: dict[str, Any]) -> Any:
        if jobs[0].key in ("k05", "k30"):
            with engine.begin() as connection:
                ended.extend(
                    connection.execute(
                        text(
                            "select backend_pid from ledger.claims where ended_at is null"
                            " and pg_terminate_backend(backend_pid, 5000)"
                        )
                    ).scalars()
                )
        return write_key(jobs, context)

    report = run(engine, tmp_path, task, rename_in(tmp_path, placed))
    assert len(set(ended)) == 2
    assert (report.made, report.dropped) == (60, 0)
    assert sorted(placed) == keys
    assert outputs(engine) == [(key, "current") for key in keys]


def test_a_deadlock_while_results_are_entered_is_tried_again_and_no_file_is_placed_twice(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan(engine, ["a", "b"], ["test/a"])
    placed: list[str] = []
    rename = rename_in(tmp_path, placed)
    other = engine.connect()
    threads: list[threading.Thread] = []

    def take_the_item() -> None:
        other.execute(text("update ledger.items set changed_at = changed_at where key = 'a'"))
        other.rollback()

    def place(placing: claims.Placing) -> None:
        rename(placing)
        if placing.made.job.key == "b":  # the worker holds its items and wants the row of this file next
            other.execute(text("set deadlock_timeout = '30s'"))
            other.execute(text("select 1 from ledger.files where path = 'b' for update"))
            threads.append(threading.Thread(target=take_the_item))
            threads[0].start()
            with engine.connect() as connection:
                waits = text("select 1 from pg_locks where not granted")
                while connection.execute(waits).first() is None:
                    pass

    report = run(engine, tmp_path, write_key, place)
    threads[0].join()
    other.close()
    assert "deadlock detected" in caplog.text
    assert (report.made, report.dropped, sorted(placed)) == (2, 0, ["a", "b"])
    assert outputs(engine) == [("a", "current"), ("b", "current")]


KEYS = [f"k{n:03}" for n in range(150)]


def work(engine: Engine, _: int) -> None:
    with engine.connect() as connection:
        claim = claims.take(connection, ASSETS, 40)
        if claim is not None:
            made = [Made(j, f"h{j.fingerprint}", "r", f"{j.asset}/{j.key}") for j in claim.jobs[:30]]
            claims.finish(connection, claim, made, place=lambda _: None)
            claims.release(connection, claim)


def rebuild(engine: Engine, _: int) -> None:
    with engine.begin() as connection:
        lock_assets(connection, ASSETS)
        for asset in ASSETS:
            planning.remake(connection, asset, KEYS)


def retry(engine: Engine, _: int) -> None:
    with engine.begin() as connection:
        lock_assets(connection, ASSETS)
        for asset in reversed(ASSETS):
            planning.retry(connection, asset)


def lose(engine: Engine, _: int) -> None:
    chosen = text("select output_id from ledger.items where output_id is not null order by random() limit 20")
    with engine.begin() as connection:
        planning.mark_changed(connection, list(connection.execute(chosen).scalars()), "changed")


def replan(engine: Engine, turn: int) -> None:
    plan(engine, KEYS, ASSETS[::-1], turn % 2)


def test_workers_planning_retrying_and_rebuilding_at_once_meet_in_no_deadlock(engine: Engine) -> None:
    plan(engine, KEYS)
    over = threading.Event()
    turns: dict[str, int] = {}
    errors: list[BaseException] = []

    def repeat(act: Callable[[Engine, int], None]) -> None:
        try:
            while not over.is_set():
                act(engine, turns.setdefault(act.__name__, 0))
                turns[act.__name__] += 1
        except BaseException as error:  # noqa: BLE001 shown by the assertion below
            errors.append(error)

    threads = [
        threading.Thread(target=repeat, args=(act,)) for act in (work, work, rebuild, retry, lose, replan)
    ]
    for thread in threads:
        thread.start()
    over.wait(4)
    over.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert min(turns.values()) > 3, turns
    deadlocks = text("select deadlocks from pg_stat_database where datname = current_database()")
    with engine.connect() as connection:
        assert connection.execute(deadlocks).scalar_one() == 0
