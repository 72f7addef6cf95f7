"""Point-in-time reads: the history of a record, its state on a day, the art tables after a sync.

Reads only. People's names in notes are masked unless the caller asks for the plain text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from crown.art_records.history.comparing import masked
from crown.art_records.tables import BOOKKEEPING, ENTITIES
from crown.art_records.wording import LINKS, named, names_of, said
from crown.errors import BadInput


@dataclass(frozen=True)
class Event:
    """One act on a record, with the fields it changed as (field, old, new), personal texts masked."""

    sync_number: int
    sync_type: str
    status: str
    at: datetime | None
    effective_on: date
    who: str
    via: str
    op: str
    changes: tuple[tuple[str, Any, Any], ...]
    record: str
    names: dict[str, str]

    @property
    def subject(self) -> str:
        """The record with its name."""
        return named(self.record, self.names)

    def text(self) -> str:
        """One line for a terminal."""
        when = self.at.strftime("%Y-%m-%d %H:%M") if self.at else "unfinished"
        parts = ", ".join(
            f"{f}: {said(f, o, self.names)} → {said(f, n, self.names)}" for f, o, n in self.changes
        )
        return f"{when}  sync {self.sync_number} ({self.sync_type}, {self.who})  {self.op}" + (
            f"  {parts}" if parts else ""
        )


def find(connection: Connection, table: str, key: str) -> dict[str, Any]:
    """The current record with this id, or with this name when only one active record bears it.

    Raises:
        BadInput: none, or several.
    """
    if table not in ENTITIES:
        raise BadInput(f"{table} is not a table of the art tables; choose {', '.join(ENTITIES)}.")
    name = "edition_display_name" if table == "editions" else "name"
    rows = connection.execute(
        text(f"select * from art.{table} where airtable_id = :k"), {"k": key}
    ).all() or connection.execute(
        text(f"select * from art.{table} where is_active and lower({name}) = lower(:k)"), {"k": key}
    ).all()  # fmt: skip
    if not rows:
        raise BadInput(f"{key} is not in {table}; give a record id or the exact name.")
    if len(rows) > 1:
        ids = ", ".join(row.airtable_id for row in rows[:5])
        raise BadInput(f"{len(rows)} records of {table} are called {key}; give the record id: {ids}.")
    return dict(rows[0]._mapping)


def table_of(connection: Connection, key: str) -> tuple[str, str]:
    """(table, record id) of a record by id or unique name, of records that are gone from the art tables as well.

    Raises:
        BadInput: none, or several.
    """
    for table, kind in ENTITIES.items():
        if connection.execute(
            text(f"select exists (select 1 from art.{kind.versions.name} where airtable_id = :k)"),
            {"k": key},
        ).scalar_one():
            return table, key
    for table in reversed(ENTITIES):
        try:
            return table, find(connection, table, key)["airtable_id"]
        except BadInput as error:
            if "are called" in str(error):
                raise
    raise BadInput(f"{key} is not in the art tables; give a record id or the exact name.")


def history(engine: Engine, record: str) -> list[Event]:
    """Every act that touched a record, oldest first.

    Raises:
        BadInput: no such record.
    """
    with engine.connect() as connection:
        table, airtable_id = table_of(connection, record)
        rows = connection.execute(
            text("""
                select s.sync_number, s.sync_type, s.status, s.completed_at, s.effective_on, s.who, s.via,
                       c.op, c.field, c.old_value, c.new_value
                from art.changes c join art.syncs s using (sync_number)
                where c.table_name = :t and c.airtable_id = :i
                order by s.sync_number, c.field nulls first
            """),
            {"t": table, "i": airtable_id},
        ).all()
        names = names_of(connection, {airtable_id} | _linked(rows))
    grouped: dict[int, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row.sync_number, []).append(row)
    return [
        Event(
            number, group[0].sync_type, group[0].status, group[0].completed_at, group[0].effective_on, group[0].who,
            group[0].via, next((r.op for r in group if r.op != "update"), "update"),
            tuple((r.field, masked(r.field, r.old_value), masked(r.field, r.new_value)) for r in group if r.field),
            airtable_id, names,
        )
        for number, group in grouped.items()
    ]  # fmt: skip


def _linked(rows: Iterable[Any]) -> set[str]:
    """Record ids to which changes link."""
    values = [v for row in rows if row.field in LINKS for v in (row.old_value, row.new_value)]
    return {i for v in values for i in (v if isinstance(v, list) else [v]) if isinstance(i, str)}


def as_of(engine: Engine, record: str, on: date, *, recorded: bool = False) -> dict[str, Any] | None:
    """A record as it was at the end of a day, or None when it was not in the art tables.

    Two axes of time are asked apart. By default *valid time*: the record on that day by everything that is
    known now; every act counts from its own day on (an export from the day it was made, a sale, a move or a payment
    from the day it happened, a rollback from the day of what it takes back), whenever it was entered. With `recorded`,
    *recorded time*: what the art tables said when that day ended; every act counts from the day it was entered.

    Raises:
        BadInput: the art tables never held such a record.
    """
    with engine.connect() as connection:
        table, airtable_id = table_of(connection, record)
        if not recorded:
            return _valid_on(connection, table, airtable_id, on)
        number = connection.execute(
            text("""
                select coalesce(max(sync_number), 0) from art.syncs
                where status not in ('running', 'failed') and completed_at < cast(:d as date) + 1
            """),
            {"d": min(on, _LAST_DAY)},
        ).scalar_one()
        rows = state_at(connection, table, number, airtable_id)
    return rows[0] if rows else None


_LAST_DAY = date(9999, 12, 30)  # a day more must still be a date


def _valid_on(connection: Connection, table: str, airtable_id: str, on: date) -> dict[str, Any] | None:
    """The state that the acts of days up to this one make of a record, in the order in which they were entered."""
    acts = connection.execute(
        text("""
            select c.sync_number, c.op, c.field, c.new_value from art.changes c join art.syncs s using (sync_number)
            where c.table_name = :t and c.airtable_id = :i and s.effective_on <= :d
                  and s.status not in ('running', 'failed')
            order by c.sync_number, c.field nulls first
        """),
        {"t": table, "i": airtable_id, "d": on},
    ).all()
    if not acts:
        return None
    kind = ENTITIES[table]
    versions: dict[int, dict[str, Any]] = dict(
        connection.execute(
            text(f"""
                select valid_from_sync, to_jsonb(v) from art.{kind.versions.name} v
                where airtable_id = :i order by valid_from_sync
            """),
            {"i": airtable_id},
        )
        .tuples()
        .all()
    )
    # An act may be before the day of the export that brought the record: then it existed, as it was brought.
    state, present = dict(next(iter(versions.values()))), True
    for number, op, name, value in acts:
        written = versions.get(number, state)
        if op == "create":
            state = dict(written)
        if name is None:
            present = op != "withdraw"
        else:
            state[name] = value
        state |= {other: written[other] for other in (*kind.shown_only, *BOOKKEEPING) if other != "is_active"}
        if state["is_active"]:
            state["close_reason"] = None
    return _described(connection, table, state) if present else None


def _described(connection: Connection, table: str, state: dict[str, Any]) -> dict[str, Any]:
    """A state with the columns that the art tables compute: the view's own query on this one row."""
    kind = ENTITIES[table]
    versions = f"art.{kind.versions.name}"
    query: str = connection.execute(
        text("select pg_get_viewdef(cast(:v as regclass))"), {"v": f"art.{kind.singular}_history"}
    ).scalar_one()
    row = f"jsonb_populate_record(null::{versions}, cast(:state as jsonb)) v"
    found = connection.execute(
        text(query.rstrip(";").replace(f"{versions} v", row)),
        {"state": json.dumps(state | {"valid_to_sync": None})},
    ).one()
    return dict(found._mapping)


def state_at(
    connection: Connection, table: str, sync_number: int, airtable_id: str | None = None
) -> list[dict[str, Any]]:
    """A table as it was when a sync ended, with its computed columns, ordered by record id.

    Weeks in the gallery and display names follow today's export date and print names.
    """
    singular = ENTITIES[table].singular
    one = "and airtable_id = :i" if airtable_id is not None else ""
    rows = connection.execute(
        text(
            f"select * from art.{singular}_history where valid_from_sync <= :n "
            f"and (valid_to_sync is null or valid_to_sync > :n) {one} order by airtable_id"
        ),
        {"n": sync_number, "i": airtable_id} if one else {"n": sync_number},
    )
    return [dict(row._mapping) for row in rows]


def syncs(engine: Engine, limit: int = 50) -> list[dict[str, Any]]:
    """The newest acts first, a row per act and table (`art.sync_logs`)."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("select * from art.sync_logs order by sync_number desc, table_name limit :n"), {"n": limit}
        )
        return [dict(row._mapping) for row in rows]


def open_conflicts(engine: Engine) -> list[dict[str, Any]]:
    """Conflicts that wait for a decision, with what art tables and export say now, personal texts masked."""
    now = " union all ".join(
        f"select to_jsonb(v) -> c.field from art.{kind.versions.name} v where c.table_name = '{table}' "
        "and v.airtable_id = c.airtable_id and v.valid_to_sync is null"
        for table, kind in ENTITIES.items()
    )
    with engine.connect() as connection:
        rows = connection.execute(
            text(f"""
                select c.conflict_id, c.sync_number, c.table_name, c.airtable_id,
                       coalesce((select e.edition_display_name from art.editions e where e.airtable_id = c.airtable_id),
                                (select p.name from art.prints p where p.airtable_id = c.airtable_id),
                                (select d.name from art.distributors d where d.airtable_id = c.airtable_id)) as name,
                       c.field, c.base_value,
                       coalesce(n.value, c.local_value) as local_value,
                       coalesce(s.value, c.source_value) as source_value, c.status
                from art.conflicts c
                left join art.source_values s using (table_name, airtable_id, field)
                left join lateral ({now}) n (value) on true
                where c.status = 'open' order by c.conflict_id
            """)
        )
        found = [dict(row._mapping) for row in rows]
    for conflict in found:
        for side in ("base_value", "local_value", "source_value"):
            conflict[side] = masked(conflict["field"], conflict[side])
    return found
