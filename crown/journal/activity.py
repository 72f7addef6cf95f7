"""The activity trail: who did what to what, with old and new values. Append-only.

Log records are in logs.py; people's verdicts on bytes are decisions
(crown.ledger.decisions) and is recorded here as well by whoever carries it out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from crown.journal.plain import plain, plain_text
from crown.journal.secrets import redact_values

Via = Literal["cli", "console", "share", "run", "demo", "import"]

# The actions whose names CrownPipe's users query in audit.product_audit.
HUMAN_APPROVED = "human_approved"
# What CrownPipe did not record.
HUMAN_REJECTED = "human_rejected"
APPROVAL_WITHDRAWN = "approval_withdrawn"
PUBLISHED = "published"
FAILED = "failed"
#: Data from outside was read and written; its old and new values count what changed.
SYNC = "sync"
#: What an asset's run did: its subject is the asset, its new values are PipelineStats.
RUN_FINISHED = "run_finished"


@dataclass(frozen=True)
class Activity:
    """One row of the trail."""

    activity_id: int
    at: datetime
    who: str
    what: str
    department: str
    subject: str
    entity: str | None
    via: Via
    details: str | None
    source_file: str | None
    old_values: Any
    new_values: Any
    run_id: str | None
    duration_ms: int | None
    context: Mapping[str, Any]


_COLUMNS = ", ".join(Activity.__annotations__)


@dataclass(frozen=True)
class Entry:
    """A row to be appended to the trail.

    Attributes:
        who: the person, or `share` when a file was moved, or the name of the run's job.
        what: the action; one of this module's constants where one fits.
        subject: what it was done to: an item's key, a setting.
        department: its name.
        via: from where.
        entity: what people look it up by, where it is not the subject; some departments are shown
            by it in audit.product_audit.
        old: values before, JSON-able; None when there were none.
        new: values after.
        details: a sentence for people.
        source_file: name of the file that was acted on.
        run_id: the Dagster run.
        duration_ms: how long it took.
        context: anything else.

    Passwords and tokens in old, new and context are hidden.
    """

    who: str
    what: str
    subject: str
    department: str
    via: Via
    entity: str | None = None
    old: Any = None
    new: Any = None
    details: str | None = None
    source_file: str | None = None
    run_id: str | None = None
    duration_ms: float | None = None
    context: Mapping[str, Any] | None = None

    def as_row(self) -> dict[str, Any]:
        """By column; values as JSON text."""
        return {
            "who": plain_text(self.who),
            "what": self.what,
            "subject": plain_text(self.subject),
            "department": self.department,
            "via": self.via,
            "entity": self.entity,
            "old_values": _json(self.old),
            "new_values": _json(self.new),
            "details": None if self.details is None else plain_text(self.details),
            "source_file": None if self.source_file is None else plain_text(self.source_file),
            "run_id": self.run_id,
            "duration_ms": None if self.duration_ms is None else round(self.duration_ms),
            "context": _json(dict(self.context or {})),
        }


#: Column and type of what is appended.
_APPENDED = {
    **dict.fromkeys(("who", "what", "subject", "department", "via", "entity"), "text"),
    **dict.fromkeys(("old_values", "new_values"), "jsonb"),
    **dict.fromkeys(("details", "source_file", "run_id"), "text"),
    "duration_ms": "integer",
    "context": "jsonb",
}
_APPEND = (
    f"insert into journal.activity ({', '.join(_APPENDED)})"
    f" select {', '.join(f'cast({name} as {kind})' for name, kind in _APPENDED.items())}"
    f" from unnest({', '.join(f'cast(:{name} as text[])' for name in _APPENDED)})"
    f" with ordinality as g({', '.join(_APPENDED)}, place) order by place returning activity_id"
)


def record(connection: Connection, **entry: Any) -> int:
    """Append a row (the fields of `Entry`) in the caller's transaction, so that it is kept exactly when the act is.

    Returns:
        Its id.
    """
    return record_all(connection, [Entry(**entry)])[0]


def record_all(connection: Connection, entries: Sequence[Entry]) -> list[int]:
    """Append rows in the caller's transaction with one statement, in this order; returns their ids."""
    if not entries:
        return []
    rows = [entry.as_row() for entry in entries]
    columns = {name: [None if r[name] is None else str(r[name]) for r in rows] for name in _APPENDED}
    return list(connection.execute(text(_APPEND), columns).scalars())


def history(
    connection: Connection,
    *,
    subject: str | None = None,
    entity: str | None = None,
    department: str | None = None,
    who: str | None = None,
    limit: int = 100,
) -> list[Activity]:
    """The newest rows first that match every given field."""
    given = {
        name: value
        for name, value in {
            "subject": subject,
            "entity": entity,
            "department": department,
            "who": who,
        }.items()
        if value is not None
    }
    where = " and ".join(f"{name} = :{name}" for name in given) or "true"
    rows = connection.execute(
        text(
            f"select {_COLUMNS} from journal.activity where {where} order by at desc, activity_id desc limit :limit"
        ),
        {**given, "limit": limit},
    )
    return [Activity(**row._mapping) for row in rows]


@dataclass(frozen=True)
class FinishedRun:
    """A run and what it did, summed over its assets."""

    run_id: str
    ended_at: datetime
    departments: tuple[str, ...]
    total: int
    successful: int
    failed: int
    skipped: int


def newest_runs(connection: Connection, limit: int = 5, department: str | None = None) -> list[FinishedRun]:
    """The runs that ended last, of one department when given, the newest first; Dagster's history is not needed."""
    sums = ", ".join(
        f"sum((new_values ->> '{name}')::bigint)::bigint as {name}"
        for name in ("total", "successful", "failed", "skipped")
    )
    rows = connection.execute(
        text(
            f"select run_id, max(at) as ended_at, array_agg(distinct department) as departments, {sums}"
            " from journal.activity where what = :what and run_id is not null"
            " and (cast(:department as text) is null or department = :department)"
            " group by run_id order by max(activity_id) desc limit :limit"
        ),
        {"what": RUN_FINISHED, "limit": limit, "department": department},
    )
    return [FinishedRun(**{**row._mapping, "departments": tuple(row.departments)}) for row in rows]


def erase(connection: Connection, department: str, pattern: re.Pattern[str], replacement: str) -> int:
    """Replace a person's text in the values, details, file name and context of a department's rows; returns rows changed.

    The only change the trail allows, in the caller's transaction. Who acted, what, when and on what stay.
    """
    columns = ("old_values", "new_values", "details", "source_file", "context")
    rows = connection.execute(
        text(
            f"select activity_id, {', '.join(columns)} from journal.activity where department = :department"
        ),
        {"department": department},
    ).all()
    changed = []
    for row in rows:
        before = {name: getattr(row, name) for name in columns}
        after = {name: _replaced(value, pattern, replacement) for name, value in before.items()}
        if after != before:
            changed.append(
                {
                    "id": row.activity_id,
                    "details": after["details"],
                    "source_file": after["source_file"],
                    **{name: _json(after[name]) for name in ("old_values", "new_values", "context")},
                }
            )
    if changed:
        connection.execute(text("select set_config('crown.eraser', 'on', true)"))
        connection.execute(
            text(
                "update journal.activity set old_values = cast(:old_values as jsonb),"
                " new_values = cast(:new_values as jsonb), details = :details, source_file = :source_file,"
                " context = cast(:context as jsonb)"
                " where activity_id = :id"
            ),
            changed,
        )
        connection.execute(text("select set_config('crown.eraser', '', true)"))
    return len(changed)


def _replaced(value: Any, pattern: re.Pattern[str], replacement: str) -> Any:
    if isinstance(value, str):
        return pattern.sub(replacement, value)
    if isinstance(value, Mapping):
        return {key: _replaced(item, pattern, replacement) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, pattern, replacement) for item in value]
    return value


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(redact_values(plain(value)), ensure_ascii=False)
