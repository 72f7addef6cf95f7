"""Reads the activity trail and the log records by department, subject, level and time. Read-only.

How rows are shown is the caller's work. A follower asks again with what it has seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

#: From the least to the most severe.
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
#: Ids are not in the order of commits: a follower looks back over so many.
_LOOK_BACK = 1000

_RECORDS = (
    "id, timestamp as at, level, department, module, subject, message, user_id as who,"
    " execution_time_ms, run_id, context, exception"
)
_ACTS = (
    "activity_id as id, at, department, who, what, subject, via, details, source_file, old_values, new_values, run_id,"
    " duration_ms, context"
)


@dataclass(frozen=True)
class Filter:
    """Which rows are wanted; what is None filters nothing.

    Attributes:
        department: its name.
        subject: what it is about: an item's key, or what it is looked up by; `*` matches anything.
        who: the person.
        level: the least severe level of log records.
        what: the action of activities.
        since: not older.
        until: older than this.
        containing: text that the message or the details contain, in any case.
    """

    department: str | None = None
    subject: str | None = None
    who: str | None = None
    level: str | None = None
    what: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    containing: str | None = None


def records(connection: Connection, wanted: Filter, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` log records, the oldest of them first."""
    return _newest(connection, _RECORD_TABLE, wanted, limit)


def acts(connection: Connection, wanted: Filter, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` activities, the oldest of them first."""
    return _newest(connection, _ACT_TABLE, wanted, limit)


@dataclass
class Follower:
    """Gives the rows that came since the last call, each once."""

    kind: str
    wanted: Filter
    _seen: deque[int] = field(default_factory=lambda: deque(maxlen=2 * _LOOK_BACK))
    _last: int = 0

    def begin(self, connection: Connection, limit: int) -> list[dict[str, Any]]:
        """The newest `limit` rows; what is there before them counts as seen."""
        table = _TABLES[self.kind]
        self._last = connection.execute(
            text(f"select coalesce(max({table.id}), 0) from {table.name}")
        ).scalar_one()
        self._seen.extend(
            connection.execute(
                text(f"select {table.id} from {table.name} where {table.id} > :after order by 1"),
                {"after": self._last - _LOOK_BACK},
            ).scalars()
        )
        return [row for row in _newest(connection, table, self.wanted, limit) if row["id"] <= self._last]

    def more(self, connection: Connection) -> Iterator[dict[str, Any]]:
        """The rows that were committed since."""
        table = _TABLES[self.kind]
        condition, values = _condition(table, self.wanted)
        seen = set(self._seen)
        rows = connection.execute(
            text(
                f"select {table.columns} from {table.name} where {table.id} > :after and {condition} order by {table.id}"
            ),
            {**values, "after": self._last - _LOOK_BACK},
        )
        for row in rows.mappings():
            if row["id"] not in seen:
                self._seen.append(row["id"])
                self._last = max(self._last, row["id"])
                yield dict(row)


@dataclass(frozen=True)
class _Table:
    name: str
    id: str
    at: str
    columns: str
    conditions: Mapping[str, str]


def _like(value: str) -> str:
    escaped = value.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return escaped.replace("*", "%")


def _condition(table: _Table, wanted: Filter) -> tuple[str, dict[str, Any]]:
    parts, values = ["true"], {}
    for name, condition in table.conditions.items():
        value = getattr(wanted, name)
        if value is None:
            continue
        if name == "level":
            value = list(LEVELS[LEVELS.index(value) :])
        elif name == "subject":
            value = _like(value)
        elif name == "containing":
            value = f"%{_like(value)}%"
        parts.append(condition)
        values[name] = value
    return " and ".join(parts), values


def _newest(connection: Connection, table: _Table, wanted: Filter, limit: int) -> list[dict[str, Any]]:
    condition, values = _condition(table, wanted)
    rows = connection.execute(
        text(
            f"select {table.columns} from {table.name} where {condition}"
            f" order by {table.at} desc, {table.id} desc limit :limit"
        ),
        {**values, "limit": limit},
    )
    return [dict(row) for row in reversed(rows.mappings().all())]


_RECORD_TABLE = _Table(
    "logs.records",
    "id",
    "timestamp",
    _RECORDS,
    {
        "department": "department = :department",
        "subject": "subject like :subject",
        "who": "user_id = :who",
        "level": "level = any(:level)",
        "since": "timestamp >= :since",
        "until": "timestamp < :until",
        "containing": "message ilike :containing",
    },
)
_ACT_TABLE = _Table(
    "journal.activity",
    "activity_id",
    "at",
    _ACTS,
    {
        "department": "department = :department",
        "subject": "(subject like :subject or entity like :subject)",
        "who": "who = :who",
        "what": "what = :what",
        "since": "at >= :since",
        "until": "at < :until",
        "containing": "details ilike :containing",
    },
)
_TABLES = {"records": _RECORD_TABLE, "acts": _ACT_TABLE}
