"""Backups of real data: what is saved comes back exactly, and nothing is replaced that does not agree."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from crown.database.backup_folder import (
    Saved,
    restore,
    save,
)
from crown.database.engine import connect, our_url
from crown.database.migrations import migrate, newest_revision
from crown.database.swap import beside, database_name, exchange
from crown.errors import BadInput, Refused
from tests.database.backups import _FILL, _change, _contents, _databases, _on_server


def _edit_manifest(saved: Saved, change: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    path = saved.folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


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
