"""A room of product images on a fresh database and fresh folders, and small pictures drawn for tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from crown.product_images.room import Room, open_room
from crown.settings import Settings, load_settings
from tests.pictures import draw_part


@pytest.fixture
def crown_settings(tmp_path: Path) -> Settings:
    environment = {"CROWN_HOME": str(tmp_path / "home"), "CROWN_WORKERS": "1", "CROWN_STALLED_MINUTES": "0"}
    return load_settings(environment, env_file=None)


@pytest.fixture
def room(engine: Engine, crown_settings: Settings) -> Room:
    return open_room(engine, crown_settings)


@pytest.fixture(scope="session")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn part on a studio backdrop, 480 x 360, JPEG."""
    path = tmp_path_factory.mktemp("parts") / "part.jpg"
    draw_part(path, hole=40)
    return path
