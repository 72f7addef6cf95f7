"""What art records cost: first load, incremental sync and rollback of 100,000 editions, against bare tools.

Run by `make bench-art`; ends with `NAME = VALUE (goal GOAL)` lines, CHECK=1 exits non-zero on a miss.
Bare is `pandas.read_csv` of the same file plus PostgreSQL COPY of it into a plain table of text columns, without
cleaning, history, change sets or keys. Contenders take turns; ratios are of medians.
"""

from __future__ import annotations

import csv
import io
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from sqlalchemy import Engine, text

from benchmarks.report import Report
from crown.art_records.exports.cleaning import clean
from crown.art_records.exports.files import layouts, parse, take_in
from crown.art_records.exports.rules import judge, rulebook
from crown.art_records.history.rollback import rollback
from crown.art_records.history.syncing import sync
from crown.art_records.samples import sample_exports
from crown.database.embedded import embedded_server
from crown.database.engine import connect, our_url
from crown.database.migrations import migrate
from crown.store.objects import Objects

ROWS = 100_000
CHANGED = 500
ROW_BY_ROW = 5_000
ROUNDS = 3


def bare(engine: Engine, path: Path) -> float:
    """Seconds for read_csv plus COPY of a file."""
    columns = next(csv.reader(io.StringIO(path.read_text("utf-8-sig"))))
    with engine.begin() as connection:
        connection.execute(text("drop table if exists public.bare"))
        connection.execute(
            text(f"create table public.bare ({', '.join(f'c{i} text' for i in range(len(columns)))})")
        )
    started = time.perf_counter()
    pd.read_csv(path)
    with engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with driver.cursor().copy("copy public.bare from stdin (format csv, header)") as copy:
            copy.write(path.read_bytes())
    return time.perf_counter() - started


def with_changes(export: bytes, seed: int) -> bytes:
    """The same export with another price in some rows."""
    frame = pd.read_csv(io.BytesIO(export), dtype=object, na_filter=False)
    rows = frame.sample(CHANGED, random_state=seed).index
    frame.loc[rows, "Retail Price"] = f"£{300 + seed}.00"
    return b"\xef\xbb\xbf" + frame.to_csv(index=False, lineterminator="\n").rstrip("\n").encode()


def row_by_row(engine: Engine, path: Path) -> float:
    """Rows per second of the usual loop: judge each cell, look the record up, insert its version and change set.

    Each record is a transaction of its own, so that one that fails does not take its neighbours along.
    """
    layout, book = layouts()["editions"], rulebook()
    single = {
        c: f
        for c, f in layout.fields.items()
        if layout.rules[c] not in ("record_id", "edition_name", "print_links")
    }
    columns = ("airtable_id", "exported_name", "print_id", "other_print_ids", *single.values())
    insert = text(
        f"insert into art.edition_versions ({', '.join(columns)}, valid_from_sync, op, source, sync_version, created_sync) "
        f"values ({', '.join(':' + c for c in columns)}, :sync, 'create', 'export', 1, :sync)"
    )
    change = text(
        "insert into art.changes (sync_number, table_name, airtable_id, op) values (:sync, 'editions', :i, 'create')"
    )
    started = time.perf_counter()
    with engine.connect() as connection, path.open(encoding="utf-8-sig", newline="") as file:
        connection.execute(text("select set_config('crown.art_writer', 'on', false)"))
        number = connection.execute(
            text(
                "insert into art.syncs (sync_type, status, who, via, effective_on) "
                "values ('incremental', 'completed', 'bench', 'cli', current_date) returning sync_number"
            )
        ).scalar_one()
        for row in itertools.islice(csv.DictReader(file), ROW_BY_ROW):
            links, more = judge(row["print_record_id"], "print_links", book).value or (None, None)
            values = {
                field: judge(row[column], layout.rules[column], book).value
                for column, field in single.items()
            }
            values |= {
                "airtable_id": row["record_id"],
                "exported_name": row["Print - Edition"],
                "print_id": links,
            }
            values |= {"other_print_ids": list(more) if more else None, "sync": number}
            found = connection.execute(
                text("select 1 from art.edition_versions where airtable_id = :i and valid_to_sync is null"),
                {"i": row["record_id"]},
            ).scalar_one_or_none()
            if found is None:
                connection.execute(insert, values)
                connection.execute(change, {"sync": number, "i": row["record_id"]})
            connection.commit()
    return ROW_BY_ROW / (time.perf_counter() - started)


@contextmanager
def fresh(url: str, name: str) -> Iterator[Engine]:
    server = connect(url)
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"drop database if exists {name} with (force)"))
        connection.execute(text(f"create database {name}"))
    server.dispose()
    engine = connect(our_url(url).set(database=name).render_as_string(hide_password=False))
    migrate(engine)
    yield engine
    engine.dispose()


def main() -> None:
    report = Report("art")
    base, _ = sample_exports(editions=ROWS)
    bares, loads, cleanings, increments, backs, singles = [], [], [], [], [], []
    with tempfile.TemporaryDirectory() as home, embedded_server(Path(home) / "postgres") as url:
        folder = Path(home) / "exports"
        first = base.write(folder)["editions"]
        for turn in range(ROUNDS):
            objects = Objects(Path(home) / f"objects{turn}")
            with fresh(url, "bench") as engine:
                bares.append(bare(engine, first))
                singles.append(row_by_row(engine, first))
            with fresh(url, "bench") as engine:
                raw = take_in(first, "editions", Objects(Path(home) / "warm"))
                export = parse(raw)
                started = time.perf_counter()
                clean(export)
                cleanings.append(time.perf_counter() - started)
                started = time.perf_counter()
                loaded = sync(
                    engine, {"editions": first}, "incremental", objects=objects, who="bench", apply=True
                )
                loads.append(time.perf_counter() - started)
                assert loaded.table("editions").counts["records_created"] == ROWS
                bares.append(bare(engine, first))

                changed = folder / f"Editions-changed-{turn}.csv"
                changed.write_bytes(with_changes(base.editions, turn))
                started = time.perf_counter()
                second = sync(
                    engine, {"editions": changed}, "incremental", objects=objects, who="bench", apply=True
                )
                increments.append(time.perf_counter() - started)
                assert second.table("editions").counts["records_updated"] == CHANGED
                assert second.sync_number is not None
                started = time.perf_counter()
                back = rollback(engine, second.sync_number, who="bench", apply=True)
                backs.append(time.perf_counter() - started)
                assert back.counts["clean"] == CHANGED
                bares.append(bare(engine, first))
    plain, load = statistics.median(bares), statistics.median(loads)
    print(f"{ROWS:,} editions; seconds, medians of {ROUNDS} rounds:")
    print(f"  bare {plain:.2f}, first load {load:.2f}, cleaning alone {statistics.median(cleanings):.2f}, "
          f"incremental {statistics.median(increments):.2f}, rollback {statistics.median(backs):.2f}")  # fmt: skip
    print(f"  row by row {statistics.median(singles):,.0f} rows/s, ours {ROWS / load:,.0f} rows/s")
    # Each round's own ratio: both of its parts ran one after the other on the same machine.
    ratios = [ROWS / load / single for load, single in zip(loads, singles, strict=True)]
    print(f"  times as fast as row by row, by round: {', '.join(f'{ratio:.1f}' for ratio in sorted(ratios))}")
    report.add("first_load_to_bare", load / plain, 10, below=True)
    report.add("incremental_500_to_bare", statistics.median(increments) / plain, 6, below=True)
    report.add("rollback_500_to_bare", statistics.median(backs) / plain, 3, below=True)
    report.add("times_as_fast_as_row_by_row", statistics.median(ratios), 50, below=False, spread=ratios)
    report.close()


if __name__ == "__main__":
    main()
