"""Texts inside finished picture files, written and read without touching the encoded pixels.

Belongs here: the texts themselves (`Tags`), their limits, and the choice of the container writer. Does not: the
containers (`tags_jpeg.py`, `tags_png.py`, `tags_tiff.py`), EXIF's directory format (`exif_ifd.py`), XMP's XML
(`xmp.py`), or where the texts come from.

Each text is written as EXIF, for file managers and older programs, and as XMP, which holds all of them in
Unicode. IPTC-IIM records (JPEG's APP13) are not written, since what they can hold is in XMP too and a second
copy would have to be kept in step; one that is there stays.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from crown.errors import BadInput, Refused, SystemicFailure
from crown.pictures import tags_jpeg, tags_png, tags_tiff
from crown.pictures.exif_ifd import (
    ASCII,
    BYTE,
    RATIONAL,
    SHORT,
    Value,
    byte_order,
    changed_block,
    read_entries,
)
from crown.pictures.xmp import changed_packet, read_packet

SOURCE_TYPE_PREFIX = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPES = (
    "digitalCapture",
    "computationalCapture",
    "humanEdits",
    "algorithmicallyEnhanced",
    "digitalCreation",
    "composite",
    "compositeCapture",
    "compositeSynthetic",
    "compositeWithTrainedAlgorithmicMedia",
    "algorithmicMedia",
    "trainedAlgorithmicMedia",
)
"""The values of IPTC's NewsCodes scheme "Digital Source Type" that a product picture can have.

`algorithmicallyEnhanced` is a photograph altered by rules alone; `compositeWithTrainedAlgorithmicMedia` one that a
trained model took part in (every cut-out of an engine)."""

MAX_EXIF = 65_000
MAX_XMP = 65_000
"""Bytes of the two blocks. A JPEG segment ends at 65,533; one limit for all formats, so that the same texts fit
into every rendition of a photo."""

_EXIF_TEXTS = {
    0x010E: "image_description",
    0x010F: "make",
    0x0110: "model",
    0x0131: "software",
    0x013B: "artist",
    0x8298: "copyright",
}
_XP_KEYWORDS = 0x9C9E
_READ = {*_EXIF_TEXTS, _XP_KEYWORDS}
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_INCH = 2
_YCBCR_POSITIONING, _CENTRED = 0x0213, 1
_XMP_TEXTS = {
    "dc:creator": "artist",
    "dc:description": "image_description",
    "dc:rights": "copyright",
    "tiff:Make": "make",
    "tiff:Model": "model",
    "xmp:CreatorTool": "software",
    "Iptc4xmpExt:ProductInImage": "product_number",
}
_SOURCE_TYPE = "Iptc4xmpExt:DigitalSourceType"

# Not allowed in XML 1.0 (2.2 Char), and NUL would end an EXIF text early.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Tags:
    """The texts of one picture. An empty one is absent from the file.

    `digital_source_type` is one of `SOURCE_TYPES`: how the picture came to be, IPTC's marker for edits by
    algorithms and trained models.
    """

    artist: str = ""
    make: str = ""
    model: str = ""
    image_description: str = ""
    copyright: str = ""
    keywords: tuple[str, ...] = ()
    product_number: str = ""
    digital_source_type: str = ""
    software: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            for text in value if isinstance(value, tuple) else (value,):
                found = _FORBIDDEN.search(text)
                if found:
                    raise BadInput(
                        f"The tag {field.name} contains the character U+{ord(found[0]):04X}, which picture files "
                        "cannot hold as text; remove it."
                    )
        if any(not keyword.strip() or ";" in keyword for keyword in self.keywords):
            raise BadInput(
                "A keyword is empty or contains `;`, which separates keywords; write one word or phrase."
            )
        if self.digital_source_type and self.digital_source_type not in SOURCE_TYPES:
            raise BadInput(
                f"{self.digital_source_type!r} is no digital source type; write one of {', '.join(SOURCE_TYPES)}."
            )

    def recipe(self) -> dict[str, str | list[str]]:
        """The texts as data that JSON can hold: the recipe of the tagging step."""
        texts = {field.name: getattr(self, field.name) for field in fields(self)}
        return texts | {"keywords": list(self.keywords)}


def write_tags(source: Path, target: Path, tags: Tags) -> None:
    """Writes a copy of a JPEG, PNG or TIFF that carries the texts; the encoded pixels are copied as they are.

    Texts written here before are replaced, those that are empty now disappear; EXIF entries, XMP properties and
    segments of others stay. The same file and texts give the same bytes, however often they are written.

    Args:
        source: the picture.
        target: the copy, overwritten if it is there; must not be the source.
        tags: the texts.

    Raises:
        Refused: the texts are too long, or source and target are the same file.
        BadInput: the source is none of the three formats, damaged, or its own metadata cannot be read.
        SystemicFailure: the copy cannot be written; what was begun of it is removed.
    """
    if target.exists() and target.samefile(source):
        raise Refused(f"{target} would be overwritten while it is read; give another target.")
    with source.open("rb") as reader:
        kind = _container(reader, source.name)
        try:
            with target.open("wb") as output:
                _WRITERS[kind](reader, output, tags, source.name)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise SystemicFailure(
                f"{target} cannot be written: {error.strerror}; free disk space and run again."
            ) from error
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def read_tags(path: Path) -> Tags:
    """The texts of a JPEG, PNG or TIFF: from XMP, and what that lacks from EXIF.

    Of texts that others wrote, characters that `Tags` does not allow are left out, and a digital source type
    outside `SOURCE_TYPES` reads as none.

    Raises:
        BadInput: the file is none of the three formats, or damaged.
    """
    with path.open("rb") as reader:
        kind = _container(reader, path.name)
        if kind == "tiff":
            entries, packet = tags_tiff.find(reader, _READ, path.name)
        else:
            block, packet, _ = (tags_jpeg if kind == "jpeg" else tags_png).find(reader, path.name)
            entries = read_entries(BytesIO(block), _READ, path.name) if block else {}
    properties = read_packet(packet, path.name) if packet else {}
    return _tags_from(properties, entries)


def _container(reader: BinaryIO, name: str) -> str:
    head = reader.read(8)
    if head[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if head == tags_png.SIGNATURE:
        return "png"
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "tiff"
    raise BadInput(f"{name} is no JPEG, PNG or TIFF; texts can be written into those only.")


def _write_jpeg(reader: BinaryIO, output: BinaryIO, tags: Tags, name: str) -> None:
    exif, packet, dpi = tags_jpeg.find(reader, name)
    block = _block(exif, tags, dpi, name, {_YCBCR_POSITIONING: _CENTRED})
    tags_jpeg.write(reader, output, block, _packet(packet, tags, name), name)


def _write_png(reader: BinaryIO, output: BinaryIO, tags: Tags, name: str) -> None:
    exif, packet, dpi = tags_png.find(reader, name)
    texts = {
        "Author": tags.artist,
        "Description": tags.image_description,
        "Copyright": tags.copyright,
        "Software": tags.software,
    }
    tags_png.write(reader, output, _block(exif, tags, dpi, name), _packet(packet, tags, name), texts, name)


def _write_tiff(reader: BinaryIO, output: BinaryIO, tags: Tags, name: str) -> None:
    _, packet = tags_tiff.find(reader, (), name)
    changed = _packet(packet, tags, name)
    xmp = Value(BYTE, changed) if changed is not None else None
    tags_tiff.write(reader, output, _entries(tags, name) | {tags_tiff.XMP_PACKET: xmp}, name)


_WRITERS: dict[str, Callable[[BinaryIO, BinaryIO, Tags, str], None]] = {
    "jpeg": _write_jpeg,
    "png": _write_png,
    "tiff": _write_tiff,
}


def refuse_too_long(tags: Tags, name: str) -> None:
    """Say before texts are kept that no picture of ours can hold them.

    Raises:
        Refused: they are longer than EXIF or XMP can be.
    """
    _entries(tags, name)
    _packet(None, replace(tags, digital_source_type=max(SOURCE_TYPES, key=len)), name)


def _entries(tags: Tags, name: str) -> dict[int, Value | None]:
    """EXIF's entries for the texts; UTF-8 in ASCII entries, as programs write it, UTF-16 where Windows reads it."""
    texts = {tag: getattr(tags, field) for tag, field in _EXIF_TEXTS.items()}
    entries: dict[int, Value | None] = {
        tag: Value(ASCII, text.encode() + b"\0") if text else None for tag, text in texts.items()
    }
    words = ";".join(tags.keywords).encode("utf-16-le") + b"\0\0"
    entries[_XP_KEYWORDS] = Value(BYTE, words) if tags.keywords else None
    size = sum(len(value.data) for value in entries.values() if value)
    if size > MAX_EXIF:
        raise Refused(
            f"The texts for {name} have {size} bytes; a picture holds {MAX_EXIF}: shorten the longest."
        )
    return entries


def _block(
    exif: bytes | None, tags: Tags, dpi: float | None, name: str, always: Mapping[int, int] | None = None
) -> bytes | None:
    """The EXIF block, with the resolution that the container states and what else EXIF demands (`always`)."""
    changes = _entries(tags, name)
    defaults: dict[int, Value] = {}
    if any(changes.values()):
        order = byte_order(BytesIO(exif), name) if exif else "<"
        numbers = dict(always or {})
        if dpi:
            near = round(dpi) if abs(dpi - round(dpi)) < 0.05 else dpi  # PNG counts in whole pixels per metre
            ratio = Value(RATIONAL, struct.pack(f"{order}II", round(near * 100), 100))
            defaults |= {_X_RESOLUTION: ratio, _Y_RESOLUTION: ratio}
            numbers[_RESOLUTION_UNIT] = _INCH
        defaults |= {tag: Value(SHORT, struct.pack(f"{order}H", number)) for tag, number in numbers.items()}
    return changed_block(exif, changes, name, defaults)


def _packet(packet: bytes | None, tags: Tags, name: str) -> bytes | None:
    properties: dict[str, tuple[str, ...]] = {
        key: (getattr(tags, field),) for key, field in _XMP_TEXTS.items() if getattr(tags, field)
    }
    if tags.keywords:
        properties["dc:subject"] = tags.keywords
    if tags.digital_source_type:
        properties[_SOURCE_TYPE] = (SOURCE_TYPE_PREFIX + tags.digital_source_type,)
    changed = changed_packet(packet, properties, name)
    if changed is not None and len(changed) > MAX_XMP:
        raise Refused(
            f"The texts for {name} make {len(changed)} bytes of XMP; a picture holds {MAX_XMP}: shorten them."
        )
    return changed


def _tags_from(properties: dict[str, tuple[str, ...]], entries: dict[int, Value]) -> Tags:
    def clean(text: str) -> str:
        return _FORBIDDEN.sub("", text)

    texts = {field: clean(properties[key][0]) for key, field in _XMP_TEXTS.items() if properties.get(key)}
    for tag, field in _EXIF_TEXTS.items():
        if field not in texts and tag in entries:
            texts[field] = clean(entries[tag].data.split(b"\0", 1)[0].decode("utf-8", "replace"))
    words = properties.get("dc:subject", ())
    if not words and _XP_KEYWORDS in entries:
        words = (entries[_XP_KEYWORDS].data.decode("utf-16-le", "replace").split("\0", 1)[0],)
    keywords = [word.strip() for text in words for word in clean(text).split(";")]
    source = (properties.get(_SOURCE_TYPE) or ("",))[0].removeprefix(SOURCE_TYPE_PREFIX)
    return Tags(
        **texts,
        keywords=tuple(word for word in keywords if word),
        digital_source_type=source if source in SOURCE_TYPES else "",
    )
