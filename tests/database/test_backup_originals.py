"""Backups of originals, and backups that are interrupted."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crown.database.backup import check_dump
from crown.database.backup_folder import (
    read_manifest,
    restore,
    save,
)
from crown.database.contents import differences
from crown.database.engine import connect
from crown.database.swap import database_name
from crown.errors import BadInput, ConfigurationError, Refused
from crown.store import store_lock
from tests.database.backups import _change, _contents, _databases

ROOT = Path(__file__).resolve().parents[2]


def _until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.005)


def test_originals_are_copied_once_and_come_back_when_they_are_gone(
    filled: str, objects: Path, tmp_path: Path
) -> None:
    backups = tmp_path / "backups"
    first = save(filled, objects, backups, files=True)
    assert first.copied == 7
    (objects / hashlib.sha256(b"new").hexdigest()).write_bytes(b"new")
    second = save(filled, objects, backups, files=True)
    assert second.copied == 1
    assert second.folder != first.folder
    assert {p.stat().st_nlink for p in (backups / "objects").iterdir()} == {1}, "copies, never links"
    gone = sorted(objects.iterdir())[:3]
    contents = {path: path.read_bytes() for path in gone}
    for path in gone:
        path.unlink()
    _, originals = restore(filled, objects, second.folder)
    assert sorted(originals.from_backup) == [path.name for path in gone]
    assert {path: path.read_bytes() for path in gone} == contents


def test_a_missing_original_stops_the_restore_unless_it_is_accepted(
    filled: str, objects: Path, tmp_path: Path
) -> None:
    saved = save(filled, objects, tmp_path / "backups")
    gone = sorted(objects.iterdir())[0]
    gone.unlink()
    with pytest.raises(Refused, match=gone.name):
        restore(filled, objects, saved.folder)
    restored, originals = restore(filled, objects, saved.folder, accept_missing=True)
    assert restored.kept is not None
    assert originals.missing == (gone.name,)


def test_originals_that_may_be_removed_at_any_time_are_not_missed(
    filled: str, objects: Path, tmp_path: Path
) -> None:
    saved = save(filled, objects, tmp_path / "backups")
    gone, needed = sorted(objects.iterdir())[:2]
    gone.unlink()
    asked: list[int] = []

    def passing(url: str) -> set[str]:
        asked.append(len(_contents(url).tables))
        return {gone.name}

    restored, originals = restore(filled, objects, saved.folder, passing=passing)
    assert restored.kept is not None
    assert (originals.missing, originals.passing) == ((), (gone.name,))
    assert asked == [restored.tables], "of the restored database"
    needed.unlink()
    with pytest.raises(Refused, match=f"1 originals .*{needed.name}"):
        restore(filled, objects, saved.folder, passing=passing)


def test_nothing_is_removed_from_the_store_while_it_is_saved(
    filled: str, objects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(
        "crown.database.backup_folder.check_dump",
        lambda *given: (seen.append(_may_remove(filled)), check_dump(*given))[1],
    )
    save(filled, objects, tmp_path / "backups")
    assert [*seen, _may_remove(filled)] == [False, True]


def _may_remove(url: str) -> bool:
    other = connect(url)
    with other.connect() as connection:
        found = store_lock.may_remove(connection)
    other.dispose()
    return found


def test_damaged_originals_are_named_and_never_copied(filled: str, objects: Path, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    bad = sorted(objects.iterdir())[0]
    bad.write_bytes(b"other bytes")
    saved = save(filled, objects, backups, files=True)
    assert saved.damaged == (bad.name,)
    assert not (backups / "objects" / bad.name).exists()


def test_a_damaged_copy_is_not_brought_back(filled: str, objects: Path, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    saved = save(filled, objects, backups, files=True)
    gone = sorted(objects.iterdir())[0]
    copy = backups / "objects" / gone.name
    copy.chmod(0o600)
    copy.write_bytes(bytes(copy.stat().st_size))
    gone.unlink()
    before = _contents(filled)
    with pytest.raises(BadInput, match="is damaged"):
        restore(filled, objects, saved.folder)
    assert not gone.exists()
    assert _contents(filled) == before
    assert _databases(filled, f"{database_name(filled)}_") == []


def test_a_backup_among_the_originals_or_into_a_file_is_refused(
    filled: str, objects: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="among the originals"):
        save(filled, objects, objects / "backups")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        save(filled, objects, tmp_path / "file" / "backups")


def _crown(url: str, home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "crown_cli.main", *arguments],
        cwd=ROOT,
        env={**os.environ, "CROWN_DATABASE_URL": url, "CROWN_HOME": str(home)},
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_full_disk_is_one_sentence_and_leaves_no_backup(filled: str, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    done = subprocess.run(
        ["sh", "-c", f"ulimit -f 64; exec {sys.executable} -m crown_cli.main backup {backups}"],
        cwd=ROOT,
        env={**os.environ, "CROWN_DATABASE_URL": filled, "CROWN_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("crown: Saving the database failed")
    assert "File size limit exceeded" in done.stderr or "File too large" in done.stderr
    assert list(backups.iterdir()) == []


def _make_large(url: str) -> None:
    """Enough rows that a dump or a restore takes a good second."""
    _change(
        url,
        "create table ledger.large as select n, md5(random()::text) || md5(random()::text) as noise"
        " from generate_series(1, 250000) n",
    )


@pytest.mark.crash
def test_a_killed_backup_leaves_nothing_under_a_backups_name(filled: str, tmp_path: Path) -> None:
    _make_large(filled)
    backups = tmp_path / "backups"
    process = _crown(filled, tmp_path, "backup", str(backups))
    _until(lambda: list(backups.glob(".crown-backup-*/database.dump")) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert [path.name[:14] for path in backups.iterdir()] == [".crown-backup-"]
    again = _crown(filled, tmp_path, "backup", str(backups))
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    (only,) = backups.iterdir()
    assert read_manifest(only).database.contents.tables["ledger.large"].rows == 250_000


@pytest.mark.crash
def test_a_killed_restore_leaves_the_database_untouched_and_the_next_one_tidies_up(
    filled: str, tmp_path: Path
) -> None:
    _make_large(filled)
    saved = save(filled, tmp_path / "objects", tmp_path / "backups")
    _change(filled, "delete from ledger.output_inputs")
    changed, name = _contents(filled), database_name(filled)
    process = _crown(filled, tmp_path, "restore", str(saved.folder), "--apply")
    _until(lambda: _databases(filled, f"{name}_restore_") or process.poll() is not None)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert _contents(filled) == changed
    assert len(_databases(filled, f"{name}_restore_")) == 1
    again = _crown(filled, tmp_path, "restore", str(saved.folder), "--apply")
    said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert differences(saved.manifest.database.contents, _contents(filled)) == []
    assert len(_databases(filled, f"{name}_")) == 1, "only the database that was replaced is kept"
