"""Quality of a cut-out from the picture and the alpha alone: a score that sorts the review, and flags.

Works for any engine. Every feature is a number that a reviewer can check by eye; they are described in
docs/cutouts.md. Nothing is approved or rejected here.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from crown.product_images.cutout.studio import (
    backdrop as studio_backdrop,
)
from crown.product_images.cutout.studio import (
    regions as studio_regions,
)
from crown.product_images.cutout.studio.matting import signed_distance

DOUBTFUL = 60
"""A cut-out that scores less is flagged as doubtful."""
_PIXELS = 400_000


@dataclass(frozen=True)
class Verdict:
    """`score` 0 (surely wrong) to 100 (nothing to complain about), `flags`, and the features behind them."""

    score: int
    flags: tuple[str, ...]
    features: dict[str, float]

    @property
    def doubtful(self) -> bool:
        """Whether a person should look at this one first."""
        return "doubtful" in self.flags


LIMITS = {
    "unsteady": 0.1,
    "backdrop_inside": 0.03,
    "left_out": 0.03,
    "weak_edge": 0.35,
    "fringe": 0.2,
    "ragged": 0.04,
    "thin": 0.25,
    "border_touch": 0.01,
    "tiny": 0.0,
    "fills_frame": 0.0,
}
"""From which value on a feature raises its flag."""
WEIGHTS = {
    "unsteady": 5.5,
    "backdrop_inside": 4.0,
    "left_out": 4.0,
    "weak_edge": 0.8,
    "fringe": 1.0,
    "ragged": 2.6,
    "border_touch": 0.2,
    "tiny": 20.0,
    "fills_frame": 3.0,
}
"""What each feature costs: the score is 100 x exp(-sum of weight x feature)."""
ALONE = 1.8
"""How much more the rest counts when the engine says nothing of itself."""


def judge(
    rgb: np.ndarray, alpha: np.ndarray, *, steadiness: float | None = None, already_cut: bool = False
) -> Verdict:
    """Score a cut-out.

    Args:
        rgb: The picture, H x W x 3 uint8.
        alpha: The result, H x W uint8.
        steadiness: The engine's own confidence, 0 to 1, if it has one.
        already_cut: The alpha came with the source; what is under its transparent pixels says nothing. Its flag is
            `own_alpha`: the score knows little of such a cut-out.
    """
    features = measure(rgb, alpha, already_cut=already_cut)
    features["unsteady"] = 1 - steadiness if steadiness is not None else 0.0
    cost = sum(WEIGHTS[name] * features[name] for name in WEIGHTS) * (ALONE if steadiness is None else 1)
    score = round(100 * float(np.exp(-cost)))
    flags = [name for name, limit in LIMITS.items() if features[name] > limit]
    if already_cut:
        flags.append("own_alpha")
    if score < DOUBTFUL:
        flags.insert(0, "doubtful")
    return Verdict(score, tuple(flags), {name: round(value, 4) for name, value in features.items()})


def measure(rgb: np.ndarray, alpha: np.ndarray, *, already_cut: bool = False) -> dict[str, float]:
    """Compute the features, each 0 when all is well.

    backdrop_inside: share of the part that looks like the backdrop carried on behind it.
    left_out: what differs sharply from the backdrop outside the part, as a share of the part.
    weak_edge: share of the outline across which hardly anything changes.
    fringe: share of the outline just inside which the backdrop's colour appears.
    ragged: what a small brush rounds off the outline, as a share of the part.
    thin: share of the part that is on its outline, where a pixel more or less shows most.
    border_touch: share of the picture's border that the part covers.
    tiny, fills_frame: how far the part's share of the frame is below 0.5 % (as a share of it), or above 85 %.
    """
    height, width = alpha.shape
    scale = min(1.0, (_PIXELS / (height * width)) ** 0.5)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cv2.resize(np.ascontiguousarray(rgb), size, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) >= 128
    share = float((alpha >= 128).mean())
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    features = {
        "border_touch": float(border.mean()),
        "tiny": max(0.0, 1 - share / 0.0005) if share < 0.0005 else 0.0,
        "fills_frame": max(0.0, share - 0.85),
        "ragged": _ragged(mask),
        "thin": _thin(alpha >= 128),
    }
    if already_cut or not mask.any() or mask.all():
        return features | dict.fromkeys(("backdrop_inside", "left_out", "weak_edge", "fringe"), 0.0)
    return features | _against_backdrop(studio_backdrop.to_lab(small), mask)


def _thin(solid: np.ndarray) -> float:
    inner = cv2.erode(solid.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return float((solid & ~inner).sum()) / max(int(solid.sum()), 1)


def _ragged(mask: np.ndarray) -> float:
    """Spikes and notches: what opening and closing with a small disc changes, without thin parts."""
    total = int(mask.sum())
    if not total:
        return 0.0
    distance = signed_distance(mask)
    bulky = cv2.dilate((distance > 6).astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc) > 0
    return float((mask & ~opened & bulky).sum()) / total


def _against_backdrop(lab: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    rim = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if rim.all():
        rim = mask
    behind, _ = studio_backdrop.refit(lab, rim)
    lightness, chroma = studio_backdrop.unexplained(lab, behind)
    shaded = np.where(lightness < 0, 0.5 * lightness, lightness)
    difference = cv2.GaussianBlur(
        np.hypot(shaded, studio_regions.CHROMA * chroma).astype(np.float32), (0, 0), 1.0
    )
    total, distance = int(mask.sum()), signed_distance(mask)
    clear = distance < -4
    noise = float(np.quantile(difference[clear], 0.9)) if clear.any() else 1.0
    alike = mask & (distance > 2.5) & (difference < max(2.0, 1.2 * noise))
    sharp = studio_regions.sharpness(lab)
    calm = studio_regions.calmness(sharp, clear)
    odd = clear & (sharp > 1.6 * calm)
    left_out = cv2.morphologyEx(odd.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0
    near_edge = cv2.dilate(sharp, np.ones((5, 5), np.uint8))
    outline = mask & (distance < 1.2)
    inside = mask & (distance < 3.5) & (distance > 1.0)
    return {
        "backdrop_inside": _large(alike, 0.002 * total) / total,
        "left_out": min(1.0, _large(left_out, 20) / total),
        "weak_edge": float((near_edge[outline] < 1.2 * calm).mean()) if outline.any() else 1.0,
        "fringe": float((difference[inside] < max(2.5, 1.5 * noise)).mean()) if inside.any() else 0.0,
    }


def _large(mask: np.ndarray, smallest: float) -> float:
    """Pixels in pieces of at least a size."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    return float(areas[areas >= max(smallest, 8)].sum())
