"""Our own cut-out for pictures taken in a studio: a part in front of a smooth, empty backdrop.

The steps are in their own modules: a first estimate from colours and edges (`regions` and its helpers,
called through `second`), two small networks that take it as an input and predict the share of part in each pixel
(`network`), and soft edges (`matting`); this module calls them in order. The same picture always gives the same
bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from crown.product_images.cutout.studio import (
    backdrop as studio_backdrop,
)
from crown.product_images.cutout.studio import (
    matting,
)
from crown.product_images.cutout.studio import (
    network as studio_network,
)
from crown.product_images.cutout.studio import (
    second as studio_second,
)

WORK_PIXELS = 1_000_000
"""Size at which the network looks at the window around the part; the outline is decided there."""
SMALL_PIXELS = 400_000
"""A smaller window is enlarged to this, at most to twice its sides: a pixel of a tiny part is much of it."""
SECOND = 0.1
"""What it costs in steadiness when the rules alone see quite another part."""
FAINT = 0.3
"""How likely a pixel must be part to be looked at more closely."""
_SMALLEST_WINDOW = 256

_Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class Cut:
    """Result.

    `alpha`, H x W uint8; `steadiness`, 0 to 1, the overlap with the true part to be expected if each pixel is part as
    likely as the network says, a little less where the rules alone see another part.
    """

    alpha: np.ndarray
    steadiness: float


def cut_out(rgb: np.ndarray) -> np.ndarray:
    """Cut a part out of its backdrop.

    Args:
        rgb: H x W x 3 uint8, sRGB.

    Returns:
        Alpha, H x W uint8: 0 backdrop, 255 part, mixed along the outline. All 0 when nothing differs.
    """
    return analyse(rgb).alpha


def analyse(rgb: np.ndarray) -> Cut:
    """As `cut_out`, with what triage wants to know."""
    height, width = rgb.shape[:2]
    alpha = np.zeros((height, width), np.uint8)
    far = _far(_working(rgb, studio_network.COARSE_PIXELS))
    whole = (0, height, 0, width)
    window = _window(np.maximum(far.share, far.second.mask), height, width)
    picture, near = _near(rgb, window, far)
    if window != whole and _leaves(near > 0.5, window, whole):
        # A wire too thin for the first look runs out of the window.
        window = whole
        picture, near = _near(rgb, window, far)
    mask = studio_second.tidy(near > 0.5)
    if not mask.any():
        return Cut(alpha, 0.0)
    light = matting.linear(picture)
    alpha[_slices(window)] = matting.matte(rgb[_slices(window)], mask, near, light)
    agreed = _agreement(far.second.mask, _reduced(alpha, far.share))
    return Cut(alpha, _expected(near, mask) * (1 - SECOND * (1 - agreed)))


# --- the looks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Far:
    """The look at the whole frame: how likely each pixel is part, and the opinion without the network."""

    share: np.ndarray
    second: studio_second.Opinion


def _far(picture: np.ndarray) -> _Far:
    second = studio_second.opinion(picture)
    lab = studio_backdrop.to_lab(picture)
    return _Far(studio_network.coarse(lab, second.field, second.share), second)


def _near(rgb: np.ndarray, window: _Window, far: _Far) -> tuple[np.ndarray, np.ndarray]:
    """The window at a working size, and how much of each of its pixels is part.

    Enlarged, an outline is blurred over more pixels than the network is used to, and it sees too much of them as part
    (11 % of the part too much and 1 % too little in 32 tuning pictures enlarged twice): the share is raised to the
    power of the enlargement.
    """
    seen = _working(rgb[_slices(window)], WORK_PIXELS)
    picture = _enlarged(seen)
    field, share = (_carried(image, picture, window, rgb) for image in (far.second.field, far.share))
    near = studio_network.fine(studio_backdrop.to_lab(picture), field, share)
    return picture, near ** np.float32(picture.shape[0] / seen.shape[0])


# --- how far they agree ----------------------------------------------------------------------------------------


def _reduced(alpha: np.ndarray, like: np.ndarray) -> np.ndarray:
    rows, columns = like.shape[:2]
    return cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA) > 127


def _agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Overlap of two masks that forgives a pixel along the outline."""
    brush = np.ones((3, 3), np.uint8)
    a, b = first.astype(np.uint8), second.astype(np.uint8)
    apart = (first & ~(cv2.dilate(b, brush) > 0)) | (second & ~(cv2.dilate(a, brush) > 0))
    union = int((first | second).sum())
    return 1 - float(apart.sum()) / union if union else 1.0


def _expected(share: np.ndarray, mask: np.ndarray) -> float:
    """The overlap of a mask with the true part to be expected if each pixel is part as likely as `share` says."""
    either = float(mask.sum()) + float(share[~mask].sum())
    return float(share[mask].sum()) / either if either else 0.0


# --- windows and sizes -----------------------------------------------------------------------------------------


def _slices(window: _Window) -> tuple[slice, slice]:
    top, bottom, left, right = window
    return slice(top, bottom), slice(left, right)


def _leaves(mask: np.ndarray, window: _Window, whole: _Window) -> bool:
    """Whether the part touches a side of the window that is no side of the picture."""
    sides = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    return any(
        bool(side.any()) and inner != outer for side, inner, outer in zip(sides, window, whole, strict=True)
    )


def _working(rgb: np.ndarray, pixels: int) -> np.ndarray:
    """The picture made smaller, to about `pixels`; a small one as it is."""
    height, width = rgb.shape[:2]
    scale = (pixels / (height * width)) ** 0.5
    if scale > 0.95:
        return np.ascontiguousarray(rgb)
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """A small picture made larger, to about `SMALL_PIXELS`; a larger one as it is."""
    height, width = picture.shape[:2]
    scale = min(2.0, (SMALL_PIXELS / (height * width)) ** 0.5)
    if scale < 1.2:
        return picture
    return cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_CUBIC)


def _window(share: np.ndarray, height: int, width: int) -> _Window:
    """Where to look closer: the box of what may be part with a margin, in full-size pixels."""
    rows, columns = share.shape
    mask = studio_second.tidy(share > FAINT)
    if not mask.any():
        return 0, height, 0, width
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    margin = max(0.15 * (y[-1] - y[0]), 0.15 * (x[-1] - x[0]), 0.04 * max(rows, columns))
    top, bottom = _span((y[0] - margin) / rows, (y[-1] + 1 + margin) / rows, height)
    left, right = _span((x[0] - margin) / columns, (x[-1] + 1 + margin) / columns, width)
    return top, bottom, left, right


def _span(first: float, last: float, length: int) -> tuple[int, int]:
    """From shares of a side to its pixels, at least `_SMALLEST_WINDOW` of them where there are as many."""
    low, high = first * length, last * length
    missing = max(0.0, min(_SMALLEST_WINDOW, length) - (high - low))
    low, high = low - missing / 2, high + missing / 2
    return max(0, int(low)), min(length, int(np.ceil(high)))


def _carried(image: np.ndarray, picture: np.ndarray, window: _Window, rgb: np.ndarray) -> np.ndarray:
    """A piece of what was computed for the whole frame, in the size of the picture of the window."""
    (height, width), (rows, columns) = rgb.shape[:2], image.shape[:2]
    top, bottom, left, right = window
    y = top + (np.arange(picture.shape[0], dtype=np.float32) + 0.5) * (bottom - top) / picture.shape[0]
    x = left + (np.arange(picture.shape[1], dtype=np.float32) + 0.5) * (right - left) / picture.shape[1]
    map_x, map_y = np.meshgrid(x * columns / width - 0.5, y * rows / height - 0.5)
    return cv2.remap(
        image,
        map_x.astype(np.float32),
        map_y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
