"""Backups of real data: what is saved comes back exactly, and nothing is replaced that does not agree."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from crown.database.backup import check_dump
from crown.database.backup_folder import (
    Saved,
    read_manifest,
    restore,
    save,
)
from crown.database.contents import Contents, differences, read_contents
from crown.database.engine import connect, our_url
from crown.database.migrations import migrate, newest_revision
from crown.database.swap import beside, database_name, exchange
from crown.errors import BadInput, ConfigurationError, Refused
from crown.store import store_lock

ROOT = Path(__file__).resolve().parents[2]

_FILL = """
insert into ledger.recipes (recipe, asset, name, body)
select 'r' || n, 'product_images/renditions', 'spec ' || n, jsonb_build_object('größe', n, 'dpi', 72.5)
from generate_series(1, 5) n;
insert into ledger.outputs (asset, key, fingerprint, content_hash, root, path, size_bytes, recipe, seconds, facts)
select 'product_images/renditions', 'K' || n, md5(n::text), md5('c' || n), 'production',
       'ü/' || n || E'.jpg', n * 1000, 'r' || (mod(n, 5) + 1), random(), '{"a": [1, null, "x"]}'
from generate_series(1, 400) n;
insert into ledger.output_inputs select output_id, output_id - 1 from ledger.outputs where output_id > 1;
insert into ledger.decisions (stage, subject, content_hash, verdict, reason, who, via)
select 'cutouts', 'S' || n, md5(n::text), 'approve', case when mod(n, 2) = 0 then E'line\\nbreak' end, 'ann', 'cli'
from generate_series(1, 100) n;
create table dagster.runs (id bigserial primary key, body text);
insert into dagster.runs (body) select repeat('run ', n) from generate_series(1, 20) n;
"""


@pytest.fixture
def filled(engine: Engine, database_url: str) -> Iterator[str]:
    """The address of a database with some hundred rows; databases kept by restores are dropped afterwards."""
    with engine.begin() as connection:
        connection.exec_driver_sql(_FILL)
    engine.dispose()
    yield database_url
    name = database_name(database_url)
    for other in _databases(database_url, f"{name}_"):
        _on_server(database_url, f'drop database "{other}" with (force)')


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    """Seven originals."""
    folder = tmp_path / "objects"
    folder.mkdir()
    for number in range(7):
        content = f"picture {number}".encode() * 100
        (folder / hashlib.sha256(content).hexdigest()).write_bytes(content)
    return folder


def _on_server(url: str, statement: str) -> None:
    other = connect(beside(url, "postgres"))
    with other.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement)
    other.dispose()


def _databases(url: str, prefix: str) -> list[str]:
    other = connect(beside(url, "postgres"))
    with other.connect() as connection:
        query = text("select datname from pg_database where starts_with(datname, :prefix) order by 1")
        found = list(connection.execute(query, {"prefix": prefix}).scalars())
    other.dispose()
    return found


def _contents(url: str) -> Contents:
    other = connect(url)
    with other.connect() as connection:
        found = read_contents(connection)
    other.dispose()
    return found


def _change(url: str, statement: str) -> None:
    other = connect(url)
    with other.begin() as connection:
        connection.exec_driver_sql(statement)
    other.dispose()


def _edit_manifest(saved: Saved, change: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    path = saved.folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.005)


def test_what_was_saved_comes_back_exactly_and_the_old_database_is_kept(
    filled: str, objects: Path, tmp_path: Path
) -> None:
    before = _contents(filled)
    saved = save(filled, objects, tmp_path / "backups")
    assert saved.manifest.database.contents == before
    assert saved.manifest.originals.count == 7
    _change(filled, "delete from ledger.output_inputs; update ledger.decisions set who = 'eve'")
    changed = _contents(filled)

    restored, originals = restore(filled, objects, saved.folder)

    assert _contents(filled) == before
    assert restored.kept is not None
    assert _contents(beside(filled, restored.kept)) == changed
    assert (originals.there, originals.missing) == (7, ())
    assert _databases(filled, f"{database_name(filled)}_") == [restored.kept], "no scratch database stays"


def test_a_dry_run_compares_and_replaces_nothing(filled: str, objects: Path, tmp_path: Path) -> None:
    saved = save(filled, objects, tmp_path / "backups")
    _change(filled, "delete from ledger.output_inputs")
    changed = _contents(filled)
    watcher = connect(filled)
    with watcher.connect():  # a dry run minds nobody's connection
        restored, _ = restore(filled, objects, saved.folder, dry_run=True)
    watcher.dispose()
    assert restored.kept is None
    assert _contents(filled) == changed
    assert _databases(filled, f"{database_name(filled)}_") == []


def test_dagsters_history_can_be_left_out(filled: str, objects: Path, tmp_path: Path) -> None:
    saved = save(filled, objects, tmp_path / "backups", with_dagster=False)
    assert not [name for name in saved.manifest.database.contents.tables if name.startswith("dagster.")]
    restore(filled, objects, saved.folder)
    contents = _contents(filled)
    assert contents.tables["ledger.outputs"].rows == 400
    assert not [name for name in contents.tables if name.startswith("dagster.")]


def test_rows_written_while_saving_do_not_spoil_the_figures(
    filled: str, objects: Path, tmp_path: Path
) -> None:
    """The figures and the dump are of one snapshot."""
    over, other = threading.Event(), connect(filled)

    def write() -> None:
        while not over.is_set():
            with other.begin() as connection:
                connection.exec_driver_sql(
                    "insert into ledger.decisions (stage, subject, content_hash, verdict, who, via)"
                    " values ('s', 'x', 'y', 'approve', 'bob', 'cli')"
                )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        saved = save(filled, objects, tmp_path / "backups")
    finally:
        over.set()
        writer.join()
        other.dispose()
    assert _contents(filled).tables["ledger.decisions"].rows > 100
    restored, _ = restore(filled, objects, saved.folder, dry_run=True)
    assert restored.rows == saved.manifest.database.contents.rows


def test_a_damaged_dump_is_refused_before_anything_happens(
    filled: str, objects: Path, tmp_path: Path
) -> None:
    saved = save(filled, objects, tmp_path / "backups")
    before, dump = _contents(filled), saved.folder / "database.dump"
    whole = dump.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-100] + bytes(100), b""):
        dump.write_bytes(damaged)
        with pytest.raises(BadInput, match="is damaged"):
            restore(filled, objects, saved.folder)
    dump.unlink()
    with pytest.raises(BadInput, match="is missing"):
        restore(filled, objects, saved.folder)
    assert _contents(filled) == before
    assert _databases(filled, f"{database_name(filled)}_") == []


@pytest.mark.parametrize(
    ("table", "field", "value", "words"),
    [
        ("ledger.outputs", "rows", 401, "table ledger.outputs has 400 rows instead of 401"),
        ("ledger.decisions", "hash", "1:2", "table ledger.decisions has 100 rows as expected, with other"),
    ],
)
def test_figures_that_do_not_agree_replace_nothing(
    filled: str, objects: Path, tmp_path: Path, table: str, field: str, value: object, words: str
) -> None:
    saved = save(filled, objects, tmp_path / "backups")
    before = _contents(filled)
    _edit_manifest(saved, lambda m: m["database"]["contents"]["tables"][table].update({field: value}))
    with pytest.raises(BadInput, match=words):
        restore(filled, objects, saved.folder)
    assert _contents(filled) == before
    assert _databases(filled, f"{database_name(filled)}_") == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(format=2), "form 2"),
        (lambda m: m.pop("database"), "database: Field required"),
        (lambda m: m["database"].update(dump="../elsewhere"), "is missing"),
        (lambda m: m["database"]["contents"].update(revision="9999"), "does not know"),
        (lambda m: m["originals"].update(sha256="0" * 64), "missing or damaged"),
    ],
)
def test_a_wrong_manifest_is_refused_with_what_is_wrong(
    filled: str,
    objects: Path,
    tmp_path: Path,
    change: Callable[[dict], object],
    words: str,  # type: ignore[type-arg]
) -> None:
    saved = save(filled, objects, tmp_path / "backups")
    _edit_manifest(saved, change)
    with pytest.raises(BadInput, match=words):
        restore(filled, objects, saved.folder)


def test_a_folder_that_is_no_backup_is_refused(filled: str, objects: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a backup"):
        restore(filled, objects, tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": 1, ')
    with pytest.raises(BadInput, match="cannot be read"):
        restore(filled, objects, tmp_path)


def test_nothing_is_replaced_under_the_feet_of_others(filled: str, objects: Path, tmp_path: Path) -> None:
    saved = save(filled, objects, tmp_path / "backups")
    other = connect(beside(filled, database_name(filled)))
    with other.connect() as connection:
        connection.exec_driver_sql("set application_name = 'the daemon'")
        with pytest.raises(Refused, match="the daemon"):
            restore(filled, objects, saved.folder)
    other.dispose()


def test_an_exchange_that_fails_half_way_leaves_both_databases_as_they_were(filled: str) -> None:
    name = database_name(filled)
    scratch = f"{name}_scratch"
    _on_server(filled, f'create database "{scratch}"')
    other = connect(beside(filled, scratch))
    with other.connect(), pytest.raises(Refused, match="nothing has changed"):
        exchange(filled, scratch)
    other.dispose()
    assert _databases(filled, name) == [name, scratch]
    assert _contents(filled).tables["ledger.outputs"].rows == 400


def test_a_backup_of_an_older_revision_is_compared_and_then_migrated(
    server_url: str, objects: Path, tmp_path: Path
) -> None:
    url = beside(server_url, "older_revision")
    _on_server(server_url, "create database older_revision")
    older = connect(url)
    assert migrate(older, "0001") == "0001"
    older.dispose()
    try:
        saved = save(url, objects, tmp_path / "backups")
        assert saved.manifest.database.contents.revision == "0001"
        restored, _ = restore(url, objects, saved.folder)
        assert restored.revision == newest_revision()
    finally:
        for name in _databases(server_url, "older_revision"):
            _on_server(server_url, f'drop database "{name}" with (force)')


def test_an_ordinary_role_that_may_create_databases_is_enough(
    server_url: str, objects: Path, tmp_path: Path
) -> None:
    _on_server(server_url, "create role ordinary login createdb")
    _on_server(server_url, "create database of_ordinary owner ordinary")
    url = our_url(beside(server_url, "of_ordinary")).set(username="ordinary").render_as_string(False)
    ordinary = connect(url)
    migrate(ordinary)
    with ordinary.begin() as connection:
        connection.exec_driver_sql(_FILL)
    ordinary.dispose()
    try:
        before = _contents(url)
        saved = save(url, objects, tmp_path / "backups")
        _change(url, "delete from ledger.output_inputs")
        other = connect(beside(server_url, "of_ordinary"))
        with other.connect(), pytest.raises(Refused, match="1 connections"):
            restore(url, objects, saved.folder)  # sees that a stronger role is connected
        other.dispose()
        restore(url, objects, saved.folder)
        assert _contents(url) == before
    finally:
        for name in _databases(server_url, "of_ordinary"):
            _on_server(server_url, f'drop database "{name}" with (force)')
        _on_server(server_url, "drop role ordinary")


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
