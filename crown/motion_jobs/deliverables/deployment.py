"""The package of a job: the edited project with its proof, what it refers to, a nexrender job, sheet and report."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from crown.errors import Refused, TemporaryFailure
from crown.flow.task import Context
from crown.flow.task import roots as roots_of
from crown.ledger.claims import Job, Made
from crown.motion_jobs.after_effects.ae_edit import EditProof, edit_project
from crown.motion_jobs.after_effects.ae_project import Project
from crown.motion_jobs.deliverables.nexrender import RenderOrder, job_problems, nexrender_job
from crown.motion_jobs.deliverables.packages import (
    MANIFEST,
    PackageOrder,
    make_package,
    package_problems,
)
from crown.motion_jobs.deliverables.report_page import report_page
from crown.motion_jobs.jobs.job_edits import Changes, changes_of
from crown.motion_jobs.matches.pairs import Pair
from crown.motion_jobs.renders.render_files import (
    MAPPING,
    NEXRENDER,
    NOT_OPENED,
    PAGE,
    REPORT,
    SHEET,
    VERIFIED,
    RenderFilesOrder,
    as_json,
    deliverables,
    mapping_rows,
    render_files,
)
from crown.motion_jobs.sources import Psd, ReadProject
from crown.motion_jobs.workspace import MOTION, PACKAGES, clear_unfinished, unfinished_folder
from crown.store import files

_RENDERED = "(Footage)/at_render"


@dataclass(frozen=True)
class Deployment:
    """What a package is made of.

    Attributes:
        hashes: of project and footage, by path, as they were approved.
        decision: the override that let it pass, if there was one.
        card: what the row puts into the hard card: texts by layer id, and what it left.
    """

    job_id: str
    batch_id: str
    output_name: str
    psd: Psd
    read: ReadProject
    comp_id: int
    pairs: tuple[Pair, ...]
    footage: Mapping[str, Path]
    hashes: Mapping[str, str]
    sheet: Path
    report: Mapping[str, Any]
    render_root: str
    decision: Mapping[str, Any] | None
    card: Mapping[str, Any] | None = None

    @property
    def root(self) -> str:
        """Where the render machine sees the package."""
        windows = bool(PureWindowsPath(self.render_root).drive) or self.render_root.startswith("\\\\")
        base = PureWindowsPath(self.render_root) if windows else PurePosixPath(self.render_root)
        return str(base / self.batch_id / self.job_id)

    def seen(self, inside: str) -> str:
        """The path of a file of the package as the render machine sees it."""
        windows = bool(PureWindowsPath(self.root).drive) or self.root.startswith("\\\\")
        return str((PureWindowsPath if windows else PurePosixPath)(self.root, inside))


def make_deployment(job: Job, order: Deployment, context: Context) -> Made:
    """Write the package under a temporary name beside the others.

    Raises:
        BadInput: a layer has no picture.
        Refused: the edit cannot be proven, or something that the project refers to is not here.
        TemporaryFailure: a picture of the cache was damaged.
    """
    target = roots_of(context).path(MOTION, f"{PACKAGES}/{order.batch_id}/{order.job_id}/{MANIFEST}")
    batch = target.parent.parent
    files.make_folder(batch, context["ownership"])
    clear_unfinished(batch)
    changes = changes_of(order.psd, order.read.project, order.comp_id, order.pairs, order.render_root)
    _verify(order)
    unfinished, work = unfinished_folder(batch), unfinished_folder(batch)
    work.mkdir()
    try:
        edited = work / order.output_name
        card = {int(layer): str(value) for layer, value in (order.card or {}).get("texts", {}).items()}
        edits = replace(changes.edits, texts={**card, **changes.edits.texts})
        proof = edit_project(order.read.project.path, edits, edited)
        rendered = {slot: f"{_RENDERED}/{slot}_{path.name}" for slot, path in changes.at_render.items()}
        nexrender = _nexrender(order, proof.project, rendered)
        more = {path: changes.at_render[slot].read_bytes() for slot, path in rendered.items()}
        more |= _reports(order, changes, proof, nexrender, rendered)
        package = make_package(
            PackageOrder(edited, order.root, files=dict(order.footage), more=more), unfinished
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if problems := package_problems(unfinished):
        shutil.rmtree(unfinished, ignore_errors=True)
        raise Refused(f"The package of {order.job_id} is not complete: {' '.join(problems[:3])}")
    path = f"{PACKAGES}/{order.batch_id}/{order.job_id}"
    facts = {
        "project": f"{path}/{package.project}",
        "root": order.root,
        "files": len(package.files),
        "changed_chunks": len(proof.changed),
        "at_render": len(rendered),
        "nexrender": "made" if isinstance(nexrender, dict) else nexrender,
        "verified": VERIFIED,
        "opened_in_after_effects": NOT_OPENED,
        "assets": [
            {"type": "package_file", "name": one.path, "path": f"{path}/{one.path}", "size": one.size, "mime": None,
             "sha256": one.sha256}
            for one in package.files
        ],
    }  # fmt: skip
    manifest = unfinished / MANIFEST
    size = sum(one.size for one in package.files)
    return Made(job, files.sha256(manifest), MOTION, f"{path}/{MANIFEST}", size, None, facts, str(unfinished))


def _verify(order: Deployment) -> None:
    for path, content_hash in order.hashes.items():
        if not Path(path).is_file() or files.sha256(Path(path)) != content_hash:
            raise TemporaryFailure(f"{path} was changed since it was approved; the job is planned again.")
    for pair in order.pairs:
        picture = order.psd.picture(pair.layer_id) if pair.layer_id is not None else None
        if picture is not None and files.sha256(order.psd.path(picture.file)) != picture.sha256:
            shutil.rmtree(order.psd.folder, ignore_errors=True)
            raise TemporaryFailure(
                f"{picture.file} of {order.psd.document.path.name} was damaged; it is read again."
            )


def _nexrender(order: Deployment, project: Project, rendered: Mapping[int, str]) -> dict[str, Any] | str:
    """The job for nexrender, or why there is none."""
    render = RenderOrder(
        uid=order.job_id,
        project_file=order.seen(order.output_name),
        comp_id=order.comp_id,
        files={slot: order.seen(inside) for slot, inside in rendered.items()},
        tags=order.batch_id,
    )
    try:
        made = nexrender_job(project, render)
    except Refused as error:
        return str(error)
    problems = job_problems(made, project)
    return " ".join(problems) if problems else made


def _reports(
    order: Deployment,
    changes: Changes,
    proof: EditProof,
    nexrender: dict[str, Any] | str,
    rendered: Mapping[int, str],
) -> dict[str, bytes]:
    """Everything of a package beside the project and its files, by name."""
    made = render_files(
        RenderFilesOrder(
            job_id=order.job_id,
            project=proof.project,
            project_file=order.output_name,
            comp_id=order.comp_id,
            seen=order.seen,
            pictures=rendered,
        )
    )
    sheet = order.sheet.read_bytes()
    mapping = mapping_rows(
        order.psd.document,
        order.read.project,
        order.comp_id,
        {pair.slot_id: pair.layer_id for pair in order.pairs},
    )
    found = {SHEET: sheet, MAPPING: as_json(mapping), **made.files}
    left_out = dict(made.left_out)
    if isinstance(nexrender, dict):
        found[NEXRENDER] = as_json(nexrender)
    else:
        left_out[NEXRENDER] = nexrender
    report = {
        "job_id": order.job_id,
        "batch_id": order.batch_id,
        "output": order.output_name,
        "mapping": mapping,
        "changes": [asdict(one) for one in changes.listed],
        "changed_chunks": [one.path for one in proof.changed],
        "validation": {name: value for name, value in order.report.items() if name != "changes"},
        "hard_card": order.card,
        "override": order.decision,
        "deliverables": deliverables([order.output_name, *found, REPORT, PAGE], left_out),
        "verified": VERIFIED,
        "opened_in_after_effects": NOT_OPENED,
    }
    return {**found, REPORT: as_json(report), PAGE: report_page(report, sheet).encode()}
