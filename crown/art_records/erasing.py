"""Removing a person from the books: today's rows, their history, what was set aside, and the raw files.

The one place that rewrites history, and it says so in `art.erasures`: who, why, when and how many values, never
the text itself. An erased text is remembered as a salted digest, so that an export which still carries it does
not bring it back. Backups made before are not reached; the book-keeper's page says what to do with them.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from crown.art_records.comparing import erased_digest
from crown.art_records.tables import ENTITIES, PERSONAL
from crown.errors import BadInput
from crown.journal import activity
from crown.journal.activity import Via
from crown.store import files
from crown.store.objects import Objects

REPLACEMENT = "[erased]"


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
    """Replace every occurrence of a person's text by `[erased]`, whatever its case.

    Looks into notes and payment texts of all versions, change sets, conflicts, remembered source values and
    quarantined cells, the activity trail, and into every cell of every kept raw file.

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
    from crown.art_records.writing import alone, as_writer

    person = person.strip()
    if len(person) < 3:
        raise BadInput(
            "The text to erase is too short: it would hit other words. Give at least three characters."
        )
    if not who.strip() or not reason.strip() or person.casefold() in reason.casefold():
        raise BadInput("An erasure needs your name and a reason that does not itself hold the person's text.")
    pattern = re.compile(re.escape(person), re.IGNORECASE)
    with alone(engine) as connection, as_writer(connection):
        values: dict[str, int] = {}
        records: set[str] = set()
        for table, kind in ENTITIES.items():
            for name in sorted(PERSONAL & set(kind.fields)):
                values[f"{table}.{name}"] = _erase_versions(connection, table, name, pattern, records)
        values["change sets"] = _erase_json(connection, "changes", ("old_value", "new_value"), pattern)
        values["conflicts"] = _erase_json(
            connection, "conflicts", ("base_value", "local_value", "source_value"), pattern
        )
        values["source values"] = _erase_json(connection, "source_values", ("value",), pattern)
        values["quarantine"] = _erase_quarantine(connection, pattern)
        values["activity trail"] = activity.erase(connection, "art_records", pattern, REPLACEMENT)
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
    # Only now: until the books name the new objects, the old ones are the raw files.
    for old in renamed:
        objects.path(old).unlink(missing_ok=True)
    return report


def _erase_versions(
    connection: Connection, table: str, name: str, pattern: re.Pattern[str], records: set[str]
) -> int:
    versions = ENTITIES[table].versions.name
    rows = connection.execute(
        text(f"select airtable_id, valid_from_sync, {name} from art.{versions} where {name} ~* :p"),
        {"p": _posix(pattern)},
    ).all()
    for airtable_id, valid_from, value in rows:
        records.add(f"{table}/{airtable_id}")
        salt = secrets.token_hex(8)
        connection.execute(
            text("""
                insert into art.erased_values (table_name, airtable_id, field, salt, digest)
                values (:t, :i, :f, :s, :d) on conflict do nothing
            """),
            {"t": table, "i": airtable_id, "f": name, "s": salt, "d": erased_digest(salt, value)},
        )
        connection.execute(
            text(
                f"update art.{versions} set {name} = :v, row_hash = null "
                "where airtable_id = :i and valid_from_sync = :n"
            ),
            {"v": pattern.sub(REPLACEMENT, value), "i": airtable_id, "n": valid_from},
        )
    return len(rows)


def _erase_json(
    connection: Connection, table: str, columns: tuple[str, ...], pattern: re.Pattern[str]
) -> int:
    count = 0
    for column in columns:
        rows = connection.execute(
            text(f"select ctid::text, {column} #>> '{{}}' from art.{table} where {column} #>> '{{}}' ~* :p"),
            {"p": _posix(pattern)},
        ).all()
        for place, value in rows:
            connection.execute(
                text(
                    f"update art.{table} set {column} = to_jsonb(cast(:v as text)) where ctid = cast(:c as tid)"
                ),
                {"v": pattern.sub(REPLACEMENT, value), "c": place},
            )
        count += len(rows)
    return count


def _erase_quarantine(connection: Connection, pattern: re.Pattern[str]) -> int:
    rows = connection.execute(
        text("""
            select quarantine_id, raw_value, loaded_value, problem from art.quarantine
            where raw_value ~* :p or loaded_value ~* :p or problem ~* :p
        """),
        {"p": _posix(pattern)},
    ).all()
    clear: Callable[[str | None], str | None] = lambda v: None if v is None else pattern.sub(REPLACEMENT, v)  # noqa: E731
    for number, raw, loaded, problem in rows:
        connection.execute(
            text(
                "update art.quarantine set raw_value = :r, loaded_value = :l, problem = :p where quarantine_id = :i"
            ),
            {"r": clear(raw), "l": clear(loaded), "p": clear(problem), "i": number},
        )
    return len(rows)


def _posix(pattern: re.Pattern[str]) -> str:
    """The same literal text for PostgreSQL, whose special characters are escaped alike."""
    plain = re.sub(r"\\(.)", r"\1", pattern.pattern)
    return re.sub(r"([\\.^$*+?()\[\]{}|])", r"\\\1", plain)


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
    unfinished = files.temporary(objects.folder / "erased")
    try:
        unfinished.write_bytes(pattern.sub(REPLACEMENT, content).encode("utf-8", errors="surrogateescape"))
        return objects.put(unfinished)[0]
    finally:
        unfinished.unlink(missing_ok=True)
