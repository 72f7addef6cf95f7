"""Notices to people: failures and waiting reviews, gathered and sent as one message by e-mail, Slack, ...

Where they go is a file of Apprise addresses, one a line, because an address carries its password. The
caller decides when to post a notice.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from crown.errors import ConfigurationError, CrownError
from crown.journal.plain import plain_text
from crown.journal.secrets import hide, redact

Kind = Literal["failure", "review", "news"]

_log = logging.getLogger(__name__)

_LOCK = 7_263_203  # any number that no one else takes: two deliverers send one digest
_HEADINGS: dict[str, str] = {"failure": "Failed", "review": "Waiting for review", "news": "Finished"}
_LONGEST_LIST = 20
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Sent:
    """What became of a delivery: notices in the digest, and why nothing was sent when it was not."""

    notices: int = 0
    reason: str | None = None


def post(connection: Connection, *, kind: Kind, department: str, subject: str, sentence: str) -> None:
    """Keep a notice for the next digest, in the caller's transaction; it costs one row and waits for nobody.

    A further notice on the same subject replaces the sentence and is counted. Never raises.

    Args:
        connection: an open transaction.
        kind: `failure`, `review`, or `news` of what has finished.
        department: its name.
        subject: what it is about: an item's key, an asset, a run.
        sentence: what the person is to know.
    """
    try:
        with connection.begin_nested():
            connection.execute(
                text(
                    "insert into journal.notices as n (kind, department, subject, sentence)"
                    " values (:kind, :department, :subject, :sentence)"
                    " on conflict (kind, department, subject) where sent_at is null"
                    " do update set sentence = excluded.sentence, times = n.times + 1"
                ),
                {
                    "kind": kind,
                    "department": department,
                    "subject": redact(plain_text(subject)),
                    "sentence": redact(plain_text(sentence)),
                },
            )
    except SQLAlchemyError as error:
        _log.warning("A notice on %s could not be kept (%s).", subject, type(error).__name__)


def keep_true(
    connection: Connection, *, kind: Kind, department: str, subject: str, sentence: str | None
) -> None:
    """Bring a notice that was not sent yet up to date: another sentence, or None when the subject is resolved.

    For notices that waited, for the end of the quiet hours or for a server that was away.
    """
    given = {"kind": kind, "department": department, "subject": redact(plain_text(subject))}
    same = "kind = :kind and department = :department and subject = :subject and sent_at is null"
    if sentence is None:
        connection.execute(text(f"delete from journal.notices where {same}"), given)
    else:
        connection.execute(
            text(f"update journal.notices set sentence = :sentence, times = 1 where {same}"),
            {**given, "sentence": redact(plain_text(sentence))},
        )


def unsent(connection: Connection, *, kind: Kind, subject: str) -> list[str]:
    """The departments of which a notice on a subject waits to be sent."""
    rows = connection.execute(
        text(
            "select department from journal.notices where kind = :kind and subject = :subject and sent_at is null"
            " order by notice_id"
        ),
        {"kind": kind, "subject": subject},
    )
    return list(rows.scalars())


def deliver(
    engine: Engine, notify_file: Path | None, quiet_hours: str = "", *, now: datetime | None = None
) -> Sent:
    """Send all waiting notices as one message to every address of the file. Never raises.

    Args:
        engine: our database.
        notify_file: the addresses (`read_addresses`); None: nothing is sent, notices are dropped after a time.
        quiet_hours: `22:00-07:00` in local time; notices wait until they are over. Empty: none.
        now: local time; default: the clock's.

    A digest counts as sent when one address took it; an address that did not is named in the log. When none
    did, the notices wait for the next call. A crash between sending and recording may send a digest twice.
    """
    try:
        if notify_file is None:
            return Sent(reason="no notify_file is set")
        moment = now or datetime.now(UTC).astimezone()
        if is_quiet(quiet_hours, moment):
            return Sent(reason=f"quiet hours {quiet_hours}")
        return _send_digest(engine, read_addresses(notify_file))
    except Exception as error:  # noqa: BLE001 - a notice never stops the work it is about
        sentence = str(error) if isinstance(error, CrownError) else f"{type(error).__name__}: {error}"
        _log.error("Notices were not sent: %s", sentence)
        return Sent(reason=redact(sentence))


def read_addresses(path: Path) -> list[str]:
    """The Apprise addresses of a file: one a line, `#` begins a comment. They are hidden from every log.

    Raises:
        ConfigurationError: no such file, readable by everyone, no address, or one that Apprise does not know.
    """
    import apprise

    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            lines = [line.split(" #", 1)[0].strip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"CROWN_NOTIFY_FILE {path} cannot be read ({getattr(error, 'strerror', None) or 'not text'})."
        ) from None
    if mode & stat.S_IROTH:
        raise ConfigurationError(
            f"CROWN_NOTIFY_FILE {path} holds passwords and everyone can read it; chmod 600 it."
        )
    addresses = []
    with _apprise_muffled():
        for number, line in enumerate(lines, 1):
            if not line or line.startswith("#"):
                continue
            hide(line, *_secrets(line))
            if apprise.Apprise.instantiate(line) is None:
                raise ConfigurationError(
                    f"Line {number} of CROWN_NOTIFY_FILE {path} is not an Apprise address; see docs/journal.md."
                )
            addresses.append(line)
    if not addresses:
        raise ConfigurationError(f"CROWN_NOTIFY_FILE {path} names no address; write one a line.")
    return addresses


def is_quiet(quiet_hours: str, moment: datetime) -> bool:
    """Whether the local time of `moment` is in `quiet_hours`, which may run over midnight.

    Raises:
        ConfigurationError: not of the form 22:00-07:00.
    """
    if not quiet_hours.strip():
        return False
    try:
        start, end = (time.fromisoformat(part.strip()) for part in quiet_hours.split("-"))
    except ValueError:
        raise ConfigurationError(
            f"CROWN_QUIET_HOURS is {quiet_hours!r}; write 22:00-07:00, or leave it empty."
        ) from None
    clock = moment.time()
    return start <= clock < end if start <= end else clock >= start or clock < end


def _send_digest(engine: Engine, addresses: Sequence[str]) -> Sent:
    with engine.begin() as connection:
        if not connection.execute(
            text("select pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}
        ).scalar_one():
            return Sent(reason="another process is sending")
        rows = connection.execute(
            text(
                "select notice_id, kind, department, subject, sentence, times from journal.notices"
                " where sent_at is null order by kind, department, notice_id for update"
            )
        ).all()
        if not rows:
            return Sent(reason="no notice is pending")
        taken = _send(addresses, *_digest(rows))
        connection.execute(
            text(
                "update journal.notices set attempts = attempts + 1,"
                " sent_at = case when :taken then clock_timestamp() end where notice_id = any(:ids)"
            ),
            {"taken": taken, "ids": [row.notice_id for row in rows]},
        )
    return Sent(len(rows)) if taken else Sent(reason="no address took the message")


def _digest(rows: Sequence[Any]) -> tuple[str, str]:
    """Title and text of one message for all notices."""
    parts, counts = [], []
    for kind, heading in _HEADINGS.items():
        ours = [row for row in rows if row.kind == kind]
        if not ours:
            continue
        counts.append(f"{len(ours)} {heading.lower()}")
        lines = [
            f"- {row.department}, {row.subject}: {row.sentence}"
            + (f" ({row.times} times)" if row.times > 1 else "")
            for row in ours[:_LONGEST_LIST]
        ]
        if len(ours) > _LONGEST_LIST:
            lines.append(f"- and {len(ours) - _LONGEST_LIST} more: crown status")
        parts.append("\n".join([f"{heading}:", *lines]))
    return f"Crown: {', '.join(counts)}", redact("\n\n".join(parts))


def _send(addresses: Sequence[str], title: str, body: str) -> bool:
    """Whether at least one address took the message."""
    import apprise

    taken = False
    with _apprise_muffled():
        for number, address in enumerate(addresses, 1):
            service = apprise.Apprise()
            service.add(address)
            if service.notify(
                title=title,
                body=body,
                body_format=apprise.NotifyFormat.TEXT,
                notify_type=apprise.NotifyType.INFO,
                timeout=_TIMEOUT_SECONDS,
            ):
                taken = True
            else:
                _log.warning(
                    "Address %d of the notify file (%s) did not take the message.",
                    number,
                    service[0].service_name,
                )
    return taken


def _secrets(address: str) -> list[str]:
    """The parts of an address that are passwords or look like tokens: long, with a digit."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(address)
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    # `slack://TokenA/...` and `tgram://bot-token/...` carry a token where others have a host.
    maybe = [name, *parts.path.split("/"), *([] if "." in host else [host])]
    tokens = [part for part in maybe if len(part) >= 8 and any(c.isdigit() for c in part)]
    return [spelling for part in (password, *tokens) for spelling in (part, unquote(part))]


@contextmanager
def _apprise_muffled() -> Iterator[None]:
    """Apprise names addresses in its own warnings; ours say which line it was."""
    logger = logging.getLogger("apprise")
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled
