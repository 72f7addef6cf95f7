"""The models of this repository on a small set of books, on a fixed day."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from crown.sql_models.build import build
from crown.sql_models.project import Project, load_models

MODELS = Path(__file__).resolve().parents[2] / "dbt_like_sql"
AS_OF = date(2026, 1, 10)

Rows = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def project() -> Project:
    """The models of this repository."""
    return load_models(MODELS)


@pytest.fixture
def books(database_url: str) -> Iterator[Engine]:
    """An engine whose sessions stand on AS_OF."""
    engine = create_engine(database_url, connect_args={"options": f"-c crown.as_of={AS_OF}"})
    yield engine
    engine.dispose()


@pytest.fixture
def rows(books: Engine, project: Project) -> Rows:
    """Builds every model once, then answers queries."""
    built: list[bool] = []

    def ask(query: str) -> list[tuple[Any, ...]]:
        if not built:
            built.extend(build(books, project, model).outcome == "built" for model in project.models.values())
        with books.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    return ask


def insert(engine: Engine, table: str, records: list[dict[str, Any]]) -> None:
    """Insert records into `art.<table>` through its view, as a person in psql would."""
    with engine.begin() as connection:
        for record in records:
            names = ", ".join(record)
            values = ", ".join(f":{name}" for name in record)
            connection.execute(text(f"insert into art.{table} ({names}) values ({values})"), record)
