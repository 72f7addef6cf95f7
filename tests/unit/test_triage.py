"""The triage score: good results score high, each kind of fault is named by its flag."""

from __future__ import annotations

import cv2
import numpy as np

from crown.product_images.cutout import triage

HEIGHT, WIDTH = 400, 500


def scene(x: int = 250, radius: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A blue disc with a hole on light grey, and its true alpha."""
    big = np.zeros((HEIGHT * 4, WIDTH * 4), np.uint8)
    cv2.circle(big, (x * 4, 800), radius * 4, 255, -1)
    cv2.circle(big, (x * 4, 800), radius * 2, 0, -1)
    alpha = cv2.resize(big, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    share = alpha[..., None] / 255.0
    rgb = 208 + (np.array([50, 70, 150]) - 208) * share
    rgb += np.random.default_rng(2).normal(0, 1.5, rgb.shape)
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8), alpha


def test_a_true_alpha_scores_high_and_has_no_flag() -> None:
    rgb, alpha = scene()
    verdict = triage.judge(rgb, alpha, steadiness=0.99)
    assert verdict.flags == ()
    assert verdict.score >= 85
    assert not verdict.doubtful


def test_a_hole_left_full_is_named() -> None:
    rgb, alpha = scene()
    cv2.circle(alpha, (250, 200), 70, 255, -1)
    verdict = triage.judge(rgb, alpha)
    assert "backdrop_inside" in verdict.flags
    assert verdict.doubtful


def test_a_lost_half_is_named() -> None:
    rgb, alpha = scene()
    alpha[:, 250:] = 0
    verdict = triage.judge(rgb, alpha)
    assert "left_out" in verdict.flags
    assert verdict.doubtful


def test_a_rim_of_backdrop_is_named() -> None:
    rgb, alpha = scene()
    verdict = triage.judge(rgb, cv2.dilate(alpha, np.ones((9, 9), np.uint8)))
    assert "fringe" in verdict.flags


def test_an_outline_without_an_edge_is_named() -> None:
    rgb, _ = scene()
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[20:380, 20:480] = 255
    verdict = triage.judge(rgb, alpha)
    assert "weak_edge" in verdict.flags
    assert verdict.doubtful


def test_a_part_on_the_border_is_named() -> None:
    rgb, alpha = scene(x=60)
    assert "border_touch" in triage.judge(rgb, alpha).flags


def test_a_speck_is_named() -> None:
    rgb, alpha = scene(radius=3)
    assert "tiny" in triage.judge(rgb, alpha).flags


def test_an_unsteady_engine_is_named() -> None:
    rgb, alpha = scene()
    verdict = triage.judge(rgb, alpha, steadiness=0.6)
    assert "unsteady" in verdict.flags
    assert verdict.score < triage.judge(rgb, alpha, steadiness=1.0).score


def test_what_lies_under_a_hand_made_alpha_is_not_judged() -> None:
    rgb, alpha = scene()
    alpha[:, 250:] = 0
    assert "left_out" not in triage.judge(rgb, alpha, already_cut=True).flags


def test_worse_sorts_below_better() -> None:
    rgb, alpha = scene()
    full = alpha.copy()
    cv2.circle(full, (250, 200), 70, 255, -1)
    lost = alpha.copy()
    lost[:, 300:] = 0
    good = triage.judge(rgb, alpha).score
    assert good > triage.judge(rgb, full).score
    assert good > triage.judge(rgb, lost).score


def test_features_are_plain_numbers_for_empty_and_full_masks() -> None:
    rgb, alpha = scene()
    for value in (0, 255):
        verdict = triage.judge(rgb, np.full_like(alpha, value))
        assert all(isinstance(number, float) and np.isfinite(number) for number in verdict.features.values())
        assert 0 <= verdict.score <= 100
