"""Inputs of training on disk: whole frames small, crops at working size, the fitted backdrop.

Belongs here: `generate` writes one file per scene, `load` reads one with random turns and windows. The scenes
themselves are drawn in `scenes.py`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from crown.product_images.cutout.studio import backdrop as studio_backdrop
from crown.product_images.cutout.studio import network as studio_network
from crown.product_images.cutout.studio.regions import sharpness
from crown.product_images.cutout.studio.second import opinion
from training.scenes import scene

SHAPES = {1.0: (384, 384), 4 / 3: (320, 448), 3 / 2: (320, 480)}
"""Rows and columns of the whole frame in training, by aspect; portraits are turned."""
CROP = 288
SEEN = 256
CROPS = 2
VALIDATION = 1_000_000
"""Scenes from this number on are validation pictures."""


def generate(folder: Path, first: int, count: int) -> None:
    """Make and keep the inputs of training: whole frames small, crops at working size, the fitted backdrop."""
    cv2.setNumThreads(1)
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    for number in range(first, first + count):
        target = folder / f"{number:07d}.npz"
        if target.exists():
            continue
        picture = scene(number)
        unfinished = target.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.savez(file, **prepared(picture.rgb, picture.alpha, np.random.default_rng(number)))
        unfinished.replace(target)
        if (number - first) % 100 == 99:
            print(f"{number - first + 1} pictures, {time.monotonic() - started:.0f} s", flush=True)


def prepared(rgb: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """One scene as training wants it; the field is kept on its own coarse grid."""
    if rgb.shape[0] > rgb.shape[1]:
        rgb, alpha = np.rot90(rgb).copy(), np.rot90(alpha).copy()
    aspect = min(SHAPES, key=lambda a: abs(a - rgb.shape[1] / rgb.shape[0]))
    rows, columns = SHAPES[aspect]
    small = cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA)
    lab = studio_backdrop.to_lab(small)
    field = studio_backdrop.fit(lab, sharpness(lab)).field
    out: dict[str, Any] = {
        "small": small,
        "small_alpha": cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA),
        "second": np.round(255 * opinion(small).share).astype(np.uint8),
        "field": cv2.resize(field, (columns // 4, rows // 4), interpolation=cv2.INTER_AREA).astype(
            np.float16
        ),
    }
    smallest = (CROP + 1) / min(rgb.shape[:2])
    zoom = rng.uniform(0.55, 1.0) if rng.random() < 0.6 else 1.0
    zoom = rng.uniform(1.0, 2.0) if rng.random() < 0.1 else zoom
    zoom = max(zoom, smallest)
    size = (round(rgb.shape[1] * zoom), round(rgb.shape[0] * zoom))
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    if zoom != 1.0:
        rgb, alpha = cv2.resize(rgb, size, interpolation=how), cv2.resize(alpha, size, interpolation=how)
    height, width = alpha.shape
    y, x = np.nonzero((alpha > 30) & (alpha < 225))
    for k in range(CROPS):
        if y.size and rng.random() < 0.85:
            i = rng.integers(y.size)
            top, left = (np.array([y[i], x[i]]) - CROP / 2 + rng.uniform(-90, 90, 2)).astype(int)
        else:
            top, left = rng.integers(0, height - CROP), rng.integers(0, width - CROP)
        top, left = int(np.clip(top, 0, height - CROP)), int(np.clip(left, 0, width - CROP))
        out[f"crop{k}"] = rgb[top : top + CROP, left : left + CROP]
        out[f"crop{k}_alpha"] = alpha[top : top + CROP, left : left + CROP]
        out[f"crop{k}_box"] = np.array(
            [left / width, top / height, (left + CROP) / width, (top + CROP) / height], np.float32
        )
    return out


def _points(box: np.ndarray, top: int, left: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of a crop's pixels in the frame, as shares of its width and height."""
    steps = (np.arange(SEEN) + 0.5) / CROP
    x = box[0] + (left / CROP + steps) * (box[2] - box[0])
    y = box[1] + (top / CROP + steps) * (box[3] - box[1])
    gx, gy = np.meshgrid(x, y)
    return gx.astype(np.float32), gy.astype(np.float32)


def load(path: Path, rng: np.random.Generator) -> dict[str, Any]:
    """Read one scene: arrays for the coarse network, and for each crop those for the fine one."""
    with np.load(path) as data:
        scene = {key: data[key] for key in data.files}
    rows, columns = scene["small_alpha"].shape
    field = scene["field"].astype(np.float32)
    field[..., 0] = np.clip(field[..., 0], 0, 100)
    full = cv2.resize(field, (columns, rows), interpolation=cv2.INTER_LINEAR)
    turn = int(rng.integers(4))
    image = studio_network.inputs(studio_backdrop.to_lab(scene["small"]), full)
    # Now and then the network has to do without the second opinion, so that it keeps one of its own.
    second = scene["second"] * np.float32(2 / 255) - 1
    image = np.dstack([image, second * np.float32(rng.random() > 0.12)])
    truth = _truth(scene["small_alpha"])
    out: dict[str, Any] = {"image": image, "truth": truth, "flip": (turn & 1, turn >> 1), "crops": []}
    for k in range(CROPS):
        top, left = (int(v) for v in rng.integers(0, CROP - SEEN + 1, 2))
        window = (slice(top, top + SEEN), slice(left, left + SEEN))
        x, y = _points(scene[f"crop{k}_box"], top, left)
        at = (x * field.shape[1] - 0.5, y * field.shape[0] - 0.5)
        near = cv2.remap(field, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        lab = studio_backdrop.to_lab(np.ascontiguousarray(scene[f"crop{k}"][window]))
        out["crops"].append(
            {
                "image": studio_network.inputs(lab, near),
                "truth": _truth(np.ascontiguousarray(scene[f"crop{k}_alpha"][window])),
                "grid": np.dstack([2 * x - 1, 2 * y - 1]),
                "turn": int(rng.integers(8)),
            }
        )
    return out


def _truth(alpha: np.ndarray) -> np.ndarray:
    """Share of the part in each pixel, and how much the pixel counts: the outline more; H x W x 2."""
    brush = np.ones((7, 7), np.uint8)
    rim = cv2.dilate(alpha, brush) - cv2.erode(alpha, brush)
    return np.dstack([alpha / np.float32(255), 1 + 3 * (rim / np.float32(255))])
