"""Notices, sent by the real library to a real HTTP server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from crown.errors import ConfigurationError
from crown.journal import logs, secrets
from crown.journal.notices import Sent, deliver, is_quiet, post, read_addresses
from crown.settings.model import Settings
from tests.receiver import Inbox, receiving

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
NIGHT = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with receiving() as inbox:
        yield inbox
    secrets._known.clear()


def notify_file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "notify"
    path.write_text("\n".join(lines), encoding="utf-8")
    path.chmod(0o600)
    return path


def post_three(engine: Engine) -> None:
    with engine.begin() as connection:
        for kind, subject, sentence in (
            ("failure", "52000123", "52000123.psd cannot be read."),
            ("failure", "52000124", "no space left"),
            ("review", "product_images/cutouts", "2 cut-outs wait."),
        ):
            post(connection, kind=kind, department="product_images", subject=subject, sentence=sentence)


def waiting(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(
            text("select count(*) from journal.notices where sent_at is null")
        ).scalar_one()


def test_all_waiting_notices_are_one_message(engine: Engine, inbox: Inbox, tmp_path: Path) -> None:
    post_three(engine)
    assert deliver(engine, notify_file(tmp_path, "# ours", inbox.address), now=NOON) == Sent(3)
    (message,) = inbox.messages
    assert message["title"] == "Crown: 2 failed, 1 waiting for review"
    for sentence in ("52000123.psd cannot be read.", "no space left", "2 cut-outs wait."):
        assert sentence in message["message"]
    assert deliver(engine, notify_file(tmp_path, inbox.address), now=NOON) == Sent(
        reason="no notice is pending"
    )
    assert len(inbox.messages) == 1


def test_further_notices_on_one_subject_are_counted_not_repeated(
    engine: Engine, inbox: Inbox, tmp_path: Path
) -> None:
    with engine.begin() as connection:
        for number in range(1, 4):
            post(
                connection,
                kind="review",
                department="product_images",
                subject="cutouts",
                sentence=f"{number} cut-outs wait.",
            )
    assert deliver(engine, notify_file(tmp_path, inbox.address), now=NOON) == Sent(1)
    assert inbox.messages[0]["message"].endswith("- product_images, cutouts: 3 cut-outs wait. (3 times)")


def test_a_long_list_is_cut(engine: Engine, inbox: Inbox, tmp_path: Path) -> None:
    with engine.begin() as connection:
        for number in range(25):
            post(connection, kind="failure", department="d", subject=f"{number:02}", sentence="failed")
    assert deliver(engine, notify_file(tmp_path, inbox.address), now=NOON) == Sent(25)
    assert inbox.messages[0]["message"].endswith("- and 5 more: crown status")


def test_quiet_hours_hold_notices_back_until_they_are_over(
    engine: Engine, inbox: Inbox, tmp_path: Path
) -> None:
    post_three(engine)
    path = notify_file(tmp_path, inbox.address)
    assert deliver(engine, path, "22:00-07:00", now=NIGHT).reason == "quiet hours 22:00-07:00"
    assert inbox.messages == []
    assert deliver(engine, path, "22:00-07:00", now=NOON) == Sent(3)


@pytest.mark.parametrize(
    ("hours", "clock", "quiet"),
    [
        ("22:00-07:00", "21:59", False),
        ("22:00-07:00", "22:00", True),
        ("22:00-07:00", "06:59", True),
        ("22:00-07:00", "07:00", False),
        ("12:00-13:00", "12:30", True),
        ("12:00-13:00", "13:00", False),
        ("", "03:00", False),
    ],
)
def test_quiet_hours_may_run_over_midnight(hours: str, clock: str, quiet: bool) -> None:
    assert is_quiet(hours, datetime.fromisoformat(f"2026-01-05T{clock}+00:00")) is quiet


def test_quiet_hours_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="CROWN_QUIET_HOURS is 'at night'; write 22:00-07:00"):
        is_quiet("at night", NOON)


def test_a_server_that_fails_loses_no_notice(engine: Engine, inbox: Inbox, tmp_path: Path) -> None:
    post_three(engine)
    path = notify_file(tmp_path, inbox.address)
    inbox.status = 500
    assert deliver(engine, path, now=NOON) == Sent(reason="no address took the message")
    assert waiting(engine) == 3
    inbox.status = 200
    assert deliver(engine, path, now=NOON) == Sent(3)


def test_one_dead_address_does_not_keep_the_message_from_the_others(
    engine: Engine, inbox: Inbox, tmp_path: Path
) -> None:
    post_three(engine)
    assert deliver(
        engine, notify_file(tmp_path, "json://127.0.0.1:9/nobody", inbox.address), now=NOON
    ) == Sent(3)
    assert len(inbox.messages) == 1


def test_no_address_and_no_password_is_ever_logged(engine: Engine, inbox: Inbox, tmp_path: Path) -> None:
    logs.set_up(Settings(home=tmp_path, log_to_database=False, log_level="DEBUG"), console=False)
    inbox.status = 500
    try:
        with engine.begin() as connection:
            post(
                connection,
                kind="failure",
                department="d",
                subject="s",
                sentence="cannot reach ftp://u:hunter-three@host/",
            )
        deliver(engine, notify_file(tmp_path, inbox.address), now=NOON)
        deliver(engine, notify_file(tmp_path, "nonsense://hunter-two@x/hook-4711-secret"), now=NOON)
    finally:
        logs.close()
    written = (tmp_path / "logs" / "crown.log").read_text()
    assert "Address 1 of the notify file (JSON) did not take the message." in written
    assert "Line 1 of CROWN_NOTIFY_FILE" in written
    with engine.connect() as connection:
        written += connection.execute(text("select sentence from journal.notices")).scalar_one()
    for secret in ("hunter", "hook-4711"):
        assert secret not in written


@pytest.mark.parametrize(
    ("lines", "mode", "sentence"),
    [
        ([], 0o600, "names no address"),
        (["nonsense"], 0o600, "Line 1 of CROWN_NOTIFY_FILE .* is not an Apprise address"),
        (["json://127.0.0.1:9/"], 0o644, "everyone can read it; chmod 600 it"),
    ],
)
def test_a_notify_file_that_cannot_be_used_is_said_in_one_sentence(
    tmp_path: Path, lines: list[str], mode: int, sentence: str
) -> None:
    path = notify_file(tmp_path, *lines)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=sentence):
        read_addresses(path)


def test_delivery_never_raises(engine: Engine, tmp_path: Path) -> None:
    post_three(engine)
    assert "cannot be read" in (deliver(engine, tmp_path / "absent", now=NOON).reason or "")
    assert deliver(engine, None, now=NOON).reason == "no notify_file is set"
    with engine.begin() as connection:
        connection.execute(text("drop table journal.notices"))
        post(connection, kind="failure", department="d", subject="s", sentence="kept by nobody")
        # The caller's transaction goes on.
        assert connection.execute(text("select 1")).scalar_one() == 1
    assert deliver(engine, notify_file(tmp_path, "json://127.0.0.1:9/"), now=NOON).notices == 0
