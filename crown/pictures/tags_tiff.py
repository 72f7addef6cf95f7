"""TIFF as a container: a copy with changed entries in its first directory, every strip where it was.

Belongs here: copying the file with the patch of `exif_ifd.py`. Does not: what the entries mean.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from typing import BinaryIO

from crown.pictures.exif_ifd import Value, patch, read_entries

XMP_PACKET = 700


def find(reader: BinaryIO, wanted: Collection[int], name: str) -> tuple[dict[int, Value], bytes | None]:
    """The wanted entries of the first directory, and the XMP packet if there is one.

    Raises:
        BadInput: the directory is damaged.
    """
    entries = read_entries(reader, {*wanted, XMP_PACKET}, name)
    packet = entries.get(XMP_PACKET)
    return entries, packet.data if packet else None


def write(reader: BinaryIO, output: BinaryIO, changes: Mapping[int, Value | None], name: str) -> None:
    """Copies the file with the entries of `changes` set, or removed where they are None.

    Raises:
        BadInput: the directory is damaged.
        Refused: the copy would be too large for a TIFF.
    """
    result = patch(reader, changes, name)
    reader.seek(0)
    shutil.copyfileobj(reader, output, 1 << 20)
    output.truncate(result.length)
    output.seek(0)
    output.write(result.header)
    output.seek(result.length)
    output.write(result.appended)
