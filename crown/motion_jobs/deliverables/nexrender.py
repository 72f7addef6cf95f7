"""Jobs for nexrender, each layer and composition checked against the project, which nexrender itself does not do.

The form is nexrender-types 1.63: a template with its composition, and assets that address a layer by name or,
where the name is not unique in the composition, by index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from crown.errors import Refused
from crown.motion_jobs.after_effects.ae_project import Composition, Layer, Project
from crown.motion_jobs.after_effects.expression_reads import language_of

_MEDIA = {
    ".wav": "audio", ".mp3": "audio", ".aif": "audio", ".aiff": "audio",
    ".mp4": "video", ".mov": "video", ".avi": "video", ".mxf": "video", ".webm": "video",
}  # fmt: skip
#: The text of a layer in every language of After Effects; nexrender goes from part to part.
TEXT_PATH = "ADBE Text Properties->ADBE Text Document"


@dataclass(frozen=True, slots=True)
class RenderOrder:
    """What to render: texts and files by layer id. Paths are those that the render machine sees."""

    uid: str
    project_file: str
    comp_id: int
    texts: Mapping[int, str] = field(default_factory=dict)
    files: Mapping[int, str] = field(default_factory=dict)
    priority: int = 0
    tags: str = ""
    output_extension: str = "mov"


def nexrender_job(project: Project, order: RenderOrder) -> dict[str, Any]:
    """The job as nexrender's server takes it.

    Raises:
        Refused: A composition or layer does not exist, is of another kind, or cannot be identified by name.
    """
    comp = project.composition(order.comp_id)
    _refuse_twins(project, comp)
    assets: list[dict[str, Any]] = []
    for layer_id, text in order.texts.items():
        layer = _layer(project, comp, layer_id)
        if layer.text is None:
            raise Refused(f"The layer {layer.name!r} of {comp.name!r} is no text layer.")
        assets.append({"type": "data", **_address(comp, layer), "property": TEXT_PATH, "value": text})
    for layer_id, file in order.files.items():
        layer = _layer(project, comp, layer_id)
        if layer.source_id is None:
            raise Refused(
                f"The layer {layer.name!r} of {comp.name!r} shows no footage that could be replaced."
            )
        kind = _MEDIA.get(PureWindowsPath(file).suffix.lower(), "image")
        assets.append({"type": kind, "src": file_uri(file), **_address(comp, layer)})
    job: dict[str, Any] = {
        "uid": order.uid,
        "priority": order.priority,
        "template": {
            "src": file_uri(order.project_file),
            "composition": comp.name,
            "frameStart": 0,
            "frameEnd": max(0, round(comp.duration * comp.frame_rate) - 1),
            "outputExt": order.output_extension,
            "continueOnMissing": False,
        },
        "assets": assets,
        "actions": {"postrender": []},
    }
    return {**job, "tags": order.tags} if order.tags else job


def job_problems(job: Mapping[str, Any], project: Project) -> list[str]:
    """What of a nexrender job does not fit the project, each in a sentence."""
    name = str(job.get("template", {}).get("composition", ""))
    comps = [comp for comp in project.compositions if comp.name == name.split("->")[0]]
    if len(comps) != 1:
        return [f"The project has {len(comps)} compositions named {name!r}; a job needs exactly one."]
    problems = []
    for number, asset in enumerate(job.get("assets", []), start=1):
        if asset.get("type") in ("script", "static"):
            continue
        where = [one for one in project.compositions if one.name == asset.get("composition", name)]
        layers = [layer for one in where for layer in one.layers]
        if "layerIndex" in asset:
            found = [layer for layer in layers if layer.index == asset["layerIndex"]]
        else:
            found = [layer for layer in layers if layer.name == asset.get("layerName")]
        if len(found) != 1:
            what = asset.get("layerName", asset.get("layerIndex"))
            problems.append(
                f"Asset {number} addresses the layer {what!r}, of which the project has {len(found)}."
            )
        elif asset.get("type") == "data":
            problems += _property_problems(number, str(asset.get("property", "")), found[0])
        if asset.get("type") != "data" and not asset.get("src"):
            problems.append(f"Asset {number} names no file.")
    return problems


def _property_problems(number: int, path: str, layer: Layer) -> Iterator[str]:
    """What is wrong with the property that an asset sets: no text there, or names of one language."""
    parts = path.split("->") if "->" in path else path.split(".")
    known = {part: language_of(part) for part in parts}
    match_names = [named[1] if named else part for part, named in known.items()]
    if "ADBE Text Document" in match_names and layer.text is None:
        yield f"Asset {number} sets the text of {layer.name!r}, which is no text layer."
    for part, named in known.items():
        if named is not None:
            better = TEXT_PATH if named[1] == "ADBE Text Document" else named[1]
            yield f"Asset {number} names {part!r} as After Effects does in {named[0]}; write {better!r}."


def file_uri(path: str) -> str:
    """The `file://` address of a path on the render machine, Windows or not."""
    if PureWindowsPath(path).drive:
        return PureWindowsPath(path).as_uri()
    if path.startswith("/"):
        return PurePosixPath(path).as_uri()
    raise Refused(f"{path!r} is no full path on the render machine. Write it from the drive or root on.")


def _refuse_twins(project: Project, comp: Composition) -> None:
    twins = [one for one in project.compositions if one.name == comp.name]
    if len(twins) > 1:
        ids = ", ".join(str(one.id) for one in twins)
        raise Refused(f"{len(twins)} compositions are named {comp.name!r} (ids {ids}). Rename them first.")


def _layer(project: Project, comp: Composition, layer_id: int) -> Layer:
    for layer in comp.layers:
        if layer.id == layer_id:
            return layer
    raise Refused(
        f"The composition {comp.name!r} of {project.path.name} has no layer with the id {layer_id}."
    )


def _address(comp: Composition, layer: Layer) -> dict[str, Any]:
    """By name, which survives a new layer; by index where the name is not unique."""
    unique = sum(one.name == layer.name for one in comp.layers) == 1
    own = {"layerName": layer.name} if unique else {"layerIndex": layer.index}
    return {**own, "composition": comp.name}
