"""Changing texts and footage of a project, with the proof that nothing else changed.

The project must go through our codec byte for byte before it is touched. After the edit only chunks of the
layers and items that were asked for may differ, and reading the result must give the asked values.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

import py_aep

from crown.errors import Refused
from crown.motion_jobs.after_effects.ae_chunks import (
    MAX_BYTES,
    ChunkTree,
    Difference,
    differences,
    read_rifx,
    write_rifx,
)
from crown.motion_jobs.after_effects.ae_project import (
    DAMAGE,
    Footage,
    Layer,
    Project,
    item_id,
    layer_id_of,
    opened,
    project_of,
    read_bytes,
)
from crown.motion_jobs.after_effects.aepx_codec import (
    Aepx,
    first_difference,
    read_aepx,
    write_aepx,
)

_LAYERED = (".psd", ".psb", ".ai")


@dataclass(frozen=True, slots=True)
class Edits:
    """What to change, for render machines of one platform.

    Attributes:
        texts: Texts by layer id.
        footage: Files by the id of their footage item.
        layer_names: Names by layer id.
        comp_names: Names by the id of the composition.
    """

    texts: Mapping[int, str] = field(default_factory=dict)
    footage: Mapping[int, str] = field(default_factory=dict)
    layer_names: Mapping[int, str] = field(default_factory=dict)
    comp_names: Mapping[int, str] = field(default_factory=dict)
    platform: str = "macos"


@dataclass(frozen=True, slots=True)
class EditProof:
    """What is proven of an edited project; whether After Effects opens it is not."""

    output: Path
    changed: tuple[Difference, ...]
    project: Project
    verified: str = "structure"
    opened_in_after_effects: str = "not tested"


def layer_named(project: Project, name: str, comp_id: int | None = None) -> tuple[int, Layer]:
    """The composition id and layer of that name, when there is exactly one.

    Raises:
        Refused: No layer or several have that name; the sentence lists the candidates.
    """
    found = [
        (comp, layer)
        for comp in project.compositions
        for layer in comp.layers
        if layer.name == name and comp_id in (None, comp.id)
    ]
    if len(found) == 1:
        return found[0][0].id, found[0][1]
    if not found:
        raise Refused(f"{project.path.name} has no layer named {name!r}. Look at its layers with inspect.")
    places = ", ".join(f"id {layer.id} in {comp.name!r}" for comp, layer in found[:8])
    raise Refused(
        f"{project.path.name} has {len(found)} layers named {name!r} ({places}). Name one by its id."
    )


def edit_project(path: Path, edits: Edits, output: Path) -> EditProof:
    """Write the edited project in the form of the output's extension.

    Raises:
        BadInput: The project cannot be read.
        Refused: The edit cannot be made or proven; nothing is written.
    """
    raw = read_bytes(path, MAX_BYTES)
    if difference := first_difference(raw, path.name):
        raise Refused(f"{difference} It is not edited, because the rest could change with it.")
    if output.suffix.lower() not in (".aep", ".aepx") or raw[:2] == b"PK":
        raise Refused("A project is written as .aep or .aepx, from one of the two.")
    old = Aepx(read_rifx(raw, path.name), legacy=False) if raw[:4] == b"RIFX" else read_aepx(raw, path.name)
    before = project_of(old.tree, path, path.suffix.lower()[1:])
    _refuse_impossible(before, edits)
    new = _edited(old.tree, edits, path.name)
    changed = differences(old.tree, new)
    _refuse_strangers(new, changed, edits, path.name)
    after = project_of(new, output, output.suffix.lower()[1:])
    _refuse_other_values(before, after, edits, path.name)
    data = write_aepx(Aepx(new, old.legacy)) if output.suffix.lower() == ".aepx" else write_rifx(new)
    if problem := first_difference(data, output.name):
        raise Refused(f"{problem} The edited project is not written.")
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return EditProof(output, tuple(changed), after)


def _refuse_impossible(project: Project, edits: Edits) -> None:
    layers = {layer.id: layer for comp in project.compositions for layer in comp.layers}
    for layer_id in edits.texts:
        layer = layers.get(layer_id)
        if layer is None or layer.text is None:
            raise Refused(f"{project.path.name} has no text layer with the id {layer_id}.")
    refuse_renames(project, edits)
    footage = {item.id: item for item in project.footage}
    for number, file in edits.footage.items():
        item = footage.get(number)
        if item is None or item.file is None:
            raise Refused(f"{project.path.name} has no footage file with the item id {number}.")
        if item.psd_layer is not None:
            _refuse_part_of_layers(project, item, file, edits)
        if not Path(file).is_file():
            raise Refused(
                f"{file} is not here, and a project keeps the size of its footage. Give the file as it is here; "
                "a package writes the paths of the render machine."
            )


def _refuse_part_of_layers(project: Project, item: Footage, file: str, edits: Edits) -> None:
    """Refuse a flat file for a layered one, and relinking some layers of a file without the others."""
    if PureWindowsPath(file).suffix.lower() not in _LAYERED:
        raise Refused(
            f"{item.name!r} is one layer of a layered file and {file!r} is a flat one. "
            "Give a layered file, or replace the layer in the composition."
        )
    siblings = {one.id for one in project.footage if one.file == item.file and one.psd_layer}
    if {edits.footage.get(one) for one in siblings} != {file}:
        raise Refused(
            f"{item.file!r} is used by {len(siblings)} items, one for each layer. Relink all of them: "
            f"{', '.join(map(str, sorted(siblings)))}."
        )


def refuse_renames(project: Project, edits: Edits) -> None:
    """Refuse new names for what does not exist, or what an expression spells out and would not find any more.

    Raises:
        Refused: The sentence names the layer or composition.
    """
    old = {layer.id: layer.name for comp in project.compositions for layer in comp.layers}
    comps = {comp.id: comp.name for comp in project.compositions}
    for names, kind, wanted in ((old, "layer", edits.layer_names), (comps, "composition", edits.comp_names)):
        for number in wanted:
            if number not in names:
                raise Refused(f"{project.path.name} has no {kind} with the id {number}.")
            name = names[number]
            if spelt_out(project, name):
                raise Refused(
                    f"The {kind} {name!r} is named in an expression, which would not find it under a new name. "
                    "Change both in After Effects."
                )


def spelt_out(project: Project, name: str) -> bool:
    """Whether an expression spells a name out, and would not find it under another."""
    return any(f"{quote}{name}{quote}" in one.code for one in project.expressions for quote in "\"'`")


def _edited(tree: ChunkTree, edits: Edits, name: str) -> ChunkTree:
    with opened(tree, name, edits.platform) as app:
        try:
            layers = {layer.id: layer for comp in app.project.compositions for layer in comp.layers}
            for layer_id, text in edits.texts.items():
                layers[layer_id].text.source_text.value.text = _with_line_feeds(text)
            for layer_id, name_of_layer in edits.layer_names.items():
                layers[layer_id].name = name_of_layer
            comps = {comp.id: comp for comp in app.project.compositions}
            for comp_id, name_of_comp in edits.comp_names.items():
                comps[comp_id].name = name_of_comp
            footage = {item.id: item for item in app.project.footages}
            for number, file in edits.footage.items():
                layer_name = getattr(footage[number].main_source, "layer_name", None)
                footage[number].replace(file, layer_index=_index_of(layer_name, file) if layer_name else None)
            target = Path(app.project.file).with_name("edited.aep")
            app.project.save(target)
            return read_rifx(target.read_bytes(), name)
        except DAMAGE as error:
            raise Refused(f"{name} cannot be edited that way ({type(error).__name__}: {error}).") from None


def _index_of(layer_name: str, file: str) -> int:
    """Where a layered file has the layer of that name, as py-aep counts: the top layer is 0."""
    names = py_aep.list_layers(file)
    if names.count(layer_name) != 1:
        raise Refused(
            f"{Path(file).name} has {names.count(layer_name) or 'no'} layers named {layer_name!r}, which the project "
            "shows. Give a file with one layer of each name."
        )
    return names.index(layer_name)


def _with_line_feeds(text: str) -> str:
    return re.sub("\r\n?", "\n", text)


def _refuse_strangers(tree: ChunkTree, changed: list[Difference], edits: Edits, name: str) -> None:
    allowed = tuple(_places(tree, edits))
    strangers = [one.path for one in changed if not one.path.startswith(allowed)]
    if strangers:
        raise Refused(
            f"The edit of {name} would change {len(strangers)} other places, first {strangers[0]}; "
            "nothing is written."
        )


def _places(tree: ChunkTree, edits: Edits) -> list[str]:
    """The paths below which an edit may change something."""
    wanted: list[str] = []

    def walk(chunks: list[Any], path: str) -> None:
        counts: dict[str, int] = {}
        for chunk in chunks:
            counts[chunk.name] = counts.get(chunk.name, 0) + 1
            where = f"{path}{chunk.name}[{counts[chunk.name]}]/"
            if chunk.kind == "Layr" and layer_id_of(chunk) in edits.texts:
                wanted.append(where)
            if chunk.kind == "Layr" and layer_id_of(chunk) in edits.layer_names:
                wanted.extend((f"{where}Utf8[1]", f"{where}ldta[1]"))
            if chunk.kind == "Item" and item_id(chunk) in edits.footage:
                wanted.append(where)
            if chunk.kind == "Item" and item_id(chunk) in edits.comp_names:
                wanted.append(f"{where}Utf8[1]")
            if chunk.kind in ("Fold", "Item", "Sfdr"):
                walk(chunk.children, where)

    walk(tree.chunks, "")
    return wanted


def _refuse_other_values(before: Project, after: Project, edits: Edits, name: str) -> None:
    texts = {layer.id: layer.text.text for comp in after.compositions for layer in comp.layers if layer.text}
    for layer_id, text in edits.texts.items():
        if texts[layer_id] != _with_line_feeds(text):
            raise Refused(f"The text of layer {layer_id} of {name} reads differently after the edit.")
    named = {layer.id: layer.name for comp in after.compositions for layer in comp.layers}
    named.update({comp.id: comp.name for comp in after.compositions})
    for number, new in (*edits.layer_names.items(), *edits.comp_names.items()):
        if named[number] != new:
            raise Refused(f"The name of {number} in {name} is {named[number]!r} after the edit.")
    layered = {item.id: item.psd_layer for item in before.footage}
    items = {item.id: item for item in after.footage}
    for number, file in edits.footage.items():
        item = items[number]
        if PureWindowsPath(item.file or "").name != PureWindowsPath(file).name:
            raise Refused(f"The file of item {number} of {name} is {item.file!r} after the edit.")
        if item.psd_layer != layered[number]:
            raise Refused(
                f"Item {number} of {name} would show {item.psd_layer!r} instead of {layered[number]!r}."
            )
