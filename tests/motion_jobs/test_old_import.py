"""The old system's rows stand in our views with their times and users; again, nothing is doubled or made."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from crown.journal import logs
from crown.motion_jobs.old_system.old_database import read_old_database
from crown.motion_jobs.old_system.old_import import Import, import_old
from crown_cli.main import cli
from tests.motion_jobs.old_databases import JOB, LOG, old_database


def counts(done: Import) -> dict[str, tuple[int, int, int]]:
    return {table: (one.new, one.updated, one.same) for table, one in done.tables.items()}


def rows(engine: Engine, sql: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(text(sql))]


def test_reports_find_the_old_rows_with_their_times_and_users(engine: Engine, tmp_path: Path) -> None:
    old = read_old_database(old_database(tmp_path / "production.db"))
    assert counts(import_old(engine, old, who="ann")) == dict.fromkeys(old.rows, (1, 0, 0))
    assert rows(engine, "select * from motion.jobs") == []
    import_old(engine, old, who="ann", apply=True)
    [job] = rows(engine, "select * from motion.jobs")
    assert (job["job_id"], job["status"], job["current_stage"]) == ("J1", "ready_for_validation", 4)
    assert (job["stage2_completed_by"], job["stage2_completed_at"]) == (
        "anna",
        datetime(2025, 10, 30, 15, tzinfo=UTC),
    )
    assert job["stage1_results"] == {"match_count": 3}
    [batch] = rows(engine, "select * from motion.batches")
    assert (batch["uploaded_by"], batch["uploaded_at"]) == (
        "ben",
        datetime(2025, 10, 30, 14, 30, 22, 123456, UTC),
    )
    [log] = rows(engine, "select * from motion.job_logs where job_id = 'J1'")
    assert (log["message"], log["user_id"], log["extra_data"]) == (LOG["message"], "anna", {"n": 1})
    assert rows(engine, "select asset_path from motion.job_assets") == [{"asset_path": "/old/psd_flat.png"}]
    assert rows(engine, "select resolved_by from motion.imported_job_warnings") == [{"resolved_by": "anna"}]
    assert rows(engine, "select count(*) from motion.job_records") == [{"count": 0}]
    assert rows(engine, "select who from journal.activity where what = 'user_action:import_old'") == [
        {"who": "ann"}
    ]


def test_again_brings_only_what_is_new(engine: Engine, tmp_path: Path) -> None:
    path = old_database(tmp_path / "production.db")
    import_old(engine, read_old_database(path), who="ann", apply=True)
    again = import_old(engine, read_old_database(path), who="ann", apply=True)
    assert counts(again) == dict.fromkeys(again.tables, (0, 0, 1))
    path.unlink()
    more = old_database(path, jobs=[{**JOB, "status": "completed"}, {**JOB, "job_id": "J2"}])
    third = counts(import_old(engine, read_old_database(more), who="ann", apply=True))
    assert (third["jobs"], third["job_logs"]) == ((1, 1, 0), (0, 0, 1))
    assert rows(engine, "select count(*) from journal.activity where what = 'user_action:import_old'") == [
        {"count": 2}
    ]


def test_columns_of_the_six_stage_revision_are_kept(engine: Engine, tmp_path: Path) -> None:
    job = {**JOB, "current_stage": 6, "stage6_approved": 1, "stage6_approval_notes": "fine", "stage4_override": 1,
           "stage4_override_reason": "client wants it", "archived": 1, "archived_by": "ben"}  # fmt: skip
    old = read_old_database(old_database(tmp_path / "production.db", six=True, jobs=[job]))
    import_old(engine, old, who="ann", apply=True)
    [found] = rows(engine, "select j.*, i.more from motion.jobs j join motion.imported_jobs i using (job_id)")
    assert (found["status"], found["archived"], found["archived_by"]) == ("archived", True, "ben")
    assert (found["stage4_override"], found["stage4_override_reason"]) == (True, "client wants it")
    assert found["more"]["stage6_approval_notes"] == "fine"


def test_odd_characters_are_kept_and_what_postgresql_cannot_keep_is_left_out(
    engine: Engine, tmp_path: Path
) -> None:
    odd = "it's \\u0000 \\\\ \u2028 שלום 👽"
    log = {**LOG, "message": f"a\0b {odd}", "extra_data": json.dumps({"a": "x\0\ud800", "b": odd})}
    import_old(
        engine, read_old_database(old_database(tmp_path / "p.db", job_logs=[log])), who="ann", apply=True
    )
    [found] = rows(engine, "select message, extra_data from motion.imported_job_logs")
    assert found == {"message": f"ab {odd}", "extra_data": {"a": "x?", "b": odd}}


def test_a_job_of_the_same_name_here_hides_the_old_one(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into motion.batch_records (batch_id, csv_filename, csv_path, content_hash, size_bytes, total_jobs,"
                " valid_jobs, invalid_jobs, uploaded_by)"
                " values ('BATCH_20260101_000000', 'a.csv', 'a.csv', 'x', 1, 1, 1, 0, 'b')"
            )
        )
        connection.execute(
            text(
                "insert into motion.job_records (job_id, batch_id, csv_row, psd_path, aepx_path, output_name)"
                " values ('J1', 'BATCH_20260101_000000', 2, '/a.psd', '/a.aepx', 'a.aepx')"
            )
        )
    done = import_old(engine, read_old_database(old_database(tmp_path / "p.db")), who="ann", apply=True)
    assert done.hidden == ("J1",)
    assert rows(engine, "select job_id, status from motion.jobs") == [{"job_id": "J1", "status": "pending"}]
    assert rows(engine, "select count(*) from motion.job_assets") == [{"count": 0}]


@pytest.fixture
def crown(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        world = {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path / "home")}
        return CliRunner().invoke(cli, ["motion", *arguments], env=world)

    yield run
    logs.close()


def test_the_command_shows_its_plan_and_keeps_nothing_without_apply(
    crown, engine: Engine, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    old_database(tmp_path / "production.db", jobs=[JOB, {**JOB, "job_id": "J2", "aepx_path": ""}])
    shown = crown("import-old", "production.db")
    assert shown.exit_code == 0, shown.output
    assert "Refused: jobs, row 2: aepx_path is empty." in shown.output
    assert "Nothing is changed; --apply does it." in shown.output
    assert rows(engine, "select count(*) from motion.imported_jobs") == [{"count": 0}]
    applied = json.loads(
        crown("import-old", "production.db", "--time-zone", "Europe/Berlin", "--apply", "--json").output
    )
    assert (applied["applied"], applied["tables"]["jobs"]) == (True, {"new": 1, "updated": 0, "same": 0})
    assert rows(engine, "select stage2_completed_at from motion.jobs") == [
        {"stage2_completed_at": datetime(2025, 10, 30, 14, tzinfo=UTC)}
    ]
    assert "is no time zone" in crown("import-old", "production.db", "--time-zone", "Nowhere").output
    assert max(map(len, crown("import-old", "--help").output.splitlines())) <= 80
