"""Workspaces with published products."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from crown.product_images.workspace import (
    Workspace,
    open_workspace,
    targets_of,
)
from crown.settings.model import load_settings, variable
from tests.product_images.publishing.published import _FIELD, SMALL, Opening


@pytest.fixture
def opening(engine: Engine, tmp_path: Path) -> Opening:
    """Opens the workspace with other settings; the home stays the same."""

    def opened(**settings: str) -> Workspace:
        given = {
            "CROWN_HOME": str(tmp_path / "home"),
            "CROWN_WORKERS": "1",
            "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "0",
        }
        own = {variable(_FIELD.get(name, name)): value for name, value in settings.items()}
        read = load_settings(given | {"CROWN_PRODUCT_IMAGES_SPECS": SMALL} | own, None)
        for target in targets_of(read).values():  # a person's work: Crown makes no root
            target.folder.mkdir(parents=True, exist_ok=True)
        return open_workspace(engine, read)

    return opened
