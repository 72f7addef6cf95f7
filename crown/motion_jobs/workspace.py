"""The workspace of motion jobs, and the names of the department's assets. What the stages do does not belong here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from crown.errors import SystemicFailure
from crown.flow import workspace as flow_workspace
from crown.ledger.claims import Placing
from crown.settings.model import Settings
from crown.store import files, mounts
from crown.store.files import Ownership

DEPARTMENT = "motion_jobs"
BATCHES, SOURCES, INGESTED, MATCHES, APPROVED, PREVIEWS, VALIDATED, DEPLOYMENTS = (
    f"{DEPARTMENT}/{name}"
    for name in (
        "job_batches",
        "source_files",
        "ingested_jobs",
        "layer_matches",
        "approved_matches",
        "previews",
        "validated_jobs",
        "deployments",
    )
)
#: The assets whose items are jobs, in the order in which a job passes through them.
JOB_ASSETS = (INGESTED, MATCHES, APPROVED, PREVIEWS, VALIDATED, DEPLOYMENTS)
ASSETS = (BATCHES, SOURCES, *JOB_ASSETS)
#: The root of everything that people see, and its folders.
MOTION = "motion"
BATCH_FOLDER, REFUSED, PACKAGES = "batches", "refused", "packages"
_PRIVATE = Ownership(0o640, 0o750)


@dataclass(frozen=True)
class Workspace(flow_workspace.Workspace):
    """Everything the stages need; made by `open_workspace`."""

    department = DEPARTMENT
    assets = ASSETS
    command = "crown motion"

    @property
    def folders(self) -> Mapping[str, Path]:
        """The folder of motion jobs."""
        return {MOTION: self.settings.motion}

    @property
    def allowed_roots(self) -> tuple[Path, ...]:
        """Folders below which PSDs, projects and footage may lie."""
        return self.settings.motion_jobs.allowed_roots or (self.settings.motion,)

    @property
    def cache(self) -> Path:
        """What was read of each PSD and project, by the hash of the file."""
        return self.settings.home / "motion_jobs"

    @property
    def context(self) -> dict[str, Any]:
        """What tasks in other processes need to know."""
        return {
            **super().context,
            "cache": str(self.cache),
            "render_root": self.settings.motion_jobs.render_root or str(self.settings.motion / PACKAGES),
            "fonts": str(self.settings.motion_jobs.fonts) if self.settings.motion_jobs.fonts else None,
            "warnings": str(self.settings.motion_jobs.warnings)
            if self.settings.motion_jobs.warnings
            else None,
        }

    def place(self, placing: Placing) -> None:
        """As of every department; a package is a folder, which takes the place of the one that we made before."""
        made = placing.made
        if made.job.asset == DEPLOYMENTS and made.unfinished and made.path:
            from crown.motion_jobs.deliverables.packages import place_package

            place_package(Path(made.unfinished), self.roots.path(MOTION, made.path).parent, placing.ours)
        else:
            super().place(placing)


def open_workspace(engine: Engine, settings: Settings) -> Workspace:
    """The workspace, with its folders made; a root that the settings name is never made here.

    Raises:
        SystemicFailure: a root is not mounted or cannot be written.
    """
    workspace = Workspace(engine, settings)
    mounts.require(settings, ("objects_root", *(() if settings.motion_jobs.root else ("media_root",))))
    if settings.motion_jobs.root:
        workspace.roots.require(MOTION)
    try:
        for folder in (BATCH_FOLDER, REFUSED, PACKAGES):
            files.make_folder(settings.motion / folder, workspace.ownership)
        for private in (workspace.cache, settings.objects):
            files.make_folder(private, _PRIVATE)
    except OSError as error:
        raise SystemicFailure(
            f"{error.filename or settings.motion} cannot be written ({error.strerror}); correct its owner, its mode, or"
            " the setting that names it."
        ) from None
    return workspace


def clear_unfinished(folder: Path) -> None:
    """Remove what processes that are gone left unfinished in a folder."""
    for left in folder.glob(f"{files.TEMPORARY}*"):
        if left.is_dir() and not _alive(left):
            shutil.rmtree(left, ignore_errors=True)


def unfinished_folder(parent: Path) -> Path:
    """The path of a folder that this process is about to fill; its name says whose it is."""
    return parent / f"{files.temporary(parent / 'x').name}.{os.getpid()}"


def _alive(left: Path) -> bool:
    number = left.name.rpartition(".")[2]
    return number.isdigit() and Path("/proc", number).exists()
