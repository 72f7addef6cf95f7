"""What a queue promises about its workers, with real processes that hang, die and run out of disk."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, text

from crown.errors import SystemicFailure
from crown.flow import worker_pool
from crown.flow.pool_report import PoolReport
from crown.flow.worker_pool import Limits, WorkerPool
from crown.ledger import claims, planning
from crown.ledger.recipes import Recipe, register
from tests.flow.pool_tasks import use_the_pool, write_key

ASSET = "test/queue"
RECIPE = Recipe(ASSET, "write", {"version": 1})
WANTED = """
    select key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs, array[key] as input_hashes,
           cast(null as text) as waiting_for, cast(null as bigint) as decision_id
    from unnest(cast(:keys as text[])) as given(key)
"""


def run(engine: Engine, folder: Path, keys: list[str], **limits: float) -> tuple[PoolReport, list[str]]:
    """The report, and the keys of what was made."""
    with engine.begin() as connection:
        register(connection, [RECIPE])
        planning.plan(connection, ASSET, WANTED, {"recipe": RECIPE.hash, "keys": keys})

    def place(placing: claims.Placing) -> None:
        Path(placing.made.unfinished or "").rename(folder / placing.made.job.key)

    one = WorkerPool((ASSET,), write_key, {"folder": str(folder)}, place)
    made: list[str] = []

    def note(_: PoolReport, finished: claims.Finished) -> None:
        made.extend(result.job.key for result in finished.made)

    report = worker_pool.run(engine, one, Limits(workers=2, **limits), run_id="r1", on_progress=note)  # type: ignore[arg-type]
    return report, sorted(made)


def states(engine: Engine) -> dict[str, tuple[str, str | None]]:
    with engine.connect() as connection:
        rows = connection.execute(text("select key, state, error_class from ledger.items"))
        return {row.key: (row.state, row.error_class) for row in rows}


def test_every_item_is_made_in_a_process_of_its_own(engine: Engine, tmp_path: Path) -> None:
    report, _ = run(engine, tmp_path, [f"k{n}" for n in range(40)])
    assert report.made == 40
    assert len(list(tmp_path.iterdir())) == 40
    assert states(engine) == {f"k{n}": ("current", None) for n in range(40)}


def test_bad_items_are_recorded_and_their_neighbours_go_on(engine: Engine, tmp_path: Path) -> None:
    report, made = run(engine, tmp_path, ["a", "bug-1", "killed-1", "permanent-1", "temporary-1", "z"])
    assert made == ["a", "z"]
    assert states(engine) == {
        "a": ("current", None),
        "bug-1": ("failed", "ZeroDivisionError"),
        "killed-1": ("failed", "ProcessDied"),
        "permanent-1": ("quarantined", "PermanentFailure"),
        "temporary-1": ("failed", "TemporaryFailure"),
        "z": ("current", None),
    }
    assert report.tallies[ASSET].errors["PermanentFailure"] == 1


def test_an_item_that_hangs_is_killed_at_its_time_limit(engine: Engine, tmp_path: Path) -> None:
    run(engine, tmp_path, ["a", "hangs-1"], item_timeout_seconds=1.5)
    assert states(engine) == {"a": ("current", None), "hangs-1": ("failed", "TimeLimit")}


def test_the_next_claim_is_taken_while_an_item_of_the_last_one_takes_long(
    engine: Engine, tmp_path: Path
) -> None:
    # Two processes claim 32 items at once: z39 comes with the second claim.
    keys = ["awaits-z39", *(f"z{n:02}" for n in range(40))]
    _, made = run(engine, tmp_path, keys, item_timeout_seconds=60)
    assert made == keys


def test_results_are_entered_while_a_neighbour_takes_long(engine: Engine, tmp_path: Path) -> None:
    keys = ["awaits-z02", "z00", "z01", "z02"]
    _, made = run(engine, tmp_path, keys, item_timeout_seconds=60)
    assert made == keys


def test_a_systemic_failure_stops_the_run_and_blames_no_item(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(SystemicFailure, match="No space left"):
        run(engine, tmp_path, ["systemic-1", "z1", "z2"])
    assert states(engine)["systemic-1"] == ("pending", None)
    with engine.connect() as connection:
        held = connection.execute(
            text("select count(*) from ledger.items where claim_id is not null")
        ).scalar_one()
        assert held == 0


def test_no_unfinished_file_stays_behind_when_a_claim_is_lost(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        register(connection, [RECIPE])
        planning.plan(connection, ASSET, WANTED, {"recipe": RECIPE.hash, "keys": ["a"]})

    def place(_: claims.Placing) -> None:
        raise AssertionError("must not be placed")

    def steal() -> None:
        with engine.begin() as connection:
            connection.execute(
                text("update ledger.claims set lease_until = now() - interval '1 s', ended_at = now()")
            )

    def task(jobs, context):  # type: ignore[no-untyped-def]
        made = write_key(jobs, context)
        steal()
        planned = text("update ledger.items set state = 'retired', claim_id = null")
        with engine.begin() as connection:
            connection.execute(planned)
        return made

    report = worker_pool.run(
        engine, WorkerPool((ASSET,), task, {"folder": str(tmp_path)}, place, in_process=True), Limits()
    )
    assert report.dropped == 1
    assert list(tmp_path.iterdir()) == []


def test_jobs_of_one_group_are_made_together(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        register(connection, [RECIPE])
        planning.plan(connection, ASSET, WANTED, {"recipe": RECIPE.hash, "keys": ["a/1", "a/2", "b/1"]})
    seen: list[list[str]] = []

    def task(jobs, context):  # type: ignore[no-untyped-def]
        seen.append([job.key for job in jobs])
        return [claims.Made(job, "h" + job.key) for job in jobs]

    grouped = WorkerPool((ASSET,), task, {}, group=lambda job: job.key.split("/")[0], in_process=True)
    worker_pool.run(engine, grouped, Limits())
    assert seen == [["a/1", "a/2"], ["b/1"]]


def test_a_run_that_is_over_leaves_the_rest_free_for_the_next(engine: Engine, tmp_path: Path) -> None:
    keys = [f"k{n}" for n in range(40)]
    first, _ = run(engine, tmp_path, keys, run_seconds=1e-9)
    assert first.made == 0
    assert set(states(engine).values()) == {("pending", None)}

    second, made = run(engine, tmp_path, keys)
    assert (second.made, made) == (40, sorted(keys))


def test_the_report_of_a_run_does_not_grow_with_its_items(engine: Engine, tmp_path: Path) -> None:
    report, made = run(engine, tmp_path, [f"k{n}" for n in range(60)])
    tally = report.tallies[ASSET]
    assert (tally.made, tally.bytes_made, len(made)) == (60, 60, 60)
    assert (len(tally.newest), len(tally.slowest)) == (24, 3)


def test_a_process_that_ignores_the_order_to_end_is_killed_at_its_time_limit(
    engine: Engine, tmp_path: Path
) -> None:
    run(engine, tmp_path, ["a", "stubborn-1"], item_timeout_seconds=1.5)
    assert states(engine) == {"a": ("current", None), "stubborn-1": ("failed", "TimeLimit")}


def test_a_task_that_ends_its_process_costs_its_own_item_only(engine: Engine, tmp_path: Path) -> None:
    _, made = run(engine, tmp_path, ["a", "exits-1", "z"])
    assert made == ["a", "z"]
    assert states(engine)["exits-1"] == ("failed", "SystemExit")


def test_a_connection_lost_after_the_last_result_does_not_fail_the_run(
    engine: Engine, tmp_path: Path
) -> None:
    with engine.begin() as connection:
        register(connection, [RECIPE])
        planning.plan(connection, ASSET, WANTED, {"recipe": RECIPE.hash, "keys": ["a"]})

    def end_its_connection(*_: object) -> None:
        with engine.begin() as connection:
            ended = connection.execute(
                text(
                    "select pg_terminate_backend(backend_pid, 5000) from ledger.claims where ended_at is null"
                )
            )
            assert ended.scalars().all() == [True]

    def place(placing: claims.Placing) -> None:
        Path(placing.made.unfinished or "").rename(tmp_path / placing.made.job.key)

    pool = WorkerPool((ASSET,), write_key, {"folder": str(tmp_path)}, place)
    report = worker_pool.run(engine, pool, Limits(), on_progress=end_its_connection)
    assert (report.made, states(engine)) == (1, {"a": ("current", None)})
    with engine.connect() as connection:
        assert connection.execute(text("select ending from ledger.claims")).scalars().all() == ["done"]


def test_a_run_that_is_a_child_of_multiprocessing_ends_and_its_workers_with_it(tmp_path: Path) -> None:
    # Dagster's code server starts each run so: with workers that go on, no process of a run would ever end.
    run = multiprocessing.get_context("spawn").Process(target=use_the_pool, args=(str(tmp_path),))
    run.start()
    run.join(60)
    try:
        assert run.exitcode == 0
        workers = [int(pid) for pid in (tmp_path / "workers").read_text().split()]
        assert [pid for pid in workers if psutil.pid_exists(pid)] == []
    finally:
        run.kill()
