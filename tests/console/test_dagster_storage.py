"""Dagster's storage as our dagster.yaml names it: it keeps connections, and loses nothing by that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.test_utils import create_run_for_test
from dagster_postgres import PostgresRunStorage
from sqlalchemy import Engine, event, text
from starlette.testclient import TestClient

from console.dagster_home import dagster_environment, write_dagster_home
from console.dagster_storage import PooledPostgresStorage
from console.dagster_ui import dagster_ui
from crown.database.engine import connect
from crown.settings.model import Settings

_BACKENDS = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


@pytest.fixture(scope="module")
def engine(server_url: str) -> Iterator[Engine]:
    """An engine on a database of this module's own; making Dagster's tables takes a second."""
    server = connect(server_url)
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("create database dagster_storage template template_crown"))
    server.dispose()
    engine = connect(server.url.set(database="dagster_storage").render_as_string(hide_password=False))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def home(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """DAGSTER_HOME as `crown up` writes it, with the variables that go with it."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    url = engine.url.render_as_string(hide_password=False)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dagster_environment(settings, url).items():
            patch.setenv(name, value)
        yield write_dagster_home(settings)


@pytest.fixture(scope="module")
def instance(home: Path) -> Iterator[DagsterInstance]:
    """The instance that `crown up` and runs use."""
    with DagsterInstance.from_config(str(home)) as instance:
        yield instance
        _pool(instance).dispose()


def _pool(instance: DagsterInstance) -> Engine:
    assert isinstance(instance.run_storage, PostgresRunStorage)
    return instance.run_storage._engine


def _opened(instance: DagsterInstance) -> list[object]:
    """Grows with each connection that is opened from now on."""
    opened: list[object] = []
    event.listen(_pool(instance), "connect", lambda *given: opened.append(given))
    return opened


def _told(instance: DagsterInstance, message: str) -> None:
    run = create_run_for_test(instance, job_name="a_job")
    instance.report_engine_event(message, run)
    assert [
        entry.dagster_event.message for entry in instance.all_logs(run.run_id) if entry.dagster_event
    ] == [message]


def test_runs_and_events_go_through_kept_connections(instance: DagsterInstance) -> None:
    stored = instance.get_ref().storage_data
    assert stored is not None
    assert stored.class_name == PooledPostgresStorage.__name__
    _told(instance, "first")
    opened = _opened(instance)
    for message in ("second", "third", "fourth"):
        _told(instance, message)
    assert opened == []


def test_the_storage_says_nothing_of_a_restart_of_the_server(
    instance: DagsterInstance, engine: Engine
) -> None:
    _told(instance, "before")
    opened = _opened(instance)
    with engine.connect() as connection:
        connection.execute(
            text(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        )
    _told(instance, "after")
    assert opened


def test_a_forked_process_leaves_the_connections_of_its_parent_alone(instance: DagsterInstance) -> None:
    _told(instance, "parent")
    opened = _opened(instance)
    child = os.fork()
    if child == 0:
        try:
            _told(instance, "child")
            os._exit(0 if opened else 2)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    _told(instance, "parent again")
    assert opened == []


def test_a_run_of_the_stock_storage_is_read_by_ours(
    instance: DagsterInstance, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = yaml.safe_load((home / "dagster.yaml").read_text())
    stock = {"telemetry": {"enabled": False}, "storage": {"postgres": ours["storage"]["custom"]["config"]}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(stock))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", _pool(instance).url.render_as_string(hide_password=False))
    with DagsterInstance.from_config(str(tmp_path)) as other:
        run = create_run_for_test(other, job_name="a_job")
        other.report_engine_event("by the stock storage", run)
    assert instance.get_run_by_id(run.run_id) is not None
    assert len(instance.all_logs(run.run_id)) == 1


def test_the_first_query_of_the_web_server_after_a_restart_of_the_database_is_answered(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path)
    for name, value in dagster_environment(
        settings, engine.url.render_as_string(hide_password=False)
    ).items():
        monkeypatch.setenv(name, value)
    home = write_dagster_home(settings)
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    # The results are looked up only when a field of them is asked for: without one no connection is opened.
    query = {"query": "{ runsOrError(limit: 1) { ... on Runs { results { id } } } }"}
    with DagsterInstance.from_config(str(home)) as instance, dagster_ui(instance, workspace) as app:
        client = TestClient(app)
        asked = [client.post("/graphql", json=query)]
        with engine.begin() as connection:
            ended = connection.execute(
                text(f"select count(pg_terminate_backend(pid, 5000)) from ({_BACKENDS}) as backends")
            ).scalar_one()
        asked.append(client.post("/graphql", json=query))
    assert ended > 0
    runs = [{"id": run.run_id} for run in instance.get_runs(limit=1)]
    assert runs
    assert [answer.json() for answer in asked] == [{"data": {"runsOrError": {"results": runs}}}] * 2
