"""Where the real projects and PSDs lie; a test that needs one skips where they are absent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_file() -> Callable[[str, str], Path]:
    """A real file by folder and name, from `shared/fixtures` beside any folder above the tests."""

    def find(folder: str, name: str) -> Path:
        for parent in Path(__file__).resolve().parents:
            file = parent / "shared" / "fixtures" / folder / name
            if file.is_file():
                return file
        pytest.skip(f"the real file shared/fixtures/{folder}/{name} is not on this machine")

    return find
