"""The old system's database comes over with its times and users, row by row, and says what it could not bring."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from crown.errors import BadInput
from crown.motion_jobs.old_system.old_database import read_old_database
from tests.motion_jobs.old_databases import JOB, LOG, WARNING, old_database


def test_every_row_keeps_its_times_users_and_values(tmp_path: Path) -> None:
    found = read_old_database(old_database(tmp_path / "production.db"))
    assert (found.stages, found.refused, found.changed) == (5, (), ())
    batch, job = found.rows["batches"][0], found.rows["jobs"][0]
    assert (batch["uploaded_by"], batch["uploaded_at"]) == (
        "ben",
        datetime(2025, 10, 30, 14, 30, 22, 123456, UTC),
    )
    assert batch["validation_warnings"] == [{"row": 2}]
    assert (job["status"], job["current_stage"], job["stage2_completed_by"]) == (
        "ready_for_validation",
        4,
        "anna",
    )
    assert job["stage1_results"] == {"match_count": 3}
    assert found.rows["job_warnings"][0]["resolved"] is True
    assert found.rows["job_logs"][0]["message"] == LOG["message"]
    assert found.rows["job_assets"][0]["file_size"] == 12


def test_times_are_those_of_the_given_zone(tmp_path: Path) -> None:
    path = old_database(tmp_path / "production.db")
    found = read_old_database(path, ZoneInfo("Europe/Berlin")).rows["jobs"][0]["stage2_completed_at"]
    assert found.astimezone(UTC) == datetime(2025, 10, 30, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "stage", "status"),
    [
        ({"current_stage": 2, "status": "awaiting_review"}, 2, "awaiting_review"),
        ({"current_stage": 3, "status": "processing"}, 3, "processing"),
        ({"current_stage": 4, "status": "awaiting_review"}, 3, "awaiting_review"),
        ({"current_stage": 5, "status": "awaiting_download"}, 3, "awaiting_approval"),
        ({"current_stage": 6, "status": "awaiting_preview"}, 3, "awaiting_approval"),
        ({"current_stage": 6, "status": "processing", "stage6_approved": 1}, 4, "completed"),
        ({"current_stage": 6, "status": "completed", "stage6_approved": 1, "archived": 1}, 4, "archived"),
    ],
)
def test_six_stages_are_brought_into_five(
    tmp_path: Path, row: dict[str, object], stage: int, status: str
) -> None:
    path = old_database(tmp_path / "production.db", six=True, jobs=[{**JOB, **row}])
    found = read_old_database(path)
    assert found.stages == 6
    job = found.rows["jobs"][0]
    assert (job["current_stage"], job["status"]) == (stage, status)


def test_a_bad_row_is_named_and_its_neighbours_come_over(tmp_path: Path) -> None:
    path = old_database(
        tmp_path / "production.db",
        jobs=[
            {**JOB, "job_id": "a", "psd_path": None},
            {**JOB, "job_id": "b", "priority": "urgent", "status": "odd", "current_stage": 9},
            {**JOB, "job_id": "c", "batch_id": "gone", "created_at": "yesterday", "stage1_results": "{"},
            JOB,
        ],
        job_logs=[LOG, {**LOG, "log_id": 8, "job_id": "a"}],
        job_warnings=[WARNING, {**WARNING, "warning_id": 2, "severity": "bad"}],
    )
    found = read_old_database(path)
    assert [job["job_id"] for job in found.rows["jobs"]] == ["J1", "b", "c"]
    assert found.refused == ("jobs, row 2: psd_path is empty.", "job_logs 8: there is no job a.")
    assert found.changed == (
        "jobs b: status 'odd' is unknown; it becomes failed.",
        "jobs b: priority 'urgent' is unknown; it becomes medium.",
        "jobs b: the stage 9 is none of the old ones; it becomes 0.",
        "jobs c: created_at is no time ('yesterday'); it is left out.",
        "jobs c: stage1_results is no JSON; it is kept as text.",
        "job_warnings 2: severity 'bad' is unknown; it becomes warning.",
        "jobs c: there is no batch gone; it is kept without one.",
    )


def test_the_file_is_never_written(tmp_path: Path) -> None:
    path = old_database(tmp_path / "production.db")
    before = path.read_bytes()
    path.chmod(0o400)
    read_old_database(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["production.db"]


def test_what_is_no_such_database_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "a b?#%.db"
    text.write_text("no database" * 100)
    with pytest.raises(BadInput, match="cannot be read as the old database"):
        read_old_database(text)
    with pytest.raises(BadInput, match="cannot be read as the old database"):
        read_old_database(tmp_path / "none.db")
    sqlite3.connect(tmp_path / "empty.db").execute("create table x (y)").connection.close()
    with pytest.raises(BadInput, match="holds no jobs and batches"):
        read_old_database(tmp_path / "empty.db")
