"""`crown logs` and `crown activity` find rows by department, subject, level, person and time; a follower misses none."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from crown.journal import logs
from crown.journal.activity import record
from crown.journal.search import Filter, Follower, acts, records
from crown_cli.main import cli


@pytest.fixture
def filled(engine: Engine) -> Engine:
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into logs.records (timestamp, level, department, module, subject, message, user_id) values"
                " (now() - interval '3 days', 'INFO', 'product_images', 'crown', '52000123', 'cut out', 'mary'),"
                " (now() - interval '2 hours', 'WARNING', 'product_images', 'crown', '52000124', '100% doubtful', null),"
                " (now() - interval '1 hours', 'ERROR', 'art_records', 'crown', 'rec1', 'refused', 'ann'),"
                " (now(), 'CRITICAL', null, 'console', null, 'gone', null)"
            )
        )
        for who, what, subject, number in (
            ("mary", "human_approved", "52000123_2", "52000123"),
            ("ann", "human_rejected", "52000124", "52000124"),
        ):
            record(
                connection, who=who, what=what, subject=subject, department="product_images", via="cli",
                entity=number, new={"verdict": what}, details=f"{what}, seen",
            )  # fmt: skip
    return engine


def _messages(engine: Engine, **wanted: object) -> list[str]:
    with engine.connect() as connection:
        return [row["message"] for row in records(connection, Filter(**wanted), 10)]  # type: ignore[arg-type]


def test_log_records_are_found_by_what_they_are_about(filled: Engine) -> None:
    assert _messages(filled) == ["cut out", "100% doubtful", "refused", "gone"]
    assert _messages(filled, department="product_images") == ["cut out", "100% doubtful"]
    assert _messages(filled, subject="52000123") == ["cut out"]
    assert _messages(filled, subject="5200012*") == ["cut out", "100% doubtful"]
    assert _messages(filled, subject="5200012_") == []
    assert _messages(filled, level="ERROR") == ["refused", "gone"]
    assert _messages(filled, containing="0% D") == ["100% doubtful"]
    assert _messages(filled, who="ann") == ["refused"]
    day = datetime.now(UTC) - timedelta(days=1)
    assert _messages(filled, since=day, level="WARNING") == ["100% doubtful", "refused", "gone"]
    assert _messages(filled, until=day) == ["cut out"]


def test_activities_are_found_by_product_person_and_action(filled: Engine) -> None:
    with filled.connect() as connection:
        assert [row["who"] for row in acts(connection, Filter(subject="52000123"), 10)] == ["mary"]
        assert [row["subject"] for row in acts(connection, Filter(what="human_rejected"), 10)] == ["52000124"]
        assert [row["who"] for row in acts(connection, Filter(), 1)] == ["ann"]


def test_a_follower_sees_a_row_that_commits_after_a_later_one(filled: Engine) -> None:
    insert = text("insert into logs.records (level, module, message) values ('INFO', 'crown', :message)")
    follower = Follower("records", Filter())
    with filled.connect() as late, filled.connect() as reading:
        assert len(follower.begin(reading, 2)) == 2
        late.execute(insert, {"message": "late"})
        with filled.begin() as early:
            early.execute(insert, {"message": "early"})
        reading.rollback()
        assert [row["message"] for row in follower.more(reading)] == ["early"]
        late.commit()
        reading.rollback()
        assert [row["message"] for row in follower.more(reading)] == ["late"]
        reading.rollback()
        assert list(follower.more(reading)) == []


def test_the_commands_answer_people_scripts_and_spreadsheets(
    filled: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def crown(*arguments: str) -> Result:
        environment = {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path / "home")}
        return CliRunner().invoke(cli, list(arguments), env=environment)

    try:
        assert "WARNING product_images [52000124]: 100% doubtful" in crown("logs", "--since", "1d").stdout
        assert [row["message"] for row in json.loads(crown("logs", "-l", "error", "--json").stdout)] == [
            "refused",
            "gone",
        ]
        table = list(csv.DictReader(io.StringIO(crown("activity", "-s", "52000123", "--csv").stdout)))
        assert [(row["who"], row["what"], row["details"]) for row in table] == [
            ("mary", "human_approved", "human_approved, seen")
        ]
        assert "mary human_approved 52000123_2 (via cli)" in crown("activity", "--who", "mary").stdout
        wrong = crown("logs", "--since", "yesterday-ish")
        assert wrong.exit_code == 2
        assert "is no time; write 2h" in wrong.output
    finally:
        logs.close()
