"""A database with rows in it, and originals, to be saved and brought back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from crown.database.swap import database_name
from tests.database.backups import _FILL, _databases, _on_server


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
