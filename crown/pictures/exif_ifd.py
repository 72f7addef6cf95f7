"""The first directory (IFD0) of a TIFF structure, which is a TIFF file as well as the body of an EXIF block.

Belongs here: reading its entries and writing a changed copy by appending. Does not: what the entries mean.

Nothing that is there is moved. A changed directory and the new values are appended, and only the offset in the
header is set to it, so every offset in the rest, and so every strip of pixels, stays valid. A trailer at the very
end says where the original ended and had its directory, with a checksum of what was appended: the next change
starts from the original again. If another program has changed the file since, the checksum does not fit, and the
file as it is counts as the original.

Source: TIFF Revision 6.0, section 2; EXIF (CIPA DC-008) 4.5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from crown.errors import BadInput, Refused

BYTE, ASCII, RATIONAL, SHORT = 1, 2, 5, 3
_UNIT = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MARK = b"CrownTag"
_TRAILER = len(_MARK) + 12
_EMPTY = b"II*\x00\x00\x00\x00\x00"


@dataclass(frozen=True)
class Value:
    """One entry's value: its TIFF type and its bytes in the byte order of the structure."""

    kind: int
    data: bytes


@dataclass(frozen=True)
class Patch:
    """A changed copy: the first `length` bytes of the source with `header` over the first ones, then `appended`."""

    length: int
    header: bytes
    appended: bytes


@dataclass(frozen=True)
class _Original:
    order: str
    length: int
    directory: int


def byte_order(reader: BinaryIO, name: str) -> str:
    """`<` or `>`, as `struct` writes it."""
    reader.seek(0)
    head = reader.read(8)
    if len(head) == 8 and head[:4] in (b"II*\x00", b"MM\x00*"):
        return "<" if head[:2] == b"II" else ">"
    if head[:4] in (b"II+\x00", b"MM\x00+"):
        raise BadInput(f"{name} is a BigTIFF; texts are written into classic TIFF files only.")
    raise BadInput(f"{name} has a damaged TIFF header; make the file again.")


def patch(
    reader: BinaryIO,
    changes: Mapping[int, Value | None],
    name: str,
    defaults: Mapping[int, Value] | None = None,
) -> Patch:
    """The copy in which the entries of `changes` are set, and those that are None there are gone.

    `defaults` are set where the original has no such entry.

    Raises:
        BadInput: not a TIFF structure, or damaged.
        Refused: the copy would be larger than the 4 GB a classic TIFF can be.
    """
    original = _original(reader, name)
    order = original.order
    entries, following = _directory(reader, original, name)
    # An equal value is no change: its entry stays.
    same = {
        tag
        for tag, value in changes.items()
        if tag in entries
        and value is not None
        and _value(reader, order, entries[tag], name).data == value.data
    }
    kept = {tag: raw for tag, raw in entries.items() if tag not in changes or tag in same}
    new = {tag: value for tag, value in changes.items() if value is not None and tag not in same}
    new |= {tag: value for tag, value in (defaults or {}).items() if tag not in kept}
    header = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(f"{order}I", original.directory)
    if not new and len(kept) == len(entries):
        return Patch(original.length, header, b"")
    padding = b"\0" * (original.length % 2)
    start = original.length + len(padding)
    tags = sorted([*kept, *new])
    values = b""
    values_at = start + 2 + 12 * len(tags) + 4
    rows = b""
    for tag in tags:
        if tag in kept:
            rows += kept[tag]
            continue
        data = new[tag].data
        field = data.ljust(4, b"\0")
        if len(data) > 4:
            _must_fit(values_at + len(values) + len(data), name)
            field = struct.pack(f"{order}I", values_at + len(values))
            values += data + b"\0" * (len(data) % 2)
        rows += struct.pack(f"{order}HHI", tag, new[tag].kind, len(data) // _UNIT[new[tag].kind]) + field
    body = padding + struct.pack(f"{order}H", len(tags)) + rows + struct.pack(f"{order}I", following) + values
    body += _MARK + struct.pack(f"{order}II", original.length, original.directory)
    body += struct.pack(f"{order}I", zlib.crc32(body))
    _must_fit(original.length + len(body), name)
    return Patch(original.length, header[:4] + struct.pack(f"{order}I", start), body)


def changed_block(
    block: bytes | None,
    changes: Mapping[int, Value | None],
    name: str,
    defaults: Mapping[int, Value] | None = None,
) -> bytes | None:
    """A changed EXIF body (from `II` or `MM` on); None when nothing is left in it.

    Raises:
        BadInput: the body is damaged.
    """
    source = BytesIO(block or _EMPTY)
    result = patch(source, changes, name, defaults)
    whole = result.header + source.getvalue()[len(result.header) : result.length] + result.appended
    return None if whole == _EMPTY else whole


def read_entries(reader: BinaryIO, wanted: Collection[int], name: str) -> dict[int, Value]:
    """The wanted entries of the first directory with their bytes, as far as they are there.

    Raises:
        BadInput: not a TIFF structure, or damaged.
    """
    order = byte_order(reader, name)
    size = reader.seek(0, 2)
    reader.seek(4)
    (directory,) = struct.unpack(f"{order}I", reader.read(4))
    entries, _ = _directory(reader, _Original(order, size, directory), name)
    return {tag: _value(reader, order, raw, name) for tag, raw in entries.items() if tag in wanted}


def _value(reader: BinaryIO, order: str, raw: bytes, name: str) -> Value:
    """The value of an entry's 12 bytes: in the last four of them, or where they point."""
    tag, kind, count = struct.unpack(f"{order}HHI", raw[:8])
    length = _UNIT.get(kind, 0) * count
    if length <= 4:
        return Value(kind, raw[8 : 8 + length])
    (at,) = struct.unpack(f"{order}I", raw[8:12])
    if at + length > reader.seek(0, 2):
        raise BadInput(f"{name} is cut off: the entry {tag} is behind its end; make the file again.")
    reader.seek(at)
    return Value(kind, reader.read(length))


def _original(reader: BinaryIO, name: str) -> _Original:
    """Where the structure ended before we appended to it; its present end if we did not, or others came after."""
    order = byte_order(reader, name)
    size = reader.seek(0, 2)
    reader.seek(4)
    (directory,) = struct.unpack(f"{order}I", reader.read(4))
    if size >= 8 + _TRAILER:
        reader.seek(size - _TRAILER)
        trailer = reader.read(_TRAILER)
        length, earlier, checksum = struct.unpack(f"{order}III", trailer[len(_MARK) :])
        if trailer.startswith(_MARK) and 8 <= length <= directory < size - _TRAILER:
            reader.seek(length)
            if zlib.crc32(reader.read(size - length - 4)) == checksum:
                return _Original(order, length, earlier)
    return _Original(order, size, directory)


def _directory(reader: BinaryIO, original: _Original, name: str) -> tuple[dict[int, bytes], int]:
    """The raw 12 bytes of each entry by tag, and the offset of the next directory."""
    if original.directory == 0:
        return {}, 0
    reader.seek(original.directory)
    raw_count = reader.read(2)
    count = struct.unpack(f"{original.order}H", raw_count)[0] if len(raw_count) == 2 else 0
    rows = reader.read(12 * count + 4)
    if original.directory < 8 or not count or len(rows) < 12 * count + 4:
        raise BadInput(f"{name} has a damaged TIFF directory; make the file again.")
    entries = {}
    for at in range(0, 12 * count, 12):
        (tag,) = struct.unpack_from(f"{original.order}H", rows, at)
        entries[tag] = rows[at : at + 12]
    return entries, struct.unpack_from(f"{original.order}I", rows, 12 * count)[0]


def _must_fit(end: int, name: str) -> None:
    if end > 0xFFFFFFFF:
        raise Refused(f"{name} would grow beyond 4 GB, the most a TIFF can be; write it as PNG or JPEG.")
