"""Everything that is read of one file, project or PSD, as plain data for people and scripts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from crown.errors import BadInput
from crown.motion_jobs.after_effects.ae_project import Project, read_project
from crown.motion_jobs.after_effects.expression_reads import effect_names, reads_of
from crown.motion_jobs.after_effects.place_map import place_map
from crown.motion_jobs.photoshop.psd_file import PsdDocument, read_psd

PSD = (".psd", ".psb")
PROJECTS = (".aepx", ".aep", ".mogrt")


def is_psd(path: Path) -> bool:
    """Whether the file's extension is that of a PSD or PSB and not of a project.

    Raises:
        BadInput: It is the extension of neither.
    """
    extension = path.suffix.lower()
    if extension not in (*PSD, *PROJECTS):
        raise BadInput(f"{path.name} is none of {', '.join((*PROJECTS, *PSD))}. Name such a file.")
    return extension in PSD


def file_facts(path: Path) -> dict[str, Any]:
    """The facts of a `.aepx`, `.aep`, `.mogrt`, `.psd` or `.psb`.

    Raises:
        BadInput: It cannot be read; the sentence says why.
    """
    return _psd_facts(read_psd(path)) if is_psd(path) else _project_facts(read_project(path))


def _project_facts(project: Project) -> dict[str, Any]:
    uses = place_map(project)
    shown = {
        comp.id: sorted({place.comp_id for place in uses.uses.get(comp.id, ())})
        for comp in project.compositions
    }
    facts = asdict(project)
    for comp in facts["compositions"]:
        comp["shown_in"] = shown[comp["id"]]
    facts["expressions"] = [
        {
            **asdict(one.expression),
            "reads": [read.sentence() for read in one.reads],
            "localised": [read.sentence() for read in one.reads if read.localised],
        }
        for one in reads_of(project, effect_names(project.path))
    ]
    for item in facts["footage"]:
        item["places"] = len(uses.places_of_item(item["id"]))
    return {**facts, "path": str(project.path), "fonts": list(project.fonts)}


def _psd_facts(document: PsdDocument) -> dict[str, Any]:
    return {**asdict(document), "path": str(document.path), "fonts": list(document.fonts)}
