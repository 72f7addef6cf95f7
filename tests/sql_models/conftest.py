"""The models of this repository, built once and cloned for each test, on a fixed day."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from crown.database.engine import connect, our_url
from crown.sql_models.build import run
from crown.sql_models.project import Project, load_models
from tests.sql_models.small_art_records import (
    BLUE,
    DIRECT,
    EDITIONS,
    HARBOUR,
    OLD,
    OTHER_REGATTA,
    PIER,
    QUAY,
    REGATTA,
)

MODELS = Path(__file__).resolve().parents[2] / "dbt_like_sql"
AS_OF = date(2026, 1, 10)

Rows = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def project() -> Project:
    """The models of this repository."""
    return load_models(MODELS)


@pytest.fixture(scope="session")
def template_models(server_url: str, project: Project) -> str:
    """The name of a database in which every model is built, on empty art tables."""
    _execute(server_url, "create database template_models template template_crown")
    engine = connect(_database(server_url, "template_models"))
    assert [result.error for result in run(engine, project) if result.error] == []
    engine.dispose()
    return "template_models"


@pytest.fixture
def art_records(server_url: str, template_models: str) -> Iterator[Engine]:
    """An engine on a fresh database with all models, whose sessions use AS_OF."""
    name = f"t{uuid.uuid4().hex[:12]}"
    _execute(server_url, f"create database {name} template {template_models}")
    engine = create_engine(_database(server_url, name), connect_args={"options": f"-c crown.as_of={AS_OF}"})
    yield engine
    engine.dispose()
    _execute(server_url, f"drop database {name} with (force)")


@pytest.fixture
def rows(art_records: Engine) -> Rows:
    """Answers queries on the art tables."""

    def ask(query: str) -> list[tuple[Any, ...]]:
        with art_records.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    return ask


def insert(engine: Engine, table: str, records: list[dict[str, Any]]) -> None:
    """Insert records into `art.<table>` through its view, as a person in psql would."""
    with engine.begin() as connection:
        for record in records:
            names = ", ".join(record)
            values = ", ".join(f":{name}" for name in record)
            connection.execute(text(f"insert into art.{table} ({names}) values ({values})"), record)


def _database(url: str, name: str) -> str:
    return our_url(url).set(database=name).render_as_string(hide_password=False)


def _execute(url: str, statement: str) -> None:
    engine = connect(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def small_art_records(art_records: Engine) -> None:
    insert(
        art_records,
        "prints",
        [
            {"airtable_id": HARBOUR, "name": "Harbour", "total_editions": 10},
            {"airtable_id": PIER, "name": "Pier"},
            {"airtable_id": REGATTA, "name": "Regatta", "total_editions": 2},
            {"airtable_id": OTHER_REGATTA, "name": "Regatta", "total_editions": 12},
        ],
    )
    insert(
        art_records,
        "distributors",
        [
            {"airtable_id": BLUE, "name": "Blue Door", "kind": "gallery", "commission_percentage": 40},
            {"airtable_id": QUAY, "name": "Quay", "kind": "gallery", "commission_percentage": 50},
            {"airtable_id": DIRECT, "name": "Direct", "kind": "direct", "commission_percentage": 0},
            {"airtable_id": OLD, "name": "Direct Old", "kind": "legacy"},
        ],
    )
    insert(art_records, "editions", EDITIONS)
    with art_records.begin() as connection:
        connection.execute(text("delete from art.editions where airtable_id like '%gone'"))  # closes it
