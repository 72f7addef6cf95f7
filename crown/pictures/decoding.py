"""Decoding a picture file: its properties, and its pixels upright, in sRGB, 8 bit.

Only decoding belongs here: refusing what is too large before any pixel is decoded, orientation, colour. What is done
with the pixels, file names and folders do not; format detection is in `formats.py`.
The heavy libraries are imported inside the functions, so that definitions load without them.
"""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crown.errors import BadInput
from crown.pictures import tiff_reader
from crown.pictures.formats import Undecodable, recognise

if TYPE_CHECKING:
    import numpy as np
    import pyvips
    from PIL.Image import Image

MIN_SIDE = 4
"""Pictures with a shorter side than this carry no product; 1 x 1 tracking pixels are the usual case."""

_PSD_MODES = {0: "1", 1: "L", 2: "P", 3: "RGB", 4: "CMYK", 7: "MULTICHANNEL", 8: "L", 9: "LAB"}
_COLOURS = {"b-w": 1, "grey16": 1, "cmyk": 4}
_BYTES_PER_PIXEL = 10
"""Memory that a cut-out takes at its peak (9 measured on 151 megapixels, 6 to turn a picture upright)."""
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class _Opened:
    """A picture whose header is read; `image` is lazy for the formats libvips decodes."""

    image: pyvips.Image
    format: str
    mode: str
    orientation: int = 1
    pages: int = 1
    page: int = 0


def open_picture(path: Path, max_pixels: int, *, name: str | None = None) -> pyvips.Image:
    """Decode a picture into memory as 8-bit sRGB, upright, RGB or RGBA.

    An embedded profile is converted (relative colorimetric, black point compensated), never dropped; CMYK
    without a profile is read with libvips' general one. Of a file with several pages the first is taken, or the page
    that it is a thumbnail of; of a layered PSD its composite.

    Args:
        path: The file.
        max_pixels: Larger pictures are refused from the header, before any pixel is decoded.
        name: What to call the file in a sentence when its path is not the name people know (a stored object).

    Returns:
        An image of 3 or 4 bands, `uchar`, interpretation `srgb`, without metadata, fully decoded: nothing can
        fail later on reading it.

    Raises:
        BadInput: Not a picture we read, too small or too large.
        Undecodable: It is broken, or not whole yet.
    """
    import pyvips

    label = name or path.name
    try:
        decoded = _decoded(_open(path, max_pixels, label))
    except pyvips.Error as error:
        raise Undecodable(_broken(label, error)) from error
    for field in decoded.get_fields():
        if field in ("icc-profile-data", "orientation") or field.startswith(
            ("exif", "xmp", "iptc", "photoshop")
        ):
            decoded.remove(field)
    return decoded


def probe(path: Path, max_pixels: int, *, name: str | None = None) -> dict[str, Any]:
    """Say what a file is, and decode it once as `open_picture` does, so that what passes here can be opened later.

    Args:
        path: The file.
        max_pixels: As for `open_picture`.
        name: As for `open_picture`.

    Returns:
        `width` and `height` as seen upright, `format` (one of `FORMATS`), `mode` (such as RGB, RGBA, L, P,
        CMYK, RGB16), `bands` as stored, `profile` (name of the embedded profile or None), `orientation`
        (EXIF, 1 to 8), `pages` and `page` (from 0, the one that is used), and `visible`: whether any pixel is
        not transparent.

    Raises:
        BadInput: As for `open_picture`.
        Undecodable: As for `open_picture`.
    """
    import pyvips

    label = name or path.name
    try:
        opened = _open(path, max_pixels, label)
        decoded = _decoded(opened)
    except pyvips.Error as error:
        raise Undecodable(_broken(label, error)) from error
    image = opened.image
    width, height = image.width, image.height
    if opened.orientation >= 5:
        width, height = height, width
    return {
        "width": width,
        "height": height,
        "format": opened.format,
        "mode": opened.mode,
        "bands": image.bands,
        "profile": _profile_name(image),
        "orientation": opened.orientation,
        "pages": opened.pages,
        "page": opened.page,
        "visible": not decoded.hasalpha() or decoded[decoded.bands - 1].max() > 0,
    }


def pixels(image: pyvips.Image) -> np.ndarray:
    """Return the pixels of an 8-bit image as an array, height x width x bands, uint8."""
    import numpy as np

    data = np.frombuffer(image.write_to_memory(), dtype=np.uint8)
    return data.reshape(image.height, image.width, image.bands)


def _open(path: Path, max_pixels: int, label: str) -> _Opened:
    kind = recognise(path, label)
    readers = {"psd": _open_psd, "heic": _open_heic, "bmp": _open_bmp, "tiff": _open_tiff}
    return (
        readers[kind](path, max_pixels, label)
        if kind in readers
        else _open_vips(path, kind, max_pixels, label)
    )


def _decoded(opened: _Opened) -> pyvips.Image:
    """All pixels, in sRGB and upright.

    They are in memory before they are turned: a lazy picture can be read from top to bottom only, and a turned one is
    asked for its columns.
    """
    import pyvips

    decoded = _to_srgb(opened.image).copy_memory()
    if opened.orientation == 1:
        return decoded
    turned = decoded.copy()
    turned.set_type(pyvips.GValue.gint_type, "orientation", opened.orientation)
    return turned.autorot().copy_memory()


def _check_size(label: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise BadInput(
            f"{label} has {width} x {height} pixels ({width * height / 1e6:.0f} megapixels); the limit is "
            f"{max_pixels / 1e6:.0f} megapixels: scale it down, or raise the limit in the settings."
        )
    needed, there = width * height * _BYTES_PER_PIXEL, _memory()
    if needed > there:
        raise BadInput(
            f"{label} has {width} x {height} pixels and would take {needed / 1e9:.1f} GB of memory; this machine has"
            f" {there / 1e9:.1f} GB: scale it down, or give the machine more."
        )
    if min(width, height) < MIN_SIDE:
        raise BadInput(f"{label} has only {width} x {height} pixels: that is no product picture.")


@cache
def _memory() -> int:
    """Bytes of memory that this process may have: the machine's, or what its container is given."""
    import psutil

    total = int(psutil.virtual_memory().total)
    try:
        return min(total, int(_CGROUP_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such limit, or "max"
        return total


def _open_vips(path: Path, kind: str, max_pixels: int, label: str) -> _Opened:
    import pyvips

    loader = {
        "jpeg": "jpegload",
        "png": "pngload",
        "webp": "webpload",
        "avif": "heifload",
        "gif": "gifload",
        "jpeg xl": "jxlload",
    }[kind]
    if not pyvips.type_find("VipsOperation", loader):
        raise BadInput(
            f"{label} is a {kind.upper()} picture, which the libvips of this machine cannot read: export it as TIFF."
        )
    image = pyvips.Operation.call(loader, str(path), access="sequential", fail_on="error")
    _check_size(label, image.width, image.height, max_pixels)
    fields = set(image.get_fields())
    orientation = int(image.get("orientation")) if "orientation" in fields else 1
    pages = int(image.get("n-pages")) if "n-pages" in fields else 1
    return _Opened(image, kind, _vips_mode(image, fields), orientation, pages)


def _open_tiff(path: Path, max_pixels: int, label: str) -> _Opened:
    import pyvips

    choice = tiff_reader.choose(path, label)
    _check_size(label, choice.width, choice.height, max_pixels)
    place = {"page": choice.page} | ({} if choice.subifd is None else {"subifd": choice.subifd})
    if choice.lab8 and choice.subifd is None:
        image, mode = _from_lab(_tiff_by_pillow(path, choice.page, label)), "LAB"
    else:
        image = pyvips.Image.tiffload(str(path), access="sequential", fail_on="error", **place)
        if choice.opaque and image.hasalpha():
            image = image.extract_band(0, n=_COLOURS.get(image.interpretation, 3))
        mode = _vips_mode(image, set(image.get_fields()))
    return _Opened(image, "tiff", mode, choice.orientation, choice.pages, choice.page)


def _tiff_by_pillow(path: Path, page: int, label: str) -> Image:
    from PIL.TiffImagePlugin import TiffImageFile

    try:
        picture = TiffImageFile(path)  # not Image.open, which has a limit of its own
        picture.seek(page)
        picture.load()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise Undecodable(_broken(label, error)) from error
    return picture


def _open_bmp(path: Path, max_pixels: int, label: str) -> _Opened:
    from PIL.BmpImagePlugin import BmpImageFile

    try:
        picture = BmpImageFile(path)
        _check_size(label, *picture.size, max_pixels)
        picture.load()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise Undecodable(_broken(label, error)) from error
    return _Opened(_from_pillow(picture, None), "bmp", picture.mode)


def _vips_mode(image: pyvips.Image, fields: set[str]) -> str:
    colour = {
        "b-w": "L",
        "grey16": "L",
        "srgb": "RGB",
        "rgb": "RGB",
        "rgb16": "RGB",
        "cmyk": "CMYK",
        "lab": "LAB",
        "labs": "LAB",
    }
    mode = "P" if "palette" in fields else colour.get(image.interpretation, image.interpretation.upper())
    if image.hasalpha() and mode != "P":
        mode += "A"
    depth = {"ushort": "16", "short": "16", "float": "32F", "double": "64F"}.get(image.format, "")
    return mode + depth


def _open_psd(path: Path, max_pixels: int, label: str) -> _Opened:
    """The composite that Photoshop stored, or one made from the layers when it stored none."""
    with path.open("rb") as file:
        head = file.read(26)
    if len(head) < 26:
        raise Undecodable(f"{label} is a PSD that ends inside its header: copy it again.")
    # Photoshop file format: signature, version, 6 reserved bytes, channels, rows, columns, depth, mode.
    _, version, channels, height, width, depth, mode = struct.unpack(">4sHxxxxxxHIIHH", head)
    _check_size(label, width, height, max_pixels)
    if not _psd_is_whole(path, version, channels * height, (width * depth + 7) // 8):
        raise Undecodable(
            f"{label} cannot be decoded (it ends inside its pixels): it is cut short, upload it again."
        )
    from psd_tools import PSDImage
    from psd_tools.compression import PSDDecompressionWarning
    from psd_tools.constants import Resource

    try:
        with warnings.catch_warnings():
            # psd-tools paints a channel that it cannot decode black and only warns.
            warnings.simplefilter("error", PSDDecompressionWarning)
            document = PSDImage.open(path)
            composite = document.composite(apply_icc=False)
            profile = document.image_resources.get_data(Resource.ICC_PROFILE)
    except Exception as error:  # psd-tools lets struct, index, value and decoder errors through
        raise Undecodable(_broken(label, error)) from error
    name = _PSD_MODES.get(mode, "RGB") + (str(depth) if depth > 8 else "")
    return _Opened(_from_pillow(composite, profile), "psd", name)


def _psd_is_whole(path: Path, version: int, rows: int, row_bytes: int) -> bool:
    """Whether a PSD holds the bytes of its stored composite, which psd-tools fills up with black.

    The composite is the last of five sections; its rows are raw, or packed with a table of their lengths in front
    (Adobe Photoshop File Formats Specification, Image Data Section). Zipped ones psd-tools notices itself.
    """
    import numpy as np

    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(26)
        for length in (4, 4, 8 if version == 2 else 4):
            file.seek(min(int.from_bytes(file.read(length), "big"), size), 1)
        compression = file.read(2)
        if compression == b"\0\1":
            count = np.dtype(">u4" if version == 2 else ">u2")
            table = file.read(rows * count.itemsize)
            needed = int(np.frombuffer(table[: len(table) // count.itemsize * count.itemsize], count).sum())
            return len(table) == rows * count.itemsize and file.tell() + needed <= size
        return len(compression) == 2 and (compression != b"\0\0" or file.tell() + rows * row_bytes <= size)


def _open_heic(path: Path, max_pixels: int, label: str) -> _Opened:
    """HEVC pictures need pillow-heif: the libvips wheel is built without that decoder."""
    import pillow_heif

    try:
        container = pillow_heif.open_heif(path)
        primary = container[container.primary_index]
        _check_size(label, *primary.size, max_pixels)
        picture = primary.to_pillow()
    except BadInput:
        raise
    except Exception as error:  # pillow-heif raises ValueError, EOFError, RuntimeError, SyntaxError
        raise Undecodable(_broken(label, error)) from error
    # libheif has applied the rotation of the container already; an EXIF orientation beside it must not be
    # applied again (HEIF, ISO/IEC 23008-12, 6.5.10).
    profile = primary.info.get("icc_profile")
    stored = profile if isinstance(profile, bytes) else None
    return _Opened(_from_pillow(picture, stored), "heic", str(picture.mode), 1, len(container))


def _from_pillow(picture: Any, profile: bytes | None) -> pyvips.Image:
    import numpy as np
    import pyvips

    if picture.mode == "LAB":
        return _from_lab(picture)
    if picture.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    array = np.asarray(picture)
    image = pyvips.Image.new_from_array(array if array.ndim == 3 else array[..., None])
    image = image.copy(interpretation={"L": "b-w", "LA": "b-w", "CMYK": "cmyk"}.get(picture.mode, "srgb"))
    if profile:
        image = image.copy()
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def _from_lab(picture: Image) -> pyvips.Image:
    """A picture of Pillow's mode LAB: L* from 0 to 255, a* and b* as signed bytes (TIFF 6.0, section 23)."""
    import numpy as np
    import pyvips

    stored = np.asarray(picture)
    lightness = pyvips.Image.new_from_array(np.ascontiguousarray(stored[..., :1])) * (100 / 255)
    chroma = pyvips.Image.new_from_array(np.ascontiguousarray(stored[..., 1:]).view(np.int8))
    return lightness.bandjoin(chroma).cast("float").copy(interpretation="lab")


def _to_srgb(image: pyvips.Image) -> pyvips.Image:
    """Colours to 8-bit sRGB, alpha to 8 bit beside them."""
    alpha = None
    if image.hasalpha():
        # A TIFF may carry more channels behind its alpha (saved selections, spot colours): they show nothing.
        colours = _COLOURS.get(image.interpretation, 3)
        alpha, image = image[colours], image.extract_band(0, n=colours)
        if alpha.format == "ushort":
            alpha = (alpha >> 8).cast("uchar")
        elif alpha.format != "uchar":
            alpha = alpha.cast("uchar")
    if image.interpretation in ("lab", "labs"):
        # CIELab under D50, as every program stores it; a profile beside it says nothing more.
        colour = image.colourspace("lab").icc_export(
            output_profile="srgb", intent="relative", black_point_compensation=True, depth=8
        )
        return _joined(colour, alpha)
    profile = _usable_profile(image)
    if profile is not None or image.interpretation == "cmyk":
        colour = image.icc_transform(
            "srgb", embedded=profile is not None, input_profile="cmyk", intent="relative",
            black_point_compensation=True, depth=8,
        )  # fmt: skip
    else:
        colour = image.colourspace("srgb")
    return _joined(colour, alpha)


def _joined(colour: pyvips.Image, alpha: pyvips.Image | None) -> pyvips.Image:
    colour = colour.cast("uchar").copy(interpretation="srgb")
    return colour if alpha is None else colour.bandjoin(alpha)


def _usable_profile(image: pyvips.Image) -> bytes | None:
    """The embedded profile when it fits the picture and changes anything; None when sRGB already.

    A grey picture with a colour profile (a common slip of exporters) is read as plain grey. A profile that
    moves no colour of a coarse grid by more than one step is sRGB under some name: its pixels stay as they
    are, so a picture that passes through here twice is not rounded twice.
    """
    if "icc-profile-data" not in image.get_fields():
        return None
    profile = bytes(image.get("icc-profile-data"))
    space = {"b-w": b"GRAY", "grey16": b"GRAY", "cmyk": b"CMYK"}.get(image.interpretation, b"RGB ")
    if profile[16:20] != space:
        return None
    if space != b"RGB ":
        return profile
    import numpy as np
    import pyvips

    steps = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    probe_image = pyvips.Image.new_from_array(grid).copy(interpretation="srgb")
    probe_image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    moved = probe_image.icc_transform("srgb", embedded=True, intent="relative", black_point_compensation=True)
    largest = np.abs(moved.numpy().astype(int) - grid).max()
    return profile if largest > 1 else None


def _profile_name(image: pyvips.Image) -> str | None:
    if "icc-profile-data" not in image.get_fields():
        return None
    from io import BytesIO

    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(bytes(image.get("icc-profile-data"))))
        return ImageCms.getProfileDescription(profile).strip() or "unnamed profile"
    except (OSError, ImageCms.PyCMSError):
        return "unreadable profile"


def _broken(label: str, error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1].rstrip(".") if lines else type(error).__name__
    return f"{label} cannot be decoded ({reason}): it is damaged or cut short, upload it again."
