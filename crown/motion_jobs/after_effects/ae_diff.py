"""What differs between two After Effects projects, in words: composition, layer, property, old and new value.

Values come from py-aep, texts of btdk included. Chunks that differ in a part of which no value differs are
named too, by their path, so that nothing that differs is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crown.motion_jobs.after_effects.ae_chunks import Chunk, ChunkTree, differences
from crown.motion_jobs.after_effects.ae_project import (
    DAMAGE,
    item_id,
    items,
    layer_id_of,
    load_tree,
    opened,
)
from crown.motion_jobs.after_effects.part_differences import (
    Change,
    Part,
    changes_of,
    in_words,
    moved,
    paired,
)

_COMP = (
    "width", "height", "pixel_aspect", "frame_rate", "duration", "display_start_time", "work_area_start",
    "work_area_duration", "bg_color", "renderer", "motion_blur", "shutter_angle", "shutter_phase", "draft3d",
    "motion_graphics_template_name", "motion_graphics_template_controller_names", "comment",
)  # fmt: skip
_LAYER = (
    "enabled", "in_point", "out_point", "start_time", "stretch", "blending_mode", "is_3d", "adjustment_layer",
    "guide_layer", "motion_blur", "collapse_transformation", "preserve_transparency", "audio_enabled", "solo",
    "time_remap_enabled", "track_matte_type", "effects_active", "locked", "shy", "quality", "comment",
)  # fmt: skip
_FOOTAGE = ("file", "width", "height", "duration", "frame_rate", "use_proxy", "comment")
_TEXT = (
    "text", "font", "font_size", "fill_color", "apply_fill", "stroke_color", "stroke_width", "apply_stroke",
    "tracking", "leading", "auto_leading", "justification", "all_caps", "small_caps", "faux_bold",
    "faux_italic", "baseline_shift", "horizontal_scale", "vertical_scale", "box_text_pos", "box_text_size",
)  # fmt: skip
#: Chunks at the top of a project, beside its items.
_TOP = {
    "LRdr": "render queue", "ExEn": "expression engine", "svap": "version", "head": "header",
    "EfdG": "effect definitions", "Pefl": "list of effects", "Fold": "project panel", "XMP": "XMP metadata",
}  # fmt: skip
_MOST_KEYS = 12


@dataclass(frozen=True, slots=True)
class ProjectDiff:
    """The changes in words, and how many chunks differ in all."""

    changes: tuple[Change, ...]
    chunks: int


def project_diff(old: Path, new: Path) -> ProjectDiff:
    """Compare two projects in any of their forms.

    Raises:
        BadInput: One of them cannot be read.
    """
    one, other = _Side(old), _Side(new)
    changes: list[Change] = []
    pairs = paired(one.parts, other.parts)
    renamed = {(old.place, new.place) for old, new in pairs if old and new and old.kind == "composition"}
    for before, after in pairs:
        found = [
            change
            for change in changes_of(before, after)
            if change.property != "place" or (change.old, change.new) not in renamed
        ]
        if not found and before and after:
            found = list(_unnamed(one, other, before, after))
        changes += found
    changes += moved(one.parts, pairs)
    changes += _top_level(one.tree, other.tree)
    return ProjectDiff(tuple(changes), len(differences(one.tree, other.tree)))


class _Side:
    """One project as parts with values, and the chunks that belong to each."""

    def __init__(self, path: Path) -> None:
        self.tree, _ = load_tree(path)
        self.parts: list[Part] = []
        self.chunks: dict[tuple[str, int], list[Chunk]] = {}
        for item in items(self.tree.chunks):
            inside = [chunk for chunk in item.children if chunk.kind not in ("Layr", "Sfdr")]
            self.chunks["item", item_id(item)] = inside
            for layer in item.lists("Layr"):
                self.chunks["layer", layer_id_of(layer)] = layer.children
        with opened(self.tree, path.name) as app:
            self._project(app)

    def _project(self, app: Any) -> None:
        self.parts.append(Part("file", 0, "", "", {"After Effects version": str(app.version)}))
        for comp in app.project.compositions:
            self.parts.append(Part("composition", comp.id, str(comp.name), "", _attributes(comp, _COMP)))
            for layer in comp.layers:
                self.parts.append(_layer(layer, str(comp.name)))
        for item in app.project.footages:
            values = _attributes(item, _FOOTAGE)
            if name := getattr(item.main_source, "layer_name", None):
                values["layer of the file"] = str(name)
            if colour := getattr(item.main_source, "color", None):
                values["colour"] = in_words(list(colour))
            self.parts.append(Part("footage", item.id, "", str(item.name), values))

    def own(self, part: Part) -> list[Chunk]:
        """The chunks of a part, without those of the parts inside it."""
        return self.chunks.get(("layer" if part.kind == "layer" else "item", part.id), [])


def _attributes(thing: Any, names: tuple[str, ...]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name in names:
        try:
            value = getattr(thing, name)
        except DAMAGE:  # not every version has it
            continue
        if value is not None:
            values[name.replace("_", " ")] = in_words(getattr(value, "name", value))
    return values


def _layer(layer: Any, comp: str) -> Part:
    values = _attributes(layer, _LAYER)
    source = getattr(layer, "source", None)
    if source is not None:
        values["source"] = f"{source.name} (id {source.id})"
    if layer.parent is not None:
        values["parent"] = str(layer.parent.name)
    for path, prop in _properties(layer, ()):
        values.update(_property(path, prop))
    return Part("layer", layer.id, comp, str(layer.name), values)


def _properties(group: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Every property below a group with its path in names; twins of one name are numbered."""
    used: dict[str, int] = {}
    try:
        inside = list(group)
    except DAMAGE:
        return
    for prop in inside:
        name = str(prop.name)
        used[name] = used.get(name, 0) + 1
        mine = (*path, name if used[name] == 1 else f"{name} #{used[name]}")
        if type(prop).__name__ == "Property":
            yield " > ".join(mine), prop
        else:
            yield from _properties(prop, mine)


def _property(path: str, prop: Any) -> dict[str, str]:
    values: dict[str, str] = {}
    try:
        if prop.expression:
            values[f"{path} expression"] = str(prop.expression)
        if prop.keyframes:
            values[f"{path} keyframes"] = _keyframes(prop.keyframes)
        elif hasattr(prop.value, "font_size"):
            for name, value in _attributes(prop.value, _TEXT).items():
                values[path if name == "text" else f"{path} {name}"] = value
        elif prop.value is not None:
            values[path] = in_words(_plain(prop.value))
    except DAMAGE:  # what cannot be read as a value is compared by its bytes
        return values
    return values


def _keyframes(keys: Any) -> str:
    shown = [f"{key.time:.3f} s: {_key_value(key.value)}" for key in keys[:_MOST_KEYS]]
    more = len(keys) - _MOST_KEYS
    return "; ".join([*shown, f"{more} more"] if more > 0 else shown)


def _key_value(value: Any) -> str:
    return str(value.text) if hasattr(value, "font_size") else in_words(_plain(value))


def _plain(value: Any) -> object:
    """Numbers and lists of numbers as they are; other values, such as curves, by their fields."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    fields = {
        name: getattr(value, name)
        for name in ("closed", "vertices", "in_tangents", "out_tangents", "comment")
        if hasattr(value, name)
    }
    return [f"{name} {in_words(_plain(one))}" for name, one in fields.items()]


def _unnamed(old: _Side, new: _Side, before: Part, after: Part) -> Iterator[Change]:
    """What differs in the bytes of a part whose values are all equal."""
    found = differences(ChunkTree(old.own(before), b""), ChunkTree(new.own(after), b""))
    if found:
        first = found[0]
        yield Change(
            after.place,
            after.name,
            f"{len(found)} chunks without a name here, first {first.path}",
            f"{first.old_size} bytes",
            f"{first.new_size} bytes",
        )


def _top_level(old: ChunkTree, new: ChunkTree) -> Iterator[Change]:
    """What differs beside the items: the render queue, effect definitions, metadata."""
    seen: dict[str, tuple[int | None, int | None]] = {}
    for one in differences(_without_items(old), _without_items(new)):
        name = one.path.split("[", 1)[0]
        seen.setdefault(_TOP.get(name, f"chunk {name}"), (one.old_size, one.new_size))
    for name, (before, after) in seen.items():
        yield Change(
            "",
            "",
            name,
            None if before is None else f"{before} bytes",
            None if after is None else f"{after} bytes",
        )


def _without_items(tree: ChunkTree) -> ChunkTree:
    def kept(chunks: list[Chunk]) -> list[Chunk]:
        return [
            Chunk(one.id, one.data, one.kind, kept(one.children) if one.kind == "Fold" else one.children)
            for one in chunks
            if one.kind not in ("Item", "Sfdr")
        ]

    return ChunkTree(kept(tree.chunks), tree.xmp)
