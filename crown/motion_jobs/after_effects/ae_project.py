"""Reading an After Effects project on any system: `.aepx`, `.aep` and the project inside a `.mogrt`.

Compositions, layers, text, footage and controllers come from py-aep; expressions and effects from the chunk
tree, where they are the same in every version. Nothing is rendered and no expression is evaluated. The file
first passes our own codec, so a chunk with a wrong size never reaches the library.
"""

from __future__ import annotations

import io
import re
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import py_aep
from py_aep.binary.utils import ChunkNotFoundError

from crown.errors import BadInput
from crown.motion_jobs.after_effects.ae_chunks import (
    MAX_BYTES,
    Chunk,
    ChunkTree,
    read_rifx,
    write_rifx,
)
from crown.motion_jobs.after_effects.aepx_codec import read_aepx

#: What py-aep raises on damaged projects.
DAMAGE = (
    ArithmeticError, AssertionError, AttributeError, ChunkNotFoundError, EOFError, LookupError, MemoryError,
    NotImplementedError, OSError, RecursionError, StopIteration, TypeError, ValueError, struct.error,
)  # fmt: skip
_READS_FILES = re.compile(
    r"evalFile|\bnew\s+(File|Folder)\b|\b(File|Folder)\s*\(|system\s*\.\s*callSystem|\$\s*\.\s*getenv|#\s*include|//@include"
)
_CONTROLS = {
    1: "checkbox", 2: "slider", 3: "angle", 4: "colour", 5: "point", 6: "text", 9: "scale", 10: "group",
    13: "dropdown", 14: "media",
}  # fmt: skip
_EFFECTS = "ADBE Effect Parade"
_MAX_INNER = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Expression:
    """The code on one property, addressed by match names, which are the same in every language."""

    comp_id: int
    layer_id: int
    property: str
    code: str
    reads_files: bool


@dataclass(frozen=True, slots=True)
class LayerText:
    """The text of a layer: a line feed ends a paragraph, U+0003 is a soft return. `box`: width and height."""

    text: str
    fonts: tuple[str, ...]
    size: float
    tracking: float
    horizontal_scale: float
    all_caps: bool
    box: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a layer is at the beginning, before its parents: points in pixels, scale 1 is unchanged, degrees."""

    position: tuple[float, float]
    anchor: tuple[float, float]
    scale: tuple[float, float]
    rotation: float
    opacity: float


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a composition; `id` is unique in the project. `kind` is text, footage, composition and so on."""

    id: int
    index: int
    name: str
    kind: str
    source_id: int | None
    parent_id: int | None
    enabled: bool
    text: LayerText | None
    effects: tuple[str, ...]
    placement: Placement | None = None


@dataclass(frozen=True, slots=True)
class Composition:
    """A composition with its true size, rate and length, and its layers, topmost first."""

    id: int
    name: str
    width: int
    height: int
    duration: float
    frame_rate: float
    renderer: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Footage:
    """A footage item.

    Attributes:
        kind: file, solid or placeholder.
        file: The path as the project names it, or None.
        exists: Whether the file is there; None for a path of another system, which cannot be looked up here.
        psd_layer: The layer, where the item is one layer of a layered file.
    """

    id: int
    name: str
    kind: str
    file: str | None
    exists: bool | None
    width: int
    height: int
    psd_layer: str | None


@dataclass(frozen=True, slots=True)
class Controller:
    """A control that a composition offers in Essential Graphics."""

    comp_id: int
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Project:
    """An After Effects project as it is read."""

    path: Path
    form: str
    version: str
    compositions: tuple[Composition, ...]
    footage: tuple[Footage, ...]
    expressions: tuple[Expression, ...]
    controllers: tuple[Controller, ...]

    def composition(self, comp_id: int) -> Composition:
        """The composition with that id."""
        for comp in self.compositions:
            if comp.id == comp_id:
                return comp
        raise BadInput(f"{self.path.name} has no composition with the id {comp_id}.")

    @property
    def fonts(self) -> tuple[str, ...]:
        """PostScript names of the fonts that characters of the project's texts use."""
        layers = (layer for comp in self.compositions for layer in comp.layers)
        return tuple(sorted({font for layer in layers if layer.text for font in layer.text.fonts}))


def read_project(path: Path) -> Project:
    """Read a project, whatever its form.

    Raises:
        BadInput: It cannot be read; the sentence says why and, for XML, at which line.
    """
    tree, form = load_tree(path)
    return project_of(tree, path, form)


def load_tree(path: Path) -> tuple[ChunkTree, str]:
    """The chunk tree of a project and its form: aepx, aep or mogrt.

    Raises:
        BadInput: It cannot be read.
    """
    raw = read_bytes(path, MAX_BYTES)
    if raw[:4] == b"RIFX":
        return read_rifx(raw, path.name), "aep"
    if raw[:2] == b"PK":
        return read_rifx(_inner_project(raw, path.name), path.name), "mogrt"
    return read_aepx(raw, path.name).tree, "aepx"


def project_bytes(path: Path) -> bytes:
    """The bytes of a project, or of the one inside a motion graphics template.

    Raises:
        BadInput: The file cannot be read, or the template holds no project.
    """
    raw = read_bytes(path, MAX_BYTES)
    return _inner_project(raw, path.name) if raw[:2] == b"PK" else raw


def read_bytes(path: Path, most: int) -> bytes:
    """A file's bytes, when it is not larger than that."""
    try:
        size = path.stat().st_size
        if size > most:
            raise BadInput(f"{path.name} has {size / 1e6:,.0f} MB; at most {most / 1e6:,.0f} MB are read.")
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path.name} cannot be read ({error.strerror or error}). Check the file.") from None


def project_of(tree: ChunkTree, path: Path, form: str) -> Project:
    """The project that a chunk tree holds."""
    with opened(tree, path.name) as app:
        facts = _TreeFacts(tree)
        try:
            return _Reading(app, facts).project(path, form)
        except DAMAGE as error:
            raise BadInput(_damaged(path.name, error)) from None


class opened:  # noqa: N801  (used as a function, like `open`)
    """The project in py-aep, for the length of a `with` block."""

    def __init__(self, tree: ChunkTree, name: str, platform: str = "macos") -> None:
        self._tree = tree
        self._name = name
        self._platform = platform
        self._folder = tempfile.TemporaryDirectory(prefix="crown-ae-")

    def __enter__(self) -> Any:
        file = Path(self._folder.name) / "project.aep"
        file.write_bytes(write_rifx(self._tree))
        try:
            return py_aep.parse(file, platform=self._platform)
        except DAMAGE as error:
            self._folder.cleanup()
            raise BadInput(_damaged(self._name, error)) from None

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def _damaged(name: str, error: BaseException) -> str:
    return (
        f"{name} is damaged: its parts do not fit together ({type(error).__name__}: {str(error)[:100]}). "
        "Save it again in After Effects."
    )


def _inner_project(raw: bytes, name: str) -> bytes:
    """The `.aep` inside a motion graphics template, which is a ZIP in a ZIP."""
    graphic = _member(raw, name, lambda member: member == "project.aegraphic")
    return _member(graphic, name, lambda member: member.lower().endswith(".aep"))


def _member(raw: bytes, name: str, wanted: Callable[[str], bool]) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            info = next((info for info in archive.infolist() if wanted(info.filename)), None)
            if info is None:
                raise BadInput(f"{name} is no motion graphics template: it holds no project.")
            with archive.open(info) as file:
                content = file.read(_MAX_INNER + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise BadInput(f"{name} is a damaged motion graphics template ({type(error).__name__}).") from None
    if len(content) > _MAX_INNER:
        raise BadInput(f"{name} unpacks to more than {_MAX_INNER / 1e6:,.0f} MB; it is not used.")
    return content


class _TreeFacts:
    """Expressions and effects by layer, from the chunk tree, and the compositions with controllers.

    Before After Effects 16 controllers have another form, which is not read.
    """

    def __init__(self, tree: ChunkTree) -> None:
        self.expressions: list[Expression] = []
        self.effects: dict[int, list[str]] = {}
        self.with_controllers: set[int] = set()
        for item in items(tree.chunks):
            comp_id = item_id(item)
            if item.first("CIF3"):
                self.with_controllers.add(comp_id)
            for layer in item.lists("Layr"):
                layer_id = layer_id_of(layer)
                for inside in layer.lists("tdgp"):
                    self._group(inside, comp_id, layer_id, ())

    def _group(self, group: Chunk, comp_id: int, layer_id: int, path: tuple[str, ...]) -> None:
        match_name = ""
        for chunk in group.children:
            if chunk.id == "tdmn":
                match_name = chunk.data.split(b"\0", 1)[0].decode("latin-1")
                if path[-1:] == (_EFFECTS,) and match_name != "ADBE Group End":
                    self.effects.setdefault(layer_id, []).append(match_name)
            elif chunk.kind == "tdbs":
                self._property(chunk, comp_id, layer_id, (*path, match_name))
            elif chunk.kind in ("tdgp", "sspc", "btds", "om-s", "otst", "OvG2", "mrst", "GCst"):
                self._group(chunk, comp_id, layer_id, (*path, match_name) if match_name else path)

    def _property(self, chunk: Chunk, comp_id: int, layer_id: int, path: tuple[str, ...]) -> None:
        code = chunk.first("Utf8")
        if code and code.data:
            text = code.data.decode("utf-8", "replace")
            names = [name for name in path if name]
            self.expressions.append(
                Expression(comp_id, layer_id, "/".join(names), text, bool(_READS_FILES.search(text)))
            )


def item_id(item: Chunk) -> int:
    """The id of an item of the project panel."""
    return _u32(item.first("idta"), 16)


def layer_id_of(layer: Chunk) -> int:
    """The id of a layer, unique in the project."""
    return _u32(layer.first("ldta"), 0)


def items(chunks: list[Chunk]) -> Iterator[Chunk]:
    """All items of the project panel, at any depth of folders."""
    for chunk in chunks:
        if chunk.kind == "Item":
            yield chunk
        if chunk.kind in ("Fold", "Item", "Sfdr"):
            yield from items(chunk.children)


def _u32(chunk: Chunk | None, at: int) -> int:
    if chunk is None or len(chunk.data) < at + 4:
        return 0
    return int(struct.unpack_from(">I", chunk.data, at)[0])


class _Reading:
    def __init__(self, app: Any, facts: _TreeFacts) -> None:
        self._app = app
        self._facts = facts
        self._fonts: dict[int, list[str]] = {}
        for used in app.project.used_fonts:
            for place in used["used_at"]:
                fonts = self._fonts.setdefault(place["layer_id"], [])
                name = used["font"].post_script_name
                if name not in fonts:
                    fonts.append(name)

    def project(self, path: Path, form: str) -> Project:
        project = self._app.project
        comps = tuple(self._composition(comp) for comp in project.compositions)
        return Project(
            path=path,
            form=form,
            version=str(self._app.version),
            compositions=comps,
            footage=tuple(_footage(item) for item in project.footages),
            expressions=tuple(self._facts.expressions),
            controllers=tuple(
                Controller(comp.id, control.name, _CONTROLS.get(int(control.controller_type), "other"))
                for comp in project.compositions
                if comp.id in self._facts.with_controllers
                for control in comp.motion_graphics_controllers
            ),
        )

    def _composition(self, comp: Any) -> Composition:
        return Composition(
            id=comp.id,
            name=comp.name,
            width=comp.width,
            height=comp.height,
            duration=round(float(comp.duration), 6),
            frame_rate=round(float(comp.frame_rate), 3),
            renderer=str(comp.renderer),
            layers=tuple(self._layer(layer, index) for index, layer in enumerate(comp.layers, start=1)),
        )

    def _layer(self, layer: Any, index: int) -> Layer:
        source = getattr(layer, "source", None)
        return Layer(
            id=layer.id,
            index=index,
            name=layer.name,
            kind=_kind(layer, source),
            source_id=source.id if source is not None else None,
            parent_id=layer.parent.id if layer.parent is not None else None,
            enabled=bool(layer.enabled),
            text=self._text(layer) if type(layer).__name__ == "TextLayer" else None,
            effects=tuple(self._facts.effects.get(layer.id, ())),
            placement=_placement(layer),
        )

    def _text(self, layer: Any) -> LayerText:
        document = layer.text.source_text.value
        box = document.box_text_size if document.box_text else None
        return LayerText(
            text=document.text,
            fonts=tuple(self._fonts.get(layer.id, ())),
            size=float(document.font_size or 0),
            tracking=float(document.tracking or 0),
            horizontal_scale=float(document.horizontal_scale or 1),
            all_caps=bool(document.all_caps),
            box=(round(box[0], 3), round(box[1], 3)) if box else None,
        )


def _placement(layer: Any) -> Placement | None:
    """None for a layer without a place, such as audio, or one whose place is an expression's."""
    try:
        move = layer.transform
        x, y = move.position.value[:2]
        left, top = move.anchor_point.value[:2]
        wide, high = move.scale.value[:2]
        values = [x, y, left, top, wide / 100, high / 100, move.rotation.value, move.opacity.value / 100]
        x, y, left, top, wide, high, turned, shown = (round(float(value), 4) for value in values)
    except DAMAGE:
        return None
    return Placement((x, y), (left, top), (wide, high), turned, shown)


def _kind(layer: Any, source: Any) -> str:
    own = type(layer).__name__.removesuffix("Layer").lower()
    if own != "av":
        return own
    if layer.null_layer:
        return "null"
    if layer.adjustment_layer:
        return "adjustment"
    if source is None:
        return "unknown"
    if type(source).__name__ == "CompItem":
        return "composition"
    kind = type(source.main_source).__name__.removesuffix("Source").lower()
    if kind != "file":
        return kind
    return "audio" if source.has_audio and not source.has_video else "footage"


def _footage(item: Any) -> Footage:
    source = item.main_source
    file = str(item.file) if item.file else None
    return Footage(
        id=item.id,
        name=item.name,
        kind=type(source).__name__.removesuffix("Source").lower(),
        file=file,
        exists=file_exists(file),
        width=int(item.width or 0),
        height=int(item.height or 0),
        psd_layer=getattr(source, "layer_name", None) or None,
    )


def file_exists(file: str | None) -> bool | None:
    """Whether a project's file is there; None for a Windows or network path, which this system cannot look up."""
    if not file or PureWindowsPath(file).drive or "\\" in file:
        return None
    try:
        return Path(file).exists()
    except (OSError, ValueError):
        return False
