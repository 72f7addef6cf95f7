"""What the ledger costs: planning, log volume, bookkeeping per item, traces.

Run by `make bench-ledger`; ends with `NAME = VALUE (goal GOAL)` lines, CHECK=1 exits non-zero on a miss.
"""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from benchmarks.report import Report
from crown.database.embedded import embedded_server
from crown.database.engine import connect
from crown.database.migrations import migrate
from crown.flow import worker_pool
from crown.flow.worker_pool import Limits, WorkerPool
from crown.ledger import claims, lineage, planning
from crown.ledger.claims import Job, Made
from crown.ledger.recipes import Recipe, register

RECIPE = Recipe("bench/masters", "copy", {"version": 1})
SOURCE = """
    select 'p' || n as key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs,
           array[encode(sha256(cast(cast(n as text) as bytea)), 'hex')] as input_hashes,
           cast(null as text) as waiting_for, cast(null as bigint) as decision_id
    from generate_series(1, :n) n
"""
#: The wanted set of renditions: every current master times every spec.
RENDITIONS = """
    select m.key || '/' || s.spec as key, s.recipe, array[m.output_id] as inputs,
           array[k.content_hash] as input_hashes, cast(null as text) as waiting_for,
           cast(null as bigint) as decision_id
    from ledger.items m join ledger.outputs k using (output_id)
    cross join unnest(cast(:specs as text[]), cast(:recipes as text[])) as s(spec, recipe)
    where m.asset = 'bench/masters' and m.state = 'current'
"""


def specs(count: int, edited: int = 0) -> dict[str, list[str]]:
    recipes = [Recipe("bench/renditions", f"s{n}", {"version": 1, "edit": n < edited}) for n in range(count)]
    return {"specs": [r.name for r in recipes], "recipes": [r.hash for r in recipes]}


def make_everything(
    engine: Engine, asset: str, batch: int = 50, most: int | None = None
) -> tuple[int, float]:
    done, started = 0, time.perf_counter()
    with engine.connect() as connection:
        while most is None or done < most:
            claim = claims.take(connection, [asset], batch)
            if claim is None:
                break
            made = [
                Made(j, f"c{j.fingerprint}", "r", f"{asset}/{j.key}", 1, 0.1, {"w": 1}) for j in claim.jobs
            ]
            claims.finish(connection, claim, made, place=lambda _: None)
            claims.release(connection, claim)
            done += len(claim.jobs)
    return done, time.perf_counter() - started


def claim_ms(engine: Engine, pending: int) -> list[float]:
    """Milliseconds of claims over three assets, with so many items pending in each, and a thousand that failed."""
    assets = [f"bench/claims_{name}" for name in "abc"]
    with engine.begin() as connection:
        connection.execute(text("delete from ledger.items where starts_with(asset, 'bench/claims_')"))
        connection.execute(
            text(
                "insert into ledger.items (asset, key, state, wanted, recipe, next_try)"
                " select asset, 'p' || n, case when failed then 'failed' else 'pending' end, 'w', :recipe,"
                " case when failed then now() + interval '1 hour' end from unnest(cast(:assets as text[])) as asset,"
                " generate_series(1, :pending) n, lateral (select n % (1 + :pending / 1000) = 1 as failed) f"
            ),
            {"assets": assets, "pending": pending, "recipe": RECIPE.hash},
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze ledger.items"))
    taken = []
    with engine.connect() as connection:
        for _ in range(40):
            started = time.perf_counter()
            claim = claims.take(connection, assets, 8)
            taken.append(1000 * (time.perf_counter() - started))
            assert claim is not None
            assert len(claim.jobs) == 8
            claims.release(connection, claim)
    return taken[10:]


def flat_memory(report: Report, engine: Engine) -> None:
    """What a run of 100,000 outputs and the planning of 1,000,000 items add to this process."""
    recipe = Recipe("bench/many", "copy", {"version": 1})
    with engine.begin() as connection:
        register(connection, [recipe])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    with engine.begin() as connection:
        planned = planning.plan(connection, "bench/many", SOURCE, {"recipe": recipe.hash, "n": 1_000_000})
    planning.analyze(engine)
    print(f"1,000,000 items planned in {time.perf_counter() - started:.0f} s")
    assert planned.pending == 1_000_000
    keys = [f"p{n}" for n in range(1, 200_001, 2)]

    def copy(jobs: Sequence[Job], _: Mapping[str, Any]) -> list[Made]:
        return [Made(job, f"c{job.key}", "r", job.key, 1, 0.1, {"w": 1}) for job in jobs]

    whole = WorkerPool(
        ("bench/many",), copy, {}, lambda _: None, lambda job: job.key[:3], True, per_worker=500
    )
    started = time.perf_counter()
    made = 0
    for first in range(0, len(keys), 10_000):
        made += worker_pool.run(engine, whole, Limits(), keys=keys[first : first + 10_000]).made
    assert made == len(keys)
    print(f"{made:,} outputs entered in {time.perf_counter() - started:.0f} s")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report.add("memory_of_100000_outputs_mb", (after - before) / 1024, 60, unit="MB", below=True)


def plan_renditions(engine: Engine, given: dict[str, list[str]]) -> tuple[planning.Plan, float, int]:
    with engine.begin() as connection:
        before = connection.execute(text("select pg_current_wal_insert_lsn()")).scalar_one()
        started = time.perf_counter()
        plan = planning.plan(connection, "bench/renditions", RENDITIONS, given)
        seconds = time.perf_counter() - started
        log = connection.execute(
            text("select pg_current_wal_insert_lsn() - cast(:b as pg_lsn)"), {"b": before}
        ).scalar_one()
    return plan, seconds, int(log)


def settle(engine: Engine) -> None:
    """Enter every pending rendition at once; the bookkeeping figure is measured separately."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "with m as (insert into ledger.outputs (asset, key, fingerprint, content_hash, recipe, root, path)"
                " select asset, key, wanted, wanted, recipe, 'r', key from ledger.items"
                " where asset = 'bench/renditions' and state = 'pending' returning output_id, key, fingerprint),"
                " e as (insert into ledger.output_inputs select m.output_id, i.inputs[1] from m"
                " join ledger.items i on i.asset = 'bench/renditions' and i.key = m.key)"
                " update ledger.items i set state = 'current', output_id = m.output_id, made = m.fingerprint"
                " from m where i.asset = 'bench/renditions' and i.key = m.key"
            )
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze ledger.items"))
        connection.execute(text("vacuum analyze ledger.outputs"))


def median_plan(engine: Engine, given: dict[str, list[str]]) -> tuple[float, int]:
    runs = [plan_renditions(engine, given) for _ in range(5)]
    assert all(plan.changed == 0 for plan, _, _ in runs)
    return statistics.median(seconds for _, seconds, _ in runs), int(
        statistics.median(log for *_, log in runs)
    )


def main() -> None:
    report = Report("ledger")
    with tempfile.TemporaryDirectory() as folder, embedded_server(Path(folder) / "data") as url:
        engine = connect(url)
        migrate(engine)
        with engine.begin() as connection:
            register(connection, [RECIPE])
            register(
                connection,
                [
                    Recipe("bench/renditions", f"s{n}", {"version": 1, "edit": e})
                    for n in range(39)
                    for e in (False, True)
                ],
            )
            planning.plan(connection, "bench/masters", SOURCE, {"recipe": RECIPE.hash, "n": 10_000})
        count, seconds = make_everything(engine, "bench/masters")
        report.add("bookkeeping_ms_per_item", 1000 * seconds / count, 1.0, unit="ms", below=True)

        for number, goal in ((10, 1.0), (39, 2.0)):
            plan, first, _ = plan_renditions(engine, specs(number))
            settle(engine)
            seconds, log = median_plan(engine, specs(number))
            items = 10_000 * number
            print(
                f"{items:,} items: first planning {first:.2f} s ({plan.pending:,} new), again {seconds:.2f} s"
            )
            report.add(f"plan_{items}_current_items_s", seconds, goal, unit="s", below=True)
            report.add(f"plan_{items}_log_bytes", log, 8192, unit="bytes", below=True)
        plan, seconds, _ = plan_renditions(engine, specs(39, edited=1))
        assert plan.pending == 10_000
        report.add("plan_one_spec_edit_of_39_s", seconds, 5.0, unit="s", below=True)
        with engine.connect() as connection:
            start = connection.execute(
                text("select output_id from ledger.items where asset = 'bench/masters' and key = 'p77'")
            ).scalar_one()
            lineage.forward(connection, start)
            started = time.perf_counter()
            found = lineage.forward(connection, start)
            report.add("forward_trace_ms", 1000 * (time.perf_counter() - started), 20, unit="ms", below=True)
            assert len(found) == 40
        few, many = claim_ms(engine, 400), claim_ms(engine, 400_000)
        print(f"a claim over three assets: {statistics.median(few):.1f} ms with 400 pending in each,"
              f" {statistics.median(many):.1f} ms with 400,000")  # fmt: skip
        report.add(
            "claim_at_400000_to_400", statistics.median(many) / statistics.median(few), 2.0, below=True
        )
        flat_memory(report, engine)
        engine.dispose()
    report.close()


if __name__ == "__main__":
    main()
