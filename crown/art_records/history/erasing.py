"""Removing a person from the art tables: today's rows, their history, what was set aside, and the raw files.

The only module that rewrites history; `art.erasures` records it: who, why, when and how many values, never
the text itself. An erased text is remembered as a salted digest (`erased_texts.py`): an export that still carries it
is kept and read without it. Backups made before are not reached; the book-keeper's page says what to do with them.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, text

from crown.art_records.history.comparing import erased_digest
from crown.art_records.history.erased_texts import (
    REPLACEMENT,
    pattern_of,
    remember,
    replaced,
    without,
)
from crown.art_records.tables import ENTITIES
from crown.errors import BadInput, Refused
from crown.journal import activity
from crown.journal.activity import Via
from crown.store import files
from crown.store.objects import Objects

if TYPE_CHECKING:
    from crown.art_records.exports.files import RawFile


@dataclass(frozen=True)
class ErasureReport:
    """What was, or would be, erased: values per place, raw files by their hash before and after."""

    applied: bool
    values: dict[str, int]
    records: list[str]
    raw_files: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "applied": self.applied,
            "values": self.values,
            "records": self.records,
            "raw_files": self.raw_files,
        }

    def text(self) -> str:
        """For a terminal."""
        places = ", ".join(f"{n} in {place}" for place, n in self.values.items() if n) or "none"
        return f"{'Erased' if self.applied else 'Would erase'}: {places}, {len(self.raw_files)} raw files."


def erase(
    engine: Engine,
    person: str,
    *,
    objects: Objects,
    who: str,
    reason: str,
    apply: bool = False,
    via: Via = "cli",
) -> ErasureReport:
    """Replace every occurrence of a person's text by `[erased]`, whatever its case, blanks and doubled quotes.

    Looks into every text of every table of the art tables (versions, change sets, conflicts, reasons, quarantine, file
    names), the notices and decisions about them, the activity trail, and every cell of every kept raw file.

    Args:
        engine: The database.
        person: The text to remove, at least three characters.
        objects: The store of the raw files.
        who: Who does it.
        reason: Why; it is kept, so it must not name the person.
        apply: Do it; otherwise only count.
        via: From where.

    Raises:
        BadInput: too short a text, no name or reason, or a reason that holds the text.
    """
    from crown.art_records.history.writing import alone, as_writer

    person = person.strip()
    if len(person) < 3:
        raise BadInput(
            "The text to erase is too short: it would hit other words. Give at least three characters."
        )
    if not who.strip() or not reason.strip() or person.casefold() in reason.casefold():
        raise BadInput("An erasure needs your name and a reason that does not itself hold the person's text.")
    pattern = pattern_of(person)
    with alone(engine) as connection, as_writer(connection):
        values: dict[str, int] = {}
        records: set[str] = set()
        touched = []
        for table, (where, columns) in _text_columns(connection).items():
            counts = _erase_table(connection, table, where, columns, pattern, records)
            touched += [table] if counts else []
            bare = table.removeprefix("art.")
            values |= {f"{_CALLED.get(bare, bare)}.{column}": n for column, n in counts.items()}
        values["activity trail"] = activity.erase(connection, "art_records", pattern, REPLACEMENT)
        remember(connection, person)
        raw = _raw_files_with(connection, objects, pattern)
        renamed = {old: _rewrite(objects, old, pattern) for old in raw} if apply else dict.fromkeys(raw, "")
        report = ErasureReport(apply, values, sorted(records), renamed)
        if not apply:
            connection.rollback()
            return report
        for old, new in renamed.items():
            connection.execute(
                text("update art.raw_files set kept_as = :new where kept_as = :old"), {"new": new, "old": old}
            )
        connection.execute(
            text("""
                insert into art.erasures (who, reason, values_erased, raw_files)
                values (:who, :reason, cast(:values as jsonb), cast(:files as jsonb))
            """),
            {"who": who, "reason": reason, "values": json.dumps(values), "files": json.dumps(renamed)},
        )
        activity.record(
            connection, who=who, what="erase", subject="art_records", department="art_records", via=via,
            new=report.as_dict() | {"records": len(records)}, details=reason,
        )  # fmt: skip
        connection.commit()
    # Only now: until the art tables name the new objects, the old ones are the raw files.
    for old in renamed:
        objects.path(old).unlink(missing_ok=True)
    _vacuum(engine, [*touched, "journal.activity"])
    return report


def taken_out_again(engine: Engine, raw: RawFile, objects: Objects) -> RawFile:
    """A file that arrived, without the texts that were erased before; what cleaning it finds, the quarantine says.

    What is kept and read is the file without them; the bytes that named the person go.

    Raises:
        Refused: a text is written so that it cannot be taken out; the file is not kept.
    """
    with engine.connect() as connection:
        content = raw.data.decode("utf-8", errors="surrogateescape")
        try:
            cleared = without(connection, content, raw.name)
        except Refused:
            objects.path(raw.sha256).unlink(missing_ok=True)
            raise
    if cleared == content:
        return raw
    data = cleared.encode("utf-8", errors="surrogateescape")
    digest = _kept(objects, data)
    objects.path(raw.sha256).unlink(missing_ok=True)
    return replace(raw, data=data, sha256=digest)


_KEYS = frozenset({
    "airtable_id", "print_id", "distributor_id", "other_print_ids", "table_name", "field", "op", "source", "kind", "size",
    "frame_type", "sync_type", "status", "who", "via", "decided_by", "diff_hash", "rule_version", "sha256", "kept_as",
    "layout", "header_fingerprint", "source_hash", "column_name", "rule", "outcome", "salt", "digest", "values_erased",
    "item_key", "attachment_id", "listed_in",
})  # fmt: skip
"""Columns that name or class a row; none of them contains a person's text."""

_ELSEWHERE = {
    "journal.notices": ("department = 'art_records'", {"sentence"}),
    "ledger.decisions": ("stage like 'art_records/%'", {"reason", "payload"}),
}
"""Tables of other schemas: which of their rows are ours, and the columns in which people write."""

_CALLED = {"changes": "change sets", "source_values": "source values"} | {
    kind.versions.name: table for table, kind in ENTITIES.items()
}


def _text_columns(connection: Connection) -> dict[str, tuple[str, dict[str, str]]]:
    """Table -> (which rows, column -> type): the columns that may contain a person's text, from the catalogue."""
    rows = connection.execute(
        text("""
            select c.table_schema || '.' || c.table_name, c.column_name, c.data_type
            from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
            where t.table_type = 'BASE TABLE' and c.data_type in ('text', 'jsonb', 'ARRAY')
                  and (c.table_schema = 'art' or c.table_schema || '.' || c.table_name = any(:elsewhere))
            order by 1, c.ordinal_position
        """),
        {"elsewhere": list(_ELSEWHERE)},
    )
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for table, column, kind in rows:
        where, only = _ELSEWHERE.get(table, ("true", None))
        if column in only if only else column not in _KEYS:
            found.setdefault(table, (where, {}))[1][column] = kind
    return found


def _erase_table(
    connection: Connection, table: str, where: str, columns: dict[str, str], pattern: re.Pattern[str],
    records: set[str],
) -> dict[str, int]:  # fmt: skip
    """Replace the text in every row of one table; the counts per column.

    The comparison is Python's: the database folds only the letters that its locale knows.
    """
    name = table.partition(".")[2]
    entity = next((e for e, kind in ENTITIES.items() if kind.versions.name == name), None)
    extra = "airtable_id" if entity else "null"
    counts: dict[str, int] = {}
    rows = connection.execute(
        text(f"select ctid::text, {extra}, {', '.join(columns)} from {table} where {where}")
    ).all()
    for place, airtable_id, *values in rows:
        before = dict(zip(columns, values, strict=True))
        after = {c: v for c, old in before.items() if (v := replaced(old, pattern)) != old}
        if not after:
            continue
        for column, value in after.items():
            counts[column] = counts.get(column, 0) + 1
            if entity:
                records.add(f"{entity}/{airtable_id}")
                for known in (before[column], value):
                    _remember_value(connection, entity, airtable_id, column, known)
        sets = [f"{c} = cast(:{c} as jsonb)" if columns[c] == "jsonb" else f"{c} = :{c}" for c in after]
        connection.execute(
            text(f"update {table} set {', '.join([*sets, *(['row_hash = null'] if entity else [])])} "
                 "where ctid = cast(:at_place as tid)"),
            {c: json.dumps(v) if columns[c] == "jsonb" else v for c, v in after.items()} | {"at_place": place},
        )  # fmt: skip
    if counts:
        # What the planner remembers of a column are its values.
        connection.execute(text(f"analyze {table}"))
    return counts


def _remember_value(connection: Connection, table: str, airtable_id: str, field: str, value: Any) -> None:
    """An export that says the erased field again, with or without the text, says nothing new."""
    if not isinstance(value, str):
        return
    salt = secrets.token_hex(8)
    connection.execute(
        text("""
            insert into art.erased_values (table_name, airtable_id, field, salt, digest)
            values (:t, :i, :f, :s, :d) on conflict do nothing
        """),
        {"t": table, "i": airtable_id, "f": field, "s": salt, "d": erased_digest(salt, value)},
    )


def _vacuum(engine: Engine, tables: list[str]) -> None:
    """Free the old rows, so that no page gives the text away to a later reader of the table's file."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in tables:
            connection.execute(text(f"vacuum (analyze) {table}"))


def _raw_files_with(connection: Connection, objects: Objects, pattern: re.Pattern[str]) -> list[str]:
    kept = connection.execute(text("select distinct kept_as from art.raw_files")).scalars().all()
    return [
        digest
        for digest in kept
        if objects.path(digest).is_file()
        and pattern.search(objects.path(digest).read_bytes().decode("utf-8", errors="surrogateescape"))
    ]


def _rewrite(objects: Objects, digest: str, pattern: re.Pattern[str]) -> str:
    """The same file without the text, under its new hash."""
    content = objects.path(digest).read_bytes().decode("utf-8", errors="surrogateescape")
    return _kept(objects, pattern.sub(REPLACEMENT, content).encode("utf-8", errors="surrogateescape"))


def _kept(objects: Objects, data: bytes) -> str:
    """Bytes as an object; its hash."""
    unfinished = files.temporary(objects.folder / "erased")
    try:
        with files.systemic_errors(f"Writing {unfinished}"):
            unfinished.write_bytes(data)
        return objects.put(unfinished)[0]
    finally:
        unfinished.unlink(missing_ok=True)
