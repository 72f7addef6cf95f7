"""Two cut-outs of one photo: what counts as alike, and what must not hide in a large picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crown.product_images.cutout.mask_difference import (
    APART,
    SAME,
    Difference,
    between,
)

WIDTH, HEIGHT = 640, 480
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def plate(*, hole: int = 12, edge: float = 120.0, shade: int = 90) -> Pixels:
    """A plate 400 x 240 with a small hole, RGBA in the photo's frame; its left edge at `edge`, softened."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    alpha = np.clip(columns - edge + 0.5, 0, 1) * (columns < 520) * (rows >= 120) * (rows < 360)
    alpha *= np.hypot(columns - 300, rows - 240) >= hole
    pixels = np.full((HEIGHT, WIDTH, 4), shade, np.uint8)
    pixels[..., 3] = np.round(alpha * 255)
    pixels[pixels[..., 3] == 0] = 0
    return pixels


def save(folder: Path, name: str, pixels: Pixels) -> tuple[Path, dict[str, Any]]:
    """Trimmed as a cut-out is, with what a cut-out says of itself."""
    rows, columns = (np.flatnonzero((pixels[..., 3] > 10).any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    Image.fromarray(pixels[top:bottom, left:right]).save(folder / name)
    size = {"width": int(right - left), "height": int(bottom - top)}
    return folder / name, {
        "offset": [int(left), int(top)],
        **size,
        "source_width": WIDTH,
        "source_height": HEIGHT,
    }


def compare(folder: Path, before: Pixels, after: Pixels) -> Difference:
    return between(*save(folder, "before.png", before), *save(folder, "after.png", after))


def test_equal_cut_outs_differ_by_nothing(tmp_path: Path) -> None:
    assert compare(tmp_path, plate(), plate()) == SAME


def test_a_filled_bolt_hole_is_large_although_the_masks_agree_by_99_percent(tmp_path: Path) -> None:
    apart = compare(tmp_path, plate(), plate(hole=0))
    assert apart.iou > 0.99
    assert apart.changed_share < 0.002
    assert apart.difference > 0.9


def test_an_outline_moved_by_a_fraction_of_a_pixel_is_small(tmp_path: Path) -> None:
    apart = compare(tmp_path, plate(), plate(edge=120.2))
    assert 0 < apart.difference < 0.02
    assert apart.iou > 0.99


def test_cut_outs_that_are_trimmed_differently_are_laid_over_each_other(tmp_path: Path) -> None:
    apart = compare(tmp_path, plate(), plate(edge=140))
    assert apart.iou == pytest.approx(380 / 400, abs=0.003)
    assert apart.changed_share == pytest.approx(20 * 240 / (WIDTH * HEIGHT), rel=0.06)
    assert apart.alpha_difference == pytest.approx(apart.changed_share, rel=0.06)


def test_other_colours_under_the_same_mask_are_a_difference(tmp_path: Path) -> None:
    apart = compare(tmp_path, plate(), plate(shade=110))
    assert (apart.iou, apart.changed_share, apart.alpha_difference) == (1.0, 0.0, 0.0)
    assert apart.difference == pytest.approx(20 / 255, abs=0.005)


def test_a_cut_out_that_does_not_say_where_it_lies_counts_as_all_different(tmp_path: Path) -> None:
    path, facts = save(tmp_path, "before.png", plate())
    assert between(path, {"retouch": True}, path, facts) == APART
