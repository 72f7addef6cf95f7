"""A workspace of product images on a fresh database and fresh folders, and small pictures drawn for tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from crown.database.engine import connect, our_url
from crown.product_images.workspace import (
    Workspace,
    open_workspace,
)
from crown.settings.model import Settings
from tests.conftest import copy_of
from tests.pictures import draw_part
from tests.product_images.flow import approve, run, upload, workspace_settings
from tests.product_images.old_tree import old_photo, right_file


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


@pytest.fixture
def old(workspace: Workspace) -> Workspace:
    """Two old products in the media folder that Crown works in, one with a rendition that is right."""
    old_photo(workspace.settings.media, "52000123")
    master = old_photo(workspace.settings.media, "52000124_2", shade=100)
    right_file(workspace, master, "52000124_2")
    return workspace


@pytest.fixture(scope="session")
def published_once(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Two approved and published photos: their database, which nobody is connected to, and their home."""
    home = tmp_path_factory.mktemp("published") / "home"
    with copy_of(server_url) as url:
        engine = connect(url)
        workspace = open_workspace(engine, workspace_settings(home))
        upload(workspace, "52000123.jpg", "52000124_2.png")
        run(workspace)
        approve(workspace)
        run(workspace)
        engine.dispose()
        yield str(our_url(url).database), home


@pytest.fixture
def done(server_url: str, published_once: tuple[str, Path], tmp_path: Path) -> Iterator[Workspace]:
    """A workspace of this test's own with two approved and published photos."""
    database, home = published_once
    shutil.copytree(home, tmp_path / "home")
    with copy_of(server_url, database) as url:
        engine = connect(url)
        yield open_workspace(engine, workspace_settings(tmp_path / "home"))
        engine.dispose()
