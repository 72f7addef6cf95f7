"""The chunk tree that both forms of an After Effects project share, and its binary form RIFX (`.aep`).

A project is a list of chunks; a LIST chunk holds chunks, every other one bytes. Reading keeps all bytes, so
that writing the tree gives the same file; a file for which that does not hold is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

from crown.errors import BadInput

MAX_DEPTH = 64
MAX_CHUNKS = 400_000
MAX_BYTES = 512 * 1024 * 1024

#: Chunks that hold one Utf8 chunk instead of plain bytes.
WRAPPERS = frozenset({"tdsn", "fnam", "pdnm"})


@dataclass(slots=True)
class Chunk:
    """One chunk. `kind` is the list's type and `children` its content; other chunks have `data`."""

    id: str
    data: bytes = b""
    kind: str = ""
    children: list[Chunk] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What the chunk is called in a path: its list type, or its id."""
        return self.kind or self.id

    def lists(self, kind: str) -> Iterator[Chunk]:
        """The list chunks of that type directly inside."""
        return (child for child in self.children if child.kind == kind)

    def first(self, name: str) -> Chunk | None:
        """The first chunk of that name directly inside."""
        return next((child for child in self.children if child.name == name), None)


@dataclass(slots=True)
class ChunkTree:
    """A whole project: its chunks, and the XMP packet that follows them."""

    chunks: list[Chunk]
    xmp: bytes


@dataclass(frozen=True, slots=True)
class Difference:
    """One place at which two trees differ; sizes are those of the data, None where the chunk is absent."""

    path: str
    old_size: int | None
    new_size: int | None


def read_rifx(raw: bytes, name: str) -> ChunkTree:
    """The chunks of a binary project.

    Raises:
        BadInput: It is no project, a chunk's size does not fit, or it is nested too deep.
    """
    if raw[:4] != b"RIFX" or raw[8:12] != b"Egg!":
        raise BadInput(
            f"{name} is no After Effects project: it does not start with RIFX. Save it again as .aep."
        )
    end = 8 + struct.unpack(">I", raw[4:8])[0]
    if end > len(raw) or end < 12:
        raise BadInput(f"{name} claims {end:,} bytes and has {len(raw):,}: it is cut off. Copy it again.")
    tree = ChunkTree(_Reader(raw, name).chunks(12, end, 1), raw[end:])
    if write_rifx(tree) != raw:
        raise BadInput(f"{name} has bytes between its chunks that are not understood; it is not used.")
    return tree


def write_rifx(tree: ChunkTree) -> bytes:
    """The project as `.aep`."""
    body = b"Egg!" + b"".join(map(chunk_bytes, tree.chunks))
    return b"RIFX" + struct.pack(">I", len(body)) + body + tree.xmp


def chunk_bytes(chunk: Chunk) -> bytes:
    """One chunk as it is in the file."""
    if chunk.id != "LIST":
        data = chunk.data
    elif chunk.kind == "btdk":
        data = b"btdk" + chunk.data
    else:
        data = _four(chunk.kind) + b"".join(map(chunk_bytes, chunk.children))
    return _four(chunk.id) + struct.pack(">I", len(data)) + data + b"\0" * (len(data) & 1)


def _four(name: str) -> bytes:
    return name.encode("latin-1").ljust(4)


class _Reader:
    def __init__(self, raw: bytes, name: str) -> None:
        self._raw = raw
        self._name = name
        self._count = 0

    def chunks(self, at: int, end: int, depth: int) -> list[Chunk]:
        if depth > MAX_DEPTH:
            raise BadInput(f"{self._name} is nested deeper than {MAX_DEPTH} levels; it is not used.")
        found: list[Chunk] = []
        while at < end:
            self._count += 1
            if self._count > MAX_CHUNKS:
                raise BadInput(f"{self._name} has more than {MAX_CHUNKS:,} chunks; it is not used.")
            if at + 8 > end:
                raise BadInput(f"{self._name} is damaged at byte {at:,}: a chunk is cut off. Copy it again.")
            name, size = struct.unpack(">4sI", self._raw[at : at + 8])
            start, stop = at + 8, at + 8 + size
            if stop > end:
                raise BadInput(
                    f"{self._name} is damaged at byte {at:,}: the chunk {_shown(name)} claims {size:,} bytes "
                    f"where {end - start:,} are left. Copy it again, or save it again in After Effects."
                )
            found.append(self._chunk(name.decode("latin-1").rstrip(" "), start, stop, depth))
            at = stop + (size & 1)
        return found

    def _chunk(self, name: str, start: int, stop: int, depth: int) -> Chunk:
        if name != "LIST":
            return Chunk(name, self._raw[start:stop])
        if stop - start < 4:
            raise BadInput(
                f"{self._name} is damaged at byte {start:,}: a list without a type. Copy it again."
            )
        kind = self._raw[start : start + 4].decode("latin-1").rstrip(" ")
        if kind == "btdk":
            return Chunk(name, self._raw[start + 4 : stop], kind)
        return Chunk(name, b"", kind, self.chunks(start + 4, stop, depth + 1))


def _shown(name: bytes) -> str:
    return repr(name.decode("latin-1"))


def differences(old: ChunkTree, new: ChunkTree) -> list[Difference]:
    """Every chunk whose bytes differ, by its path, such as `Fold/Item[3]/Layr[1]/tdgp[1]/btds[1]/btdk[1]`."""
    found = list(_compare(old.chunks, new.chunks, ""))
    if old.xmp != new.xmp:
        found.append(Difference("XMP", len(old.xmp), len(new.xmp)))
    return found


def _compare(old: list[Chunk], new: list[Chunk], path: str) -> Iterator[Difference]:
    counts: dict[str, int] = {}
    for one, other in zip_longest(old, new):
        name = (one or other).name
        counts[name] = counts.get(name, 0) + 1
        where = f"{path}{name}[{counts[name]}]"
        if one is None or other is None or one.name != other.name:
            yield Difference(where, _size(one), _size(other))
        elif one.id == "LIST" and one.kind != "btdk":
            yield from _compare(one.children, other.children, f"{where}/")
        elif one.data != other.data:
            yield Difference(where, len(one.data), len(other.data))


def _size(chunk: Chunk | None) -> int | None:
    return None if chunk is None else len(chunk_bytes(chunk)) - 8
