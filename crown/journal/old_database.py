"""CrownPipe v3's own PostgreSQL (`audit.*`, `logs.pipeline_logs`): read once, entered with its times and users.

A row's key is made of its content, so that importing again, or after the same acts came from `.audit.json` files, adds
only what is new. The old database is read in one read-only snapshot and never changed.
"""

from __future__ import annotations

import json
import os
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from crown.database.engine import connect
from crown.errors import BadInput, ConfigurationError, Refused
from crown.journal.old_audit import ACTIVITIES, DEPARTMENT, FORMATS, SYNCS, content_key, insert
from crown.journal.plain import plain
from crown.journal.secrets import hide, redact, redact_values

_BATCH = 2000
#: What CrownPipe called our departments.
PIPELINES = {"media": "product_images", "data": "product_data"}
_NAMESPACE = uuid.UUID("5d1a4c5e-64a6-4b0d-9a3b-6f3f2f1c7e10")
_RECORDS = """
insert into logs.records (record_id, timestamp, level, department, module, message, context, exception, user_id,
                          execution_time_ms)
select * from jsonb_to_recordset(cast(:rows as jsonb)) as r(
    record_id uuid, timestamp timestamptz, level text, department text, module text, message text, context jsonb,
    exception text, user_id text, execution_time_ms integer)
on conflict (record_id) do nothing
"""


@dataclass(frozen=True)
class Table:
    """What one old table holds, and what of it is new to us.

    Attributes:
        name: the old name.
        rows: rows there; None: there is no such table.
        first: time of the oldest row.
        last: time of the newest row.
        new: rows that were entered, or would be.
        too_old: log records that are older than what housekeeping keeps; they are left out.
    """

    name: str
    rows: int | None
    first: datetime | None = None
    last: datetime | None = None
    new: int = 0
    too_old: int = 0

    @property
    def known(self) -> int:
        """Rows that are here already."""
        return (self.rows or 0) - self.new - self.too_old


@dataclass(frozen=True)
class _Source:
    """How one old table is read and entered: its columns, the time among them, and its rows in our form."""

    name: str
    columns: tuple[str, ...]
    time: str
    row: Callable[[Mapping[str, Any]], dict[str, object]]
    enter: Callable[[Connection, Sequence[Mapping[str, object]]], int]
    known: str

    @staticmethod
    def key(row: Mapping[str, object]) -> object:
        """The key under which a row is entered."""
        return row.get("import_key") or row["record_id"]


def read_address(path: Path) -> URL:
    """The address of the old database from a file: `postgresql://...`, or the PG_* lines of CrownPipe's `.env`.

    Raises:
        ConfigurationError: no such file, everyone can read it, or it holds no address.
    """
    from dotenv import dotenv_values

    try:
        content = path.read_text("utf-8")
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or 'not text'})."
        ) from None
    if mode & stat.S_IROTH:
        raise ConfigurationError(f"{path} holds a password and everyone can read it; chmod 600 it.")
    lines = [line.strip() for line in content.splitlines() if line.strip() and not line.startswith("#")]
    if lines and lines[0].startswith(("postgres://", "postgresql")):
        return address(lines[0], str(path))
    return address_of(dotenv_values(path), str(path))


def address_of(values: Mapping[str, str | None], where: str) -> URL:
    """The address that CrownPipe's own variables PG_HOST, PG_PORT, PG_DATABASE, PG_USER, PG_PASSWORD name.

    Raises:
        ConfigurationError: none of them is there.
    """
    if not any(values.get(name) for name in ("PG_HOST", "PG_DATABASE", "PG_USER")):
        raise ConfigurationError(
            f"{where} names no database; write postgresql://user:password@host/crown_marketing into a file, or name"
            " CrownPipe's .env with PG_HOST and the others."
        )
    hide(values.get("PG_PASSWORD"))
    port = values.get("PG_PORT") or "5432"
    if not port.isdigit():
        raise ConfigurationError(f"PG_PORT of {where} is no number; correct it.")
    return URL.create(
        "postgresql",
        username=values.get("PG_USER") or "crown_admin",
        password=values.get("PG_PASSWORD") or None,
        host=values.get("PG_HOST") or "127.0.0.1",
        port=int(port),
        database=values.get("PG_DATABASE") or "crown_marketing",
    )


def address(given: str, where: str) -> URL:
    """An address as SQLAlchemy's URL; its password is hidden from every log.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        found = make_url(given)
    except ArgumentError:
        found = None
    if found is None or not found.drivername.startswith("postgres"):
        raise ConfigurationError(
            f"{where} holds no address such as postgresql://user:password@host/database."
        )
    hide(found.password if found.password is None else str(found.password))
    return found


def migrate(
    engine: Engine,
    old: URL,
    *,
    carry_out: bool = False,
    log_days: int = 90,
    progress: Callable[[str, int], None] = lambda _name, _rows: None,
) -> list[Table]:
    """Enter what the old database has and ours does not; without `carry_out` only count it.

    Each batch is committed by itself: an import that is stopped anywhere is taken up by running it again.

    Args:
        engine: our database.
        old: CrownPipe's database.
        carry_out: enter the rows.
        log_days: log records that are older are left out; the next housekeeping would remove them.
        progress: called with the table's name and its rows read so far.

    Raises:
        ConfigurationError: the old database cannot be reached.
        BadInput: it has none of CrownPipe's tables.
        Refused: it is a database of Crown's.
    """
    source = connect(old.render_as_string(hide_password=False), pool_size=1)
    try:
        with _snapshot(source, old) as reading:
            _refuse_ours(reading, old)
            done = [
                _table(engine, reading, one, carry_out=carry_out, log_days=log_days, progress=progress)
                for one in _SOURCES
            ]
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise BadInput(
            f"The import stopped ({redact(said)}); what was entered stays, run it again to go on."
        ) from None
    finally:
        source.dispose()
    if all(table.rows is None for table in done):
        raise BadInput(
            f"The database {old.database} has none of CrownPipe's tables audit.* and logs.pipeline_logs."
        )
    return done


def _snapshot(source: Engine, old: URL) -> Connection:
    try:
        connection = source.connect().execution_options(isolation_level="REPEATABLE READ")
        connection.execute(text("set transaction read only"))
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines()[0].rsplit("failed: ", 1)[-1]
        raise ConfigurationError(
            f"The old database {old.host or 'localhost'}/{old.database} cannot be reached ({redact(said)})."
        ) from None
    return connection


def _refuse_ours(reading: Connection, old: URL) -> None:
    if reading.execute(text("select to_regclass('ledger.items')")).scalar_one() is not None:
        raise Refused(f"{old.database} is a database of Crown's; name the one that CrownPipe wrote to.")


def _table(
    engine: Engine,
    reading: Connection,
    source: _Source,
    *,
    carry_out: bool,
    log_days: int,
    progress: Callable[[str, int], None],
) -> Table:
    there = set(
        reading.execute(
            text(
                "select column_name from information_schema.columns"
                " where table_schema = :schema and table_name = :name"
            ),
            dict(zip(("schema", "name"), source.name.split("."), strict=True)),
        ).scalars()
    )
    if not there:
        return Table(source.name, None)
    if lacking := [name for name in source.columns[:3] if name not in there]:
        raise BadInput(f"{source.name} has no column {lacking[0]}; it is not CrownPipe's table.")
    keep = (
        "true"
        if source.row is not _record
        else f"{source.time} >= now() - make_interval(days => {log_days:d})"
    )
    rows, kept, first, last = reading.execute(
        text(
            f"select count(*), count(*) filter (where {keep}), min({source.time}), max({source.time}) from {source.name}"
        )
    ).one()
    new = seen = 0
    for batch in _batches(reading, source, there, keep):
        converted = [source.row(row) for row in batch]
        with engine.begin() as connection:
            keys = [source.key(row) for row in converted]
            known = set(connection.execute(text(source.known), {"keys": keys}).scalars())
            unknown = [row for row in converted if source.key(row) not in known]
            if carry_out:
                new += source.enter(connection, unknown)
            else:
                new += len({source.key(row) for row in unknown})
        seen += len(batch)
        progress(source.name, seen)
    return Table(source.name, rows, first, last, new, rows - kept)


def _batches(
    reading: Connection, source: _Source, there: set[str], keep: str
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The rows, oldest first; `copy` counts those that are equal in everything but their id."""
    names = [name if name in there else f"null as {name}" for name in source.columns]
    equal = ", ".join(f"{name}::text" for name in source.columns if name in there)
    query = text(
        f"select id, {', '.join(names)}, row_number() over (partition by {equal} order by id) as copy"
        f" from {source.name} where {keep} order by id"
    )
    answer = reading.execution_options(yield_per=_BATCH).execute(query)
    for batch in answer.mappings().partitions(_BATCH):
        yield [dict(row) for row in batch]


def _act(row: Mapping[str, Any]) -> dict[str, object]:
    number, at = row["product_number"], _utc(row["timestamp"])
    key = content_key(
        "act", number, at.isoformat(), row["user_id"], row["action"], row["details"], row["source_file"]
    )
    return {
        "at": at,
        "who": row["user_id"] or "unknown",
        "what": row["action"],
        "department": DEPARTMENT,
        "number": number,
        "details": row["details"],
        "source_file": row["source_file"],
        "duration_ms": row["execution_time_ms"],
        "context": redact_values(plain(_context(row["context"]) or {})),
        "import_key": f"{key}:{row['copy']}",
    }


def _format(row: Mapping[str, Any]) -> dict[str, object]:
    number, name, at = row["product_number"], row["format_name"], _utc(row["generated_at"])
    path, size = row["file_path"], row["file_size_bytes"]
    if path is None and size is None:
        # CrownPipe's own migration of an .audit.json wrote it so: it is the row that the file has.
        key = content_key("format", number, name)
    else:
        key = f"{content_key('format', number, name, at.isoformat(), path, str(size))}:{row['copy']}"
    return {"number": number, "name": name, "at": at, "path": path, "bytes": size, "import_key": key}


def _sync(row: Mapping[str, Any]) -> dict[str, object]:
    number, at, files, size = (
        row["product_number"],
        _utc(row["synced_at"]),
        row["files_synced"],
        row["total_bytes"],
    )
    key = content_key("sync", number, at.isoformat())
    if files or size:
        key = f"{content_key('sync', number, at.isoformat(), str(files), str(size))}:{row['copy']}"
    return {"number": number, "at": at, "files": files, "bytes": size, "import_key": key}


def _record(row: Mapping[str, Any]) -> dict[str, object]:
    at = _utc(row["timestamp"])
    same = json.dumps(
        [at.isoformat(), row["level"], row["module"], row["message"], row["user_id"], row["copy"]]
    )
    context = _context(row["context"])
    return {
        "record_id": str(uuid.uuid5(_NAMESPACE, same)),
        "timestamp": at.isoformat(),
        "level": row["level"],
        "department": PIPELINES.get(row["pipeline"], row["pipeline"]),
        "module": row["module"],
        "message": redact(row["message"]),
        "context": None if context is None else redact_values(plain(context)),
        "exception": None if row["exception"] is None else redact(row["exception"]),
        "user_id": row["user_id"],
        "execution_time_ms": row["execution_time_ms"],
    }


def _context(value: Any) -> Any:
    """CrownPipe stored some contexts as a string that holds JSON: read as what it meant."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return {"context": value}
    return value


def _enter_records(connection: Connection, rows: Sequence[Mapping[str, object]]) -> int:
    if not rows:
        return 0
    return connection.execute(text(_RECORDS), {"rows": json.dumps(rows, ensure_ascii=False)}).rowcount


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def from_environment(name: str) -> URL:
    """The address in an environment variable.

    Raises:
        ConfigurationError: it is not set, or holds no address.
    """
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(
            f"The environment variable {name} is not set; put the old database's address there."
        )
    return address(value, f"The environment variable {name}")


_SOURCES = (
    _Source(
        "audit.product_audit",
        ("product_number", "timestamp", "action", "user_id", "details", "source_file", "execution_time_ms", "context"),
        "timestamp",
        _act,
        lambda connection, rows: insert(connection, ACTIVITIES, rows),
        "select import_key from journal.activity where import_key = any(:keys)",
    ),
    _Source(
        "audit.format_history",
        ("product_number", "format_name", "generated_at", "file_path", "file_size_bytes"),
        "generated_at",
        _format,
        lambda connection, rows: insert(connection, FORMATS, rows),
        "select import_key from journal.imported_formats where import_key = any(:keys)",
    ),
    _Source(
        "audit.production_sync",
        ("product_number", "synced_at", "files_synced", "total_bytes"),
        "synced_at",
        _sync,
        lambda connection, rows: insert(connection, SYNCS, rows),
        "select import_key from journal.imported_syncs where import_key = any(:keys)",
    ),
    _Source(
        "logs.pipeline_logs",
        (
            "timestamp", "level", "message", "module", "pipeline", "context", "exception", "user_id",
            "execution_time_ms",
        ),
        "timestamp",
        _record,
        _enter_records,
        "select record_id::text from logs.records where record_id = any(cast(:keys as uuid[]))",
    ),
)  # fmt: skip
