"""Fixtures for every test: one embedded PostgreSQL a session, a fresh migrated database a test."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Engine, text

from crown.database.embedded import embedded_server
from crown.database.engine import connect, our_url
from crown.database.migrations import migrate
from crown.journal import logs

# How long an example takes depends on the machine, so it fails no test; benchmarks measure speed.
hypothesis_settings.register_profile("crown", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("crown")

FIXTURES = Path(__file__).resolve().parents[2] / "shared" / "fixtures"


#: What a test of `make quick` does not need: a database server, another process of ours, a browser, minutes.
_NOT_QUICK = frozenset({"server_url", "server_folder", "shared_fixtures"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--quick`: see the Makefile."""
    parser.addoption(
        "--quick", action="store_true", help="only tests without a database, a service or a browser"
    )


def _is_quick(item: pytest.Item) -> bool:
    marked = any(item.get_closest_marker(name) for name in ("integration", "crash", "slow"))
    return not marked and not _NOT_QUICK & set(getattr(item, "fixturenames", ()))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long ones first, so that no worker is left alone with one at the end; with --quick, none of them."""
    if config.getoption("quick"):
        left_out = [item for item in items if not _is_quick(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _is_quick(item)]
    items.sort(key=lambda item: not item.get_closest_marker("integration"))


@pytest.fixture(scope="session")
def shared_fixtures() -> Path:
    """The folder of real sample files; tests that need it skip where it is absent."""
    if not FIXTURES.is_dir():
        pytest.skip("the real sample files (../shared/fixtures) are not on this machine")
    return FIXTURES


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The session's PostgreSQL, with a migrated template database."""
    # Not below pytest's folder: as root the server is another user, and every other pytest session on the
    # machine closes that folder to all but its owner.
    with (
        tempfile.TemporaryDirectory(prefix="crown-test-", ignore_cleanup_errors=True) as folder,
        embedded_server(Path(folder) / "data", throwaway=True) as url,
    ):
        _execute(url, "create database template_crown")
        template = connect(_database(url, "template_crown"))
        migrate(template)
        template.dispose()
        yield url


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """A folder for a server of the test's own; see `server_url` for why `tmp_path` will not do."""
    with tempfile.TemporaryDirectory(prefix="crown-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def copy_of(server_url: str, template: str = "template_crown") -> Iterator[str]:
    """A database of one's own, made as a copy of another that nobody is connected to; its address."""
    name = f"t{uuid.uuid4().hex[:12]}"
    _execute(server_url, f"create database {name} template {template} strategy file_copy")
    try:
        yield _database(server_url, name)
    finally:
        logs.close()
        _execute(server_url, f"drop database {name} with (force)")


@pytest.fixture
def database_url(server_url: str) -> Iterator[str]:
    """A fresh, migrated database of this test's own."""
    with copy_of(server_url) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on this test's database."""
    engine = connect(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def _no_crown_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("CROWN_", "CROWNPIPE_", "DAGSTER_")):
            monkeypatch.delenv(name)


def _database(url: str, name: str) -> str:
    return our_url(url).set(database=name).render_as_string(hide_password=False)


@contextmanager
def database_at(server_url: str, revision: str) -> Iterator[Engine]:
    """An empty database of an earlier revision."""
    name = f"older_{uuid.uuid4().hex[:8]}"
    _execute(server_url, f"create database {name}")
    engine = connect(_database(server_url, name))
    migrate(engine, revision)
    yield engine
    engine.dispose()
    _execute(server_url, f"drop database {name} with (force)")


def _execute(url: str, statement: str) -> None:
    engine = connect(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    engine.dispose()
