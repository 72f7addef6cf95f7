"""A rule-based estimate of the part from edges and colours; an input of the coarse network.

The picture is cut into regions (`studio_regions`), which are weighed against the backdrop (`studio_backdrop`);
holes are judged as pieces of their own (`studio_holes`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from crown.product_images.cutout.studio import (
    backdrop as studio_backdrop,
)
from crown.product_images.cutout.studio import (
    holes,
    matting,
    outline,
)
from crown.product_images.cutout.studio import (
    regions as studio_regions,
)


@dataclass(frozen=True)
class Opinion:
    """`mask`, H x W, where part is seen, and `field`, H x W x 3 L*a*b*, the backdrop that was fitted for it.

    `share`, H x W float32, the share of the prices tried (0 to 1) at which each pixel is part.
    """

    mask: np.ndarray
    share: np.ndarray
    field: np.ndarray


class _Scene:
    """What the steps share: the picture, its texture, its regions and their means."""

    def __init__(
        self,
        lab: np.ndarray,
        rough: np.ndarray,
        regions: studio_regions.Regions,
        calm: float,
    ) -> None:
        self.lab, self.rough, self.regions, self.calm = lab, rough, regions, calm
        self.means = studio_regions.colours_of(regions, lab)
        self.roughness = studio_regions.mean_of(regions, rough)


def opinion(picture: np.ndarray) -> Opinion:
    """Where the part is.

    Args:
        picture: Of working size, H x W x 3 uint8.
    """
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
    masks = [_settle(scene, lean, price, rounds) for price, rounds in ((8.0, 3), (3.0, 1), (20.0, 1))]
    near, _ = studio_backdrop.refit(lab, cv2.dilate(masks[0].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    light = matting.linear(picture)
    mask = outline.shave(light, outline.snap(lab, masks[0], near, sharp, calm))
    mask = tidy(mask)
    share = (mask.astype(np.float32) + masks[1] + masks[2]) / 3
    return Opinion(mask, share.astype(np.float32), backdrop.field)


def _settle(scene: _Scene, lean: np.ndarray, price: float, rounds: int) -> np.ndarray:
    """First the silhouette, then in a few rounds what within it is backdrop after all; returns the mask."""
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
        opened = holes.accepted(scene.lab, near, lit, scene.rough, mask, kept[regions.labels])
        mask = mask & ~opened
        part = part & (studio_regions.mean_of(regions, mask.astype(np.float32)) > 0.5)
    return tidy(mask)


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
