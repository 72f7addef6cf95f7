"""PostgreSQL 15, the distribution's, is enough: migrations, planning, claims, decisions, backup and restore."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from crown.database import engine as engines
from crown.database.backup_folder import restore, save
from crown.database.contents import read_contents
from crown.database.engine import check_server, connect
from crown.database.migrations import migrate, newest_revision
from crown.database.swap import beside
from crown.errors import ConfigurationError
from crown.journal import activity
from crown.ledger import claims, counts, decisions, lineage, planning
from crown.ledger.claims import Made
from crown.ledger.recipes import Recipe, register
from crown.ledger.verdicts import APPROVE_OR_REJECT, Gate, Ruling
from tests.servers import packaged, packaged_server

_COPY = Recipe("test/copies", "copy", {"version": 1})
_WANTED = """
    select key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs, array[key] as input_hashes,
           cast(null as text) as waiting_for, cast(null as bigint) as decision_id
    from unnest(array['a', 'b']) as key
"""


@pytest.fixture(scope="module")
def packaged_url() -> Iterator[str]:
    """A database on PostgreSQL 15, migrated."""
    programs = packaged("15")
    if not programs:
        pytest.skip("PostgreSQL 15 is not installed under /usr/lib/postgresql")
    with (
        tempfile.TemporaryDirectory(prefix="crown-test-", ignore_cleanup_errors=True) as folder,
        packaged_server(programs[0], Path(folder)) as url,
    ):
        server = connect(url)
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("create database crown"))
        server.dispose()
        ours = connect(beside(url, "crown"))
        assert migrate(ours) == newest_revision()
        ours.dispose()
        yield beside(url, "crown")


@pytest.fixture
def engine_15(packaged_url: str) -> Iterator[Engine]:
    engine = connect(packaged_url)
    yield engine
    engine.dispose()


def test_postgresql_15_plans_claims_enters_and_decides(engine_15: Engine) -> None:
    assert check_server(engine_15) == 15
    with engine_15.begin() as connection:
        register(connection, [_COPY])
        planned = planning.plan(connection, "test/copies", _WANTED, {"recipe": _COPY.hash})
    assert planned.pending == 2
    with engine_15.connect() as connection:
        claim = claims.take(connection, ["test/copies"], 5)
        assert claim is not None
        assert [job.key for job in claim.jobs] == ["a", "b"]
        made = [Made(job, job.key * 3, "r", job.key) for job in claim.jobs]
        claims.finish(connection, claim, made, place=lambda _: None)
        claims.release(connection, claim)
    with engine_15.begin() as connection:
        said = decisions.decide(
            connection, Gate("test/copies", APPROVE_OR_REJECT), "a", "aaa", Ruling("approve", "ann", "cli")
        )
        activity.record(
            connection, who="ann", what="approved", subject="a", department="test", via="cli", details="good"
        )
        assert (
            decisions.standing(connection, "test/copies", {"a": "aaa"})["a"].decision_id == said.decision_id
        )
        assert counts.of_asset(connection, "test/copies")["current"] == 2
        assert [row["key"] for row in lineage.back(connection, lineage.find(connection, path="b")[0])] == [
            "b"
        ]


def test_a_backup_of_postgresql_15_is_restored_into_it(packaged_url: str, tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    saved = save(packaged_url, tmp_path / "objects", tmp_path / "backups")
    engine = connect(packaged_url)
    with engine.connect() as connection:
        before = read_contents(connection)
    engine.dispose()
    restored, _ = restore(packaged_url, tmp_path / "objects", saved.folder)
    with engine.connect() as connection:
        assert read_contents(connection).tables == before.tables
    engine.dispose()
    assert restored.revision == newest_revision()


def test_a_server_that_is_too_old_is_refused_in_one_sentence(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MINIMUM_MAJOR", 99)
    with pytest.raises(
        ConfigurationError, match="is PostgreSQL 18; version 99 or later is needed: upgrade it"
    ):
        check_server(engine)
