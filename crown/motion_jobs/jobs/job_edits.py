"""What approved pairs change in a project: its edits, and the pictures that are set at render time. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Literal

from crown.errors import BadInput
from crown.motion_jobs.after_effects.ae_edit import Edits
from crown.motion_jobs.after_effects.ae_project import (
    Composition,
    Footage,
    Layer,
    Project,
)
from crown.motion_jobs.after_effects.place_map import place_map
from crown.motion_jobs.matches.matching import (
    Match,
    Matching,
    layers_of,
    slots_of,
)
from crown.motion_jobs.matches.pairs import Pair
from crown.motion_jobs.photoshop.psd_file import PsdDocument
from crown.motion_jobs.sources import Psd


@dataclass(frozen=True)
class Change:
    """What an approved pair does: in the project itself, or at render time, and in how many places it shows."""

    slot: str
    slot_id: int
    layer: str
    layer_id: int
    kind: Literal["text", "picture"]
    applied: Literal["project", "render"]
    places: int
    note: str = ""


@dataclass(frozen=True)
class Changes:
    """The edits of a project, pictures to be set at render time by layer id, and each change in words."""

    edits: Edits
    at_render: Mapping[int, Path] = field(default_factory=dict)
    listed: tuple[Change, ...] = ()

    @property
    def replaced(self) -> frozenset[int]:
        """Footage items whose file gives way to a picture of the PSD."""
        return frozenset(self.edits.footage)


def matching_of(document: PsdDocument, project: Project, comp_id: int, pairs: Sequence[Pair]) -> Matching:
    """Approved pairs in the form in which warnings are raised; a person's word is sure."""
    chosen = {pair.slot_id: pair for pair in pairs if pair.layer_id is not None}
    skipped = {pair.slot_id for pair in pairs if pair.method == "manual_skip"}
    slots = slots_of(project, comp_id)
    used = {pair.layer_id for pair in chosen.values()}
    return Matching(
        tuple(
            Match(int(chosen[slot.id].layer_id or 0), slot.id, 1.0, ("approved",))
            for slot in slots
            if slot.id in chosen
        ),
        tuple(layer.id for layer in layers_of(document) if layer.id not in used),
        tuple(slot.id for slot in slots if slot.id not in chosen and slot.id not in skipped),
    )


def changes_of(psd: Psd, project: Project, comp_id: int, pairs: Sequence[Pair], render_root: str) -> Changes:
    """What approved pairs change in a project.

    A footage item that several slots want differently, that is one layer of a layered file, or that is no file at all
    cannot be relinked: its picture is set at render time.
    """
    comp = project.composition(comp_id)
    layers = {layer.id: layer for layer in comp.layers}
    footage = {item.id: item for item in project.footage}
    wanted = _wanted_by_item(layers, pairs)
    texts: dict[int, str] = {}
    files: dict[int, str] = {}
    at_render: dict[int, Path] = {}
    listed = []
    for pair in pairs:
        if pair.layer_id is None or pair.slot_id not in layers:
            continue
        source, target = psd.document.layer(pair.layer_id), layers[pair.slot_id]
        if target.text is not None:
            texts[target.id] = source.text.text if source.text else ""
            listed.append(_change(target, pair, source.name, "text", "project", _places(project, comp)))
            continue
        picture = psd.picture(pair.layer_id)
        if picture is None:
            reason = psd.reading.skipped.get(pair.layer_id, "it holds no pixels")
            raise BadInput(
                f"The layer {source.name!r} has no picture ({reason}), so it cannot fill {target.name!r}. "
                "Choose another layer, or flatten it in Photoshop."
            )
        path = psd.path(picture.file)
        item = footage.get(target.source_id or -1)
        why = _not_relinked(item, wanted)
        if why is None and item is not None:
            files[item.id] = str(path)
            listed.append(_change(target, pair, source.name, "picture", "project", _shown(project, item.id)))
        else:
            at_render[target.id] = path
            listed.append(
                _change(target, pair, source.name, "picture", "render", _places(project, comp), why or "")
            )
    windows = bool(PureWindowsPath(render_root).drive) or render_root.startswith("\\\\")
    edits = Edits(texts=texts, footage=files, platform="windows" if windows else "macos")
    return Changes(edits, at_render, tuple(listed))


def _wanted_by_item(layers: Mapping[int, Layer], pairs: Sequence[Pair]) -> dict[int, set[int]]:
    wanted: dict[int, set[int]] = {}
    for pair in pairs:
        source = layers[pair.slot_id].source_id if pair.slot_id in layers else None
        if pair.layer_id is not None and source is not None:
            wanted.setdefault(source, set()).add(pair.layer_id)
    return wanted


def _not_relinked(item: Footage | None, wanted: Mapping[int, set[int]]) -> str | None:
    if item is None:
        return "the slot shows a composition"
    if item.file is None:
        return f"the slot shows a {item.kind}, which has no file"
    if item.psd_layer is not None:
        return "the slot shows one layer of a layered file"
    if len(wanted.get(item.id, ())) > 1:
        return "several slots show the same file and get different pictures"
    return None


def _change(
    target: Layer,
    pair: Pair,
    layer: str,
    kind: Literal["text", "picture"],
    applied: Literal["project", "render"],
    places: int,
    note: str = "",
) -> Change:
    return Change(target.name, target.id, layer, int(pair.layer_id or 0), kind, applied, places, note)


def _shown(project: Project, item_id: int) -> int:
    return len(place_map(project).places_of_item(item_id))


def _places(project: Project, comp: Composition) -> int:
    """A layer of a composition shows once in it, and once in each layer that shows the composition."""
    return 1 + _shown(project, comp.id)


def missing_footage(project: Project, changes: Changes) -> list[Footage]:
    """Footage files that are not here and that no picture of the PSD replaces: they would render black."""
    return [
        item
        for item in project.footage
        if item.kind == "file" and item.file and item.exists is not True and item.id not in changes.replaced
    ]
