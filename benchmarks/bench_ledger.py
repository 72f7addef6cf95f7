"""What the ledger costs: planning, log volume, bookkeeping per item, traces.

Run by `make bench-ledger`; ends with `NAME = VALUE (goal GOAL)` lines, CHECK=1 exits non-zero on a miss.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import Engine, text

from benchmarks.report import Report
from crown.database.embedded import embedded_server
from crown.database.engine import connect
from crown.database.migrations import migrate
from crown.ledger import claims, lineage, planning
from crown.ledger.claims import Made
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
    select m.key || '/' || s.spec as key, s.recipe, array[m.making_id] as inputs,
           array[k.content_hash] as input_hashes, cast(null as text) as waiting_for,
           cast(null as bigint) as decision_id
    from ledger.items m join ledger.makings k using (making_id)
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
                "with m as (insert into ledger.makings (asset, key, fingerprint, content_hash, recipe, root, path)"
                " select asset, key, wanted, wanted, recipe, 'r', key from ledger.items"
                " where asset = 'bench/renditions' and state = 'pending' returning making_id, key, fingerprint),"
                " e as (insert into ledger.making_inputs select m.making_id, i.inputs[1] from m"
                " join ledger.items i on i.asset = 'bench/renditions' and i.key = m.key)"
                " update ledger.items i set state = 'current', making_id = m.making_id, made = m.fingerprint"
                " from m where i.asset = 'bench/renditions' and i.key = m.key"
            )
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze ledger.items"))
        connection.execute(text("vacuum analyze ledger.makings"))


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
                text("select making_id from ledger.items where asset = 'bench/masters' and key = 'p77'")
            ).scalar_one()
            lineage.forward(connection, start)
            started = time.perf_counter()
            found = lineage.forward(connection, start)
            report.add("forward_trace_ms", 1000 * (time.perf_counter() - started), 20, unit="ms", below=True)
            assert len(found) == 40
        engine.dispose()
    report.close()


if __name__ == "__main__":
    main()
