"""Measures of the difference between two cut-outs of one photo. The limit is not decided here.

Runs in worker processes; the heavy libraries are imported inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

#: Side of the window in which cut-outs are compared, as a part of the photo's longer side; and its least, in pixels.
WINDOW, LEAST_WINDOW = 1 / 32, 8
#: An alpha that differs by more than this (10 %) counts as changed.
_CHANGED = 25


@dataclass(frozen=True)
class Difference:
    """Numbers from 0 to 1.

    `iou` of the masks (what is at least half opaque), `changed_share` of the photo's pixels whose alpha differs by more
    than a tenth, `alpha_difference` averaged over the photo, and `difference`: the mean over the window in which the
    two differ most, of the largest difference of alpha or of a colour as it shows. A filled hole or a lost corner is
    large there, however large the photo; an outline that moves by a fraction of a pixel is small.
    """

    iou: float
    changed_share: float
    alpha_difference: float
    difference: float


SAME = Difference(1.0, 0.0, 0.0, 0.0)
#: Cut-outs that cannot be laid over each other.
APART = Difference(0.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Box:
    """Where a cut-out is in its photo: left, top, width, height, and the photo's own width and height."""

    left: int
    top: int
    width: int
    height: int
    photo: tuple[int, int]


def box_of(facts: Mapping[str, Any]) -> Box | None:
    """From the facts of a cut-out (`cutout.make_cutout`); None when they do not say."""
    try:
        left, top = facts["offset"]
        photo = (int(facts["source_width"]), int(facts["source_height"]))
        return Box(int(left), int(top), int(facts["width"]), int(facts["height"]), photo)
    except (KeyError, TypeError, ValueError):
        return None


def frame_of(first: Box, second: Box) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what holds both."""
    return (
        min(first.left, second.left),
        min(first.top, second.top),
        max(first.left + first.width, second.left + second.width),
        max(first.top + first.height, second.top + second.height),
    )


def between(
    before: Path, before_facts: Mapping[str, Any], after: Path, facts: Mapping[str, Any]
) -> Difference:
    """Compare two cut-outs of one photo, laid over each other where they are in it.

    Args:
        before: PNG as `cutout.make_cutout` writes it.
        before_facts: what `make_cutout` returned for it.
        after: the other one.
        facts: what `make_cutout` returned for that.
    """
    import cv2
    import numpy as np

    one, other = box_of(before_facts), box_of(facts)
    if one is None or other is None or one.photo != other.photo:
        return APART
    frame = frame_of(one, other)
    first, second = _shown(before, one, frame), _shown(after, other, frame)
    masks = first[..., 3] >= 128, second[..., 3] >= 128
    either = int(np.count_nonzero(masks[0] | masks[1]))
    both = int(np.count_nonzero(masks[0] & masks[1]))
    apart = cv2.absdiff(first, second)
    alpha, pixels = apart[..., 3], one.photo[0] * one.photo[1]
    side = max(LEAST_WINDOW, round(max(one.photo) * WINDOW))
    # Outside of the frame both are transparent: nothing differs there.
    local = cv2.boxFilter(apart.max(axis=2), cv2.CV_32F, (side, side), borderType=cv2.BORDER_CONSTANT)
    return Difference(
        both / either if either else 1.0,
        int(np.count_nonzero(alpha > _CHANGED)) / pixels,
        float(alpha.sum(dtype=np.int64)) / 255 / pixels,
        min(1.0, max(0.0, float(local.max()) / 255)),
    )


def _shown(path: Path, box: Box, frame: tuple[int, int, int, int]) -> np.ndarray:
    """The cut-out in the frame, H x W x 4 uint8, its colours weighted by its alpha."""
    import cv2
    import numpy as np
    import pyvips

    left, top, right, bottom = frame
    pixels = pyvips.Image.new_from_file(str(path)).numpy()
    laid = np.zeros((bottom - top, right - left, 4), np.uint8)
    place = laid[box.top - top :, box.left - left :][: pixels.shape[0], : pixels.shape[1]]
    alpha = np.ascontiguousarray(pixels[..., 3])
    for channel in range(3):
        place[..., channel] = cv2.multiply(np.ascontiguousarray(pixels[..., channel]), alpha, scale=1 / 255)
    place[..., 3] = alpha
    return laid
