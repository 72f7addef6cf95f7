"""A workspace with cut-outs of one model, prepared once, and commands in it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from crown.product_images.workspace import (
    INBOX,
    Workspace,
)
from tests.conftest import _database, _execute, copy_of
from tests.pictures import draw_cut_out, draw_part
from tests.product_images.flow import approve, run
from tests.product_images.rehearsal.rehearsing import (
    DRAWN,
    KEPT,
    OTHER,
    TINY,
    open_at,
)
from tests.unit.test_cutout import dark_is_part_model


@pytest.fixture(scope="session")
def prepared(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A database and a home with two published photos, one that cannot be cut out, and weights of another model."""
    name, home = f"prepared_{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("prepared")
    _execute(server_url, f"create database {name} template template_crown")
    (home / "weights").mkdir()
    (home / "weights" / f"{OTHER}.onnx").write_bytes(dark_is_part_model(320))
    workspace = open_at(_database(server_url, name), home)
    draw_cut_out(workspace.media(INBOX) / f"{KEPT}.png")
    draw_part(workspace.media(INBOX) / f"{DRAWN}.png", size=(180, 135), hole=15)
    Image.new("RGB", (20, 20), "grey").save(workspace.media(INBOX) / f"{TINY}.png")
    run(workspace)
    approve(workspace)
    run(workspace)
    workspace.engine.dispose()
    yield name, home
    _execute(server_url, f"drop database {name} with (force)")


@pytest.fixture
def workspace(server_url: str, prepared: tuple[str, Path], tmp_path: Path) -> Iterator[Workspace]:
    """A copy of what was prepared, of the test's own."""
    home = tmp_path / "home"
    shutil.copytree(prepared[1], home)
    with copy_of(server_url, prepared[0]) as url:
        workspace = open_at(url, home)
        yield workspace
        workspace.engine.dispose()


@pytest.fixture
def world(workspace: Workspace) -> dict[str, str]:
    """The variables of a command line in this workspace."""
    return {
        "CROWN_DATABASE_URL": workspace.engine.url.render_as_string(hide_password=False),
        "CROWN_HOME": str(workspace.settings.home),
        "CROWN_WORKERS": "1",
        "CROWN_PRODUCT_IMAGES_SPECS": "64x64_72dpi_jpeg",
        "CROWN_PRODUCT_IMAGES_WEIGHTS_DIR": str(workspace.settings.product_images.weights_dir),
    }
