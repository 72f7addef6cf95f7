"""`crown images` for publishing: what each command says, in JSON, and that a dry run changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from crown.journal import logs, secrets
from crown.product_images.room import PUBLISHED, Room, open_room
from crown.settings import load_settings
from crown_cli.main import cli
from tests.product_images.flow import finish, published, run

SPEC = "64x64_72dpi_jpeg"
NUMBERS = [f"5200010{number}" for number in range(4)]
Crown = Callable[..., Any]


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "CROWN_DATABASE_URL": database_url,
        "CROWN_HOME": str(tmp_path / "home"),
        "CROWN_WORKERS": "1",
        "CROWN_STALLED_MINUTES": "0",
        "CROWN_SPECS": SPEC,
    }


@pytest.fixture
def room(engine: Engine, world: dict[str, str]) -> Room:
    opened = open_room(engine, load_settings(world, None))
    finish(opened, *NUMBERS)
    run(opened)
    return opened


@pytest.fixture
def crown(world: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crown]:
    """Run `crown images ... --json`; returns what it answers."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str, exit_code: int = 0) -> Any:
        done = CliRunner().invoke(cli, ["images", *arguments, "--json"], env=world)
        assert done.exit_code == exit_code, done.output
        return json.loads(done.stdout) if exit_code == 0 else done.output

    yield called
    logs.close()
    secrets._known.clear()


def test_a_large_removal_is_tried_held_shown_and_confirmed(room: Room, crown: Crown) -> None:
    assert crown("plan")["published"] == {"new": 0, "changed": 0, "removed": 0}
    tried = crown("withdraw", "5200010[01]", "--reason", "wrong series", "--dry-run")
    assert tried["held"][0]["products"] == NUMBERS[:2]
    assert crown("plan")["held"] == []
    crown("withdraw", "5200010[01]", "--reason", "wrong series", "--who", "eva")
    assert crown("plan")["held"][0]["products"] == NUMBERS[:2]
    run(room)
    assert len(published(room)) == 4
    (held,) = crown("status")["held"]
    assert crown("confirm", "--dry-run") == {"confirmed": False, "plans": [held]}
    assert crown("confirm", "production", "--plan", held["plan_hash"][:12])["confirmed"]
    run(room)
    assert len(published(room)) == 2
    assert crown("status")["held"] == []


def test_retiring_is_tried_done_and_taken_back(room: Room, crown: Crown) -> None:
    tried = crown("retire", NUMBERS[0], "--reason", "no longer sold", "--dry-run")
    gone = {
        "target": "production",
        "path": f"{NUMBERS[0]}/thumbnail/{NUMBERS[0]}_{SPEC}.jpg",
        "what": "removed",
    }
    assert tried["files"] == [gone]
    assert crown("plan")["files"] == []
    assert crown("retire", NUMBERS[0], "--reason", "no longer sold")["files"] == [gone]
    run(room)
    assert len(published(room)) == 3
    assert crown("unretire", NUMBERS[0])["published"]["new"] + crown("plan")["published"]["changed"] == 1
    run(room)
    assert len(published(room)) == 4


def test_a_rebuild_is_tried_and_asked_for(room: Room, crown: Crown) -> None:
    tried = {row["asset"]: row["to_make"] for row in crown("rebuild", NUMBERS[0], "--dry-run")["assets"]}
    assert tried == {"product_images/renditions/thumbnail": 1, PUBLISHED: 1}
    assert run(room) == {}
    crown("rebuild", NUMBERS[0])
    assert run(room)[PUBLISHED] == [f"{NUMBERS[0]}/thumbnail/{NUMBERS[0]}_{SPEC}.jpg"]
    assert "is not an asset" in crown("rebuild", NUMBERS[0], "--asset", "nothing", exit_code=1)


def test_texts_are_changed_and_the_change_is_due_at_once(room: Room, crown: Crown) -> None:
    said = crown(
        "text", NUMBERS[0], "--description", "A disc", "--keywords", "disc, front", "--tag", "artist=eva"
    )
    assert (said["image_description"], said["keywords"], said["artist"]) == (
        "A disc",
        ["disc", "front"],
        "eva",
    )
    assert crown("status")["assets"]["product_images/texts"]["pending"] == 1
    assert [file["path"] for file in crown("plan")["files"]] == [
        f"{NUMBERS[0]}/thumbnail/{NUMBERS[0]}_{SPEC}.jpg"
    ]
    assert "write it as NAME=TEXT" in crown("text", NUMBERS[0], "--tag", "artist", exit_code=1)
