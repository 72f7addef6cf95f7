"""A folder of motion jobs for tests: real or made projects and PSDs, a batch, and the workspace over them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import Engine, text

from crown.motion_jobs.workspace import Workspace, open_workspace
from crown.settings.model import load_settings

HEADER = "job_id,psd_path,aepx_path,output_name,client_name,project_name,priority,notes"


def real_file(folder: str, name: str) -> Path:
    """A real file by folder and name, from `shared/fixtures` beside any folder above the tests."""
    for parent in Path(__file__).resolve().parents:
        file = parent / "shared" / "fixtures" / folder / name
        if file.is_file():
            return file
    pytest.skip(f"the real file shared/fixtures/{folder}/{name} is not on this machine")


def open_motion(engine: Engine, home: Path, environment: Mapping[str, str] | None = None) -> Workspace:
    """The workspace of a home folder, whose share lies in it."""
    given = {"CROWN_HOME": str(home), "CROWN_WORKERS": "2", **(environment or {})}
    return open_workspace(engine, load_settings(given, None))


def real_template(folder: Path) -> Path:
    """The real project with six layers, with the footage that it names put beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    project = folder / "template.aepx"
    shutil.copy(real_file("aepx", "edforman_test-correct.aepx"), project)
    for name, size in (("cutout.png", (400, 900)), ("green_yellow_bg.png", (1200, 1500))):
        Image.new("RGBA", size, "teal").save(folder / name)
    shutil.copy(real_file("psd", "text.psd"), folder / "test-photoshop-doc.psd")
    return project


def statuses(engine: Engine) -> dict[str, str]:
    """Status by job."""
    with engine.connect() as connection:
        return dict(
            connection.execute(text("select job_id, status from motion.job_records order by job_id"))
            .tuples()
            .all()
        )
