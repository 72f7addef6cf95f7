"""Classification of pieces of backdrop seen through or beside a part.

A second cut proposes pieces of the rough part that may be backdrop: holes, gaps between wires, rims in shadow.
A face of grey metal can look the same, so each piece is measured as a whole and accepted or returned by a
logistic rule. Its weights were fitted on generated pictures of the tuning family (docs/cutouts.md).
"""

from __future__ import annotations

import cv2
import numpy as np

from crown.product_images.cutout.studio.backdrop import unexplained

WEIGHTS = {
    "constant": 4.5,
    "darker": -1.5,
    "brighter": -0.9,
    "beyond": -0.55,
    "chroma": -1.05,
    "rough": -1.7,
    "contrast": 0.4,
    "open": 1.1,
    "uneven": -2.5,
    "share": -0.5,
}
"""What each measure of a piece adds to the logarithm of the odds that it is backdrop."""
SMALLEST = 12
"""Pieces of fewer pixels of the working picture are returned to the part."""
_MARGIN = 7


def accepted(
    lab: np.ndarray,
    near: np.ndarray,
    lit: np.ndarray,
    rough: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
) -> np.ndarray:
    """Decide on every piece that the second cut took away.

    Args:
        lab: H x W x 3 of the working picture.
        near: H x W x 3, the backdrop carried on behind the part, in its shadow.
        lit: The same without the shadow.
        rough: H x W from `studio_regions.texture`.
        before: H x W, the part before the second cut.
        after: H x W, the part after it.

    Returns:
        H x W, the pixels that are backdrop.
    """
    labels, pieces = proposals(before, after)
    total = max(int(before.sum()), 1)
    good = np.zeros(int(labels.max()) + 1, bool)
    for k, window in pieces:
        piece = labels[window] == k
        measures = measure(
            piece, lab[window], near[window], lit[window], rough[window], before[window], after[window], total
        )
        good[k] = sum(WEIGHTS[name] * value for name, value in measures.items()) > 0
    return good[labels]


def proposals(
    before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, list[tuple[int, tuple[slice, slice]]]]:
    """Label the pieces between two masks: H x W labels, and number and window of each piece worth judging."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (before & ~after).astype(np.uint8), connectivity=4
    )
    found = []
    for k in range(1, count):
        if stats[k, cv2.CC_STAT_AREA] >= SMALLEST:
            x, y, w, h = stats[k, :4]
            rows = slice(max(y - _MARGIN, 0), y + h + _MARGIN)
            found.append((k, (rows, slice(max(x - _MARGIN, 0), x + w + _MARGIN))))
    return labels, found


def measure(
    piece: np.ndarray,
    lab: np.ndarray,
    near: np.ndarray,
    lit: np.ndarray,
    rough: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    total: int,
) -> dict[str, float]:
    """Measure one piece within its window; `total` is the area of the rough part. Keys as in `WEIGHTS`."""
    mask = piece.astype(np.uint8)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    core = piece & (depth >= min(4.0, 0.6 * float(depth.max())))
    close = cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0
    around = close & ~piece
    ring = (cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0) & ~close & after
    inside, expected = lab[core].mean(axis=0), near[core].mean(axis=0)
    factors = (lab[core][:, 0] + 16) / (near[core][:, 0] + 16)
    factor = (float(inside[0]) + 16) / (float(expected[0]) + 16)
    brightest = (float(inside[0]) + 16) / (float(lit[core][:, 0].mean()) + 16)
    _, chroma = unexplained(inside, expected)
    neighbour = np.median(lab[ring], axis=0) if ring.any() else inside
    step = inside - neighbour
    contrast = float(np.hypot(step[0], 1.6 * np.hypot(step[1], step[2])))
    return {
        "constant": 1.0,
        "darker": float(np.clip(0.96 - factor, 0, 0.1)) / 0.02,
        "brighter": float(np.clip(factor - 0.99, 0, 0.1)) / 0.02,
        "beyond": float(np.clip(brightest - 1.0, 0, 0.1)) / 0.02,
        "chroma": min(float(chroma), 5.0),
        "rough": float(np.log(np.clip(rough[core].mean(), 0.8, 20))),
        "contrast": float(np.log(np.clip(contrast, 1, 100))),
        "open": float((around & ~before).sum()) / max(int(around.sum()), 1),
        "uneven": float(np.clip(_without_ramp(core, factors).std(), 0, 0.03)) / 0.02,
        "share": float(piece.sum() / total) ** 0.5,
    }


def _without_ramp(core: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What remains of values at the pixels of `core` after a bowl: a shadow that falls across is no structure."""
    y, x = np.nonzero(core)
    if y.size < 16:
        return values - values.mean()
    x, y = (x - x.mean()) / core.shape[1], (y - y.mean()) / core.shape[0]
    basis = np.stack([np.ones(y.size), x, y, x * x, x * y, y * y], axis=1)
    weights, *_ = np.linalg.lstsq(basis, values, rcond=None)
    return values - basis @ weights
