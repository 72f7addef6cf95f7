"""The outline, moved inwards to the strongest edge near it.

Regions leave ragged rims where an edge is accompanied by something faint: colour that JPEG smears over a block, the
darkest line of a shadow. Only stretches that are on no edge of their own are moved, and only inwards; then spikes
whose colour is mostly the backdrop's are shaved off.
"""

from __future__ import annotations

import cv2
import numpy as np
from skimage.segmentation import watershed

from crown.product_images.cutout.studio.backdrop import unexplained
from crown.product_images.cutout.studio.matting import signed_distance, spread
from crown.product_images.cutout.studio.regions import CHROMA, gradient

REACH = 7
"""How far a loose rim may be from the true edge, in pixels of the working picture."""
SPIKE = 4
"""Half the width up to which a protrusion counts as a spike."""
ECHO = 0.18
"""An edge fainter than this share of a stronger one beside it is taken for its echo (ringing, smeared colour)."""


def snap(lab: np.ndarray, mask: np.ndarray, behind: np.ndarray, sharp: np.ndarray, calm: float) -> np.ndarray:
    """Move loose stretches of the outline: H x W mask in, H x W mask out.

    Args:
        lab: The working picture.
        mask: The part.
        behind: Backdrop carried on behind the part.
        sharp: Sharpness of edges, and `calm`, the sharpness that plain backdrop reaches.
        calm: See `sharp`.
    """
    distance = signed_distance(mask)
    lightness, chroma = unexplained(lab, behind)
    strength = np.hypot(np.where(lightness < 0, 0.5 * lightness, lightness), CHROMA * chroma).astype(
        np.float32
    )
    strength = np.where(mask, strength, 0).astype(np.float32)
    peak = cv2.dilate(strength, np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8))
    around = cv2.dilate(sharp, np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8))
    edge = cv2.dilate(sharp, np.ones((3, 3), np.uint8)) > np.maximum(1.5 * calm, ECHO * around)
    loose = mask & (distance < 1.5) & ~edge
    zone = cv2.dilate(loose.astype(np.uint8), np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)) > 0
    inner = mask & ((distance > REACH) | ((distance > 1) & (strength > 0.75 * peak)) | ~zone)
    outer = distance < -1
    markers = np.where(inner, 1, np.where(outer, 2, 0)).astype(np.int32)
    band = (np.abs(distance) < REACH + 2) & (zone | (distance < 0))
    labels = watershed(gradient(lab, 0.8), markers, mask=band)
    return mask & np.where(band, labels == 1, True)


def shave(light: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Remove thin spikes that look more like the backdrop than like the part beside them.

    A wire is thin too, but has the part's colour all along.

    Args:
        light: The working picture in linear light.
        mask: The part.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * SPIKE + 1, 2 * SPIKE + 1))
    thin = mask & ~(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc) > 0)
    if not thin.any():
        return mask
    distance = signed_distance(mask)
    back = spread(light, (distance < -2.5).astype(np.float32))
    contrast = ((light - back) ** 2).sum(axis=-1)
    part = spread(light, np.where(mask, contrast, 0).astype(np.float32), (6.0, 14.0))
    span = part - back
    size = (span * span).sum(axis=-1)
    share = ((light - back) * span).sum(axis=-1) / np.maximum(size, 1e-8)
    return mask & ~(thin & (share < 0.4) & (size > 1e-3))
