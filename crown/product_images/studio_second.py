"""An opinion on where the part lies, from edges and colours; the network may have its say in it, or not.

The picture is cut into regions (`studio_regions`), which are weighed against the backdrop (`studio_backdrop`);
holes are judged as pieces of their own (`studio_holes`). Without the network it is a second opinion: where the two
differ, a person looks. With it, it says which whole faces the network missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from crown.product_images import studio_backdrop, studio_holes, studio_matting, studio_outline, studio_regions

LEAN = 0.7
"""How much what the network says counts for a region, beside `studio_regions.leaning`."""
LEAN_WITHIN = 0.5
"""The same within the silhouette, beside `studio_regions.releaning`."""


@dataclass(frozen=True)
class Opinion:
    """`mask`, H x W, where part is seen, and `field`, H x W x 3 L*a*b*, the backdrop that was fitted for it.

    `share`, H x W float32, the share of the prices tried (0 to 1) at which each pixel is part; `steadiness`, the
    overlap (0 to 1) that remains when prices are varied.
    """

    mask: np.ndarray
    share: np.ndarray
    steadiness: float
    field: np.ndarray


class _Scene:
    """What the steps share: the picture, its texture, its regions and their means."""

    def __init__(
        self,
        lab: np.ndarray,
        rough: np.ndarray,
        regions: studio_regions.Regions,
        calm: float,
        evidence: np.ndarray,
    ) -> None:
        self.lab, self.rough, self.regions, self.calm, self.evidence = lab, rough, regions, calm, evidence
        self.means = studio_regions.colours_of(regions, lab)
        self.roughness = studio_regions.mean_of(regions, rough)
        self.told = studio_regions.mean_of(regions, evidence)


def opinion(picture: np.ndarray, told: np.ndarray | None = None) -> Opinion:
    """Where the part lies.

    Args:
        picture: Of working size, H x W x 3 uint8.
        told: What the network says of each pixel, H x W, 0 backdrop to 1 part; None to do without it.
    """
    lab = studio_backdrop.to_lab(picture)
    sharp = studio_regions.sharpness(lab)
    backdrop = studio_backdrop.fit(lab, sharp)
    calm = studio_regions.calmness(sharp, backdrop.sure)
    lightness, chroma = studio_backdrop.unexplained(lab, backdrop.field)
    difference = np.hypot(lightness, studio_regions.CHROMA * chroma)
    noise = float(np.quantile(difference[backdrop.sure], 0.98))
    regions = studio_regions.split(lab, difference, sharp, 4 + noise)
    evidence = _evidence(told) if told is not None else np.zeros(lab.shape[:2], np.float32)
    scene = _Scene(lab, studio_regions.texture(lab, backdrop.sure), regions, calm, evidence)
    lean = studio_regions.leaning(regions, scene.means, backdrop, scene.roughness) + LEAN * scene.told
    settled = [_settle(scene, lean, price, rounds) for price, rounds in ((8.0, 3), (3.0, 1), (20.0, 1))]
    masks, close = [mask for mask, _ in settled], settled[0][1]
    steadiness = min(overlap(masks[0], masks[1]), overlap(masks[0], masks[2]))
    steadiness = min(steadiness, 1 - min(1.0, close / max(int(masks[0].sum()), 1)))
    near, _ = studio_backdrop.refit(lab, cv2.dilate(masks[0].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    light = studio_matting.linear(picture)
    mask = studio_outline.shave(light, studio_outline.snap(lab, masks[0], near, sharp, calm))
    mask = tidy(mask)
    share = (mask.astype(np.float32) + masks[1] + masks[2]) / 3
    return Opinion(mask, share.astype(np.float32), steadiness, backdrop.field)


def _evidence(told: np.ndarray) -> np.ndarray:
    """The network's odds on a scale from -1, surely backdrop, to 1, surely part (odds of e to the 4 or more)."""
    share = np.clip(told, 0.001, 0.999)
    return np.clip(np.log(share / (1 - share)) / 4, -1, 1)


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
        again = again + LEAN_WITHIN * scene.told
        kept = studio_regions.minimum_cut(regions, again, scene.calm, price * 0.6, within=part)
        opened, close = studio_holes.accepted(
            scene.lab, near, lit, scene.rough, mask, kept[regions.labels], scene.evidence
        )
        mask, closest = mask & ~opened, max(closest, close)
        part = part & (studio_regions.mean_of(regions, mask.astype(np.float32)) > 0.5)
    return tidy(mask), closest


def tidy(mask: np.ndarray) -> np.ndarray:
    """Without specks of dust, and without pin holes."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count > 1:
        area = stats[:, cv2.CC_STAT_AREA].copy()
        area[0] = 0
        mask = (area >= max(12, 0.004 * int(area.max())))[labels]
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < 6
    return mask | small[labels] if count > 1 else mask


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union."""
    union = int((first | second).sum())
    return float((first & second).sum()) / union if union else 1.0
