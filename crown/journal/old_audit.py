"""CrownPipe's `.audit.json` files: read, checked, and entered with their original times and users.

The command walks the folders and renames a file once its rows are committed.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError
from sqlalchemy import Connection, text

from crown.errors import BadInput
from crown.journal.plain import plain_text

DEPARTMENT = "product_images"
#: The action by which CrownPipe says that the formats of a product were made.
FORMATTING_COMPLETE = "formatting_complete"


def _written_out(given: object) -> object:
    """CrownPipe wrote ISO 8601; read as a number of seconds, `20251101` would be a day in 1970."""
    if isinstance(given, (int, float)) or (isinstance(given, str) and given.strip().isdigit()):
        raise ValueError("a time is written as 2025-11-01T10:00:00Z")
    return given


def _within_the_calendar(moment: datetime) -> datetime:
    try:
        for day in (-1, 1):  # in any zone that it may be shown in
            _utc(moment) + timedelta(days=day)
    except OverflowError:
        raise ValueError("a time that is outside the calendar") from None
    return moment


_Moment = Annotated[datetime, BeforeValidator(_written_out), AfterValidator(_within_the_calendar)]


class HistoryItem(BaseModel):
    """One act of `upload_history`."""

    timestamp: _Moment
    user: str | None = None
    action: str = Field(min_length=1)
    details: str | None = None
    source_file: str | None = None


class AuditFile(BaseModel):
    """The file's content; unknown keys are left alone."""

    product_number: str = Field(min_length=1)
    upload_history: list[HistoryItem] = []
    formats_generated: list[str] = []
    last_production_sync: _Moment | None = None


@dataclass(frozen=True)
class Imported:
    """Rows that were new, and rows that an earlier import had entered."""

    activities: int
    formats: int
    syncs: int
    known: int


def read_audit_file(path: Path) -> AuditFile:
    """The content of an `.audit.json`.

    Raises:
        BadInput: not such a file; the sentence names the place.
    """
    try:
        return AuditFile.model_validate_json(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}).") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadInput(f"{path}: {where}: {first['msg']}; correct it or leave it out.") from None


def enter(connection: Connection, audit: AuditFile) -> Imported:
    """Enter what the trail does not have yet, in the caller's transaction.

    The same content entered twice, or again after acts were added to it, adds only what is new. A time
    without a zone is UTC. CrownPipe kept no time for a format: it gets that of the last `formatting_complete`,
    or none. Of a publication it kept the time alone: files and bytes are 0, as its own migration wrote them.
    """
    number = plain_text(audit.product_number)
    activities = _activities(number, audit.upload_history)
    times = [_utc(item.timestamp) for item in audit.upload_history if item.action == FORMATTING_COMPLETE]
    formats = [
        {
            "number": number,
            "name": plain_text(name),
            "at": max(times, default=None),
            "path": None,
            "bytes": None,
            "import_key": content_key("format", number, name),
        }
        for name in dict.fromkeys(audit.formats_generated)
    ]
    syncs = []
    if audit.last_production_sync is not None:
        at = _utc(audit.last_production_sync)
        key = content_key("sync", number, at.isoformat())
        syncs = [{"number": number, "at": at, "files": 0, "bytes": 0, "import_key": key}]
    new = [
        insert(connection, ACTIVITIES, activities),
        insert(connection, FORMATS, formats),
        insert(connection, SYNCS, syncs),
    ]
    known = len(activities) + len(formats) + len(syncs) - sum(new)
    return Imported(new[0], new[1], new[2], known)


def _activities(number: str, items: list[HistoryItem]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    seen: Counter[str] = Counter()
    for item in items:
        at = _utc(item.timestamp)
        what = (at.isoformat(), item.user, item.action, item.details, item.source_file)
        key = content_key("act", number, *what)
        # Two acts that are equal in everything are two acts.
        seen[key] += 1
        rows.append(
            {
                "at": at,
                "who": plain_text(item.user or "unknown"),
                "what": plain_text(item.action),
                "department": DEPARTMENT,
                "number": number,
                "details": None if item.details is None else plain_text(item.details),
                "source_file": None if item.source_file is None else plain_text(item.source_file),
                "duration_ms": None,
                "context": {},
                "import_key": f"{key}:{seen[key]}",
            }
        )
    return rows


#: What is imported, by table: where it goes, and the fields of a row.
ACTIVITIES = (
    "journal.activity (at, who, what, department, subject, entity, via, details, source_file, duration_ms, context,"
    " import_key) select at, who, what, department, number, number, 'import', details, source_file, duration_ms, context,"
    " import_key",
    "at timestamptz, who text, what text, department text, number text, details text, source_file text,"
    " duration_ms integer, context jsonb, import_key text",
)
FORMATS = (
    "journal.imported_formats (product_number, format_name, generated_at, file_path, file_size_bytes, import_key)"
    " select number, name, at, path, bytes, import_key",
    "number text, name text, at timestamptz, path text, bytes bigint, import_key text",
)
SYNCS = (
    "journal.imported_syncs (product_number, synced_at, files_synced, total_bytes, import_key)"
    " select number, at, files, bytes, import_key",
    "number text, at timestamptz, files integer, bytes bigint, import_key text",
)


def insert(connection: Connection, into: tuple[str, str], rows: Sequence[Mapping[str, object]]) -> int:
    """Enter the rows of ACTIVITIES, FORMATS or SYNCS that are not there yet; returns how many were new."""
    if not rows:
        return 0
    target, fields = into
    statement = text(
        f"insert into {target} from jsonb_to_recordset(cast(:rows as jsonb)) as r({fields})"
        " on conflict (import_key) do nothing"
    )
    given = json.dumps(rows, ensure_ascii=False, default=datetime.isoformat)
    return connection.execute(statement, {"rows": given}).rowcount


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def content_key(*parts: str | None) -> str:
    """The key of an imported row: the same content has the same key, wherever it was read."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
