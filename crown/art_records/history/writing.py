"""Writing to the art tables: new versions, change sets and statistics, set by set, in the caller's transaction.

Belongs here: the only statements that write version tables and change sets, apart from the trigger that does
the same for edits by hand. Does not belong here: deciding what to write (`comparing.py`, `rollback.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, text

from crown.art_records.exports.cleaning import encode
from crown.art_records.history.comparing import Change, TablePlan, copy_in
from crown.art_records.tables import BOOKKEEPING, ENTITIES, LOCK, Entity, entity


@dataclass
class Patch:
    """New values for one record; the version that results is its newest one with these values put in."""

    airtable_id: str
    op: str
    values: dict[str, Any] = field(default_factory=dict)
    row_hash: int | None = None


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """A connection that holds the writers' lock: one writer at a time, and edits by hand wait.

    Whoever gets the lock knows that no other writer lives; acts that it finds unfinished died, and are named so.
    """
    with engine.connect() as connection:
        connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        try:
            connection.execute(
                text("""
                    update art.syncs set
                        status = case status when 'running' then 'failed' else 'rollback_failed' end,
                        error_message = coalesce(error_message, 'the process ended before it was done'),
                        completed_at = coalesce(completed_at, clock_timestamp())
                    where status in ('running', 'rolling_back')
                """)
            )
            connection.commit()
            yield connection
        finally:
            connection.rollback()
            connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": LOCK})
            connection.commit()


def begin_sync(
    connection: Connection,
    *,
    sync_type: str,
    who: str,
    via: str,
    effective_on: date,
    reason: str | None = None,
    reverts: int | None = None,
    diff_hash: str | None = None,
    rule_version: str | None = None,
    exported_on: date | None = None,
) -> int:
    """Announce an act, committed at once so that a crash leaves its trace; returns its number."""
    number = connection.execute(
        text("""
            insert into art.syncs (sync_type, status, who, via, reason, reverts, diff_hash, rule_version,
                                   exported_on, effective_on)
            values (:sync_type, 'running', :who, :via, :reason, :reverts, :diff_hash, :rule_version,
                    :exported_on, :effective_on)
            returning sync_number
        """),
        {
            "sync_type": sync_type, "who": who, "via": via, "reason": reason, "reverts": reverts,
            "diff_hash": diff_hash, "rule_version": rule_version, "exported_on": exported_on,
            "effective_on": effective_on,
        },
    ).scalar_one()  # fmt: skip
    connection.commit()
    return number


def finish_sync(connection: Connection, number: int) -> None:
    """Mark an act as done and enter it in the ledger, in the transaction of its changes."""
    from crown.art_records.history.ledger_rows import enter_sync

    enter_sync(connection, number)
    connection.execute(
        text(
            "update art.syncs set status = 'completed', completed_at = clock_timestamp() where sync_number = :n"
        ),
        {"n": number},
    )


def fail_sync(connection: Connection, number: int, error: BaseException) -> None:
    """Undo the open transaction and keep the reason; values of rows are never part of it."""
    connection.rollback()
    sentence = str(error).splitlines()[0][:500] if str(error) else ""
    connection.execute(
        text("""
            update art.syncs set status = 'failed', completed_at = clock_timestamp(), error_message = :m
            where sync_number = :n
        """),
        {"n": number, "m": f"{type(error).__name__}: {sentence}"},
    )
    connection.commit()


@contextmanager
def as_writer(connection: Connection) -> Iterator[None]:
    """Let the guard of the version tables pass what Crown itself writes in this transaction."""
    connection.execute(text("select set_config('crown.art_writer', 'on', true)"))
    yield
    connection.execute(text("select set_config('crown.art_writer', '', true)"))


# ---- exports ----------------------------------------------------------------------------------------------


def write_plan(connection: Connection, number: int, plan: TablePlan) -> None:
    """Write one table's part of an export: records, versions, change set, conflicts, quarantine, statistics."""
    kind = plan.entity
    with as_writer(connection):
        _create(connection, number, plan, kind)
        row_of = {i: r for r, i in enumerate(plan.cleaned.ids)} if plan.changes else {}
        patches: dict[str, Patch] = {}
        for change in plan.changes:
            patch = patches.setdefault(change.airtable_id, Patch(change.airtable_id, "update"))
            if change.field is not None:
                patch.values[change.field] = change.new
            if change.op != "update":
                patch.op = change.op
        for patch in patches.values():
            if patch.op == "close":
                patch.values["close_reason"] = "missing in the export"
                continue
            row = row_of[patch.airtable_id]
            for name in kind.shown_only:
                if name in plan.cleaned.columns:
                    column = plan.cleaned.columns[name]
                    value = column.values[column.codes[row]]
                    patch.values[name] = list(value) if isinstance(value, tuple) else value
            if patch.airtable_id not in plan.mixed:
                patch.row_hash = int(plan.hashes[row])
        write_patches(connection, number, kind, list(patches.values()), source="export")
        write_changes(connection, number, plan.changes)
    _settle_with_source(connection, number, plan)
    _write_findings(connection, number, plan)
    _write_statistics(connection, number, plan)


def _create(connection: Connection, number: int, plan: TablePlan, kind: Entity) -> None:
    if not len(plan.created):
        return
    cleaned = plan.cleaned
    names = tuple(c for c in kind.columns if c in cleaned.columns)
    hashes = plan.hashes[plan.created].tolist()
    tail = f"\tt\t\\N\t{number}\t\\N\tcreate\texport\t%d\t1\t{number}\t{number}"
    lines = [line + tail % h for line, h in zip(cleaned.copy_lines(names, plan.created), hashes, strict=True)]
    # Sorted by record id, the indexes grow at one end: half the time of random order.
    lines.sort()
    came_back = _earlier_versions(connection, kind, cleaned.ids[plan.created].tolist())
    copy_in(connection, f"art.{kind.versions.name}", ("airtable_id", *names, *BOOKKEEPING), lines)
    for airtable_id, version, created in came_back:
        connection.execute(
            text(
                f"update art.{kind.versions.name} set sync_version = :v, created_sync = :c "
                "where airtable_id = :i and valid_from_sync = :n"
            ),
            {"v": version + 1, "c": created, "i": airtable_id, "n": number},
        )
    _note_creations(connection, number, plan.table, cleaned.ids[plan.created].tolist())
    if len(plan.created) >= 1000:
        # What reads the art tables next would otherwise be planned as if they were empty. How many rows are open is
        # enough for it; the statistics of all columns, a quarter of the load's time, are autovacuum's to renew.
        connection.execute(text(f"analyze art.{kind.versions.name} (airtable_id, valid_to_sync)"))


def create_records(
    connection: Connection, number: int, kind: Entity, fields: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> None:
    """Records that are born here, not in an export: (record id, *values of the fields)."""
    tail = f"\tt\t\\N\t{number}\t\\N\tcreate\tlocal\t\\N\t1\t{number}\t\\N"
    lines = ["\t".join(encode(value) for value in row) + tail for row in rows]
    copy_in(connection, f"art.{kind.versions.name}", ("airtable_id", *fields, *BOOKKEEPING), lines)
    _note_creations(connection, number, kind.name, [row[0] for row in rows])


def _note_creations(connection: Connection, number: int, table: str, ids: list[str]) -> None:
    columns = ("sync_number", "table_name", "airtable_id", "op")
    copy_in(connection, "art.changes", columns, [f"{number}\t{table}\t{i}\tcreate" for i in ids])


def _earlier_versions(connection: Connection, kind: Entity, ids: list[str]) -> Sequence[Any]:
    """Records that were withdrawn once and come again: (id, last version, first sync)."""
    table = f"art.{kind.versions.name}"
    if not connection.execute(text(f"select exists (select 1 from {table})")).scalar_one():
        return []
    return connection.execute(
        text(
            f"select airtable_id, max(sync_version), min(created_sync) from {table} "
            "where airtable_id = any(:ids) group by airtable_id"
        ),
        {"ids": ids},
    ).all()


_ONE_FIELD = "where table_name = :t and airtable_id = :i and field = :f"


def _settle_with_source(connection: Connection, number: int, plan: TablePlan) -> None:
    """Export and art tables agree where the export was written or says the same; conflicts remember both sides."""
    gone = [(c.airtable_id, c.field) for c in plan.changes] + plan.settled
    if gone:
        connection.execute(
            text("""
                delete from art.source_values s
                using unnest(cast(:ids as text[]), cast(:fields as text[])) as g (airtable_id, field)
                where s.table_name = :t and s.airtable_id = g.airtable_id and s.field = g.field
            """),
            {"t": plan.table, "ids": [i for i, _ in gone], "fields": [f for _, f in gone]},
        )
    for airtable_id, name, value in plan.returned:
        key = {"t": plan.table, "i": airtable_id, "f": name}
        connection.execute(
            text(f"update art.conflicts set status = 'settled', decided_at = clock_timestamp() {_ONE_FIELD} "
                 "and status = 'open'"), key
        )  # fmt: skip
        connection.execute(
            text(f"update art.source_values set value = cast(:s as jsonb) {_ONE_FIELD}"),
            {**key, "s": json.dumps(value)},
        )
    for conflict in plan.conflicts:
        values = {
            "n": number, "t": plan.table, "i": conflict.airtable_id, "f": conflict.field,
            "b": json.dumps(conflict.base), "l": json.dumps(conflict.local), "s": json.dumps(conflict.source),
        }  # fmt: skip
        connection.execute(
            text(
                f"update art.conflicts set status = 'superseded', superseded_by = null {_ONE_FIELD} "
                "and status = 'open'"
            ),
            values,
        )
        raised = connection.execute(
            text("""
                insert into art.conflicts (sync_number, table_name, airtable_id, field, base_value, local_value,
                                           source_value)
                values (:n, :t, :i, :f, cast(:b as jsonb), cast(:l as jsonb), cast(:s as jsonb))
                returning conflict_id
            """),
            values,
        ).scalar_one()
        connection.execute(
            text(f"update art.conflicts set superseded_by = :by {_ONE_FIELD} "
                 "and status = 'superseded' and superseded_by is null"), {**values, "by": raised}
        )  # fmt: skip
        connection.execute(
            text("""
                insert into art.source_values values (:t, :i, :f, cast(:s as jsonb))
                on conflict (table_name, airtable_id, field) do update set value = excluded.value
            """),
            values,
        )


def _write_findings(connection: Connection, number: int, plan: TablePlan) -> None:
    lines = [
        "\t".join(
            encode(v)
            for v in (
                number, plan.table, f.airtable_id, f.row, f.column, f.field, f.rule, f.outcome, f.problem, f.raw,
                f.loaded, f.money_at_stake,
            )
        )
        for f in plan.cleaned.findings
    ]  # fmt: skip
    if lines:
        columns = (
            "sync_number", "table_name", "airtable_id", "file_row", "column_name", "field", "rule", "outcome",
            "problem", "raw_value", "loaded_value", "money_at_stake",
        )  # fmt: skip
        copy_in(connection, "art.quarantine", columns, lines)


def statistics(plan: TablePlan) -> dict[str, int]:
    """The counts of one table's part: processed = created + updated + unchanged."""
    findings = plan.cleaned.findings
    updated = len(plan.updated)
    return {
        "records_processed": len(plan.cleaned),
        "records_created": len(plan.created),
        "records_updated": updated,
        "records_unchanged": len(plan.cleaned) - len(plan.created) - updated,
        "records_closed": len(plan.closed),
        "records_withdrawn": 0,
        "records_failed": len({f.row for f in findings if f.outcome == "withheld"}),
        "records_blank": plan.cleaned.blank,
        "conflicts": len(plan.conflicts),
        "values_quarantined": sum(f.outcome == "withheld" for f in findings),
        "values_repaired": sum(f.outcome == "repaired" for f in findings),
    }


def _write_statistics(connection: Connection, number: int, plan: TablePlan) -> None:
    raw = plan.export.raw
    write_statistics(
        connection, number, plan.table,
        {**statistics(plan), "source_file": raw.name, "source_hash": raw.sha256,
         "header_fingerprint": plan.cleaned.shape},
    )  # fmt: skip


def write_statistics(connection: Connection, number: int, table: str, values: dict[str, Any]) -> None:
    """One row of statistics of an act."""
    values = {"sync_number": number, "table_name": table, **values}
    connection.execute(
        text(
            f"insert into art.sync_tables ({', '.join(values)}) "
            f"values ({', '.join(':' + name for name in values)})"
        ),
        values,
    )


# ---- versions ---------------------------------------------------------------------------------------------


def write_patches(
    connection: Connection, number: int, kind: Entity, patches: list[Patch], *, source: str
) -> None:
    """Close the open versions of the patched records and open new ones; withdrawn records get none.

    A record without an open version (op `restore`) continues from its newest one.
    """
    if not patches:
        return
    table = f"art.{kind.versions.name}"
    connection.execute(text("drop table if exists pg_temp.patched"))
    connection.execute(
        text("create temp table patched (airtable_id text, op text, patch jsonb, row_hash bigint)")
    )
    copy_in(
        connection,
        "pg_temp.patched",
        ("airtable_id", "op", "patch", "row_hash"),
        [
            "\t".join((encode(p.airtable_id), p.op, encode(_json(p.values)), encode(p.row_hash)))
            for p in patches
        ],
    )
    connection.execute(text("analyze patched"))
    connection.execute(text("drop table if exists pg_temp.newest"))
    # Built before anything is closed: the newest version is the open one, or the last of a withdrawn record.
    connection.execute(
        text(f"""
            create temp table newest as
            select to_jsonb(v) || p.patch || jsonb_build_object(
                'valid_from_sync', cast(:n as bigint), 'valid_to_sync', null, 'op', p.op,
                'source', cast(:source as text), 'row_hash', p.row_hash, 'sync_version', v.sync_version + 1,
                'exported_sync', case when :source = 'export' then :n else v.exported_sync end) as state
            from patched p
            join lateral (select * from {table} o where o.airtable_id = p.airtable_id
                          order by o.valid_from_sync desc limit 1) v on true
            where p.op <> 'withdraw'
        """),
        {"n": number, "source": source},
    )
    connection.execute(
        text(
            f"update {table} v set valid_to_sync = :n from patched p "
            "where v.airtable_id = p.airtable_id and v.valid_to_sync is null"
        ),
        {"n": number},
    )
    columns = ", ".join(c.name for c in kind.versions.columns)
    connection.execute(
        text(
            f"insert into {table} ({columns}) select {columns} from newest, "
            f"jsonb_populate_record(null::{table}, state || case when (state ->> 'is_active')::boolean "
            "then '{\"close_reason\": null}'::jsonb else '{}'::jsonb end)"
        )
    )
    connection.execute(text("drop table pg_temp.patched, pg_temp.newest"))


def write_changes(connection: Connection, number: int, changes: Sequence[Change]) -> None:
    """The change set of an act."""
    copy_in(
        connection,
        "art.changes",
        ("sync_number", "table_name", "airtable_id", "op", "field", "old_value", "new_value"),
        [
            "\t".join(
                (
                    str(number),
                    c.table,
                    encode(c.airtable_id),
                    c.op,
                    encode(c.field),
                    _or_null(c.old),
                    _or_null(c.new),
                )
            )
            for c in changes
        ],
    )


def _or_null(value: Any) -> str:
    return r"\N" if value is None else encode(_json(value))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in a change set")


def remember_source_values(connection: Connection, number: int) -> None:
    """After an act of our own: keep what the export last said wherever the art tables now say otherwise.

    What is remembered already stays: it is older than the act and came from an export.
    """
    connection.execute(
        text("""
            insert into art.source_values (table_name, airtable_id, field, value)
            select c.table_name, c.airtable_id, c.field, coalesce(c.old_value, 'null') from art.changes c
            where c.sync_number = :n and c.field is not null and c.op in ('update', 'close', 'reopen')
            on conflict do nothing
        """),
        {"n": number},
    )
    connection.execute(
        text("""
            delete from art.source_values s using art.changes c
            where c.sync_number = :n and s.table_name = c.table_name and s.airtable_id = c.airtable_id
                  and s.field = c.field and s.value = coalesce(c.new_value, 'null')
        """),
        {"n": number},
    )


def forget_agreed(connection: Connection) -> None:
    """Forget what the export last said wherever the art tables say the same; that ends open conflicts as well."""
    for table, kind in ENTITIES.items():
        connection.execute(
            text(f"""
                delete from art.source_values s using art.{kind.versions.name} v
                where s.table_name = :t and v.airtable_id = s.airtable_id and v.valid_to_sync is null
                      and coalesce(to_jsonb(v) -> s.field, 'null') = s.value
            """),
            {"t": table},
        )


def open_state(connection: Connection, table: str, airtable_id: str) -> dict[str, Any] | None:
    """The open version of a record as JSON values, or None."""
    return connection.execute(
        text(
            f"select to_jsonb(v) from art.{entity(table).versions.name} v "
            "where airtable_id = :i and valid_to_sync is null"
        ),
        {"i": airtable_id},
    ).scalar_one_or_none()
