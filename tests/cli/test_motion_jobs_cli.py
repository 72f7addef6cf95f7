"""Batches and jobs as a person calls them: plan first, --apply, --json, exit codes, and who may."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from crown.journal import logs
from crown.motion_jobs import stages
from crown.people import users
from crown_cli.main import cli
from crown_cli.motion import changing, jobs, reviewing
from tests.given import known_people
from tests.motion_jobs.department import Motion, made_motion

Crown = Callable[..., Any]
OURS = (*jobs.COMMANDS, *reviewing.COMMANDS, *changing.COMMANDS)


@pytest.fixture
def motion(engine: Engine, tmp_path: Path) -> Motion:
    return made_motion(engine, tmp_path / "home")


@pytest.fixture
def crown(engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crown:
    """Runs a command of `crown motion` on this test's database, in this process."""
    known_people(engine, "eva")
    with engine.begin() as connection:
        users.add(connection, "guest", "viewer")
    settings = {
        "CROWN_DATABASE_URL": database_url,
        "CROWN_HOME": str(tmp_path / "home"),
        "CROWN_WORKERS": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(cli, ["motion", *arguments])
        logs.close()
        assert done.exit_code == code, f"{done.output}\n{done.exception}"
        return json.loads(done.stdout) if "--json" in arguments and code == 0 else done.output

    return run


@pytest.mark.parametrize("command", OURS, ids=lambda command: str(command.name))
def test_every_command_has_help_of_80_columns_with_an_example(command: Any) -> None:
    shown = CliRunner().invoke(cli, ["motion", command.name, "--help"], terminal_width=80)
    assert shown.exit_code == 0
    assert f"crown motion {command.name}" in shown.output.split("Options:")[0].split("\n", 2)[2]
    assert max(map(len, shown.output.splitlines())) <= 80


def test_a_job_goes_from_upload_to_package_by_commands(crown: Crown, motion: Motion) -> None:
    motion.row("a")
    file = motion.folder / "x.csv"
    file.write_text(
        crown("sample-csv").splitlines()[0]
        + "\na,a.psd,promo.aepx,a.aepx,,,high,\nb,no.psd,promo.aepx,b.aepx,,,,\n"
    )
    uploaded = crown("upload", str(file), "--user", "eva", "--json")
    assert (uploaded["valid_jobs"], uploaded["invalid_jobs"]) == (1, 1)
    batch = uploaded["batch_id"]
    assert [one["column"] for one in crown("findings", batch, "--json") if one["level"] == "error"] == [
        "psd_path"
    ]
    stages.run(motion.workspace)
    assert [row["status"] for row in crown("jobs", "--batch", batch, "--json")] == ["awaiting_review"]
    assert "img_logo" in crown("review", "a")
    planned = crown("approve", "a", "--who", "eva", "--json")
    assert (planned["applied"], planned["jobs"][0]["then"]) == (False, "processing")
    assert motion.statuses() == {"a": "awaiting_review"}
    crown("approve", "a", "--who", "eva", "--seen", planned["jobs"][0]["content_hash"][:12], "--apply")
    stages.run(motion.workspace)
    sheet = crown("preview", "a", "-o", str(motion.folder / "sheet.png"), "--json")
    assert sheet["label"] == "layout estimate, not a render"
    assert (motion.folder / "sheet.png").read_bytes().startswith(b"\x89PNG")
    crown("preview", "a", "-o", str(motion.folder / "sheet.png"), code=1)
    crown("reject", "a", "--who", "eva", "--reason", "short", "--apply", code=1)
    crown("approve", "a", "--who", "guest", "--apply", code=3)
    crown("approve", "a", "--who", "eva", "--apply")
    stages.run(motion.workspace)
    assert crown("stats", "--json")["summary"]["completed"] == 1
    shown = crown("show", "a", "--json")
    assert shown["deployment"]["opened_in_after_effects"] == "not tested"
    assert crown("status", "--json")[0]["status"] == "complete"
    crown("csv", batch, "-o", str(motion.folder / "back.csv"))
    assert (motion.folder / "back.csv").read_bytes() == file.read_bytes()
    assert crown("show", "nobody", code=1).startswith("crown: There is no job nobody")
