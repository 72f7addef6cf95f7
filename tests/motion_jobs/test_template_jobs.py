"""A new version of a template says which past and waiting jobs it breaks, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from crown.journal import logs
from crown.motion_jobs.after_effects.ae_edit import Edits, edit_project
from crown.motion_jobs.after_effects.ae_project import read_project
from crown.motion_jobs.jobs.template_jobs import uses_of
from crown_cli.main import cli
from tests.motion_jobs.department import deployed_job, open_motion


def test_past_and_waiting_jobs_are_listed_with_why_they_break(
    engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = open_motion(engine, tmp_path)
    folder = tmp_path / "media" / "motion" / "batches" / "small"
    deployed_job(workspace, folder)
    uses = uses_of(workspace, [folder / "small.aep"])
    assert [(one.job_id, one.state) for one in uses] == [("job_2", "waiting"), ("job_1", "past")]
    assert {(one.slot, one.is_text, one.width, one.height) for use in uses for one in use.filled} == {
        ("photo.png", False, 20, 10)
    }
    made = read_project(folder / "small.aep")
    picture = next(one for one in made.compositions[0].layers if not one.text)
    edit_project(folder / "small.aep", Edits(layer_names={picture.id: "hero"}), tmp_path / "new.aep")
    monkeypatch.chdir(folder)

    def crown(*arguments: str) -> Result:
        world = {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path)}
        return CliRunner().invoke(cli, ["motion", "template", *arguments], env=world)

    try:
        result = crown(str(tmp_path / "new.aep"), "--against", "small.aep", "--jobs", "--json")
        assert result.exit_code == 0, result.output
        assert [
            (one["job_id"], one["state"], one["severity"]) for one in json.loads(result.output)["jobs"]
        ] == [
            ("job_2", "waiting", "changed"),
            ("job_1", "past", "changed"),
        ]
        assert "name of the slot 'photo.png' changes from 'photo.png' to 'hero'" in result.output
        assert "No job is broken or changed." in crown("small.aep", "--against", "small.aep", "--jobs").output
        assert crown("small.aep", "--jobs").exit_code == 2
    finally:
        logs.close()
