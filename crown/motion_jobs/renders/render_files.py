"""What a package carries for each way of rendering: a script for After Effects, a farm's template, the mapping.

Each is checked as it is made; one that cannot be made is left out, and the report says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crown.errors import Refused
from crown.motion_jobs.after_effects.ae_project import Project
from crown.motion_jobs.deliverables.extendscript import ScriptOrder, extendscript
from crown.motion_jobs.deliverables.openjd_template import FarmOrder, openjd_template
from crown.motion_jobs.matches.matching import slots_of
from crown.motion_jobs.photoshop.psd_file import PsdDocument

SCRIPT, FARM, NEXRENDER = "fill.jsx", "openjd.json", "nexrender.json"
MAPPING, SHEET, REPORT, PAGE = "mapping.json", "mapping_sheet.png", "report.json", "report.html"
_WHAT = {
    SCRIPT: "script that fills and checks the project inside After Effects",
    FARM: "job template for a farm (Open Job Description)",
    NEXRENDER: "job for nexrender",
    MAPPING: "mapping of slots to layers",
    SHEET: "mapping sheet with a layout estimate, not a render",
    REPORT: "report of the job",
    PAGE: "report of the job, for people",
}
VERIFIED, NOT_OPENED = "structure", "not tested"


@dataclass(frozen=True, slots=True)
class RenderFilesOrder:
    """What is rendered.

    Attributes:
        project: The edited project, as it is in the package.
        project_file: Its path inside the package.
        pictures: Pictures that are set at render time: their path inside the package, by layer id.
        seen: From a path inside the package to the path that the render machine sees.
    """

    job_id: str
    project: Project
    project_file: str
    comp_id: int
    seen: Callable[[str], str]
    pictures: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RenderFiles:
    """Files by their name inside the package, and why others are not there."""

    files: Mapping[str, bytes]
    left_out: Mapping[str, str]


def render_files(order: RenderFilesOrder) -> RenderFiles:
    """The script and the farm's template."""
    files: dict[str, bytes] = {}
    left_out: dict[str, str] = {}
    for name, make in ((SCRIPT, _script), (FARM, _farm)):
        try:
            files[name] = make(order)
        except Refused as error:
            left_out[name] = str(error)
    return RenderFiles(files, left_out)


def _script(order: RenderFilesOrder) -> bytes:
    """It opens the project, sets the pictures, lists all footage, and saves only when nothing is missing."""
    filled = f"filled_{order.project_file.removesuffix('.aepx').removesuffix('.aep')}.aep"
    script = ScriptOrder(
        job_id=order.job_id,
        pictures={layer: order.seen(inside) for layer, inside in order.pictures.items()},
        project=order.seen(order.project_file),
        save_as=order.seen(filled),
        report=order.seen("fill_report.txt"),
    )
    return extendscript(order.project, script).encode("ascii")


def _farm(order: RenderFilesOrder) -> bytes:
    if order.pictures:
        raise Refused(
            f"{len(order.pictures)} pictures are set at render time; run {SCRIPT} first and render what it saves."
        )
    comp = order.project.composition(order.comp_id)
    template = openjd_template(
        FarmOrder(
            job_id=order.job_id,
            project_file=order.seen(order.project_file),
            comp=comp.name,
            frames=round(comp.duration * comp.frame_rate),
            output_file=order.seen(f"render/{order.job_id}.mov"),
        )
    )
    return as_json(template)


def as_json(value: object) -> bytes:
    """A value as a JSON file."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def mapping_rows(
    document: PsdDocument, project: Project, comp_id: int, layer_by_slot: Mapping[int, int | None]
) -> list[dict[str, Any]]:
    """The mapping sheet as data: each slot of the composition with what fills it, from where and how large."""
    rows = []
    for slot in slots_of(project, comp_id):
        layer_id = layer_by_slot.get(slot.id)
        layer = document.layer(layer_id) if layer_id is not None else None
        rows.append(
            {
                "slot": slot.name,
                "slot_id": slot.id,
                "kind": "text" if slot.is_text else "picture",
                "slot_size": [slot.width, slot.height],
                "before": slot.text if slot.is_text else None,
                "layer": " / ".join(layer.path) if layer else None,
                "layer_id": layer_id,
                "layer_box": list(layer.box) if layer and layer.box else None,
                "text": layer.text.text if layer and layer.text else None,
            }
        )
    return rows


def deliverables(names: Sequence[str], left_out: Mapping[str, str]) -> list[dict[str, str]]:
    """What is handed out, and what is proven of each: whether After Effects opens it is not.

    Args:
        names: The files; one without a name of its own here is the edited project.
        left_out: Why others are not there, by name.
    """
    proven = {"verified": VERIFIED, "opened_in_after_effects": NOT_OPENED}
    found = [{"file": name, "what": _WHAT.get(name, "the edited project"), **proven} for name in names]
    nothing = {"verified": "", "opened_in_after_effects": ""}
    return found + [{"file": name, "what": f"left out: {why}", **nothing} for name, why in left_out.items()]
