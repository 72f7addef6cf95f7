"""The whole console in this process: our pages, the real Dagster webserver, a real database."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance
from sqlalchemy import Engine, create_engine, text
from starlette.types import ASGIApp

from console.app import create_app
from console.dagster_ui import dagster_ui
from crown.database.engine import connect
from crown.settings.model import load_settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette prefers httpx2; httpx, which we have, serves as well
    from starlette.testclient import TestClient

TOKEN = "a-token-for-tests-0123456789"


@pytest.fixture(scope="session")
def real_dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ASGIApp]:
    """The stock webserver over an empty workspace."""
    folder = tmp_path_factory.mktemp("dagster")
    workspace = folder / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with DagsterInstance.from_config(str(folder)) as instance, dagster_ui(instance, workspace) as app:
        yield app


@pytest.fixture(scope="session")
def empty_database(server_url: str) -> Iterator[Engine]:
    """A migrated database that tests only read."""
    server = connect(server_url)
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("create database console_reads template template_crown"))
    server.dispose()
    engine = create_engine(server.url.set(database="console_reads"))
    yield engine
    engine.dispose()


@pytest.fixture
def console(empty_database: Engine, real_dagster: ASGIApp, tmp_path: Path) -> Callable[..., TestClient]:
    """Makes a client of the console with the given settings, as variables."""

    def make(engine: Engine = empty_database, **variables: str) -> TestClient:
        environ = {
            "CROWN_HOME": str(tmp_path),
            **{f"CROWN_{name}": value for name, value in variables.items()},
        }
        app = create_app(load_settings(environ, env_file=None), engine, real_dagster)
        return TestClient(
            app, base_url="http://127.0.0.1:3000", follow_redirects=False, raise_server_exceptions=False
        )

    return make


@pytest.fixture
def open_console(console: Callable[..., TestClient]) -> TestClient:
    """Without a token, for this machine only."""
    return console()


@pytest.fixture
def guarded_console(console: Callable[..., TestClient]) -> TestClient:
    """With a token, for other machines."""
    return console(WEB_TOKEN=TOKEN, WEB_HOST="0.0.0.0")  # noqa: S104 - nothing listens there
