"""The nightly job makes a backup, proves the newest one by restoring it, and removes what is old."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from crown.database.backup_folder import MANIFEST, backups_in, read_manifest, remove_old
from crown.journal import logs
from crown_assets.definitions import build_defs
from resources.database import DatabaseResource
from tests.given import given_database


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[DatabaseResource]:
    yield given_database({"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path / "home")})
    logs.close()


def run(database: DatabaseResource) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_defs(resources={"database": database}).resolve_job_def("backups")
        return job.execute_in_process(instance=instance)


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str | None]]:
    return {one.check_name: (one.passed, one.description) for one in result.get_asset_check_evaluations()}


def _aged(folder: Path, days: int) -> Path:
    """A copy of a backup, as if it had been made so many days ago."""
    made_at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)
    copy = folder.with_name(f"crown-{made_at:%Y%m%dT%H%M%SZ}")
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps({**manifest, "made_at": made_at.isoformat()}))
    return copy


def test_a_night_saves_and_proves_and_the_next_run_of_it_saves_nothing_anew(
    database: DatabaseResource,
) -> None:
    first = run(database)
    root = database.settings().backups
    ((folder, made_at),) = backups_in(root)
    assert root == database.settings().home / "backups"
    assert _checks(first) == {"originals_are_whole": (True, None), "newest_backup_restores": (True, None)}
    (proof,) = first.asset_materializations_for_node("housekeeping__restore_test")
    assert proof.metadata["rows"].value == read_manifest(folder).database.contents.rows
    again = run(database)
    assert backups_in(root) == [(folder, made_at)]
    (saved,) = again.asset_materializations_for_node("housekeeping__backup")
    assert saved.metadata["made_by_this_run"].value is False


def test_a_damaged_backup_fails_the_restore_test_with_its_reason(database: DatabaseResource) -> None:
    run(database)
    ((folder, _),) = backups_in(database.settings().backups)
    with (folder / "database.dump").open("r+b") as dump:
        dump.seek(2000)
        dump.write(b"damaged")
    passed, reason = _checks(run(database))["newest_backup_restores"]
    assert not passed
    assert "is damaged" in str(reason)


def test_old_backups_go_and_the_newest_three_stay(database: DatabaseResource) -> None:
    run(database)
    root = database.settings().backups
    ((newest, _),) = backups_in(root)
    aged = [_aged(newest, days) for days in (20, 30, 40)]
    (root / "crown-of-somebody").mkdir()
    (saved,) = run(database).asset_materializations_for_node("housekeeping__backup")
    assert saved.metadata["removed"].value == [aged[2].name]
    assert [folder for folder, _ in backups_in(root)] == [newest, *aged[:2]]
    assert remove_old(root, timedelta(days=14), at_least=1) == aged[:2]
    assert sorted(path.name for path in root.iterdir()) == sorted([newest.name, "crown-of-somebody"])
