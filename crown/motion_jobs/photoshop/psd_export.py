"""Pictures out of a Photoshop file: each layer as PNG with a thumbnail, the flat preview, smart objects.

The embedded preview is exact. A composite that is worked out here is approximate (no layer effects, no text
drawing) and takes several times the file's size in memory, so it runs in a child process with a limit.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
import subprocess
import sys
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from psd_tools import PSDImage
from psd_tools.constants import ChannelID

from crown.errors import BadInput
from crown.motion_jobs.photoshop.psd_file import (
    DAMAGE,
    PsdLimits,
    layer_ids,
    open_psd,
)

_NO_PIXELS = ("group", "artboard")


@dataclass(frozen=True, slots=True)
class LayerImage:
    """The PNG of one layer, as large as the layer itself, and its thumbnail."""

    layer_id: int
    name: str
    image: Path
    thumbnail: Path
    width: int
    height: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SkippedLayer:
    """A layer without a picture of its own, and why."""

    layer_id: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class PsdExport:
    """What was written, and every layer for which nothing could be written."""

    images: tuple[LayerImage, ...]
    skipped: tuple[SkippedLayer, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """A flat picture of the document. `approximate` is true when it was not made by Photoshop."""

    image: Path
    width: int
    height: int
    approximate: bool


def export_layers(
    path: Path, folder: Path, limits: PsdLimits | None = None, thumbnail_side: int = 200
) -> PsdExport:
    """Write each layer's pixels as `<id>_<name>.png` below the folder, and a thumbnail beside it.

    A layer that cannot be decoded is skipped with its reason; the others are written.

    Raises:
        BadInput: The file cannot be read.
    """
    return export_opened(open_psd(path, limits), path, folder, thumbnail_side)


def export_opened(psd: PSDImage, path: Path, folder: Path, thumbnail_side: int = 200) -> PsdExport:
    """`export_layers` of an open file.

    Raises:
        BadInput: its layers are damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images: list[LayerImage] = []
    skipped: list[SkippedLayer] = []
    try:
        ids = layer_ids(psd)
        layers = [layer for layer in psd.descendants() if layer.kind not in _NO_PIXELS]
    except DAMAGE as error:
        raise BadInput(f"{path.name} has damaged layers ({type(error).__name__}). Save it again.") from None
    for layer in layers:
        layer_id, name = ids[id(layer)], str(layer.name)
        try:
            picture = _pixels(layer)
        except DAMAGE as error:
            reason = f"its pixels are damaged ({type(error).__name__}: {str(error)[:80]})"
            skipped.append(SkippedLayer(layer_id, name, reason))
            continue
        if picture is None:
            skipped.append(SkippedLayer(layer_id, name, f"a layer of kind {layer.kind} holds no pixels"))
            continue
        images.append(_write(picture, layer_id, name, folder, thumbnail_side))
    return PsdExport(tuple(images), tuple(skipped))


def embedded_preview(path: Path, target: Path, limits: PsdLimits | None = None) -> Preview:
    """Write the flat picture that Photoshop saved in the file as PNG.

    Raises:
        BadInput: The file cannot be read, or was saved without 'Maximize Compatibility'.
    """
    return preview_opened(open_psd(path, limits), path, target)


def preview_opened(psd: PSDImage, path: Path, target: Path) -> Preview:
    """`embedded_preview` of an open file.

    Raises:
        BadInput: it holds no flat picture that can be read.
    """
    if not psd.has_preview():
        raise BadInput(
            f"{path.name} holds no flat picture. Save it with 'Maximize Compatibility', or ask for a composite."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = psd.topil()
    except DAMAGE as error:
        raise BadInput(f"The flat picture of {path.name} is damaged ({type(error).__name__}).") from None
    if picture is None:
        raise BadInput(f"The flat picture of {path.name} has a colour mode that cannot be converted.")
    _save(picture if picture.mode in ("RGB", "RGBA", "L", "LA") else picture.convert("RGB"), target)
    return Preview(target, picture.width, picture.height, approximate=False)


def approximate_composite(
    path: Path, target: Path, memory_bytes: int = 4 * 1024**3, timeout_seconds: float = 120
) -> Preview:
    """Work the flat picture out from the layers, in a child process with a memory and time limit.

    Raises:
        BadInput: The child ran out of memory or time, or the file cannot be composed.
    """
    command = [sys.executable, "-m", __name__, str(path), str(target), str(memory_bytes)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        raise BadInput(
            f"{path.name} could not be composed within {timeout_seconds:.0f} s. Save it with "
            "'Maximize Compatibility', so that its own flat picture is used."
        ) from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1][:200]
        raise BadInput(
            f"{path.name} could not be composed within {memory_bytes / 1e9:.1f} GB ({reason}). Save it with "
            "'Maximize Compatibility', so that its own flat picture is used."
        )
    with Image.open(target) as picture:
        return Preview(target, picture.width, picture.height, approximate=True)


def extract_smart_object(path: Path, layer_id: int, folder: Path, limits: PsdLimits | None = None) -> Path:
    """Write the file embedded in a smart object below the folder, under the layer's id and its own name.

    Raises:
        BadInput: There is no such layer, it is no smart object, or its file is outside the PSD.
    """
    psd = open_psd(path, limits)
    ids = layer_ids(psd)
    layer: Any = next((layer for layer in psd.descendants() if ids[id(layer)] == layer_id), None)
    if layer is None or layer.kind != "smartobject":
        raise BadInput(f"{path.name} has no smart object with the layer id {layer_id}.")
    placed = layer.smart_object
    if placed.kind != "data":
        raise BadInput(
            f"The smart object {layer.name!r} of {path.name} is linked to {placed.filename!r}, outside the file. "
            "Embed it in Photoshop, or hand that file over too."
        )
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(placed.filename.replace("\\", "/")).name
    target = (
        folder / f"{layer_id}_{file_stem(Path(name).stem)}{re.sub(r'[^.A-Za-z0-9]', '', Path(name).suffix)}"
    )
    _replace(target, lambda part: part.write_bytes(placed.data))
    return target


def file_stem(name: str) -> str:
    """A layer's name as part of a file name: letters, digits, `_` and `-`, at most 60 of them."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_")[:60] or "layer"


def _pixels(layer: Any) -> Image.Image | None:
    if not layer.has_pixels():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = layer.topil()
        if picture is None:
            return None
        if picture.mode in ("RGB", "RGBA", "L", "LA"):
            return picture.convert("RGBA")
        alpha = layer.topil(channel=ChannelID.TRANSPARENCY_MASK)
        picture = picture.convert("RGB").convert("RGBA")
        if alpha is not None:
            picture.putalpha(alpha.convert("L"))
        return picture


def _write(picture: Image.Image, layer_id: int, name: str, folder: Path, side: int) -> LayerImage:
    stem = f"{layer_id}_{file_stem(name)}"
    image, thumbnail = folder / f"{stem}.png", folder / f"{stem}.thumb.png"
    _save(picture, image, level=3)
    small = picture.copy()
    small.thumbnail((side, side))
    centred = Image.new("RGBA", (side, side))
    centred.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    _save(centred, thumbnail)
    return LayerImage(
        layer_id,
        name,
        image,
        thumbnail,
        picture.width,
        picture.height,
        hashlib.sha256(image.read_bytes()).hexdigest(),
    )


def _save(picture: Image.Image, target: Path, level: int = 1) -> None:
    """Write a PNG; `level` of compression: what goes into packages is compressed more."""
    _replace(target, lambda part: picture.save(part, "PNG", compress_level=level))


def _replace(target: Path, write: Callable[[Path], object]) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _compose(path: Path, target: Path, memory_bytes: int) -> None:
    """What the child does."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    warnings.simplefilter("ignore")
    try:
        picture = open_psd(path).composite(force=True)
        _save(picture.convert("RGBA"), target)
    except BadInput as error:
        sys.exit(str(error))
    except DAMAGE as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    _compose(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
