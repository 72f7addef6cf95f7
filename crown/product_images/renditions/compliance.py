"""Whether a finished picture meets what a partner demands: measured, then judged by profiles that are data.

Belongs here: measuring a file and comparing the values with a profile. Does not: the demands themselves
(`compliance_profiles.yaml`), or what follows from a finding (checks and publishing decide that).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crown.pictures import tags_jpeg, tags_png, tags_tiff
from crown.pictures.decoding import open_picture, probe
from crown.pictures.exif_ifd import Value, byte_order, read_entries
from crown.product_images.renditions.render import MAX_PIXELS
from crown.product_images.renditions.specs import Category, Name
from crown.settings.yaml_files import load_model

if TYPE_CHECKING:
    import pyvips

DEFAULT_PROFILES = Path(__file__).with_name("compliance_profiles.yaml")
WHITE_TOLERANCE = 10
"""A pixel whose channels all are this close to 255 counts as white; JPEG leaves such ripples around a part."""
CORNER = 8
"""Side of the square in each corner, in pixels, of which the darkest value is taken."""

Severity = Literal["error", "warning"]
_STRICT = ConfigDict(extra="forbid", frozen=True)

_NUMBERS = {
    "longest_side": ("longest side", "px"),
    "shortest_side": ("shortest side", "px"),
    "source_longest_side": ("master's longest side", "px"),
    "dpi": ("resolution", "DPI"),
    "margin_smallest": ("smallest white margin", "px"),
    "margin_largest": ("largest white margin", "px"),
    "fill_share": ("share of the frame the part fills", ""),
    "corner_white": ("darkest value in the corners", "of 255"),
    "bits": ("depth", "bits"),
    "bytes": ("file size", "bytes"),
    "name_length": ("length of the file name", "characters"),
}
_WORDS = {
    "format": "format",
    "mode": "colour mode",
    "colour_profile": "colour profile",
    "compression": "compression",
    "name": "file name",
}


@dataclass(frozen=True)
class Measurements:
    """What a picture file is. Sides and margins in pixels, as seen upright.

    The margins are those at both ends of the axis along which the part fills more of the frame. `fill_share` is
    the part's extent along that axis as a share of the frame, 0 to 1. `corner_white` is the darkest channel value
    found in the four corners (255: pure white; transparent counts as white). A None was not to be found out.
    """

    name: str
    format: str
    width: int
    height: int
    mode: str
    bits: int
    dpi: float | None
    colour_profile: str
    compression: str
    bytes: int
    corner_white: int
    margin_smallest: int
    margin_largest: int
    fill_share: float
    source_longest_side: int | None = None

    @property
    def longest_side(self) -> int:
        """The longer of width and height."""
        return max(self.width, self.height)

    @property
    def shortest_side(self) -> int:
        """The shorter of width and height."""
        return min(self.width, self.height)

    @property
    def name_length(self) -> int:
        """Characters of the file name, with its extension."""
        return len(self.name)


class Rule(BaseModel):
    """One demand on one measured value."""

    model_config = _STRICT

    measure: str
    severity: Severity
    advice: str
    at_least: float | None = None
    at_most: float | None = None
    tolerance: Annotated[float, Field(ge=0)] = 0
    one_of: list[str] | None = None
    pattern: str | None = None

    @model_validator(mode="after")
    def _comparable(self) -> Rule:
        number = self.at_least is not None or self.at_most is not None
        word = (self.one_of is not None) + (self.pattern is not None)
        if self.measure not in _NUMBERS and self.measure not in _WORDS:
            raise ValueError(
                f"there is no measure {self.measure!r}; write one of {', '.join([*_NUMBERS, *_WORDS])}"
            )
        if self.measure in _NUMBERS and (not number or word):
            raise ValueError(f"{self.measure} is a number; write `at_least: N`, `at_most: N` or both")
        if self.measure in _WORDS and (number or self.tolerance or word != 1):
            raise ValueError(f"{self.measure} is a word; write either `one_of: [..]` or `pattern: ..`")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(
                    f"the pattern cannot be read ({error}); write a regular expression"
                ) from error
        return self

    @property
    def wanted(self) -> str:
        """The demand in words, such as `at least 1500 px`."""
        unit = _NUMBERS.get(self.measure, ("", ""))[1]
        if self.at_least is not None and self.at_least == self.at_most:
            words = f"{self.at_least:g}"
        else:
            ends = (("at least", self.at_least), ("at most", self.at_most))
            words = " and ".join(f"{end} {value:g}" for end, value in ends if value is not None)
        if self.one_of is not None:
            words = " or ".join(self.one_of)
        if self.pattern is not None:
            words = f"the form {self.pattern}"
        return f"{words} {unit}".strip()

    def holds(self, value: Any) -> bool:
        """Whether a measured value meets the demand."""
        if self.one_of is not None:
            return value in self.one_of
        if self.pattern is not None:
            return re.fullmatch(self.pattern, value) is not None
        low = -float("inf") if self.at_least is None else self.at_least - self.tolerance
        high = float("inf") if self.at_most is None else self.at_most + self.tolerance
        return low <= value <= high


class Profile(BaseModel):
    """The demands of one partner or standard, on renditions of some categories."""

    model_config = _STRICT

    name: Name
    title: str
    source: str
    categories: list[Category]
    rules: dict[str, Rule]


class _ProfileFile(BaseModel):
    model_config = _STRICT

    profiles: dict[str, Profile]

    @model_validator(mode="before")
    @classmethod
    def _names_from_keys(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("profiles"), Mapping):
            return data
        named = {
            str(key): dict(value) | {"name": str(key)} if isinstance(value, Mapping) else value
            for key, value in data["profiles"].items()
        }
        return dict(data) | {"profiles": named}


@dataclass(frozen=True)
class Finding:
    """A demand that a picture does not meet: the rule, both values, and a sentence with what to do."""

    rule: str
    severity: Severity
    measured: str
    wanted: str
    sentence: str


def load_profiles(path: Path | None = None) -> dict[str, Profile]:
    """Reads compliance profiles.

    Args:
        path: the YAML file; without one, the profiles that come with Crown.

    Raises:
        ConfigurationError: a line for each mistake, with file, line and what to write.
    """
    return load_model(path or DEFAULT_PROFILES, _ProfileFile).profiles


def measure(path: Path, *, name: str | None = None, source_longest_side: int | None = None) -> Measurements:
    """Measures a finished picture; all its pixels are decoded.

    Args:
        path: the file.
        name: its published name, if it is under another one.
        source_longest_side: longest side of the trimmed master in pixels, which the file does not contain.

    Raises:
        BadInput: the file cannot be read as a picture.
    """
    label = name or path.name
    facts = probe(path, MAX_PIXELS, name=label)
    dpi, compression = _container_facts(path, facts["format"], label)
    picture = open_picture(path, MAX_PIXELS, name=label)
    if picture.hasalpha():
        picture = picture.flatten(background=[255, 255, 255])
    margins, share = _margins(picture)
    depth = re.search(r"(16|32)F?$", facts["mode"])
    return Measurements(
        name=label,
        format=facts["format"],
        width=facts["width"],
        height=facts["height"],
        mode=re.sub(r"(16|32F|64F)$", "", facts["mode"]),
        bits=int(depth[1]) if depth else 8,
        dpi=dpi,
        colour_profile=facts["profile"] or "none",
        compression=compression,
        bytes=path.stat().st_size,
        corner_white=_corner_white(picture),
        margin_smallest=min(margins),
        margin_largest=max(margins),
        fill_share=share,
        source_longest_side=source_longest_side,
    )


def judge(measurements: Measurements, profile: Profile) -> list[Finding]:
    """The demands of a profile that a picture does not meet, errors first; empty when it is compliant.

    A value that could not be measured is a finding of its rule's severity, since nobody can vouch for it.
    """
    findings = []
    for name, rule in profile.rules.items():
        value = getattr(measurements, rule.measure)
        if value is None:
            shown = "unknown"
        elif rule.holds(value):
            continue
        else:
            shown = f"{value:.3g}" if isinstance(value, float) and value < 10 else str(value)
        words, unit = _NUMBERS.get(rule.measure, (_WORDS.get(rule.measure, ""), ""))
        measured = shown if value is None else f"{shown} {unit}".strip()
        sentence = f"{measurements.name}: the {words} is {measured}, {profile.title} wants {rule.wanted}; {rule.advice}."
        findings.append(Finding(name, rule.severity, measured, rule.wanted, sentence))
    return sorted(findings, key=lambda finding: finding.severity)


def blocked(findings: Collection[Finding]) -> bool:
    """Whether a picture with these findings must not be published under the profile."""
    return any(finding.severity == "error" for finding in findings)


def _corner_white(picture: pyvips.Image) -> int:
    width, height = min(CORNER, picture.width), min(CORNER, picture.height)
    corners = [(x, y) for x in (0, picture.width - width) for y in (0, picture.height - height)]
    return int(min(picture.crop(x, y, width, height).min() for x, y in corners))


def _margins(picture: pyvips.Image) -> tuple[tuple[int, int], float]:
    """The white margins along the fuller axis, and the share of that axis the part fills."""
    left, top, width, height = picture.find_trim(
        threshold=WHITE_TOLERANCE, background=[255, 255, 255], line_art=True
    )
    across, down = width / picture.width, height / picture.height
    if across >= down:
        return (left, picture.width - left - width), across
    return (top, picture.height - top - height), down


def _container_facts(path: Path, kind: str, name: str) -> tuple[float | None, str]:
    """The stored resolution in dots per inch, and the compression."""
    with path.open("rb") as reader:
        if kind == "jpeg":
            exif, _, dpi = tags_jpeg.find(reader, name)
            if dpi is None and exif is not None:
                dpi = _resolution(read_entries(BytesIO(exif), _READ, name), byte_order(BytesIO(exif), name))
            return _whole(dpi), "jpeg"
        if kind == "png":
            return _whole(tags_png.find(reader, name)[2]), "deflate"
        if kind == "tiff":
            entries, _ = tags_tiff.find(reader, _READ, name)
            order = byte_order(reader, name)
            return _whole(_resolution(entries, order)), _tiff_compression(entries, order)
    return None, kind


_X_RESOLUTION, _RESOLUTION_UNIT, _COMPRESSION = 282, 296, 259
_READ = {_X_RESOLUTION, _RESOLUTION_UNIT, _COMPRESSION}
_COMPRESSIONS = {1: "none", 5: "lzw", 7: "jpeg in tiff", 8: "deflate", 32773: "packbits", 32946: "deflate"}


def _resolution(entries: Mapping[int, Value], order: str) -> float | None:
    """Dots per inch from XResolution and ResolutionUnit (2 inch, 3 centimetre; 1 states no length)."""
    ratio = entries.get(_X_RESOLUTION)
    if ratio is None or len(ratio.data) != 8:
        return None
    byteorder: Literal["little", "big"] = "little" if order == "<" else "big"
    above, below = (int.from_bytes(ratio.data[at : at + 4], byteorder) for at in (0, 4))
    unit = entries.get(_RESOLUTION_UNIT)
    factor = {2: 1.0, 3: 2.54}.get(int.from_bytes(unit.data, byteorder) if unit else 2)
    return above / below * factor if below and factor else None


def _tiff_compression(entries: Mapping[int, Value], order: str) -> str:
    entry = entries.get(_COMPRESSION)
    code = int.from_bytes(entry.data, "little" if order == "<" else "big") if entry else 1
    return _COMPRESSIONS.get(code, f"TIFF compression {code}")


def _whole(dpi: float | None) -> float | None:
    """Without the rounding of the container: PNG counts in whole pixels per metre."""
    if dpi is None:
        return None
    return float(round(dpi)) if abs(dpi - round(dpi)) < 0.05 else round(dpi, 2)
