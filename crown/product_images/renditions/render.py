"""Makes the output pictures of a master with libvips: same master, same spec, same bytes.

Belongs here: geometry, resizing, flattening, overlays, encoding. Does not: which specs exist (`specs.py`), the
texts in the files (`tags.py`), final names and folders (the caller gives a temporary path for each output).

How the colours are treated: an RGB output is flattened on its background first and then resized, which is the
same sum as resizing with premultiplied alpha and flattening afterwards; an RGBA output is resized premultiplied.
Both are done on the sRGB values as they are (no linear light), as the programs people compare with do, with
lanczos3 unless the spec says mitchell. Nothing an output contains depends on which other outputs are made in the same call.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crown.errors import BadInput, ConfigurationError, PermanentFailure, SystemicFailure
from crown.pictures.decoding import open_picture
from crown.product_images.renditions.specs import (
    Kernel,
    Overlay,
    Position,
    Spec,
    read_overlay,
)

if TYPE_CHECKING:
    import pyvips

MAX_PIXELS = 268_435_456
"""Masters above 16384 x 16384 are refused from their header; the intake has its own, lower limit."""

_Background = tuple[int, int, int] | None
_Form = tuple[_Background, tuple[int, int], Kernel]
_DISK_TROUBLE = ("No space left on device", "File too large", "Disk quota exceeded", "Input/output error")


@dataclass(frozen=True)
class Layout:
    """Where the picture is on the finished file, all in pixels."""

    picture: tuple[int, int]
    canvas: tuple[int, int]
    offset: tuple[int, int]


def layout(spec: Spec, width: int, height: int) -> Layout:
    """The geometry of an output, from the spec and the size of the trimmed master alone.

    The picture keeps its proportions, fits the spec's box or longest side and the canvas, less the border when
    the padding is inside, and is centred. It is made larger than the master only when the spec says so.
    """
    bounds = _bounds(spec)
    scale = min(
        (bound / side for bound, side in zip(bounds, (width, height), strict=True) if bound), default=1.0
    )
    if not spec.enlarge:
        scale = min(scale, 1.0)
    picture = [max(1, round(side * scale)) for side in (width, height)]
    picture = [min(side, bound) if bound else side for side, bound in zip(picture, bounds, strict=True)]
    canvas = [_finished_side(spec, axis, side) for axis, side in enumerate(picture)]
    offset = [(whole - side) // 2 for whole, side in zip(canvas, picture, strict=True)]
    return Layout((picture[0], picture[1]), (canvas[0], canvas[1]), (offset[0], offset[1]))


def _bounds(spec: Spec) -> tuple[int | None, int | None]:
    """The most the picture may take on each axis; None where nothing limits it."""
    bounds: list[int | None] = []
    for axis in (0, 1):
        inner = 2 * spec.border[axis] if spec.padding == "inside" else 0
        limits = []
        if spec.canvas is not None:
            limits.append(spec.canvas[axis] - inner)
        if spec.fit is not None:
            limit = spec.fit.longest or (spec.fit.box or (0, 0))[axis]
            # With a canvas the border is taken off the canvas, and the box names the picture itself.
            limits.append(limit if spec.canvas is not None else limit - inner)
        bounds.append(min(limits) if limits else None)
    return bounds[0], bounds[1]


def _finished_side(spec: Spec, axis: int, picture: int) -> int:
    border = 2 * spec.border[axis]
    if spec.canvas is None:
        return picture + border
    return spec.canvas[axis] + (border if spec.padding == "outside" else 0)


def render(
    master: Path,
    targets: Sequence[tuple[Spec, Path]],
    *,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> list[dict[str, Any]]:
    """Decodes a master once and makes its outputs.

    Args:
        master: the approved picture; transparent margins are trimmed, its colours converted to sRGB.
        targets: a spec and the temporary path of its output, each; existing files there are overwritten.
        max_pixels: a larger master is refused from its header.
        name: what people call the picture, when the file has another name (a stored object).

    Returns:
        For each target in order: `spec`, `path`, `width`, `height`, `bytes`, `sha256`, and of the trimmed master
        `source_longest_side`, in pixels.

    Raises:
        BadInput: the master cannot be read, or shows nothing.
        ConfigurationError: an icon or watermark cannot be read.
        SystemicFailure: an output cannot be written; what was begun of it is removed.
        PermanentFailure: libvips cannot make an output for another reason.
    """
    label = name or master.name
    picture = trimmed(open_picture(master, max_pixels, name=label), label)
    studio = _Studio(picture, [spec for spec, _ in targets])
    made = []
    for spec, path in targets:
        finished = _compose(spec, studio)
        _encode(finished, spec, path)
        digest = hashlib.sha256()
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
            size = file.tell()
        made.append(
            {
                "spec": spec.name,
                "path": str(path),
                "width": finished.width,
                "height": finished.height,
                "bytes": size,
                "sha256": digest.hexdigest(),
                "source_longest_side": max(studio.picture.width, studio.picture.height),
            }
        )
    return made


class _Studio:
    """The decoded master in the forms that several outputs share, each made once and held in memory.

    Sharing changes no byte: a form is a function of the master, background, size and kernel alone.
    """

    def __init__(self, picture: pyvips.Image, specs: Sequence[Spec]) -> None:
        self.picture = picture
        self._flat: dict[_Background, pyvips.Image] = {}
        self._resized: dict[_Form, pyvips.Image] = {}
        self._forms = Counter(self._form(spec) for spec in specs)
        self._backgrounds = Counter(background for background, _, _ in self._forms if background)

    def place(self, spec: Spec) -> Layout:
        """The geometry of an output of this master."""
        return layout(spec, self.picture.width, self.picture.height)

    def resized(self, spec: Spec) -> pyvips.Image:
        """The picture of an output at its size: RGB on the spec's background, or RGBA."""
        form = self._form(spec)
        if form not in self._resized:
            background, size, kernel = form
            image = (
                _resize(self._on(background), size, kernel)
                if background
                else _resize_transparent(self._cut_out(), size, kernel)
            )
            if self._forms[form] > 1 and size != (self.picture.width, self.picture.height):
                image = image.copy_memory()
            self._resized[form] = image
        return self._resized[form]

    def _form(self, spec: Spec) -> _Form:
        return (spec.background if spec.mode == "RGB" else None), self.place(spec).picture, spec.kernel

    def _on(self, background: tuple[int, int, int]) -> pyvips.Image:
        if not self.picture.hasalpha():
            return self.picture
        if background not in self._flat:
            flat = self.picture.flatten(background=list(background))
            self._flat[background] = flat.copy_memory() if self._backgrounds[background] > 1 else flat
        return self._flat[background]

    def _cut_out(self) -> pyvips.Image:
        return self.picture if self.picture.hasalpha() else self.picture.addalpha()


def trimmed(picture: pyvips.Image, name: str) -> pyvips.Image:
    """Without the fully transparent margins; a picture without alpha stays as it is."""
    if not picture.hasalpha():
        return picture
    left, top, width, height = picture[picture.bands - 1].find_trim(
        threshold=0, background=[0], line_art=True
    )
    if not width or not height:
        raise BadInput(
            f"{name} is transparent everywhere: there is nothing to make a picture of; cut it out again."
        )
    return picture.crop(left, top, width, height)


def _compose(spec: Spec, studio: _Studio) -> pyvips.Image:
    place = studio.place(spec)
    image = studio.resized(spec)
    background = [float(value) for value in spec.background or (0, 0, 0, 0)]
    if place.canvas != place.picture:
        image = image.embed(*place.offset, *place.canvas, extend="background", background=background)
    for key, overlay, path in spec.overlays():
        image = _composite(image, overlay, read_overlay(spec, key, path), f"the {key} {path}")
    per_mm = spec.dpi / 25.4
    return image.copy(xres=per_mm, yres=per_mm)


def _resize(image: pyvips.Image, size: tuple[int, int], kernel: Kernel) -> pyvips.Image:
    if size == (image.width, image.height):
        return image
    return image.resize(size[0] / image.width, vscale=size[1] / image.height, kernel=kernel)


def _resize_transparent(image: pyvips.Image, size: tuple[int, int], kernel: Kernel) -> pyvips.Image:
    if size == (image.width, image.height):
        return image
    return _resize(image.premultiply(), size, kernel).unpremultiply().cast("uchar")


def _composite(image: pyvips.Image, overlay: Overlay, data: bytes, label: str) -> pyvips.Image:
    """Composites an overlay, scaled and positioned relative to the whole finished picture."""
    import pyvips

    try:
        # Decoded here and whole: of a truncated file libvips would use what there is.
        mark = pyvips.Image.new_from_buffer(data, "", fail_on="error").colourspace("srgb").cast("uchar")
        mark = mark.copy_memory()
    except pyvips.Error as error:
        raise ConfigurationError(
            f"{label} is not a picture libvips can read whole; put a PNG there."
        ) from error
    mark = mark if mark.hasalpha() else mark.addalpha()
    workspace = [
        max(1, whole - (0 if overlay.position == "centre" else gap))
        for whole, gap in zip((image.width, image.height), overlay.offset, strict=True)
    ]
    box = [overlay.scale * whole for whole in (image.width, image.height)] if overlay.scale else workspace
    scale = min(box[0] / mark.width, box[1] / mark.height)
    if overlay.scale is None:
        scale = min(scale, 1.0)
    size = (max(1, round(mark.width * scale)), max(1, round(mark.height * scale)))
    mark = _resize_transparent(mark, size, "lanczos3")
    if overlay.opacity < 1:
        mark = (mark * [1, 1, 1, overlay.opacity]).cast("uchar")
    x, y = corner(overlay.position, overlay.offset, size, (image.width, image.height))
    # Only the covered part is composited: compositing rounds half transparent pixels, the rest stays as it is.
    left, top = max(x, 0), max(y, 0)
    width, height = min(x + size[0], image.width) - left, min(y + size[1], image.height) - top
    if width < 1 or height < 1:
        raise PermanentFailure(
            f"{label} is outside this picture of {image.width} x {image.height}; make its offset smaller, or give a"
            " larger photo."
        )
    under = image.crop(left, top, width, height)
    over = mark.copy(interpretation="srgb").crop(left - x, top - y, width, height)
    laid = under.composite2(over, "over").extract_band(0, n=image.bands).cast("uchar")
    return image.insert(laid, left, top)


def corner(
    position: Position, offset: tuple[int, int], size: tuple[int, int], whole: tuple[int, int]
) -> tuple[int, int]:
    """The upper left corner of an overlay of `size` on a picture of `whole`, in pixels.

    The offset is kept from the edges the position names; along an axis it does not name, it is centred.
    """
    x = (whole[0] - size[0]) // 2
    y = (whole[1] - size[1]) // 2
    if "left" in position:
        x = offset[0]
    if "right" in position:
        x = whole[0] - size[0] - offset[0]
    if "top" in position:
        y = offset[1]
    if "bottom" in position:
        y = whole[1] - size[1] - offset[1]
    return x, y


def _encoder_options(spec: Spec) -> dict[str, Any]:
    """Options of libvips' savers; `keep` leaves nothing of the master's own metadata in.

    PNG level 5 with all filters comes within a few percent of the size of level 6 in two thirds of its time on
    photographs (level 4 saves little more and grows to 12 % on smooth pictures); LZW with the horizontal
    predictor halves a TIFF and costs nothing. `benchmarks/bench_images.py` prints sizes and times.
    """
    options: dict[str, Any] = {"keep": "icc", "profile": "srgb"}
    if spec.format == "jpeg":
        return options | {"Q": spec.quality, "interlace": spec.progressive, "optimize_coding": True}
    if spec.format == "png":
        return options | {"compression": 5, "filter": "all", "interlace": False}
    return options | {"compression": spec.compression, "predictor": "horizontal"}


def _encode(image: pyvips.Image, spec: Spec, path: Path) -> None:
    import pyvips

    options = _encoder_options(spec)
    try:
        if spec.format == "jpeg":
            path.write_bytes(_with_jfif(image.jpegsave_buffer(**options), spec.dpi))
        else:
            saver = {"png": image.pngsave, "tiff": image.tiffsave}[spec.format]
            saver(str(path), **options)
    except (pyvips.Error, OSError) as error:
        path.unlink(missing_ok=True)
        what = str(error).strip()
        if isinstance(error, OSError) or any(word in what for word in _DISK_TROUBLE):
            raise SystemicFailure(
                f"{path} cannot be written: {what}; free disk space and run again."
            ) from error
        raise PermanentFailure(f"{spec.name} cannot be made: {what}.") from error


def _with_jfif(jpeg: bytes, dpi: int) -> bytes:
    """With the JFIF segment (ITU-T T.871), where readers look for the resolution; libvips writes none."""
    segment = b"JFIF\0" + struct.pack(">BBBHHBB", 1, 2, 1, dpi, dpi, 0, 0)
    return jpeg[:2] + struct.pack(">HH", 0xFFE0, len(segment) + 2) + segment + jpeg[2:]
