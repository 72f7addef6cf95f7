"""Brings the old system's database into ours, as history: original times and users, again without doubling.

Imported jobs are in the views that reports read. They are no work: nothing of them is planned or made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Connection, Engine, text

from crown.journal import activity
from crown.motion_jobs.old_system.old_database import KEYS, OldDatabase, Table
from crown.motion_jobs.workspace import DEPARTMENT

_TABLES: Mapping[Table, str] = {
    "batches": "imported_batches", "jobs": "imported_jobs", "job_warnings": "imported_job_warnings",
    "job_logs": "imported_job_logs", "job_assets": "imported_job_assets",
}  # fmt: skip
_MORE = "more"
_LOCK = "select pg_advisory_xact_lock(hashtextextended('motion_jobs/old_import', 1))"


@dataclass(slots=True)
class Imported:
    """Rows of one table: new, brought up to date, and the same as before."""

    new: int = 0
    updated: int = 0
    same: int = 0


@dataclass(frozen=True, slots=True)
class Import:
    """What an import does, or did."""

    tables: Mapping[Table, Imported]
    refused: tuple[str, ...]
    changed: tuple[str, ...]
    hidden: tuple[str, ...] = field(default=())


def import_old(engine: Engine, old: OldDatabase, *, who: str, apply: bool = False) -> Import:
    """Enter the rows of the old database; without `apply` only count them.

    Args:
        engine: Our database.
        old: What was read.
        who: The person who imports; the rows keep their own people.
        apply: Keep them.
    """
    with engine.connect() as connection:
        connection.execute(text(_LOCK))
        tables = {table: _entered(connection, table, old.rows[table]) for table in KEYS}
        ids = [str(row["job_id"]) for row in old.rows["jobs"]]
        hidden = connection.execute(
            text("select job_id from motion.job_records where job_id = any(:ids) order by job_id"),
            {"ids": ids},
        ).scalars()
        done = Import(tables, old.refused, old.changed, tuple(hidden))
        if apply and any(one.new or one.updated for one in tables.values()):
            activity.record(
                connection,
                who=who,
                what="user_action:import_old",
                subject=old.path.name,
                department=DEPARTMENT,
                via="cli",
                source_file=old.path.name,
                new={table: {"new": one.new, "updated": one.updated} for table, one in tables.items()},
            )
        if apply:
            connection.commit()
        else:
            connection.rollback()
    return done


def _entered(connection: Connection, table: Table, rows: tuple[Mapping[str, Any], ...]) -> Imported:
    """One statement for each table: what differs is written, and each row says whether it was new."""
    name, key = _TABLES[table], KEYS[table]
    columns = _columns(connection, name)
    known = [column for column in columns if column not in (key, _MORE)]
    values = [key, *known, *([_MORE] if _MORE in columns else [])]
    bodies = [_body(row, columns) for row in rows]
    listed = ", ".join(values)
    sets = ", ".join(f"{column} = excluded.{column}" for column in values[1:])
    written = connection.execute(
        text(
            f"insert into motion.{name} as t ({listed})"
            f" select {listed} from jsonb_populate_recordset(null::motion.{name}, cast(:rows as jsonb))"
            f" on conflict ({key}) do update set {sets}"
            f" where (t.*) is distinct from (excluded.*) returning xmax = 0 as new"
        ),
        {"rows": json.dumps(bodies, default=_plain)},
    ).scalars()
    done = Imported()
    for new in written:
        if new:
            done.new += 1
        else:
            done.updated += 1
    done.same = len(rows) - done.new - done.updated
    return done


def _columns(connection: Connection, name: str) -> list[str]:
    rows = connection.execute(
        text(
            "select column_name from information_schema.columns where table_schema = 'motion' and table_name = :name"
            " order by ordinal_position"
        ),
        {"name": name},
    )
    return list(rows.scalars())


def _body(row: Mapping[str, Any], columns: list[str]) -> dict[str, Any]:
    """A row by our columns; columns that only later revisions had are kept beside them."""
    row = {column: _storable(value) for column, value in row.items()}
    own = {column: row.get(column) for column in columns if column != _MORE}
    more = {column: value for column, value in row.items() if column not in columns and value is not None}
    return {**own, _MORE: more or None} if _MORE in columns else own


def _storable(value: Any) -> Any:
    """A value without what PostgreSQL cannot keep in a text: NUL and halves of characters."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_storable(key): _storable(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_storable(one) for one in value]
    return value


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else str(value)
