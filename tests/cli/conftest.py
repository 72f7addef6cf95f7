"""Four published products, and `crown images ... --json` run on them in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from crown.journal import logs, secrets
from crown.product_images.workspace import Workspace, open_workspace
from crown.settings.model import load_settings
from crown_cli.main import cli
from tests.given import known_people
from tests.product_images.flow import finish, run

SPEC = "64x64_72dpi_jpeg"
NUMBERS = [f"5200010{number}" for number in range(4)]
Crown = Callable[..., Any]


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "CROWN_DATABASE_URL": database_url,
        "CROWN_HOME": str(tmp_path / "home"),
        "CROWN_WORKERS": "1",
        "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "0",
        "CROWN_PRODUCT_IMAGES_SPECS": SPEC,
    }


@pytest.fixture
def workspace(engine: Engine, world: dict[str, str]) -> Workspace:
    opened = open_workspace(engine, load_settings(world, None))
    finish(opened, *NUMBERS)
    known_people(engine, "eva", "ute")
    run(opened)
    return opened


@pytest.fixture
def crown(world: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crown]:
    """Run `crown images ... --json`; returns what it answers."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str, exit_code: int = 0) -> Any:
        done = CliRunner().invoke(cli, ["images", *arguments, "--json"], env=world)
        assert done.exit_code == exit_code, done.output
        assert "Traceback" not in done.output
        return json.loads(done.stdout) if exit_code == 0 else done.output

    yield called
    logs.close()
    secrets._known.clear()
