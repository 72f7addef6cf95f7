"""JPEG as a container: its EXIF and XMP segments found and replaced, everything else copied as it is.

Belongs here: the segments in front of the scan. Does not: what EXIF and XMP hold (`exif_ifd.py`, `xmp.py`).

Sources: ITU-T T.81 annex B (markers and segments), EXIF (CIPA DC-008) 4.5.4, XMP Specification Part 3, 1.1.3.
"""

from __future__ import annotations

import shutil
import struct
from dataclasses import dataclass
from typing import BinaryIO

from crown.errors import BadInput, Refused

_EXIF = b"Exif\x00\x00"
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_APP0, _APP1, _START_OF_SCAN, _END = 0xE0, 0xE1, 0xDA, 0xD9
_MOST = 65_533


@dataclass(frozen=True)
class _Segment:
    marker: int
    payload: bytes


def find(reader: BinaryIO, name: str) -> tuple[bytes | None, bytes | None, float | None]:
    """The EXIF body, the XMP packet, and the dots per inch that the JFIF segment states, where there are any.

    Raises:
        BadInput: the segments in front of the scan are damaged.
    """
    exif = xmp = dpi = None
    for segment in _segments(reader, name):
        if segment.marker == _APP1 and segment.payload.startswith(_EXIF):
            exif = exif or segment.payload[len(_EXIF) :]
        elif segment.marker == _APP1 and segment.payload.startswith(_XMP):
            xmp = xmp or segment.payload[len(_XMP) :]
        elif segment.marker == _APP0 and segment.payload.startswith(b"JFIF\0") and len(segment.payload) >= 12:
            unit, across = struct.unpack(">BH", segment.payload[7:10])
            dpi = {1: float(across), 2: across * 2.54}.get(unit)
    return exif, xmp, dpi


def write(reader: BinaryIO, output: BinaryIO, exif: bytes | None, xmp: bytes | None, name: str) -> None:
    """Copies the file with these two blocks in place of its own; the scan and all else stay.

    Raises:
        BadInput: the segments in front of the scan are damaged.
        Refused: a block does not fit into a segment.
    """
    blocks = [
        _application_segment(prefix, body, name)
        for prefix, body in ((_EXIF, exif), (_XMP, xmp))
        if body is not None
    ]
    segments = [
        segment
        for segment in _segments(reader, name)
        if not (segment.marker == _APP1 and segment.payload.startswith((_EXIF, _XMP)))
    ]
    first = 0
    while first < len(segments) and segments[first].marker == _APP0:
        first += 1
    output.write(b"\xff\xd8")
    for segment in [*segments[:first], *blocks, *segments[first:]]:
        output.write(struct.pack(">BBH", 0xFF, segment.marker, len(segment.payload) + 2) + segment.payload)
    shutil.copyfileobj(reader, output, 1 << 20)


def _application_segment(prefix: bytes, body: bytes, name: str) -> _Segment:
    if len(prefix) + len(body) > _MOST:
        raise Refused(
            f"The texts for {name} need {len(body)} bytes in one block; a JPEG segment holds {_MOST - len(prefix)}: "
            "shorten them."
        )
    return _Segment(_APP1, prefix + body)


def _segments(reader: BinaryIO, name: str) -> list[_Segment]:
    """The segments between the start of the image and the start of the scan, where the reader is positioned afterwards."""
    reader.seek(0)
    found: list[_Segment] = []
    if reader.read(2) != b"\xff\xd8":
        raise BadInput(f"{name} does not start as a JPEG does; make the file again.")
    while True:
        at = reader.tell()
        head = reader.read(2)
        while len(head) == 2 and head == b"\xff\xff":  # fill bytes may precede a marker (T.81 B.1.1.2)
            at += 1
            head = head[1:] + reader.read(1)
        if len(head) < 2 or head[0] != 0xFF or head[1] in (0x00, _END):
            raise BadInput(f"{name} is damaged at byte {at}, in front of its pixels; make the file again.")
        if head[1] == _START_OF_SCAN:
            reader.seek(at)
            return found
        length = reader.read(2)
        size = struct.unpack(">H", length)[0] - 2 if len(length) == 2 else -1
        payload = reader.read(size) if size >= 0 else b""
        if size < 0 or len(payload) < size:
            raise BadInput(f"{name} is cut off at byte {at}, in front of its pixels; make the file again.")
        found.append(_Segment(head[1], payload))
