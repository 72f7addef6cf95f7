"""Our own cut-out: what it keeps, what it leaves behind, and that it always answers the same."""

from __future__ import annotations

import hashlib
from importlib import resources

import cv2
import numpy as np
import pytest

from crown.product_images.cutout.studio import (
    backdrop as studio_backdrop,
)
from crown.product_images.cutout.studio import (
    engine as studio,
)
from crown.product_images.cutout.studio import (
    matting,
)
from crown.product_images.cutout.studio import (
    network as studio_network,
)
from crown.product_images.cutout.studio import (
    regions as studio_regions,
)
from crown.product_images.cutout.studio import (
    second as studio_second,
)
from crown.product_images.cutout.studio.version import NETWORKS

HEIGHT, WIDTH = 360, 480


def backdrop(level: float = 215.0, slope: float = 20.0) -> np.ndarray:
    """Uneven light: brighter to the upper left, H x W x 3 float."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    shade = level + slope * (0.5 - x / WIDTH) + slope * (0.5 - y / HEIGHT)
    return np.repeat(shade[..., None], 3, axis=2)


def coverage(draw: list[tuple[str, tuple[int, ...], int]]) -> np.ndarray:
    """Anti-aliased shapes, drawn in order: (circle, (x, y, r), value) or (line, (x0, y0, x1, y1, width), value)."""
    big = np.zeros((HEIGHT * 4, WIDTH * 4), np.uint8)
    for kind, place, value in draw:
        p = [4 * v for v in place]
        if kind == "circle":
            cv2.circle(big, (p[0], p[1]), p[2], value, -1)
        elif kind == "box":
            cv2.rectangle(big, (p[0], p[1]), (p[2], p[3]), value, -1)
        else:
            cv2.line(big, (p[0], p[1]), (p[2], p[3]), value, p[4])
    return cv2.resize(big, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def photo(
    solid: np.ndarray,
    colour: tuple[int, int, int],
    *,
    shadow: float = 0.0,
    noise: float = 1.5,
    ground: float = 215.0,
) -> np.ndarray:
    """Compose, with a soft shadow to the lower right and some noise (fixed seed)."""
    floor = backdrop(ground)
    if shadow:
        moved = cv2.warpAffine(solid, np.array([[1, 0, 10], [0, 1, 14]], np.float64), (WIDTH, HEIGHT))
        floor = floor * (1 - shadow * cv2.GaussianBlur(moved, (0, 0), 14))[..., None]
    part = np.ones_like(floor) * np.array(colour, np.float32)
    y = np.mgrid[0:HEIGHT, 0:WIDTH][0] / HEIGHT
    part = part * (1.1 - 0.25 * y)[..., None]
    scene = floor + (part - floor) * solid[..., None]
    scene += np.random.default_rng(5).normal(0, noise, scene.shape)
    return np.clip(np.round(scene), 0, 255).astype(np.uint8)


def overlap(alpha: np.ndarray, solid: np.ndarray) -> float:
    a, b = alpha >= 128, solid >= 0.5
    return float((a & b).sum() / (a | b).sum())


RING = [("circle", (240, 180, 110), 255), ("circle", (240, 180, 62), 0)]


def test_a_ring_is_cut_with_its_hole() -> None:
    solid = coverage(RING)
    alpha = studio.cut_out(photo(solid, (160, 40, 40), shadow=0.3))
    assert overlap(alpha, solid) > 0.97
    assert alpha[180, 240] == 0


@pytest.mark.parametrize("colour", [(40, 40, 42), (90, 110, 160), (120, 122, 124)])
def test_a_soft_shadow_is_left_behind(colour: tuple[int, int, int]) -> None:
    solid = coverage([("box", (150, 90, 330, 250), 255)])
    alpha = studio.cut_out(photo(solid, colour, shadow=0.35))
    assert overlap(alpha, solid) > 0.97


def test_a_part_that_crosses_the_border_is_kept_whole() -> None:
    solid = coverage([("box", (0, 140, 480, 220), 255)])
    alpha = studio.cut_out(photo(solid, (150, 90, 30)))
    assert overlap(alpha, solid) > 0.97


def test_thin_wires_are_kept() -> None:
    solid = coverage([("box", (60, 60, 130, 120), 255), ("line", (120, 100, 420, 300, 3), 255)])
    alpha = studio.cut_out(photo(solid, (40, 60, 140)))
    along = [(int(120 + t * 300), int(100 + t * 200)) for t in np.linspace(0.1, 0.95, 30)]
    assert min(int(alpha[y, x]) for x, y in along) > 100


def test_a_dark_part_on_a_dark_backdrop_is_found() -> None:
    solid = coverage(RING)
    alpha = studio.cut_out(photo(solid, (24, 24, 26), ground=62.0, noise=1.0))
    assert overlap(alpha, solid) > 0.95


def test_an_empty_backdrop_gives_an_empty_alpha() -> None:
    assert studio.cut_out(photo(np.zeros((HEIGHT, WIDTH), np.float32), (0, 0, 0))).max() == 0


@pytest.mark.slow
def test_the_same_picture_gives_the_same_bytes_and_is_not_changed() -> None:
    picture = photo(coverage(RING), (160, 40, 40), shadow=0.3)
    before = picture.copy()
    assert np.array_equal(studio.cut_out(picture), studio.cut_out(picture.copy()))
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("shape", [(40, 300), (300, 40), (33, 33)])
def test_odd_shapes_of_picture_give_alpha_of_their_size(shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 220, np.uint8)
    middle = (slice(shape[0] // 3, 2 * shape[0] // 3), slice(shape[1] // 3, 2 * shape[1] // 3))
    picture[middle] = (20, 40, 90)
    alpha = studio.cut_out(picture)
    assert alpha.shape == shape
    assert alpha.dtype == np.uint8


def test_edges_are_soft_where_the_picture_mixes() -> None:
    solid = coverage(RING)
    alpha = studio.cut_out(photo(solid, (160, 40, 40)))
    assert 0.01 < ((alpha > 10) & (alpha < 245)).sum() / (solid >= 0.5).sum() < 0.12


def test_a_shadow_is_explained_by_the_backdrop_and_paint_is_not() -> None:
    ground = np.full((1, 3, 3), (100, 140, 200), np.uint8)
    linear = matting.linear(ground)
    seen = ground.copy()
    seen[0, 1] = matting.to_codes(linear[0, 1] * 0.5)
    seen[0, 2] = (70, 100, 100)
    lightness, chroma = studio_backdrop.unexplained(
        studio_backdrop.to_lab(seen), studio_backdrop.to_lab(ground)
    )
    assert lightness[0, 1] < -10
    assert chroma[0, 1] < 1.0
    assert chroma[0, 2] > 8


def test_a_backdrop_carried_behind_a_large_part_stays_a_colour() -> None:
    y, x = np.mgrid[-1:1:360j, -1:1:480j]
    far = np.maximum(np.abs(x), np.abs(y))
    light = np.repeat((30 + 200 * np.clip((far - 0.6) / 0.4, 0, 1) ** 4)[..., None], 3, axis=2)
    light[far < 0.8] = (200, 40, 40)
    lab = studio_backdrop.to_lab(np.round(light).astype(np.uint8))
    field = studio_backdrop.fit(lab, studio_regions.sharpness(lab)).field
    assert 0 <= field[..., 0].min() <= field[..., 0].max() <= 100
    below = field.copy()
    below[..., 0] = -16
    assert all(np.isfinite(difference).all() for difference in studio_backdrop.unexplained(lab, below))
    assert np.isfinite(studio_network.inputs(lab, below)).all()


def test_a_part_of_a_few_pixels_keeps_its_outline() -> None:
    solid = coverage([("circle", (240, 180, 9), 255), ("circle", (240, 180, 4), 0)])
    assert overlap(studio.cut_out(photo(solid, (160, 40, 40))), solid) > 0.9


def test_steps_are_sharp_and_ramps_are_not() -> None:
    lab = np.zeros((60, 120, 3), np.float32)
    lab[:, 30:, 0] = 20
    lab[:, 60:, 0] = 20 + np.linspace(0, 40, 60)
    sharp = studio_regions.sharpness(lab)
    assert sharp[30, 28:32].max() > 3
    assert sharp[30, 80:110].max() < 0.3


def test_foreground_takes_the_backdrop_out_of_mixed_pixels_only() -> None:
    solid = coverage(RING)
    light = matting.linear(np.array([[[200, 200, 205]], [[30, 120, 40]]], np.uint8))
    mixed = matting.to_codes(light[0, 0] + (light[1, 0] - light[0, 0]) * solid[..., None])
    alpha = np.round(solid * 255).astype(np.uint8)
    clean = matting.foreground(mixed, alpha)
    rim = (alpha > 0) & (alpha < 255)
    assert np.array_equal(clean[~rim], mixed[~rim])
    assert np.abs(clean[rim].astype(int) - (30, 120, 40)).max() <= 12
    assert np.abs(mixed[rim].astype(int) - (30, 120, 40)).max() > 100


def test_the_networks_in_the_package_are_those_that_the_version_names() -> None:
    folder = resources.files("crown.product_images.cutout.studio")
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NETWORKS}
    assert found == NETWORKS
    assert set(found) == {entry.name for entry in folder.iterdir() if entry.name.endswith(".onnx")}


@pytest.mark.parametrize("shape", [(33, 70), (64, 96)])
def test_the_networks_answer_in_the_size_of_the_picture(shape: tuple[int, int]) -> None:
    lab = np.full((*shape, 3), (80, 2, -3), np.float32)
    share = studio_network.coarse(lab, lab, np.zeros(shape, np.float32))
    assert share.shape == shape
    assert studio_network.fine(lab, lab, share).shape == shape
    assert 0 <= share.min() <= share.max() < 0.5


def test_the_second_opinion_needs_no_network() -> None:
    alone = studio_second.opinion(photo(coverage(RING), (160, 40, 40))[::2, ::2])
    assert overlap(alone.mask * 255, coverage(RING)[::2, ::2]) > 0.9


def test_a_black_part_that_looks_like_deep_shadow_is_not_lost() -> None:
    solid = coverage([("box", (90, 60, 390, 300), 255), ("circle", (240, 180, 20), 0)])
    alpha = studio.cut_out(photo(solid, (12, 12, 12), shadow=0.5, ground=60.0))
    assert overlap(alpha, solid) > 0.95


def test_a_faint_part_costs_steadiness() -> None:
    clear = studio.analyse(photo(coverage(RING), (160, 40, 40))[::2, ::2].copy())
    faint = studio.analyse(photo(coverage(RING), (206, 206, 208), noise=4.0)[::2, ::2].copy())
    assert clear.steadiness > 0.9
    assert faint.steadiness < clear.steadiness
    assert faint.steadiness > 0
