"""Format detection by the first bytes of a file; the extension is ignored.

Belongs here: the formats that are read, their usual endings, and the sentence for what is none of them. Does not:
decoding (`pictures.py`).
"""

from __future__ import annotations

from pathlib import Path

from crown.errors import BadInput

_SUFFIXES = {
    "jpeg": ".jpg",
    "png": ".png",
    "tiff": ".tif",
    "webp": ".webp",
    "psd": ".psd",
    "heic": ".heic",
    "avif": ".avif",
    "jpeg xl": ".jxl",
    "gif": ".gif",
    "bmp": ".bmp",
}
FORMATS = tuple(_SUFFIXES)
"""The formats that are read, by the names used in `pictures.probe` and in sentences."""

RAW_SUFFIXES = (
    ".3fr",
    ".arw",
    ".cr2",
    ".cr3",
    ".crw",
    ".dcr",
    ".dng",
    ".erf",
    ".fff",
    ".iiq",
    ".kdc",
    ".mef",
    ".mos",
    ".mrw",
    ".nef",
    ".nrw",
    ".orf",
    ".pef",
    ".raf",
    ".rw2",
    ".rwl",
    ".sr2",
    ".srf",
    ".srw",
    ".x3f",
)
"""Endings of camera RAW files, lower case."""
SIDECARS = (".xmp", ".aae")
"""Endings of files that photo programs write beside a picture, lower case; they are no pictures and no mistake."""


class Undecodable(BadInput):
    """The pixels cannot be had now: damaged, or a copy that has only paused. Waiting may help."""


_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"FUJIFILMCCD-RAW", "raw"),
    (b"IIRO", "raw"),  # Olympus
    (b"IIRS", "raw"),
    (b"MMOR", "raw"),
    (b"IIU\x00", "raw"),  # Panasonic, Leica
    (b"FOVb", "raw"),  # Sigma
    (b"\x00MRM", "raw"),  # Minolta
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"8BPS", "psd"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"%PDF", "pdf"),
    (b"%!PS", "postscript"),
    (b"PK\x03\x04", "zip"),
    (b"\x00\x00\x00\x0cjP  ", "jpeg 2000"),
    (b"\x00\x00\x00\x0cJXL ", "jpeg xl"),
    (b"\xff\x0a", "jpeg xl"),
)


def is_sidecar(name: str) -> bool:
    """Whether a file name is that of a photo program's notes on a picture."""
    return name.lower().endswith(SIDECARS)


def recognise(path: Path, label: str) -> str:
    """The format of a file, one of `FORMATS`.

    Args:
        path: The file.
        label: What people call it.

    Raises:
        Undecodable: The file is empty, cannot be read, or begins with zeros, as a copy does that has just begun.
        BadInput: Anything else that is not read.
    """
    head = _head(path, label)
    if not head:
        raise Undecodable(f"{label} is empty (0 bytes): the copy was probably interrupted, upload it again.")
    kind = sniff(head)
    if kind in _SUFFIXES:
        return kind
    if not head.strip(b"\0"):
        raise Undecodable(
            f"{label} begins with zeros only: the copy was probably interrupted, upload it again."
        )
    if kind == "raw":
        raise camera_raw(label)
    what = f"a {kind.upper()} file" if kind else "not a picture"
    known = ", ".join(FORMATS)
    raise BadInput(f"{label} is {what} inside; pictures are read as {known}: export it as one of these.")


def _head(path: Path, label: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise Undecodable(f"{label} cannot be read: {error.strerror}.") from error


def camera_raw(label: str) -> BadInput:
    """The refusal of a RAW file: how it is to look is for its photographer to develop."""
    return BadInput(
        f"{label} is a camera RAW file: develop it and export it as TIFF (16 bit) or as JPEG in its full size."
    )


def ending_of(path: Path, label: str) -> str:
    """The usual ending (`.jpg`) of the format that a picture's first bytes declare.

    Args:
        path: The file.
        label: What people call it.

    Raises:
        BadInput: none that is read here.
    """
    kind = sniff(_head(path, label))
    if kind not in _SUFFIXES:
        raise BadInput(f"{label} is not a picture of a known kind; put a PNG in its place.")
    return _SUFFIXES[kind]


def sniff(head: bytes) -> str | None:
    """Name the format that a file's first bytes (at least 16) declare, or None when they declare none."""
    if head[:4] in (b"II*\x00", b"MM\x00*") and head[8:10] == b"CR":
        return "raw"  # Canon CR2
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in _HEIF_BRANDS:
            return "avif" if b"avif" in head[16:] else "heic"
        return {b"avif": "avif", b"avis": "avif", b"crx ": "raw"}.get(brand, "video")
    return None
