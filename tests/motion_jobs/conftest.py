"""Where the real projects and PSDs lie; a test that needs one skips where they are absent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.motion_jobs import department


@pytest.fixture(scope="session")
def real_file() -> Callable[[str, str], Path]:
    """A real file by folder and name; see `department.real_file`."""
    return department.real_file
