"""Small bases of a few records, written as real exports and synced into this test's own database."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from crown.art_records.history.comparing import Limits
from crown.art_records.history.syncing import sync
from crown.art_records.reports import SyncReport
from crown.art_records.sample_files import DISTRIBUTOR_COLUMNS, EDITION_COLUMNS, PRINT_COLUMNS, Export
from crown.art_records.samples import sample_exports
from crown.art_records.tables import ENTITIES
from crown.store.objects import Objects

FEW = Limits(close_rows=1000, close_share=1.0, new_share=1.0, taken_back=1000)
PLAIN_EDITION_COLUMNS = [c for c in EDITION_COLUMNS if c not in (
    "Invoice Amount", "Commissions", "Month Sold", "Year Sold", "Weeks in Gallery", "Print - Edition copy")]  # fmt: skip


def rid(kind: str, number: int) -> str:
    """A record id for a test's record."""
    return f"rec{kind}{number:013d}"


def csv_bytes(columns: Sequence[str], rows: Sequence[dict[str, str]]) -> bytes:
    shown = io.StringIO(newline="")
    writer = csv.DictWriter(shown, columns, restval="", lineterminator="\n", extrasaction="raise")
    writer.writeheader()
    writer.writerows(rows)
    return b"\xef\xbb\xbf" + shown.getvalue().rstrip("\n").encode()


def print_row(number: int, name: str = "", **cells: str) -> dict[str, str]:
    return {"Print Name": name or f"Work {number}", "Record_id": rid("P", number), **cells}


def distributor_row(number: int, name: str, **cells: str) -> dict[str, str]:
    return {"Name": name, "Record_id": rid("D", number), **cells}


def edition_row(number: int, of: int | None = 1, at: int | None = None, **cells: str) -> dict[str, str]:
    """An edition with the record id of its number, linked to print `of` and distributor `at`."""
    row = {"record_id": rid("E", number), "Print Edition": str(number)}
    if of is not None:
        row |= {"Print": f"Work {of}", "print_record_id": rid("P", of), "Print copy": f"Work {of}"}
    if at is not None:
        row |= {"Distributor": f"Place {at}", "distributor_record_id": rid("D", at)}
    row |= cells
    row.setdefault("Print - Edition", f"{row.get('Print', '')} - {row['Print Edition']}")
    return row


class ArtTables:
    """A database, its raw files and a folder for exports."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.objects = Objects(folder / "objects")

    def file(self, table: str, rows: Sequence[dict[str, str]] | bytes, name: str = "") -> Path:
        columns = {
            "prints": PRINT_COLUMNS,
            "distributors": DISTRIBUTOR_COLUMNS,
            "editions": PLAIN_EDITION_COLUMNS,
        }
        path = self.folder / (name or f"{table}.csv")
        path.write_bytes(rows if isinstance(rows, bytes) else csv_bytes(columns[table], rows))
        return path

    def sync(self, mode: str = "incremental", *, apply: bool = True, limits: Limits | None = FEW, who: str = "tester",
             phase: str = "parallel", approved: str | None = None, names: dict[str, str] | None = None,
             **tables: Sequence[dict[str, str]] | bytes) -> SyncReport:  # fmt: skip
        files = {
            table: self.file(table, rows, (names or {}).get(table, "")) for table, rows in tables.items()
        }
        return sync(self.engine, files, mode, objects=self.objects, who=who, apply=apply, limits=limits,  # type: ignore[arg-type]
                    phase=phase, approved=approved)  # type: ignore[arg-type]  # fmt: skip

    def sync_export(self, export: Export, mode: str = "incremental", **more: Any) -> SyncReport:
        files = export.write(self.folder)
        return sync(self.engine, files, mode, objects=self.objects, who="tester", **{"apply": True, **more})  # type: ignore[arg-type]

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql), values)]

    def one(self, sql: str, **values: Any) -> Any:
        return self.rows(sql, **values)[0][0]

    def value(self, number: int, field: str) -> Any:
        return self.one(f"select {field} from art.editions where airtable_id = :i", i=rid("E", number))

    def state(self, at: int | None = None) -> dict[str, list[tuple[Any, ...]]]:
        """What the art tables hold now, or when sync `at` ended: the compared fields of every record."""
        span = (
            "valid_to_sync is null"
            if at is None
            else "valid_from_sync <= :n and coalesce(valid_to_sync, :n + 1) > :n"
        )
        return {
            name: self.rows(
                f"select airtable_id, is_active, {', '.join(kind.fields)} from art.{kind.versions.name} "
                f"where {span} order by airtable_id",
                **({} if at is None else {"n": at}),
            )
            for name, kind in ENTITIES.items()
        }


@pytest.fixture
def art_records(engine: Engine, tmp_path: Path) -> ArtTables:
    return ArtTables(engine, tmp_path)


@pytest.fixture(scope="session")
def exports() -> tuple[Export, Export]:
    return sample_exports()
