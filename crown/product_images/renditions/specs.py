"""Output specs: which pictures are made of a master, as data, with the rules that follow from the data alone.

Belongs here: the model of one spec, reading `output_specs.yaml`, categories, recipes, file names, and the
choice of specs. Does not: pixels (`render.py`), texts inside the files (`tags.py`), partners' demands
(`compliance.py`).
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from crown.errors import BadInput, ConfigurationError
from crown.settings.yaml_files import line_in, load_model

RENDERER_VERSION = 1
"""Part of every recipe. Raised on purpose when `render.py` would make other pixels or other encoder settings."""

DEFAULT_SPECS = Path(__file__).with_name("output_specs.yaml")
LARGEST_SIDE = 30_000
EXTENSIONS = {"png": "png", "jpeg": "jpg", "tiff": "tif"}
CATEGORIES = ("transparent", "print", "thumbnail", "web")

Category = Literal["transparent", "print", "thumbnail", "web"]
Position = Literal[
    "centre", "top_left", "top", "top_right", "left", "right", "bottom_left", "bottom", "bottom_right"
]
Kernel = Literal["lanczos3", "mitchell"]
Pixels = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
Distance = Annotated[int, Field(ge=0, le=LARGEST_SIDE)]

_STRICT = ConfigDict(extra="forbid", frozen=True)
_NAMED_COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0)}
_OLD_KEYS = {
    "resize_longest": "write `fit: {longest: 2500}`",
    "resize": "write `fit: {box: [1000, 1000]}`",
    "extent": "write `canvas: [1000, 1000]`",
    "icon_offset": "write it into the icon: `brand_icon: {file: icon.png, offset: [15, 15]}`",
}


def _colour(value: Any) -> Any:
    """`white`, `black` or `#rrggbb` as three numbers; `none` as None."""
    if value is None or value == "none":
        return None
    if not isinstance(value, str):
        return value
    if value in _NAMED_COLOURS:
        return _NAMED_COLOURS[value]
    digits = value.removeprefix("#")
    if len(digits) != 6 or not value.startswith("#") or set(digits) - set("0123456789abcdefABCDEF"):
        raise ValueError('a background is white, black, none or "#rrggbb"')
    return tuple(bytes.fromhex(digits))


def _none_word(value: Any) -> Any:
    return None if value == "none" else value


def _plain_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", value):
        raise ValueError("a name has letters, digits, `_` and `-` only, at most 80 of them")
    return value


Name = Annotated[str, AfterValidator(_plain_name)]
Byte = Annotated[int, Field(ge=0, le=255)]
Colour = Annotated[tuple[Byte, Byte, Byte] | None, BeforeValidator(_colour)]


class Fit(BaseModel):
    """How large the picture becomes: its longest side, or a box it has to fit into, in pixels."""

    model_config = _STRICT

    longest: Pixels | None = None
    box: tuple[Pixels, Pixels] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Fit:
        if (self.longest is None) == (self.box is None):
            raise ValueError("a fit has either `longest: N` or `box: [W, H]`; for neither write `fit: none`")
        return self


class Overlay(BaseModel):
    """A picture laid over the finished one: the brand icon or the watermark.

    `scale` is the share of the finished picture that the overlay's box takes; null keeps its own size in
    pixels, made smaller only if it would not fit. `offset` is its distance from the edges of its position.
    """

    model_config = _STRICT

    file: str
    position: Position = "centre"
    scale: Annotated[float, Field(gt=0, le=1)] | None = None
    offset: tuple[Distance, Distance] = (0, 0)
    opacity: Annotated[float, Field(gt=0, le=1)] = 1.0

    @field_validator("file")
    @classmethod
    def _below_the_brand_folder(cls, file: str) -> str:
        path = PurePosixPath(file)
        if not file or path.is_absolute() or ".." in path.parts or "\\" in file or "\0" in file:
            raise ValueError(
                "an overlay is a file in the brand folder; write its name without `/` in front or `..`"
            )
        return file


class Spec(BaseModel):
    """One output picture of a master. Sizes in pixels, as the finished file has them unless said otherwise.

    `padding: inside` keeps the border within the named size; `outside` adds it around, as the old system did
    (1000 x 1000 with a border of 15 becomes 1030 x 1030).
    """

    model_config = _STRICT

    name: Name
    family: Name = "own"
    enabled: bool = False
    format: Literal["png", "jpeg", "tiff"]
    mode: Literal["RGB", "RGBA"] = "RGB"
    dpi: Annotated[int, Field(ge=1, le=4800)]
    background: Colour = None
    fit: Annotated[Fit | None, BeforeValidator(_none_word)] = None
    canvas: Annotated[tuple[Pixels, Pixels] | None, BeforeValidator(_none_word)] = None
    border: tuple[Distance, Distance] = (0, 0)
    padding: Literal["inside", "outside"] = "inside"
    enlarge: bool = False
    kernel: Kernel = "lanczos3"
    quality: Annotated[int, Field(ge=1, le=100)] | None = None
    progressive: bool | None = None
    compression: Literal["lzw", "deflate", "none"] | None = None
    brand_icon: Annotated[Overlay | None, BeforeValidator(_none_word)] = None
    watermark: Annotated[Overlay | None, BeforeValidator(_none_word)] = None

    _brand_dir: Path = PrivateAttr(default=DEFAULT_SPECS.parent)

    @model_validator(mode="before")
    @classmethod
    def _usual_values(cls, data: Any) -> Any:
        """What a format takes when the file is silent: white under RGB, JPEG 90 progressive, TIFF LZW."""
        if not isinstance(data, Mapping):
            return data
        usual: dict[str, Any] = {}
        if data.get("mode", "RGB") == "RGB":
            usual["background"] = "white"
        if data.get("format") == "jpeg":
            usual |= {"quality": 90, "progressive": True}
        if data.get("format") == "tiff":
            usual["compression"] = "lzw"
        return usual | dict(data)

    @model_validator(mode="after")
    def _fits_together(self) -> Spec:
        if self.mode == "RGBA" and self.format == "jpeg":
            raise ValueError(
                "JPEG has no transparency; write `mode: RGB` and a background, or another format"
            )
        if self.mode == "RGB" and self.background is None:
            raise ValueError("an RGB picture needs a background; write `background: white`")
        if self.mode == "RGBA" and self.background is not None:
            raise ValueError("an RGBA picture has no background; write `background: none` or `mode: RGB`")
        if self.format != "jpeg" and (self.quality is not None or self.progressive is not None):
            raise ValueError(
                "`quality` and `progressive` belong to JPEG; remove them or write `format: jpeg`"
            )
        if self.format != "tiff" and self.compression is not None:
            raise ValueError("`compression` belongs to TIFF; remove it or write `format: tiff`")
        self._leaves_workspace()
        return self

    def _leaves_workspace(self) -> None:
        workspace = self.canvas or (self.fit and (self.fit.box or (self.fit.longest,) * 2))
        for axis, side in enumerate(workspace or ()):
            border = 2 * self.border[axis]
            assert side is not None
            if self.padding == "inside" and side <= border:
                raise ValueError(
                    f"a border of {self.border[axis]} on both sides leaves nothing of {side} pixels; "
                    f"write a border below {side / 2:g} or `padding: outside`"
                )
            if self.padding == "outside" and side + border > LARGEST_SIDE:
                raise ValueError(
                    f"{side} pixels and the border are more than {LARGEST_SIDE}; write a smaller size"
                )

    @property
    def category(self) -> Category:
        """The folder this spec's files are in, see `category`."""
        return category(self)

    @property
    def extension(self) -> str:
        """The file extension without a dot: jpg, tif or png."""
        return EXTENSIONS[self.format]

    def overlays(self) -> Iterator[tuple[str, Overlay, Path]]:
        """The icon and the watermark in the order they are laid on: key, placement, file."""
        for key in ("watermark", "brand_icon"):
            overlay = getattr(self, key)
            if overlay is not None:
                yield key, overlay, self._brand_dir / overlay.file

    def recipe(self) -> dict[str, Any]:
        """All that decides the pixels and the encoding of this output, as data that JSON can hold.

        The name, the family and whether it is enabled decide nothing and are left out. The bytes of an icon or
        a watermark are in it as their sha256, so that another picture under the same file name is seen.

        Raises:
            ConfigurationError: the file of an icon or watermark is missing or unreadable.
        """
        recipe: dict[str, Any] = {"renderer": RENDERER_VERSION}
        recipe |= self.model_dump(mode="json", exclude={"name", "family", "enabled"})
        for key, overlay, path in self.overlays():
            recipe[key] = overlay.model_dump(mode="json", exclude={"file"}) | {
                "sha256": hashlib.sha256(read_overlay(self, key, path)).hexdigest()
            }
        return recipe


def read_overlay(spec: Spec, key: str, path: Path) -> bytes:
    """The bytes of an icon or watermark.

    Raises:
        ConfigurationError: it cannot be read; the sentence names the spec, the key and the file.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The spec {spec.name} wants the {key.replace('_', ' ')} {path}, which cannot be read "
            f"({error.strerror}); put the file there or deselect the spec."
        ) from error


def category(spec: Spec) -> Category:
    """The category of a spec by the rule of the folder contract, the first that holds.

    `transparent`: the name contains "original", or RGBA with 300 DPI or more; `print`: 300 DPI or more;
    `thumbnail`: the name contains 128, 64 or 32; `web`: everything else.
    """
    if "original" in spec.name or (spec.mode == "RGBA" and spec.dpi >= 300):
        return "transparent"
    if spec.dpi >= 300:
        return "print"
    if any(size in spec.name for size in ("128", "64", "32")):
        return "thumbnail"
    return "web"


def file_name(photo_key: str, spec: Spec) -> str:
    """The name of an output file, `<number><_view>_<spec name>.<ext>`.

    Args:
        photo_key: product number and view as they are in file names, such as `52000123_1`.
        spec: the spec it is made by.

    Raises:
        BadInput: the key cannot be part of a file name.
    """
    if not photo_key or photo_key.startswith(".") or set(photo_key) & set('/\\\0<>:"|?*\n\r'):
        raise BadInput(
            f"{photo_key!r} cannot be part of a file name; correct the product number or the view."
        )
    return f"{photo_key}_{spec.name}.{spec.extension}"


class _Twins(BaseModel):
    """Specs that exist a second time under a prefix, differing in the keys given here."""

    model_config = _STRICT

    prefix: Name
    family: Name
    watermark: Overlay
    of: list[str]


class _Defaults(BaseModel):
    """What holds for every spec of the file that does not say otherwise."""

    model_config = _STRICT

    padding: Literal["inside", "outside"] = "inside"
    enlarge: bool = False
    kernel: Kernel = "lanczos3"


class _SpecFile(BaseModel):
    model_config = _STRICT

    defaults: _Defaults = _Defaults()
    specs: dict[str, Spec]
    twins: list[_Twins] = []

    @model_validator(mode="before")
    @classmethod
    def _names_and_defaults(cls, data: Any) -> Any:
        """The key is the name of the spec; what a spec leaves out is taken from `defaults`."""
        if not isinstance(data, Mapping) or not isinstance(data.get("specs"), Mapping):
            return data
        defaults = data.get("defaults")
        usual = dict(defaults) if isinstance(defaults, Mapping) else {}
        specs = {
            str(key): {"name": str(key)} | usual | dict(value) if isinstance(value, Mapping) else value
            for key, value in data["specs"].items()
        }
        return dict(data) | {"specs": specs}


def load_specs(path: Path | None = None, brand_dir: Path | None = None) -> dict[str, Spec]:
    """Reads the catalogue of output specs.

    Args:
        path: the YAML file; without one, the catalogue that comes with Crown.
        brand_dir: the folder of icons and watermarks; without one, the folder of the YAML file.

    Returns:
        All specs of the file by name, in its order, enabled or not (`select_specs` chooses).

    Raises:
        ConfigurationError: a line for each mistake, with file, line and what to write.
    """
    path = path or DEFAULT_SPECS
    content = load_model(path, _SpecFile, renamed=_OLD_KEYS)
    specs = dict(content.specs)
    for name, spec in specs.items():
        if spec.name != name:
            line = line_in(path, ("specs", name, "name"))
            raise ConfigurationError(
                f"{path}:{line}: specs: {name}: the key before the colon is the name; remove `name`."
            )
    for at, twins in enumerate(content.twins):
        for row, name in enumerate(twins.of):
            twin = f"{twins.prefix}{name}"
            if name not in content.specs or twin in specs:
                line = line_in(path, ("twins", at, "of", row))
                what = f"there is a spec {twin!r} already; remove one of them."
                if name not in content.specs:
                    what = _unknown("spec", name, content.specs)
                raise ConfigurationError(f"{path}:{line}: twins: {what}")
            changed = {"name": twin, "family": twins.family, "enabled": False, "watermark": twins.watermark}
            specs[twin] = specs[name].model_copy(update=changed)
    _refuse_equal_files(path, specs)
    for spec in specs.values():
        spec._brand_dir = brand_dir or path.parent
    return specs


def _refuse_equal_files(path: Path, specs: Mapping[str, Spec]) -> None:
    """Raise ConfigurationError when two specs would give two pictures of one product the same file name."""
    seen: dict[str, str] = {}
    for name in specs:
        other = seen.setdefault(name.casefold(), name)
        view = re.match("[0-9]+_", name)
        why = "differ only in case"
        if view and name[view.end() :].casefold() in {known.casefold() for known in specs}:
            other, why = name[view.end() :], f"name the files of a view {view.group()[:-1]} alike"
        if other != name:
            line = line_in(path, ("specs", name))
            raise ConfigurationError(
                f"{path}:{line}: specs: {name!r} and {other!r} {why}; rename one of them."
            )


def select_specs(specs: Mapping[str, Spec], selection: Iterable[str] = ()) -> dict[str, Spec]:
    """The specs that are made.

    Args:
        specs: the catalogue.
        selection: names of specs, families or categories; `all` for every spec; empty for the enabled ones.

    Raises:
        ConfigurationError: a word of the selection names nothing.
    """
    words = list(selection)
    if not words:
        return {name: spec for name, spec in specs.items() if spec.enabled}
    groups: dict[str, set[str]] = {"all": set(specs)} | {kind: set() for kind in CATEGORIES}
    for name, spec in specs.items():
        groups.setdefault(spec.family, set()).add(name)
        groups[spec.category].add(name)
    chosen: set[str] = set()
    for word in words:
        if word not in specs and word not in groups:
            raise ConfigurationError(
                f"The spec selection: {_unknown('spec, family or category', word, [*specs, *groups])}"
            )
        chosen |= {word} if word in specs else groups[word]
    return {name: spec for name, spec in specs.items() if name in chosen}


def _unknown(kind: str, word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}."
    return f"there is no {kind} {word!r}; {advice}"
