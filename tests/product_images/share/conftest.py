"""Workspaces in which people work on the share."""

from __future__ import annotations

import pytest

from crown.product_images.workspace import (
    Workspace,
)
from tests.product_images.flow import run, upload


@pytest.fixture
def shown(workspace: Workspace) -> Workspace:
    """One photo waits in review."""
    upload(workspace, "52000123.jpg")
    run(workspace)
    return workspace
