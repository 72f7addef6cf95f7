"""A folder of motion jobs for tests: real or made projects and PSDs, a batch, and the workspace over them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import py_aep
import pytest
from PIL import Image
from sqlalchemy import Engine, text

from crown.motion_jobs import samples, stages
from crown.motion_jobs.after_effects.ae_project import read_project
from crown.motion_jobs.jobs import batches, reviewing
from crown.motion_jobs.jobs.acts import Person
from crown.motion_jobs.workspace import Workspace, open_workspace
from crown.settings.model import load_settings
from tests.motion_jobs.projects import made_psd

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


@dataclass
class Motion:
    """A folder with one template and PSDs that the test makes, and the acts of a person."""

    workspace: Workspace
    folder: Path
    ann: Person

    def psd(self, job: str, headline: str, price: str = "9.90") -> Path:
        """The PSD of a job, new or made again."""
        return samples.promo_psd(self.folder / f"{job}.psd", headline, price)

    def upload(self, *names: str, **more: str) -> str:
        """A batch with these jobs, each with a PSD of its own; returns its id."""
        rows = [self.row(name, **more) for name in names]
        file = self.folder / f"{'-'.join(names)}.csv"
        file.write_text(samples.batch_csv(rows))
        return batches.upload(self.workspace, file, who="ann").batch_id

    def row(self, job: str, **more: str) -> dict[str, str]:
        """The row of a job whose PSD is made if it is not there."""
        if not (self.folder / f"{job}.psd").exists():
            self.psd(job, f"Headline of {job}")
        return {
            "job_id": job,
            "psd_path": f"{job}.psd",
            "aepx_path": "promo.aepx",
            "output_name": f"{job}.aepx",
            "priority": "medium",
            **more,
        }

    def run(self) -> dict[str, str]:
        """Make whatever is due; status by job."""
        stages.run(self.workspace)
        return self.statuses()

    def statuses(self) -> dict[str, str]:
        """Status by job."""
        return statuses(self.workspace.engine)

    def approve(self, *jobs: str) -> dict[str, str]:
        """Approve what jobs wait for, and make what follows."""
        reviewing.approve(self.workspace, jobs, self.ann, with_warnings=True, apply=True)
        return self.run()

    def finish(self, *names: str) -> str:
        """A batch whose jobs are completed."""
        batch = self.upload(*names)
        self.run()
        self.approve(*names)
        done = self.approve(*names)
        assert [done[name] for name in names] == ["completed"] * len(names)
        return batch

    def package(self, batch: str, job: str) -> Path:
        """The folder of a job's package."""
        return self.workspace.settings.motion / "packages" / batch / job

    def text_in(self, project: Path, layer: str) -> str:
        """The text of a layer of a project."""
        found = [
            one.text.text
            for comp in read_project(project).compositions
            for one in comp.layers
            if one.name == layer and one.text
        ]
        assert len(found) == 1
        return found[0]


def made_motion(engine: Engine, home: Path, environment: Mapping[str, str] | None = None) -> Motion:
    """A department whose folder has a template."""
    workspace = open_motion(engine, home, {"CROWN_WORKERS": "1", **(environment or {})})
    folder = workspace.settings.motion / "work"
    samples.template(folder)
    return Motion(workspace, folder, Person("ann", reason="looked at it closely"))


def deployed_job(workspace: Workspace, folder: Path) -> str:
    """The batch of job_1, whose composition of 64 x 48 has 2 s at 25 frames/s, with a package; job_2 waits for review."""
    app = py_aep.new(platform="macos").project
    main = app.root_folder.add_comp("render_main", 64, 48, 1.0, 2.0, 25.0)
    main.add_text("txt_title")
    folder.mkdir(parents=True)
    Image.new("RGBA", (20, 10), "red").save(folder / "photo.png")
    main.add(app.import_file(py_aep.ImportOptions(folder / "photo.png")))
    app.save(folder / "small.aep")
    made_psd(folder / "small.psd", ("Photo",))
    (folder / "a.csv").write_text(
        f"{HEADER}\njob_1,small.psd,small.aep,one.aep,,,,\njob_2,small.psd,small.aep,two.aep,,,,\n"
    )
    uploaded = batches.upload(workspace, folder / "a.csv", who="ann")
    stages.run(workspace)
    reviewing.approve(workspace, ["job_1"], Person("ann"), apply=True)
    stages.run(workspace)
    reviewing.approve(workspace, ["job_1"], Person("ann"), with_warnings=True, apply=True)
    stages.run(workspace)
    assert statuses(workspace.engine) == {"job_1": "completed", "job_2": "awaiting_review"}
    return uploaded.batch_id
