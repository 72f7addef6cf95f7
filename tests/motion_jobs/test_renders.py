"""A render machine's log and result are entered against the package that they rendered, and count until it changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from crown.errors import BadInput
from crown.journal import logs
from crown.motion_jobs.jobs import jobs
from crown.motion_jobs.renders.renders import hand_back
from crown.motion_jobs.workspace import Workspace
from crown_cli.main import cli
from tests.given import known_people
from tests.motion_jobs.department import deployed_job, open_motion
from tests.motion_jobs.films import aerender, film


@pytest.fixture
def workspace(engine: Engine, tmp_path: Path) -> Workspace:
    opened = open_motion(engine, tmp_path)
    deployed_job(opened, tmp_path / "media" / "motion" / "batches" / "small")
    return opened


def test_a_complete_render_raises_what_is_known_of_the_package_until_it_changes(
    workspace: Workspace, tmp_path: Path
) -> None:
    log, output = tmp_path / "render.log", film(tmp_path / "one.mov")
    log.write_text(aerender())
    assert jobs.show(workspace, "job_1")["render"] is None
    found = hand_back(workspace, "job_1", log, output, who="bea")
    assert found.verdict == "complete", found.reasons
    render = jobs.show(workspace, "job_1")["render"]
    assert (render["verdict"], render["opened_in_after_effects"], render["handed_by"]) == (
        "complete",
        "yes, by its log",
        "bea",
    )
    assert (render["result"]["frames"], render["log"]["frames"]) == (50, 50)
    trail = jobs.show(workspace, "job_1")["recent_logs"][0]
    assert (trail["who"], trail["what"]) == ("bea", "user_action:handback")
    assert trail["details"].startswith("Complete: one.mov has all 50 frames")

    hand_back(workspace, "job_1", log, tmp_path / "gone.mov", who="bea")
    assert jobs.show(workspace, "job_1")["render"]["verdict"] == "missing"
    with workspace.engine.begin() as connection:
        connection.execute(text("update motion.handbacks set package_hash = 'another'"))
    assert jobs.show(workspace, "job_1")["render"] is None


def test_only_a_job_with_a_package_can_be_handed_back(workspace: Workspace, tmp_path: Path) -> None:
    log = tmp_path / "render.log"
    log.write_text(aerender())
    with pytest.raises(BadInput, match="job_2 is awaiting_review and has no package yet"):
        hand_back(workspace, "job_2", log, who="bea")
    with pytest.raises(BadInput, match="There is no job job_9"):
        hand_back(workspace, "job_9", log, who="bea")
    log.write_text("nothing")
    with pytest.raises(BadInput, match="is no log of aerender or nexrender"):
        hand_back(workspace, "job_1", log, who="bea")
    with workspace.engine.connect() as connection:
        assert connection.execute(text("select count(*) from motion.handbacks")).scalar() == 0


def test_the_command_says_the_verdict_and_ends_with_1_unless_complete(
    workspace: Workspace, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_people(workspace.engine, "bea")
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "short.mov", frames=20)
    film(tmp_path / "whole.mov")
    (tmp_path / "a.log").write_text(aerender(more=["odd \x00 line"]))

    def crown(*arguments: str) -> Result:
        world = {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path)}
        return CliRunner().invoke(cli, ["motion", *arguments], env=world)

    try:
        short = crown("handback", "job_1", "a.log", "--output", "short.mov", "--who", "bea")
        assert (short.exit_code, short.output.splitlines()[0]) == (
            1,
            "Short: short.mov has 20 of 50 frames (0.800 of 2.000 s).",
        )
        whole = crown("handback", "job_1", "a.log", "--output", "whole.mov", "--who", "bea", "--json")
        assert whole.exit_code == 0, whole.output
        assert json.loads(whole.output)["verdict"] == "complete"
        assert "Render: complete. whole.mov has all 50 frames" in crown("show", "job_1").output
        assert max(map(len, crown("handback", "--help").output.splitlines())) <= 80
    finally:
        logs.close()
