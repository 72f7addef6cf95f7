"""Our own cut-out for pictures taken in a studio: a part in front of a smooth, empty backdrop.

Needs no weights and no network. The steps stand in their own modules: the backdrop (`studio_backdrop`), part or
backdrop by regions (`studio_regions`), holes (`studio_holes`), soft edges (`studio_matting`); here is their order.
The same picture always gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from crown.product_images import (
    studio_backdrop,
    studio_holes,
    studio_matting,
    studio_outline,
    studio_regions,
)

FIRST_PIXELS = 400_000
"""Size at which the whole frame is looked at, to find where the part lies."""
WORK_PIXELS = 1_000_000
"""Size at which that window is looked at, and everything but the soft edge decided."""
_LARGEST_ZOOM = 2.5


@dataclass(frozen=True)
class Cut:
    """Result: `alpha` H x W uint8; `steadiness`, the overlap (0 to 1) that remains when prices are varied."""

    alpha: np.ndarray
    steadiness: float


@dataclass(frozen=True)
class _Look:
    """One look at a working picture: its picture in linear light, its mask, and how steady the mask is."""

    light: np.ndarray
    mask: np.ndarray
    steadiness: float


class _Scene:
    """What the steps of one look share: the picture, its texture, its regions and their means."""

    def __init__(
        self, lab: np.ndarray, rough: np.ndarray, regions: studio_regions.Regions, calm: float
    ) -> None:
        self.lab, self.rough, self.regions, self.calm = lab, rough, regions, calm
        self.means = studio_regions.colours_of(regions, lab)
        self.roughness = studio_regions.mean_of(regions, rough)


def cut_out(rgb: np.ndarray) -> np.ndarray:
    """Cut a part out of its backdrop.

    Args:
        rgb: H x W x 3 uint8, sRGB.

    Returns:
        Alpha, H x W uint8: 0 backdrop, 255 part, mixed along the outline. All 0 when nothing stands out.
    """
    return analyse(rgb).alpha


def analyse(rgb: np.ndarray) -> Cut:
    """As `cut_out`, with what triage wants to know."""
    height, width = rgb.shape[:2]
    alpha = np.zeros((height, width), np.uint8)
    first = _look(_working(rgb, FIRST_PIXELS))
    whole = (0, height, 0, width)
    window = _window(first.mask, height, width) if first.mask.any() else whole
    second = _look(_working(rgb[_slices(window)], WORK_PIXELS))
    if window != whole and _leaves(second.mask, window, whole):
        # A wire too thin for the first look runs out of the window.
        window = whole
        second = _look(_working(rgb, WORK_PIXELS))
    if not second.mask.any():
        return Cut(alpha, 0.0)
    alpha[_slices(window)] = studio_matting.matte(rgb[_slices(window)], second.mask, second.light)
    rows, columns = first.mask.shape
    seen = cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA) > 127
    return Cut(alpha, min(second.steadiness, _agreement(first.mask, seen)))


def _agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Overlap of two masks that forgives a pixel along the outline."""
    brush = np.ones((3, 3), np.uint8)
    a, b = first.astype(np.uint8), second.astype(np.uint8)
    apart = (first & ~(cv2.dilate(b, brush) > 0)) | (second & ~(cv2.dilate(a, brush) > 0))
    union = int((first | second).sum())
    return 1 - float(apart.sum()) / union if union else 1.0


_Window = tuple[int, int, int, int]


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
    height, width = rgb.shape[:2]
    scale = min((pixels / (height * width)) ** 0.5, _LARGEST_ZOOM)
    if 0.95 < scale < 1.05:
        return np.ascontiguousarray(rgb)
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _window(mask: np.ndarray, height: int, width: int) -> _Window:
    """Where to look closer: the box of the part with a margin, in full-size pixels."""
    rows, columns = mask.shape
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    margin = max(0.2 * (y[-1] - y[0]), 0.2 * (x[-1] - x[0]), 0.04 * max(rows, columns))
    top, bottom = max(0.0, y[0] - margin) / rows, min(float(rows), y[-1] + 1 + margin) / rows
    left, right = max(0.0, x[0] - margin) / columns, min(float(columns), x[-1] + 1 + margin) / columns
    return int(top * height), int(np.ceil(bottom * height)), int(left * width), int(np.ceil(right * width))


def _look(picture: np.ndarray) -> _Look:
    lab = studio_backdrop.to_lab(picture)
    sharp = studio_regions.sharpness(lab)
    backdrop = studio_backdrop.fit(lab, sharp)
    calm = studio_regions.calmness(sharp, backdrop.sure)
    lightness, chroma = studio_backdrop.unexplained(lab, backdrop.field)
    difference = np.hypot(lightness, studio_regions.CHROMA * chroma)
    noise = float(np.quantile(difference[backdrop.sure], 0.98))
    regions = studio_regions.split(lab, difference, sharp, 4 + noise)
    scene = _Scene(lab, studio_regions.texture(lab, backdrop.sure), regions, calm)
    lean = studio_regions.leaning(regions, scene.means, backdrop, scene.roughness)
    settled = [_settle(scene, lean, price, rounds) for price, rounds in ((8.0, 3), (3.0, 1), (20.0, 1))]
    masks, close = [mask for mask, _ in settled], settled[0][1]
    steadiness = min(_overlap(masks[0], masks[1]), _overlap(masks[0], masks[2]))
    steadiness = min(steadiness, 1 - min(1.0, close / max(int(masks[0].sum()), 1)))
    near, _ = studio_backdrop.refit(lab, cv2.dilate(masks[0].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    light = studio_matting.linear(picture)
    mask = studio_outline.shave(light, studio_outline.snap(lab, masks[0], near, sharp, calm))
    return _Look(light, _tidy(mask), steadiness)


def _settle(scene: _Scene, lean: np.ndarray, price: float, rounds: int) -> tuple[np.ndarray, int]:
    """First the silhouette, then in a few rounds what within it is backdrop after all.

    Returns the mask, and the most pixels that any round decided closely.
    """
    closest = 0
    regions = scene.regions
    part = studio_regions.minimum_cut(regions, lean, scene.calm, price)
    mask = part[regions.labels]
    for _ in range(rounds):
        if not part.any():
            break
        rim = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        near, lit = studio_backdrop.refit(scene.lab, rim)
        expected, brightest = (
            studio_regions.colours_of(regions, near),
            studio_regions.colours_of(regions, lit),
        )
        again = studio_regions.releaning(scene.means, expected, brightest, scene.roughness)
        kept = studio_regions.minimum_cut(regions, again, scene.calm, price * 0.6, within=part)
        opened, close = studio_holes.accepted(scene.lab, near, lit, scene.rough, mask, kept[regions.labels])
        mask, closest = mask & ~opened, max(closest, close)
        part = part & (studio_regions.mean_of(regions, mask.astype(np.float32)) > 0.5)
    return _tidy(mask), closest


def _tidy(mask: np.ndarray) -> np.ndarray:
    """Without specks of dust, and without pin holes."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count > 1:
        area = stats[:, cv2.CC_STAT_AREA].copy()
        area[0] = 0
        mask = (area >= max(12, 0.004 * int(area.max())))[labels]
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < 6
    return mask | small[labels] if count > 1 else mask


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union."""
    union = int((first | second).sum())
    return float((first & second).sum()) / union if union else 1.0
