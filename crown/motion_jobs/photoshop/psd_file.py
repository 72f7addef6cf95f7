"""Reading a Photoshop file: its layers at any depth, their boxes, text runs and smart objects.

Nothing is composed here; pictures of layers are made by `psd_export`.
"""

from __future__ import annotations

import math
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psd_tools import PSDImage
from psd_tools.psd.parse_limits import ParseLimits

from crown.errors import BadInput
from crown.motion_jobs.photoshop.psd_header import MODES, read_header

#: What psd-tools raises on damaged files.
DAMAGE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError,
    OSError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip
SOFT_RETURN = "\x03"

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class PsdLimits:
    """How much of a file is believed and kept in memory."""

    max_megapixels: float = 400
    max_file_bytes: int = 2 * 1024**3
    max_alloc_bytes: int = 512 * 1024**2
    max_read_bytes: int = 256 * 1024**2
    max_total_bytes: int = 1024**3
    max_objects: int = 300_000
    max_depth: int = 64


@dataclass(frozen=True, slots=True)
class TextRun:
    """Characters of one style. `font` is the PostScript name, `size` is in pixels of the document."""

    text: str
    font: str
    size: float
    colour: tuple[float, ...] | None
    tracking: int
    horizontal_scale: float


@dataclass(frozen=True, slots=True)
class PsdText:
    """A text layer: one string for each paragraph, in which U+0003 is a soft return, and its runs."""

    paragraphs: tuple[str, ...]
    runs: tuple[TextRun, ...]
    is_box: bool

    @property
    def fonts(self) -> tuple[str, ...]:
        """PostScript names of the fonts that runs with characters use, each once."""
        return tuple(dict.fromkeys(run.font for run in self.runs if run.text.strip("\r\x03") and run.font))

    @property
    def text(self) -> str:
        """The text with a line feed between paragraphs; soft returns stay U+0003."""
        return "\n".join(self.paragraphs)


@dataclass(frozen=True, slots=True)
class SmartObject:
    """A placed file: `embedded`, `external` or `alias`."""

    kind: str
    filename: str
    filetype: str
    unique_id: str
    size: int


@dataclass(frozen=True, slots=True)
class PsdLayer:
    """One layer, group or artboard, bottom first.

    Attributes:
        id: The file's layer id; negative where the file gives none, or gives it twice.
        box: Left, top, right, bottom of what can show: cut by mask, clipping base, artboard and document;
            of a group, the union of its switched-on children. None when nothing can show.
        full_box: The box before it is cut.
        visible: Whether it and all groups around it are switched on.
        clips_to: Id of the layer that a clipping layer is clipped to.
    """

    id: int
    name: str
    kind: str
    parent: int | None
    path: tuple[str, ...]
    visible: bool
    box: Box | None
    full_box: Box | None
    clips_to: int | None
    has_mask: bool
    opacity: int
    blend_mode: str
    text: PsdText | None
    smart_object: SmartObject | None


@dataclass(frozen=True, slots=True)
class PsdDocument:
    """A Photoshop file as it is read."""

    path: Path
    width: int
    height: int
    depth: int
    mode: str
    is_psb: bool
    has_preview: bool
    layers: tuple[PsdLayer, ...]

    def layer(self, layer_id: int) -> PsdLayer:
        """The layer with that id."""
        for layer in self.layers:
            if layer.id == layer_id:
                return layer
        raise BadInput(f"{self.path.name} has no layer with the id {layer_id}.")

    @property
    def fonts(self) -> tuple[str, ...]:
        """PostScript names of all fonts in use."""
        return tuple(sorted({font for layer in self.layers if layer.text for font in layer.text.fonts}))


def open_psd(path: Path, limits: PsdLimits | None = None) -> PSDImage:
    """The file as psd-tools sees it, within limits.

    Raises:
        BadInput: It is no Photoshop file, is damaged or cut off, or exceeds a limit.
    """
    limits = limits or PsdLimits()
    read_header(path, limits.max_megapixels)
    if path.stat().st_size > limits.max_file_bytes:
        raise BadInput(
            f"{path.name} has {path.stat().st_size / 1e6:,.0f} MB; at most "
            f"{limits.max_file_bytes / 1e6:,.0f} MB are read. Make it smaller."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return PSDImage.open(
                path,
                max_alloc_bytes=limits.max_alloc_bytes,
                parse_limits=ParseLimits(
                    max_read_bytes=limits.max_read_bytes,
                    max_total_bytes=limits.max_total_bytes,
                    max_objects=limits.max_objects,
                    max_nesting_depth=limits.max_depth,
                ),
            )
    except DAMAGE as error:
        raise BadInput(_damaged(path, error)) from None


def read_psd(path: Path, limits: PsdLimits | None = None) -> PsdDocument:
    """All layers of a PSD or PSB.

    Raises:
        BadInput: It cannot be read; the sentence says why.
    """
    return document_of(open_psd(path, limits), path)


def document_of(psd: PSDImage, path: Path) -> PsdDocument:
    """The layers of an open file.

    Raises:
        BadInput: they cannot be read; the sentence says why.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layers = _Walk(psd).layers()
            return PsdDocument(
                path=path,
                width=psd.width,
                height=psd.height,
                depth=psd.depth,
                mode=MODES[int(psd.color_mode)],
                is_psb=psd.version == 2,
                has_preview=bool(psd.has_preview()),
                layers=tuple(layers),
            )
    except DAMAGE as error:
        raise BadInput(_damaged(path, error)) from None


def _damaged(path: Path, error: BaseException) -> str:
    return (
        f"{path.name} is damaged or built beyond the limits ({type(error).__name__}: {str(error)[:120]}). "
        "Open and save it again in Photoshop."
    )


def layer_ids(psd: PSDImage) -> dict[int, int]:
    """Our id of each psd-tools layer, by `id()` of the object, in document order."""
    ids: dict[int, int] = {}
    used: set[int] = set()
    for index, layer in enumerate(psd.descendants(), start=1):
        own = layer.layer_id
        ids[id(layer)] = own if isinstance(own, int) and own > 0 and own not in used else -index
        used.add(ids[id(layer)])
    return ids


class _Walk:
    """Goes through the tree once, groups after the boxes of their children are known."""

    def __init__(self, psd: PSDImage) -> None:
        self._psd = psd
        self._ids = layer_ids(psd)
        self._canvas: Box = (0, 0, psd.width, psd.height)

    def layers(self) -> list[PsdLayer]:
        return self._children(self._psd, None, (), True, self._canvas)

    def _children(
        self, group: Any, parent: int | None, path: tuple[str, ...], visible: bool, frame: Box
    ) -> list[PsdLayer]:
        found: list[PsdLayer] = []
        base: PsdLayer | None = None
        for layer in group:
            mine = self._layer(layer, parent, path, visible, frame, base if layer.clipping else None)
            found += mine
            if not layer.clipping:
                base = mine[0]
        return found

    def _layer(
        self,
        layer: Any,
        parent: int | None,
        path: tuple[str, ...],
        visible: bool,
        frame: Box,
        base: PsdLayer | None,
    ) -> list[PsdLayer]:
        own, name = self._ids[id(layer)], str(layer.name)
        shown = visible and bool(layer.visible)
        inside: list[PsdLayer] = []
        if layer.is_group():
            if layer.kind == "artboard":
                frame = _cut(frame, tuple(layer.bbox)) or (0, 0, 0, 0)
            inside = self._children(layer, own, (*path, name), shown, frame)
            on = {self._ids[id(child)] for child in layer if child.visible}
            direct = [child for child in inside if child.parent == own and child.id in on]
            full = _union([child.full_box for child in direct if child.clips_to is None])
            box = _union([child.box for child in direct])
            if layer.kind == "artboard":
                full = box = frame
        else:
            full = _real(tuple(layer.bbox))
            box = _cut(full, frame)
        box = _cut(box, _mask_box(layer))
        if base is not None:
            box = _cut(box, base.box)
        return [
            PsdLayer(
                id=own,
                name=name,
                kind=str(layer.kind),
                parent=parent,
                path=(*path, name),
                visible=shown,
                box=box,
                full_box=full,
                clips_to=base.id if base else None,
                has_mask=bool(layer.has_mask()),
                opacity=int(layer.opacity),
                blend_mode=layer.blend_mode.name.lower(),
                text=_text(layer) if layer.kind == "type" else None,
                smart_object=_smart_object(layer) if layer.kind == "smartobject" else None,
            ),
            *inside,
        ]


def _real(box: tuple[int, ...]) -> Box | None:
    left, top, right, bottom = box
    return (left, top, right, bottom) if right > left and bottom > top else None


def _cut(box: Box | None, by: tuple[int, ...] | None) -> Box | None:
    if box is None or by is None:
        return None
    return _real((max(box[0], by[0]), max(box[1], by[1]), min(box[2], by[2]), min(box[3], by[3])))


def _union(boxes: list[Box | None]) -> Box | None:
    real = [box for box in boxes if box]
    if not real:
        return None
    return (
        min(box[0] for box in real),
        min(box[1] for box in real),
        max(box[2] for box in real),
        max(box[3] for box in real),
    )


def _mask_box(layer: Any) -> tuple[int, ...]:
    """The box outside of which a pixel mask hides everything; without such a mask, everywhere."""
    everywhere = (-(2**31), -(2**31), 2**31, 2**31)
    if not layer.has_mask():
        return everywhere
    mask = layer.mask
    if mask.disabled or mask.background_color != 0 or not _real(tuple(mask.bbox)):
        return everywhere
    return tuple(mask.bbox)


def paragraphs_of(text: str) -> tuple[str, ...]:
    """Photoshop's text by paragraphs (carriage returns); the soft return U+0003 stays inside its paragraph."""
    return tuple(text.rstrip("\x00").removesuffix("\r").split("\r"))


def _text(layer: Any) -> PsdText:
    a, b, c, d = layer.transform[:4]
    scale = math.sqrt(abs(a * d - b * c)) or 1.0
    typesetting = layer.typesetting
    runs = tuple(
        TextRun(
            text=run.text,
            font=run.style.font_name or "",
            size=round(run.style.font_size * scale, 3),
            colour=tuple(run.style.fill_color) if run.style.fill_color else None,
            tracking=int(run.style.tracking),
            horizontal_scale=float(run.style.horizontal_scale),
        )
        for paragraph in typesetting.paragraphs
        for run in paragraph.runs
    )
    return PsdText(
        paragraphs_of(typesetting.text),
        runs,
        is_box=layer.text_type is not None and int(layer.text_type) == 1,
    )


def _smart_object(layer: Any) -> SmartObject:
    placed = layer.smart_object
    kind = "embedded" if placed.kind == "data" else placed.kind
    return SmartObject(
        kind=kind,
        filename=placed.filename,
        filetype=(placed.filetype or "").strip(),
        unique_id=placed.unique_id,
        size=placed.filesize if kind == "embedded" else 0,
    )
