"""The content of a log record: its fields, cleaned of secrets, as a line for people and as a row.

The destinations of records are in logs.py, rotating.py and outbox.py.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from crown.journal.plain import plain, plain_text
from crown.journal.secrets import redact, redact_values

#: Fields of their own column, given by `extra=` or `log_context`.
FIELDS = ("subject", "user_id", "run_id", "execution_time_ms", "department")
_LARGEST_INTEGER = 2**31 - 1

# What every record has (`taskName` since Python 3.12, `message` and `asctime` once formatted) is not context.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_context: ContextVar[dict[str, Any]] = ContextVar("crown_log_context", default={})  # noqa: B039 - never changed in place


@contextmanager
def log_context(
    *,
    subject: str | None = None,
    user: str | None = None,
    run_id: str | None = None,
    department: str | None = None,
    **more: Any,
) -> Iterator[None]:
    """Give every record of the block these fields; blocks nest, the inner one wins.

    >>> with log_context(subject="52000123", run_id="8f3a"):
    ...     logging.getLogger("crown.journal").info("seen")
    """
    given = {"subject": subject, "user_id": user, "run_id": run_id, "department": department}
    token = _context.set(
        {**_context.get(), **{name: v for name, v in given.items() if v is not None}, **more}
    )
    try:
        yield
    finally:
        _context.reset(token)


def clean(record: logging.LogRecord) -> logging.LogRecord:
    """A copy for our handlers: message and traceback as redacted text, every field present.

    A record whose arguments do not fit its message is written as it is rather than dropped.
    """
    given = {**_context.get(), **{k: v for k, v in vars(record).items() if k not in _STANDARD}}
    if isinstance(given.get("context"), dict):
        given |= given.pop("context")
    copy = logging.makeLogRecord({name: v for name, v in vars(record).items() if name in _STANDARD})
    copy.msg, copy.args = redact(plain_text(_message(record))), None
    copy.exc_text = _traceback(record)
    copy.exc_info = copy.stack_info = None
    fields = {name: given.pop(name, None) for name in FIELDS}
    fields["department"] = fields["department"] or _department(record.name)
    fields["execution_time_ms"] = _milliseconds(fields["execution_time_ms"])
    for name, value in fields.items():
        setattr(
            copy,
            name,
            value if value is None or name == "execution_time_ms" else redact(plain_text(str(value))),
        )
    copy.context = redact_values(plain(given))
    return copy


def as_row(record: logging.LogRecord) -> dict[str, Any]:
    """The columns of logs.records, JSON-able, of a cleaned record."""
    fields = {name: getattr(record, name) for name in FIELDS}
    return {
        "record_id": str(uuid.uuid4()),
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        "level": record.levelname,
        "module": record.name,
        "message": record.msg,
        "context": getattr(record, "context", None) or None,
        "exception": record.exc_text,
        **fields,
    }


class LineFormatter(logging.Formatter):
    """One record as text: time in UTC, level, place, [subject], message, then the rest as JSON.

    Further lines of a message or traceback are indented, so that no text can pose as a record.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The text, without a newline at its end."""
        time = datetime.fromtimestamp(record.created, UTC)
        subject = getattr(record, "subject", None)
        rest = {
            name: value
            for name in ("user_id", "execution_time_ms", "run_id")
            if (value := getattr(record, name, None)) is not None
        }
        rest |= getattr(record, "context", None) or {}
        parts = [
            f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z",
            f"{record.levelname:<7}",
            record.name,
            *([f"[{subject}]"] if subject else []),
            record.getMessage(),
            *([json.dumps(rest, ensure_ascii=False)] if rest else []),
        ]
        text = " ".join(parts)
        if record.exc_text:
            text = f"{text}\n{record.exc_text}"
        return text.replace("\r", "\\r").replace("\n", "\n    ")


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit, or a __str__ that fails
        return f"{record.msg} {plain(record.args)}"


def _traceback(record: logging.LogRecord) -> str | None:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(logging.Formatter().formatException(record.exc_info))
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return redact(plain_text("\n".join(parts))) if parts else None


def _department(logger: str) -> str | None:
    workspace, _, rest = logger.partition(".")
    return rest.partition(".")[0] or None if workspace in ("crown", "crown_assets") else None


def _milliseconds(value: object) -> int | None:
    try:
        milliseconds = round(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return milliseconds if abs(milliseconds) <= _LARGEST_INTEGER else None
