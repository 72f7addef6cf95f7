"""A workspace of product images on a fresh database and fresh folders, and small pictures drawn for tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from crown.product_images.workspace import Workspace, open_workspace
from crown.settings.model import Settings
from tests.pictures import draw_part
from tests.product_images.flow import workspace_settings


@pytest.fixture
def crown_settings(tmp_path: Path) -> Settings:
    return workspace_settings(tmp_path / "home")


@pytest.fixture
def workspace(engine: Engine, crown_settings: Settings) -> Workspace:
    return open_workspace(engine, crown_settings)


@pytest.fixture(scope="session")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn part on a studio backdrop, 480 x 360, JPEG."""
    path = tmp_path_factory.mktemp("parts") / "part.jpg"
    draw_part(path, hole=40)
    return path
