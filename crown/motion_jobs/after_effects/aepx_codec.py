"""`.aepx`, the XML form of an After Effects project, to and from the chunk tree, byte for byte.

An element stands for a chunk; `bdata` holds its bytes in hexadecimal; `string` is a Utf8 chunk,
`fileReference` the JSON of an `alas` chunk. `numS` and `ppSn` are numbers, written as decimal text.
Nothing that the XML can do beyond that (document types, entities, other attributes) is followed.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from crown.errors import BadInput
from crown.motion_jobs.after_effects.ae_chunks import (
    MAX_CHUNKS,
    MAX_DEPTH,
    WRAPPERS,
    Chunk,
    ChunkTree,
    read_rifx,
    write_rifx,
)

NAMESPACE = "http://www.adobe.com/products/aftereffects"
MAX_AEPX_BYTES = 200 * 1024 * 1024
_MAX_ATTRIBUTES = 16
_NUMBERS = {"numS": (">I", int, "{:d}"), "ppSn": (">d", float, "{:.9f}")}
_PLATFORMS: dict[object, object] = {"Win": 1, "MacPOSIX": 2}
_PLATFORM_NAMES = {number: name for name, number in _PLATFORMS.items()}
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Aepx:
    """A project read from XML. `legacy` is how After Effects 12 and 13 write: names and numbers as bdata."""

    tree: ChunkTree
    legacy: bool


def read_aepx(raw: bytes, name: str) -> Aepx:
    """The project of an `.aepx` file.

    Raises:
        BadInput: It is not well-formed (with line and column), no project, or built to exhaust memory.
    """
    if len(raw) > MAX_AEPX_BYTES:
        raise BadInput(
            f"{name} has {len(raw) / 1e6:,.0f} MB; at most {MAX_AEPX_BYTES / 1e6:,.0f} MB are read."
        )
    target = _Target(name)
    parser = etree.XMLParser(
        target=target,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_blank_text=False,
    )
    try:
        for start in range(0, len(raw), 1 << 16):
            parser.feed(raw[start : start + (1 << 16)])
        parser.close()
    except etree.XMLSyntaxError as error:
        line, column = error.position
        reason = re.sub(r",? *line \d+, column \d+.*", "", str(error))[:200]
        raise BadInput(
            f"{name} is not well-formed XML at line {line}, column {column}: {reason}. Save it again in After Effects."
        ) from None
    return Aepx(ChunkTree(target.chunks, target.xmp), target.legacy)


def write_aepx(project: Aepx) -> bytes:
    """The project as `.aepx`.

    Raises:
        BadInput: A text holds a character that XML cannot carry.
    """
    lines: list[str] = []
    for chunk in project.tree.chunks:
        _write(chunk, 1, project.legacy, lines)
    if project.tree.xmp:
        packet = f"\t<ProjectXMPMetadata><![CDATA[{project.tree.xmp.decode()}]]></ProjectXMPMetadata>"
        before = next((i for i, line in enumerate(lines) if line in ("\t<ExEn>", "\t<Fold>")), len(lines))
        lines.insert(before, packet)
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<AfterEffectsProject xmlns="{NAMESPACE}" majorVersion="1" minorVersion="0">',
            *lines,
            "</AfterEffectsProject>",
            "",
        ]
    ).encode()


def first_difference(raw: bytes, name: str) -> str | None:
    """Where the codec does not give a file's own bytes back, in a sentence, or None when it does.

    The file goes through both forms: `.aepx` to chunks to `.aep` to chunks to `.aepx`, and the same for `.aep`.

    Raises:
        BadInput: The file cannot be read at all.
    """
    if raw[:4] == b"RIFX":
        back = write_rifx(read_aepx(write_aepx(Aepx(read_rifx(raw, name), legacy=False)), name).tree)
    else:
        project = read_aepx(raw, name)
        back = write_aepx(Aepx(read_rifx(write_rifx(project.tree), name), project.legacy))
    if back == raw:
        return None
    at = next((i for i, (one, other) in enumerate(zip(raw, back, strict=False)) if one != other), -1)
    at = at if at >= 0 else min(len(raw), len(back))
    return (
        f"{name} is not written back byte for byte: the first difference is at line {raw[:at].count(10) + 1}."
    )


class _Target:
    """Builds chunks while the parser reads, and refuses what a project never holds."""

    def __init__(self, name: str) -> None:
        self.chunks: list[Chunk] = []
        self.xmp = b""
        self.legacy = False
        self._name = name
        self._count = 0
        self._open: list[tuple[str, dict[str, str], list[Chunk]]] = []
        self._text: list[str] = []

    def doctype(self, *_: object) -> None:
        raise BadInput(f"{self._name} declares a document type, which a project never does; it is not used.")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        space, _, local = tag.rpartition("}")
        if not self._open and (local != "AfterEffectsProject" or space != "{" + NAMESPACE):
            raise BadInput(
                f"{self._name} is no After Effects project: its root element is {local!r}. Save it as .aepx."
            )
        if len(self._open) >= MAX_DEPTH or self._count > MAX_CHUNKS or len(attributes) > _MAX_ATTRIBUTES:
            raise BadInput(
                f"{self._name} exceeds a limit ({MAX_DEPTH} levels, {MAX_CHUNKS:,} elements, "
                f"{_MAX_ATTRIBUTES} attributes); it is not used."
            )
        self._open.append((local, dict(attributes), []))
        self._text = []

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, _tag: str) -> None:
        tag, attributes, children = self._open.pop()
        text, self._text = "".join(self._text), []
        if not self._open:
            self.chunks = children
        elif tag == "ProjectXMPMetadata":
            self.xmp = text.encode()
        else:
            self._open[-1][2].append(self._chunk(tag, attributes, children, text))

    def close(self) -> None:
        """The parser's result is read from the attributes."""

    def _chunk(self, tag: str, attributes: dict[str, str], children: list[Chunk], text: str) -> Chunk:
        try:
            return self._made(tag, attributes, children, text)
        except (ValueError, IndexError, struct.error, UnicodeError) as error:
            raise BadInput(
                f"{self._name} is damaged: the element {tag[:20]!r}, the {self._count:,}th, has a value that "
                f"cannot be read ({str(error)[:80]}). Save it again in After Effects."
            ) from None

    def _made(self, tag: str, attributes: dict[str, str], children: list[Chunk], text: str) -> Chunk:
        if tag == "string":
            return Chunk("Utf8", text.encode())
        if tag == "fileReference":
            return Chunk("alas", _alas(attributes))
        if len(tag.encode("latin-1")) > 4:
            raise ValueError("its name is longer than four letters")
        data = attributes.get("bdata")
        if data is not None:
            self.legacy = self.legacy or tag in WRAPPERS or tag in _NUMBERS
            return (
                Chunk("LIST", bytes.fromhex(data), tag) if tag == "btdk" else Chunk(tag, bytes.fromhex(data))
            )
        if tag in _NUMBERS:
            form, number, _ = _NUMBERS[tag]
            return Chunk(tag, struct.pack(form, number(children[0].data.decode())))
        if tag in WRAPPERS:
            tree = ChunkTree(children, b"")
            return Chunk(tag, write_rifx(tree)[12:])
        return Chunk("LIST", b"", tag, children)


def _alas(attributes: dict[str, str]) -> bytes:
    values: dict[str, Any] = dict(attributes)
    for key, value in attributes.items():
        if key.startswith("ascend"):
            values[key] = int(value)
        elif key == "target_is_folder":
            values[key] = value == "1"
        elif key == "platform":
            values[key] = _PLATFORMS.get(value, value)
    return json.dumps(values, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def _write(chunk: Chunk, depth: int, legacy: bool, lines: list[str]) -> None:
    pad = "\t" * depth
    if chunk.id == "LIST" and chunk.kind != "btdk":
        _nested(chunk.kind, chunk.children, depth, legacy, lines)
    elif chunk.id == "Utf8":
        text = _text(chunk.data)
        lines.append(f"{pad}<string>{text}</string>" if text else f"{pad}<string/>")
    elif chunk.id == "alas":
        lines.append(f"{pad}<fileReference {_reference(chunk.data)}/>")
    elif chunk.id in _NUMBERS and not legacy:
        form, _, shown = _NUMBERS[chunk.id]
        number = shown.format(*struct.unpack(form, chunk.data))
        lines += [f"{pad}<{chunk.id}>", f"{pad}\t<string>{number}</string>", f"{pad}</{chunk.id}>"]
    elif chunk.id in WRAPPERS and not legacy:
        _nested(chunk.id, wrapped(chunk), depth, legacy, lines)
    else:
        lines.append(f'{pad}<{chunk.name} bdata="{chunk.data.hex()}"/>')


def wrapped(chunk: Chunk) -> list[Chunk]:
    """The chunks inside a wrapper, such as the Utf8 chunk of a property's own name."""
    body = b"Egg!" + chunk.data
    return read_rifx(b"RIFX" + struct.pack(">I", len(body)) + body, chunk.id).chunks


def _nested(name: str, children: list[Chunk], depth: int, legacy: bool, lines: list[str]) -> None:
    pad = "\t" * depth
    lines.append(f"{pad}<{name}>")
    for child in children:
        _write(child, depth + 1, legacy, lines)
    lines.append(f"{pad}</{name}>")


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise BadInput("A text of the project is not UTF-8, so it cannot be written as .aepx.") from None
    if bad := _NOT_XML.search(text):
        raise BadInput(
            f"The text {text[:40]!r} holds U+{ord(bad.group()):04X}, which .aepx cannot carry. Write .aep instead."
        )
    return escape(text, {"\r": "&#xD;"})


def _reference(data: bytes) -> str:
    values = json.loads(data)
    values["platform"] = _PLATFORM_NAMES.get(values.get("platform"), values.get("platform"))
    return " ".join(
        f"{key}={quoteattr(str(int(value)) if isinstance(value, bool | int) else str(value))}"
        for key, value in values.items()
    )
