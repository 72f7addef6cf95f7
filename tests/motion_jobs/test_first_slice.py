"""A CSV with two jobs on real projects goes from the batch folder to checked packages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine

from crown.errors import BadInput, Refused
from crown.motion_jobs import stages
from crown.motion_jobs.after_effects.ae_project import read_project
from crown.motion_jobs.deliverables.packages import package_problems
from crown.motion_jobs.jobs import batches, jobs, reviewing
from crown.motion_jobs.jobs.acts import Person
from crown.motion_jobs.jobs.reviewing import Corrections
from tests.motion_jobs.department import HEADER, open_motion, real_file, real_template, statuses

ANN = Person("ann")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    motion = tmp_path / "media" / "motion"
    real_template(motion / "batches" / "templates")
    (motion / "batches" / "psd").mkdir()
    for name in ("text.psd", "layer_effects.psd"):
        shutil.copy(real_file("psd", name), motion / "batches" / "psd" / name)
    rows = (
        "one,psd/text.psd,templates/template.aepx,one.aepx,Harbour FC,Spring,low,",
        "two,psd/layer_effects.psd,templates/template.aepx,two.aepx,Harbour FC,Spring,high,",
        "three,psd/absent.psd,templates/template.aepx,three.aepx,,,,",
    )
    (motion / "batches" / "spring.csv").write_text("\n".join((HEADER, *rows)) + "\n")
    return tmp_path


def test_a_batch_goes_from_the_folder_to_checked_packages(engine: Engine, home: Path) -> None:
    workspace = open_motion(engine, home)
    csv = (home / "media" / "motion" / "batches" / "spring.csv").read_bytes()
    uploaded = batches.upload(workspace, home / "media" / "motion" / "batches" / "spring.csv", who="ann")
    assert (uploaded.valid_jobs, uploaded.invalid_jobs, uploaded.status) == (2, 1, "validated")
    [found] = [one for one in jobs.findings(engine, uploaded.batch_id) if one["level"] == "error"]
    assert (found["row"], found["column"], found["rule"]) == (4, "psd_path", "missing")
    assert batches.csv_of(workspace, uploaded.batch_id)[1].read_bytes() == csv

    stages.run(workspace)
    assert statuses(engine) == {"one": "awaiting_review", "two": "awaiting_review"}

    with pytest.raises(BadInput, match="awaiting_approval"):
        reviewing.reject(workspace, ["one"], Person("ann", reason="not the right picture"))
    corrections = Corrections({"player1fullname": "Line 1 Line 2 Line 3 and text"}, {})
    reviewing.approve(workspace, ["one"], ANN, corrections=corrections, apply=True)
    stages.run(workspace)
    assert statuses(engine) == {"one": "awaiting_approval", "two": "awaiting_review"}

    with pytest.raises(BadInput, match="at least 10 characters"):
        reviewing.reject(workspace, ["one"], Person("ann", reason="short"), apply=True)
    reviewing.reject(workspace, ["one"], Person("ann", reason="the name is cut off"), apply=True)
    assert statuses(engine)["one"] == "awaiting_review"
    reviewing.approve(workspace, ["one"], ANN, corrections=corrections, apply=True)
    stages.run(workspace)
    assert statuses(engine)["one"] == "awaiting_approval"
    with pytest.raises(Refused, match="2 critical warnings"):
        reviewing.approve(workspace, ["one"], ANN, apply=True)
    reviewing.approve(workspace, ["one"], ANN, with_warnings=True, apply=True)
    assert statuses(engine)["one"] == "ready_for_validation"
    stages.run(workspace)

    assert statuses(engine)["one"] == "validation_failed"
    validation = jobs.show(workspace, "one")["validation"]
    assert [one["rule"] for one in validation["findings"] if one["severity"] == "critical"] == [
        "aspect",
        "resolution",
    ]
    reviewing.override(workspace, ["one"], Person("ann", reason="we render it ourselves"), apply=True)
    stages.run(workspace)
    assert statuses(engine)["one"] == "completed"
    shown = jobs.show(workspace, "one")
    folder = home / "media" / "motion" / "packages" / uploaded.batch_id / "one"
    assert package_problems(folder) == []
    texts = {
        layer.name: layer.text.text
        for comp in read_project(folder / "one.aepx").compositions
        for layer in comp.layers
        if layer.text
    }
    assert texts["player1fullname"] == "Line 1\nLine 2\nLine 3 and text"
    assert shown["deployment"]["opened_in_after_effects"] == "not tested"
    report = json.loads((folder / "report.json").read_text())
    assert {one["file"]: one["verified"] for one in report["deliverables"]} == {
        "one.aepx": "structure", "mapping_sheet.png": "structure", "mapping.json": "structure", "fill.jsx": "structure",
        "openjd.json": "structure", "nexrender.json": "structure", "report.json": "structure", "report.html": "structure",
    }  # fmt: skip
    assert {one["opened_in_after_effects"] for one in report["deliverables"]} == {"not tested"}
    assert {one["slot"]: one["layer"] for one in json.loads((folder / "mapping.json").read_text())}[
        "player1fullname"
    ] == "Line 1 Line 2 Line 3 and text"
    assert "data:image/png;base64," in (folder / "report.html").read_text()
    names = {
        one["default"] for one in json.loads((folder / "openjd.json").read_text())["parameterDefinitions"]
    }
    assert str(folder / "one.aepx") in names
    assert [row["status"] for row in jobs.batches(engine)] == ["processing"]
