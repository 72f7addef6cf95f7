"""What differs between two versions of a PSD, in words: layers, texts with their style, boxes and pixels."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crown.motion_jobs.after_effects.part_differences import (
    Change,
    Part,
    changes_of,
    in_words,
    moved,
    paired,
)
from crown.motion_jobs.photoshop.psd_file import (
    DAMAGE,
    PsdDocument,
    PsdLayer,
    layer_ids,
    open_psd,
    read_psd,
)


def psd_diff(old: Path, new: Path) -> list[Change]:
    """Compare two PSD or PSB files.

    Raises:
        BadInput: One of them cannot be read.
    """
    parts = _parts(read_psd(old)), _parts(read_psd(new))
    pixels = _Pixels(old), _Pixels(new)
    changes: list[Change] = []
    pairs = paired(*parts)
    for before, after in pairs:
        changes += changes_of(before, after)
        if before and after and before.kind == "layer":
            changes += _content(pixels, before, after)
    return [*changes, *moved(parts[0], pairs)]


def _parts(document: PsdDocument) -> list[Part]:
    own = {
        "width": str(document.width),
        "height": str(document.height),
        "depth": str(document.depth),
        "colour mode": document.mode,
        "saved flat picture": in_words(document.has_preview),
    }
    layers = [
        Part("layer", layer.id, " / ".join(layer.path[:-1]), layer.name, _values(document, layer))
        for layer in document.layers
    ]
    return [Part("file", 0, "", "", own), *layers]


def _values(document: PsdDocument, layer: PsdLayer) -> dict[str, str]:
    values = {
        "kind": layer.kind,
        "box": in_words(layer.box),
        "box before it is cut": in_words(layer.full_box),
        "visible": in_words(layer.visible),
        "opacity": str(layer.opacity),
        "blend mode": layer.blend_mode,
        "mask": in_words(layer.has_mask),
    }
    if layer.clips_to is not None:
        values["clips to"] = document.layer(layer.clips_to).name
    if layer.text:
        values["text"] = layer.text.text
        for name in ("font", "size", "colour", "tracking", "horizontal_scale"):
            used = [in_words(getattr(run, name)) for run in layer.text.runs if run.text.strip("\r")]
            values[f"text {name.replace('_', ' ')}"] = "; ".join(dict.fromkeys(used))
    if layer.smart_object:
        values["placed file"] = f"{layer.smart_object.filename} ({layer.smart_object.kind})"
    return values


class _Pixels:
    """What a layer of one file holds beyond its values, read when it is asked for."""

    def __init__(self, path: Path) -> None:
        psd = open_psd(path)
        ids = layer_ids(psd)
        self._layers: dict[int, Any] = {ids[id(layer)]: layer for layer in psd.descendants()}

    def stored(self, layer_id: int) -> str:
        """A hash of the channels as they are stored."""
        digest = hashlib.sha256()
        for channel in self._layers[layer_id]._channels or ():
            digest.update(channel.data)
        return digest.hexdigest()

    def shown(self, layer_id: int) -> str | None:
        """A hash of the pixels, or None where they cannot be decoded."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                picture = self._layers[layer_id].topil()
        except DAMAGE:
            return None
        return hashlib.sha256(picture.tobytes()).hexdigest() if picture else ""

    def placed(self, layer_id: int) -> str:
        """A hash of the file inside a smart object."""
        layer = self._layers[layer_id]
        if layer.kind != "smartobject" or layer.smart_object.kind != "data":
            return ""
        return hashlib.sha256(layer.smart_object.data).hexdigest()


def _content(pixels: tuple[_Pixels, _Pixels], before: Part, after: Part) -> Iterator[Change]:
    old, new = pixels
    if old.stored(before.id) != new.stored(after.id):
        hashes = old.shown(before.id), new.shown(after.id)
        if hashes[0] != hashes[1]:
            yield Change(after.place, after.name, "pixels", *(_short(one) for one in hashes))
    files = old.placed(before.id), new.placed(after.id)
    if files[0] != files[1]:
        yield Change(after.place, after.name, "bytes of the placed file", *(_short(one) for one in files))


def _short(digest: str | None) -> str:
    return "unreadable" if digest is None else f"sha256 {digest[:12]}" if digest else "none"
