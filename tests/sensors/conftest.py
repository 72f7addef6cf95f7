"""A Dagster instance on the test's database, and the resources of this test's world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from crown.database.engine import dagster_url
from crown.journal import logs, secrets
from resources.database import DatabaseResource
from resources.workspaces import ProductImagesResource
from tests.given import given_database
from tests.receiver import Inbox, receiving


@pytest.fixture
def instance(database_url: str, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Its storage is the schema `dagster` of this test's database."""
    home = tmp_path / "dagster"
    home.mkdir()
    url = dagster_url(database_url).render_as_string(hide_password=False)
    (home / "dagster.yaml").write_text(
        f"storage:\n  postgres:\n    postgres_url: '{url}'\ntelemetry: {{enabled: false}}\n"
    )
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[DatabaseResource]:
    """The database resource of a new home."""
    environment = {
        "CROWN_DATABASE_URL": database_url,
        "CROWN_HOME": str(tmp_path / "home"),
        "CROWN_WORKERS": "1",
        "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "0",
    }
    yield given_database(environment)
    logs.close()
    secrets._known.clear()


@pytest.fixture
def images(database: DatabaseResource) -> ProductImagesResource:
    """The workspace of product images on that database."""
    return ProductImagesResource(database=database)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A server that takes notices."""
    with receiving() as inbox:
        yield inbox
