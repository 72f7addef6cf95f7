"""PNG as a container: its EXIF, XMP and text chunks found and replaced, everything else copied as it is.

Belongs here: chunks. Does not: what EXIF and XMP hold (`exif_ifd.py`, `xmp.py`).

Sources: PNG Specification, Third Edition, 5 (chunks), 11.3.3 (text), 11.3.4.5 (eXIf); XMP Specification Part 3,
1.1.5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from crown.errors import BadInput

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class _Chunk:
    kind: bytes
    at: int
    size: int

    @property
    def whole(self) -> int:
        """Bytes with length, kind and checksum."""
        return self.size + 12


def find(reader: BinaryIO, name: str) -> tuple[bytes | None, bytes | None, float | None]:
    """The EXIF body, the XMP packet, and the dots per inch that pHYs states, where there are any.

    Raises:
        BadInput: the chunks are damaged.
    """
    exif = xmp = dpi = None
    for chunk in list(_chunks(reader, name)):
        if chunk.kind == b"eXIf":
            exif = _data(reader, chunk)
        elif chunk.kind == b"iTXt" and _keyword(reader, chunk) == _XMP:
            xmp = _international_text(_data(reader, chunk), name)
        elif chunk.kind == b"pHYs" and chunk.size == 9:
            across, _, unit = struct.unpack(">IIB", _data(reader, chunk))
            dpi = round(across * 0.0254, 2) if unit == 1 else None
    return exif, xmp, dpi


def write(
    reader: BinaryIO,
    output: BinaryIO,
    exif: bytes | None,
    xmp: bytes | None,
    texts: Mapping[str, str],
    name: str,
) -> None:
    """Copies the file with these blocks and texts in place of its own; all other chunks stay, byte for byte.

    Args:
        reader: the source.
        output: the copy.
        exif: body of the eXIf chunk.
        xmp: packet, uncompressed, as readers want it.
        texts: by keyword; an empty text only removes the chunk of its keyword.
        name: the file, for sentences.

    Raises:
        BadInput: the chunks are damaged.
    """
    exif_chunk = _made(b"eXIf", exif) if exif is not None else b""
    new = _made(b"iTXt", _XMP + b"\0\0\0\0\0" + xmp) if xmp is not None else b""
    for keyword, text in texts.items():
        if text:
            new += _text_chunk(keyword.encode("latin-1"), text)
    replaced = {keyword.encode("latin-1") for keyword in texts} | {_XMP}
    chunks = list(_chunks(reader, name))
    output.write(SIGNATURE)
    for chunk in chunks:
        if chunk.kind == b"IDAT":  # the first one: new chunks precede the pixels
            output.write(exif_chunk + new)
            exif_chunk = new = b""
        if chunk.kind == b"eXIf":  # one that is there keeps its place
            output.write(exif_chunk)
            exif_chunk = b""
        elif not (chunk.kind in _TEXTS and _keyword(reader, chunk) in replaced):
            _copy(reader, output, chunk)


def _chunks(reader: BinaryIO, name: str) -> Iterator[_Chunk]:
    """All chunks up to IEND, by their headers only; their bytes are not read."""
    size = reader.seek(0, 2)
    reader.seek(0)
    if reader.read(8) != SIGNATURE:
        raise BadInput(f"{name} does not start as a PNG does; make the file again.")
    at, pixels = 8, False
    while True:
        reader.seek(at)
        head = reader.read(8)
        length = struct.unpack(">I", head[:4])[0] if len(head) == 8 else 0
        chunk = _Chunk(head[4:], at, length)
        if len(head) < 8 or at + chunk.whole > size or not chunk.kind.isalpha():
            raise BadInput(f"{name} is damaged or cut off at byte {at}; make the file again.")
        pixels = pixels or chunk.kind == b"IDAT"
        yield chunk
        if chunk.kind == b"IEND":
            break
        at += chunk.whole
    if not pixels:
        raise BadInput(f"{name} holds no pixels; make the file again.")


def _data(reader: BinaryIO, chunk: _Chunk) -> bytes:
    reader.seek(chunk.at + 8)
    return reader.read(chunk.size)


def _keyword(reader: BinaryIO, chunk: _Chunk) -> bytes:
    """The keyword of a text chunk, at most 79 bytes and ended by NUL."""
    reader.seek(chunk.at + 8)
    return reader.read(min(chunk.size, 80)).split(b"\0", 1)[0]


def _international_text(data: bytes, name: str) -> bytes:
    """The text of an iTXt chunk: keyword, compression flag and method, language, translated keyword, text."""
    try:
        _, rest = data.split(b"\0", 1)
        _language, _translated, text = rest[2:].split(b"\0", 2)
        return zlib.decompress(text) if rest[0] else text
    except (ValueError, IndexError, zlib.error) as error:
        raise BadInput(f"{name} has a damaged iTXt chunk; make the file again.") from error


def _text_chunk(keyword: bytes, text: str) -> bytes:
    """TEXt where Latin-1 can hold the text, since every reader knows it; iTXt (UTF-8) where it cannot."""
    try:
        return _made(b"tEXt", keyword + b"\0" + text.encode("latin-1"))
    except UnicodeEncodeError:
        return _made(b"iTXt", keyword + b"\0\0\0\0\0" + text.encode())


def _made(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _copy(reader: BinaryIO, output: BinaryIO, chunk: _Chunk) -> None:
    reader.seek(chunk.at)
    left = chunk.whole
    while left:
        block = reader.read(min(left, _BLOCK))
        if not block:
            raise BadInput("The source became shorter while it was copied; run again.")
        output.write(block)
        left -= len(block)
