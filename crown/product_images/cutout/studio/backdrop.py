"""The empty backdrop behind a part, estimated from the picture itself.

A studio backdrop is smooth: paper or cloth, lit unevenly, darkened by soft shadows. Here it is fitted robustly
from the border of the picture and carried inwards as a membrane over everything that is surely backdrop. Which
pixels are part is decided in `studio_regions`.

Colours are CIE L*a*b* (D65, L 0 to 100, float32). A shadow multiplies the light, and in L*a*b* that scales
(L + 16, a, b) by one common factor (CIE 15:2004, the cube-root branch): what is left after that scaling is a
difference of colour that no shadow explains.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

COARSE = 192
"""Long side, in pixels, of the grid on which the field is computed."""


@dataclass(frozen=True)
class Backdrop:
    """The estimate, in the size of the picture it was made from.

    Attributes:
        field: H x W x 3 L*a*b* of the backdrop as it would be seen without the part, soft shadows included.
        distance: H x W, how far the nearest sure backdrop is, as a share of the long side.
        sure: H x W, where the picture surely shows backdrop and no edge is near.
        agreement: Share of the picture's border that one smooth backdrop explains, 0 to 1.
    """

    field: np.ndarray
    distance: np.ndarray
    sure: np.ndarray
    agreement: float


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Convert sRGB uint8 to L*a*b* float32."""
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)


def unexplained(lab: np.ndarray, field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Difference from the backdrop: (lightness, chroma that no shadow explains), both H x W in L*a*b* units."""
    lightness = lab[..., 0] - field[..., 0]
    factor = shading(lab, field)
    chroma = np.hypot(lab[..., 1] - factor * field[..., 1], lab[..., 2] - factor * field[..., 2])
    return lightness, chroma


def shading(lab: np.ndarray, field: np.ndarray) -> np.ndarray:
    """The factor by which a shadow would have darkened the backdrop to what is seen, H x W.

    A surface that was fitted to the border may leave the range of L* where the part hides the backdrop.
    """
    return (lab[..., 0] + 16) / (np.maximum(field[..., 0], 0) + 16)


def fit(lab: np.ndarray, sharp: np.ndarray) -> Backdrop:
    """Estimate the backdrop.

    Args:
        lab: H x W x 3.
        sharp: H x W, how sharp an edge is at each pixel (`studio_regions.sharpness`).
    """
    height, width = lab.shape[:2]
    scale = COARSE / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cv2.resize(lab, size, interpolation=cv2.INTER_AREA)
    ring = _ring(small.shape[:2])
    surface, agreement = _surface(small, ring)
    spread = cv2.resize(_spread(sharp, height, width, size), size, interpolation=cv2.INTER_NEAREST)
    # Noise and the block borders of JPEG are measured where the border of the picture shows plain backdrop.
    plain = spread[ring & (_misfit(small, surface) < 6)]
    level = max(0.25, 1.1 * float(np.quantile(plain, 0.9)) if plain.size else 0.25)
    edges = _long(spread > level)
    for degree, tolerance in ((2, 10.0), (3, 8.0), (4, 6.0)):
        sure = _flood(small, surface, edges, ring, tolerance)
        surface = _polynomial(small, sure.astype(np.float32), degree)
    sure = _flood(small, surface, edges, ring, 6.0)
    field = surface + _membrane(small - surface, sure)
    field[..., 0] = np.clip(field[..., 0], 0, 100)
    far = cv2.distanceTransform((~sure).astype(np.uint8), cv2.DIST_L2, 5) / max(size)
    full = (width, height)
    return Backdrop(
        cv2.resize(field.astype(np.float32), full, interpolation=cv2.INTER_LINEAR),
        cv2.resize(far, full, interpolation=cv2.INTER_LINEAR),
        cv2.resize(sure.astype(np.uint8), full, interpolation=cv2.INTER_NEAREST) > 0,
        agreement,
    )


def refit(lab: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Carry the backdrop seen around a part across it, given where the part (and its rim) is.

    Returns:
        Two H x W x 3 fields: the backdrop as it looks close by, shadow included; and as it would be lit without
        a shadow. What is seen through a hole is between the two.
    """
    height, width = lab.shape[:2]
    scale = COARSE / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    clear = cv2.resize((~part).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    weighted = cv2.resize(lab * (~part)[..., None], size, interpolation=cv2.INTER_AREA)
    known = clear > 0.3
    values = weighted / np.maximum(clear, 0.3)[..., None]
    near = _membrane(values, known)
    lit = _lit(values, known)
    full = (width, height)
    return (
        cv2.resize(near, full, interpolation=cv2.INTER_LINEAR),
        cv2.resize(np.where(lit[..., :1] > near[..., :1], lit, near), full, interpolation=cv2.INTER_LINEAR),
    )


def _lit(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A smooth surface through the brighter part of what is known: what is below it is shadow."""
    weight = known.astype(np.float32)
    surface = _polynomial(values, weight, 2)
    for _ in range(4):
        below = np.maximum(surface[..., 0] - values[..., 0], 0)
        surface = _polynomial(values, weight / (1 + (below / 1.5) ** 2), 2)
    return surface.astype(np.float32)


def _spread(sharp: np.ndarray, height: int, width: int, size: tuple[int, int]) -> np.ndarray:
    """Largest value within each coarse cell and a bit around it, so that short gaps in an edge close."""
    reach = max(3, round(1.6 * max(height / size[1], width / size[0]))) | 1
    return cv2.dilate(sharp, np.ones((reach, reach), np.uint8))


def _long(edges: np.ndarray) -> np.ndarray:
    """Edges without the specks: an outline is long, noise and JPEG blocks are short."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(edges.astype(np.uint8), connectivity=8)
    extent = np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    extent[0] = 0
    return extent[labels] >= 6 if count > 1 else edges


def _ring(shape: tuple[int, int]) -> np.ndarray:
    ring = np.zeros(shape, bool)
    width = max(2, round(0.025 * max(shape)))
    ring[:width] = ring[-width:] = True
    ring[:, :width] = ring[:, -width:] = True
    return ring


def _basis(shape: tuple[int, int], degree: int) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return np.stack([x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)], axis=-1)


def _polynomial(small: np.ndarray, weight: np.ndarray, degree: int) -> np.ndarray:
    basis = _basis(small.shape[:2], degree)
    flat = basis.reshape(-1, basis.shape[-1])
    w = weight.reshape(-1, 1)
    # A little ridge keeps the surface calm where no backdrop is seen.
    system = flat.T @ (flat * w) + 1e-3 * max(float(w.sum()), 1.0) / 100 * np.eye(flat.shape[1])
    return basis @ np.linalg.solve(system, flat.T @ (small.reshape(-1, 3) * w))


def _misfit(small: np.ndarray, surface: np.ndarray) -> np.ndarray:
    lightness, chroma = unexplained(small, surface)
    return np.hypot(lightness, 2 * chroma)


def _surface(small: np.ndarray, ring: np.ndarray) -> tuple[np.ndarray, float]:
    """The smooth surface that explains most of the border, whichever side the part touches."""
    starts = [small[ring]]
    starts += [small[:3].reshape(-1, 3), small[-3:].reshape(-1, 3), small[:, :3].reshape(-1, 3)]
    starts += [small[:, -3:].reshape(-1, 3)]
    best, best_share = np.zeros_like(small, dtype=np.float64), -1.0
    for start in starts:
        surface = np.broadcast_to(np.median(start, axis=0), small.shape).astype(np.float64)
        for degree, reach in ((1, 24.0), (1, 16.0), (2, 10.0), (2, 6.0), (2, 6.0)):
            weight = ring / (1 + (_misfit(small, surface) / reach) ** 2) ** 2
            surface = _polynomial(small, weight.astype(np.float32), degree)
        share = float((_misfit(small, surface)[ring] < 5).mean())
        if share > best_share + 0.02:
            best, best_share = surface, share
    return best, best_share


def _flood(
    small: np.ndarray, surface: np.ndarray, edges: np.ndarray, ring: np.ndarray, tolerance: float
) -> np.ndarray:
    """What is surely backdrop: near the surface (or a soft shadow on it) and reached from the border over no edge.

    A part that crosses the border is reached from there as well. What holds a corner of the picture is taken
    for backdrop; what touches the border between corners must fit a surface drawn through those.
    """
    misfit = _shadow_misfit(small, surface)
    passable = (misfit < tolerance) & ~edges
    # Only what a brush of three cells can reach: a short gap in a faint outline is no way in.
    brush = np.ones((3, 3), np.uint8)
    passable = cv2.morphologyEx(passable.astype(np.uint8), cv2.MORPH_ERODE, brush, borderValue=1) > 0
    count, labels = cv2.connectedComponents(passable.astype(np.uint8), connectivity=4)
    height, width = ring.shape
    reach = max(3, round(0.06 * max(height, width)))
    corner = np.zeros_like(ring)
    for rows in (slice(0, reach), slice(height - reach, height)):
        for columns in (slice(0, reach), slice(width - reach, width)):
            corner[rows, columns] = True
    on_ring = np.bincount(labels[ring & passable], minlength=count)
    on_corner = np.bincount(labels[corner & passable], minlength=count)
    candidates = [k for k in range(1, count) if on_ring[k]]
    anchors = [k for k in candidates if on_corner[k] >= 0.3 * reach * reach] or candidates
    sure = np.isin(labels, anchors)
    rest = [k for k in candidates if k not in anchors]
    if rest and sure.any():
        through = _shadow_misfit(small, _polynomial(small, sure.astype(np.float32), 2))
        sure |= np.isin(labels, [k for k in rest if np.median(through[labels == k]) < 2.5])
    return sure if sure.any() else ring


def _shadow_misfit(small: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """As `_misfit`, with darkening forgiven in part."""
    lightness, chroma = unexplained(small, surface)
    return np.hypot(np.where(lightness < 0, lightness * 0.45, lightness), 2 * chroma)


def _membrane(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fill the unknown from the known, coarse to fine (push-pull, Gortler et al. 1996), then relax it."""
    filled = _push_pull(values.astype(np.float32), known.astype(np.float32))
    mask = known[..., None]
    for _ in range(60):
        filled = np.where(mask, values, cv2.blur(filled, (5, 5), borderType=cv2.BORDER_REFLECT))
    return filled.astype(np.float32)


def _push_pull(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    height, width = weight.shape
    if min(height, width) <= 2 or weight.min() > 0:
        total = max(float(weight.sum()), 1e-6)
        mean = (values * weight[..., None]).sum(axis=(0, 1)) / total
        return np.where(weight[..., None] > 0, values, mean).astype(np.float32)
    size = ((width + 1) // 2, (height + 1) // 2)
    w = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    v = cv2.resize(values * weight[..., None], size, interpolation=cv2.INTER_AREA)
    v = v / np.maximum(w, 1e-6)[..., None]
    below = cv2.resize(_push_pull(v, np.minimum(w * 4, 1)), (width, height), interpolation=cv2.INTER_LINEAR)
    share = weight[..., None]
    return values * share + below * (1 - share)
