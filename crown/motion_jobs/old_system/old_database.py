"""Reads the old system's SQLite database (`production.db`), at any of its revisions, and brings its words into ours.

A row that cannot be brought over is named with its reason; the others go on. Nothing is written to the file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from crown.errors import BadInput

Table = Literal["batches", "jobs", "job_warnings", "job_logs", "job_assets"]
#: Each table with its key.
KEYS: Mapping[Table, str] = {
    "batches": "batch_id", "jobs": "job_id", "job_warnings": "warning_id", "job_logs": "log_id",
    "job_assets": "asset_id",
}  # fmt: skip
_JSON = frozenset({
    "validation_errors", "validation_warnings", "stage1_results", "stage2_approved_matches", "stage3_adjustments",
    "stage3_validation_results", "details", "extra_data", "extra_metadata",
})  # fmt: skip
_TRUTH = frozenset({
    "resolved", "archived", "stage3_approved_with_warnings", "stage4_override", "stage6_approved",
})  # fmt: skip
_REQUIRED: Mapping[Table, tuple[str, ...]] = {
    "batches": ("batch_id",),
    "jobs": ("job_id", "psd_path", "aepx_path", "output_name"),
    "job_warnings": ("warning_id", "job_id", "warning_type", "severity"),
    "job_logs": ("log_id", "job_id", "action"),
    "job_assets": ("asset_id", "job_id", "asset_type"),
}
#: Statuses that the old code used, in ours; those of the same name are left out.
_STATUSES = {"awaiting_download": "awaiting_approval", "awaiting_preview": "awaiting_approval"}
_KNOWN = frozenset({
    "pending", "processing", "awaiting_review", "awaiting_approval", "ready_for_validation", "validation_failed",
    "completed", "failed", "on_hold", "archived",
})  # fmt: skip
_BATCH_STATUSES = frozenset(
    {"validating", "validated", "processing", "partially_complete", "complete", "failed"}
)
_PRIORITIES = frozenset({"high", "medium", "low"})
_SEVERITIES = frozenset({"critical", "warning", "info"})
#: Stages of the six-stage revision, in ours: validation and scripts came before the preview there.
_OF_SIX = {0: 0, 1: 1, 2: 2, 3: 3, 4: 3, 5: 3, 6: 3}


@dataclass(frozen=True, slots=True)
class OldDatabase:
    """The rows by table, in our words, and what could not be brought over or had to be changed.

    Attributes:
        stages: How many stages its jobs went through: 5 or 6.
    """

    path: Path
    stages: Literal[5, 6]
    rows: Mapping[Table, tuple[Mapping[str, Any], ...]]
    refused: tuple[str, ...]
    changed: tuple[str, ...] = field(default=())


def read_old_database(path: Path, time_zone: tzinfo = UTC) -> OldDatabase:
    """Everything that the old database holds.

    Args:
        path: The SQLite file.
        time_zone: Of its times, which name none.

    Raises:
        BadInput: It is no such database.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            return _Reading(path, connection, time_zone).database()
    except sqlite3.Error as error:
        raise BadInput(
            f"{path.name} cannot be read as the old database ({error}). Name its production.db."
        ) from None


class _Reading:
    def __init__(self, path: Path, connection: sqlite3.Connection, time_zone: tzinfo) -> None:
        self._path = path
        self._connection = connection
        self._zone = time_zone
        self._refused: list[str] = []
        self._changed: list[str] = []

    def database(self) -> OldDatabase:
        tables = {
            str(row[0])
            for row in self._connection.execute("select name from sqlite_master where type = 'table'")
        }
        if not {"jobs", "batches"} <= tables:
            raise BadInput(
                f"{self._path.name} holds no jobs and batches. Name the old system's production.db."
            )
        columns = {str(row[1]) for row in self._connection.execute("pragma table_info(jobs)")}
        stages: Literal[5, 6] = 6 if "stage6_started_at" in columns or "stage5_started_at" in columns else 5
        rows: dict[Table, tuple[Mapping[str, Any], ...]] = {}
        for table in KEYS:
            rows[table] = tuple(self._table(table, stages)) if table in tables else ()
        rows = self._without_orphans(rows)
        return OldDatabase(self._path, stages, rows, tuple(self._refused), tuple(self._changed))

    def _table(self, table: Table, stages: int) -> Iterator[dict[str, Any]]:
        for number, raw in enumerate(
            self._connection.execute(f"select * from {table} order by {KEYS[table]}"), start=1
        ):
            row = dict(raw)
            lacking = [name for name in _REQUIRED[table] if row.get(name) in (None, "")]
            if lacking:
                self._refused.append(f"{table}, row {number}: {', '.join(lacking)} is empty.")
                continue
            name = f"{table} {row[KEYS[table]]}"
            values = {column: self._value(name, column, value) for column, value in row.items()}
            if table == "jobs":
                self._job(name, values, stages)
            elif table == "batches":
                self._word(name, values, "status", _BATCH_STATUSES, "failed")
            elif table == "job_warnings":
                self._word(name, values, "severity", _SEVERITIES, "warning")
            yield values

    def _value(self, name: str, column: str, value: Any) -> Any:
        if value is None:
            return None
        if column in _TRUTH:
            return bool(value)
        if column.endswith("_at"):
            return self._time(name, column, value)
        if column in _JSON and isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                self._changed.append(f"{name}: {column} is no JSON; it is kept as text.")
        return value.replace("\0", "") if isinstance(value, str) else value

    def _time(self, name: str, column: str, value: Any) -> datetime | None:
        try:
            time = datetime.fromisoformat(str(value).strip())
        except ValueError:
            self._changed.append(f"{name}: {column} is no time ({str(value)[:40]!r}); it is left out.")
            return None
        return time if time.tzinfo else time.replace(tzinfo=self._zone)

    def _job(self, name: str, values: dict[str, Any], stages: int) -> None:
        status = _STATUSES.get(str(values.get("status")), values.get("status"))
        values["status"] = status
        self._word(name, values, "status", _KNOWN, "failed")
        self._word(name, values, "priority", _PRIORITIES, "medium")
        stage = values.get("current_stage")
        known = range(stages + 1) if stages == 6 else range(5)
        if not isinstance(stage, int) or stage not in known:
            self._changed.append(f"{name}: the stage {stage!r} is none of the old ones; it becomes 0.")
            stage = 0
        values["current_stage"] = _OF_SIX[stage] if stages == 6 else stage
        if values.get("stage6_approved") or values["status"] == "completed":
            values["status"], values["current_stage"] = "completed", 4
        if values.get("archived"):
            values["status"] = "archived"

    def _word(
        self, name: str, values: dict[str, Any], column: str, known: frozenset[str], otherwise: str
    ) -> None:
        value = values.get(column)
        if value not in known:
            if value is not None:
                self._changed.append(
                    f"{name}: {column} {str(value)[:40]!r} is unknown; it becomes {otherwise}."
                )
            values[column] = otherwise

    def _without_orphans(
        self, rows: dict[Table, tuple[Mapping[str, Any], ...]]
    ) -> dict[Table, tuple[Mapping[str, Any], ...]]:
        jobs = {row["job_id"] for row in rows["jobs"]}
        batches = {row["batch_id"] for row in rows["batches"]}
        kept = dict(rows)
        for table in ("job_warnings", "job_logs", "job_assets"):
            kept[table] = tuple(row for row in rows[table] if row["job_id"] in jobs)
            for row in rows[table]:
                if row["job_id"] not in jobs:
                    self._refused.append(f"{table} {row[KEYS[table]]}: there is no job {row['job_id']}.")
        kept["jobs"] = tuple(
            row if row.get("batch_id") in batches else {**row, "batch_id": None} for row in rows["jobs"]
        )
        for row in rows["jobs"]:
            if row.get("batch_id") not in (None, *batches):
                self._changed.append(
                    f"jobs {row['job_id']}: there is no batch {row['batch_id']}; it is kept without one."
                )
        return kept
