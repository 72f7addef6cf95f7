"""The frame of a Photoshop file: its header and the lengths of its sections, checked before anything is parsed.

Adobe Photoshop File Formats Specification: 26 bytes of header, then colour mode data, image resources and
layer information, each with its length, then the flat picture. Reads a few kilobytes, whatever the file claims.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from crown.errors import BadInput

MODES = {
    0: "bitmap",
    1: "grayscale",
    2: "indexed",
    3: "RGB",
    4: "CMYK",
    7: "multichannel",
    8: "duotone",
    9: "Lab",
}
_SIDES = {1: 30_000, 2: 300_000}


@dataclass(frozen=True, slots=True)
class PsdHeader:
    """Header of a PSD (version 1) or PSB (version 2)."""

    version: int
    channels: int
    width: int
    height: int
    depth: int
    mode: str


def read_header(path: Path, max_megapixels: float) -> PsdHeader:
    """The header of a file whose sections fit into it.

    Raises:
        BadInput: It is no Photoshop file, claims more than the limits, or is cut off.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = _header(path.name, file.read(26), max_megapixels)
            _sections(path.name, file, header, size)
    except OSError as error:
        raise BadInput(f"{path.name} cannot be read ({error.strerror or error}). Check the file.") from None
    return header


def _header(name: str, start: bytes, max_megapixels: float) -> PsdHeader:
    if len(start) < 26 or start[:4] != b"8BPS":
        raise BadInput(f"{name} is no Photoshop file: it does not start with 8BPS. Save it again as PSD.")
    version, channels, height, width, depth, mode = struct.unpack(">H6xHIIHH", start[4:])
    if version not in _SIDES or depth not in (1, 8, 16, 32) or mode not in MODES or not 1 <= channels <= 56:
        raise BadInput(
            f"{name} has a damaged header (version {version}, {channels} channels of {depth} bits, mode {mode}). "
            "Save it again from Photoshop."
        )
    side = _SIDES[version]
    if not (1 <= width <= side and 1 <= height <= side) or width * height > max_megapixels * 1e6:
        raise BadInput(
            f"{name} claims {width:,} x {height:,} pixels; at most {max_megapixels:,.0f} megapixels "
            f"and {side:,} on a side are read. Make it smaller."
        )
    return PsdHeader(version, channels, width, height, depth, MODES[mode])


def _sections(name: str, file: BinaryIO, header: PsdHeader, size: int) -> None:
    wide = header.version == 2
    for section, form in (("colour", ">I"), ("resource", ">I"), ("layer", ">Q" if wide else ">I")):
        raw = file.read(struct.calcsize(form))
        length = struct.unpack(form, raw)[0] if len(raw) == struct.calcsize(form) else size
        if file.tell() + length > size:
            raise BadInput(
                f"{name} is cut off or damaged: its {section} section claims {length:,} bytes "
                f"and the file ends after {size:,}. Copy or save it again."
            )
        file.seek(length, 1)
    claimed = _picture_bytes(file, header)
    if claimed > size - file.tell():
        raise BadInput(
            f"{name} is cut off: its picture needs {claimed:,} bytes and {max(0, size - file.tell()):,} are there. "
            "Copy or save it again."
        )


def _picture_bytes(file: BinaryIO, header: PsdHeader) -> int:
    """Bytes that the flat picture needs from here on; 1 where only its presence can be checked."""
    raw = file.read(2)
    if len(raw) < 2:
        return 2
    rows = header.channels * header.height
    compression = struct.unpack(">H", raw)[0]
    if compression == 0:
        return rows * ((header.width * header.depth + 7) // 8)
    if compression == 1:
        form = "I" if header.version == 2 else "H"
        return sum(_row_lengths(file, rows, form))
    return 1


def _row_lengths(file: BinaryIO, rows: int, form: str) -> Iterator[int]:
    width = struct.calcsize(form)
    while rows > 0:
        count = min(rows, 8192)
        piece = file.read(count * width)
        if len(piece) < count * width:
            yield rows * width
            return
        yield sum(struct.unpack(f">{count}{form}", piece))
        rows -= count
