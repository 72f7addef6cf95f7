"""Pictures drawn for tests: a dark part with a hole on a light studio backdrop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def draw_part(
    path: Path, *, hole: int = 40, shade: int = 70, size: tuple[int, int] = (480, 360), seed: int = 1
) -> Path:
    """Draw a ring of grey `shade` with a hole of radius `hole` and write it to `path` by its suffix."""
    width, height = size
    mask = Image.new("L", (width * 2, height * 2))
    draw = ImageDraw.Draw(mask)
    for radius, fill in ((height * 0.7, 255), (hole * 2, 0)):
        draw.ellipse((width - radius, height - radius, width + radius, height + radius), fill=fill)
    alpha = np.asarray(mask.resize(size, Image.Resampling.LANCZOS), np.float32)[..., None] / 255
    shadow = np.asarray(mask.resize(size).filter(ImageFilter.GaussianBlur(9)), np.float32)[..., None] / 255
    ground = 242 - 25 * np.roll(shadow, (8, 5), (0, 1))
    pixels = (
        ground * (1 - alpha) + shade * alpha + np.random.default_rng(seed).normal(0, 1, (height, width, 3))
    )
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    picture.save(path, quality=92)
    return path


def draw_cut_out(path: Path, *, size: tuple[int, int] = (240, 180), shade: int = 70) -> Path:
    """Draw a flat grey ring that is cut out already, and write it as PNG."""
    width, height = size
    picture = Image.new("RGBA", size)
    draw = ImageDraw.Draw(picture)
    for radius, fill in ((height * 0.4, (shade, shade, shade, 255)), (height * 0.1, (0, 0, 0, 0))):
        centre = width / 2, height / 2
        draw.ellipse([c + sign * radius for sign in (-1, 1) for c in centre], fill=fill)
    picture.save(path, "PNG")
    return path


def change_one_pixel(path: Path) -> None:
    """Make one pixel of a PNG red."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture.putpixel((3, 3), (255, 0, 0))
    picture.save(path)
