"""Sample pictures for the demo: drawn metal parts on studio backdrops, as a camera would deliver them.

Generated, so that nobody's pictures are needed. Nothing is measured on them; benchmarks have their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 1600, 1200
_OVERSAMPLE = 2
#: File name, part, colour of the part, colour of the backdrop's middle.
PARTS = (
    ("52000123.jpg", "gear", (92, 96, 104), (243, 243, 242)),
    ("52000123_1.jpg", "ring", (70, 74, 82), (240, 241, 243)),
    ("52000124-2.png", "bracket", (46, 50, 58), (246, 245, 243)),
    ("52000125.jpg", "bolt", (138, 122, 92), (238, 240, 242)),
    ("52000126.jpg", "disc", (58, 62, 70), (244, 244, 244)),
    ("52000127_1.png", "plate", (150, 42, 38), (247, 247, 247)),
)


def write_samples(folder: Path) -> list[str]:
    """Write the sample uploads into an inbox, among them what people really drop: a bad name, half a file.

    Returns:
        The names of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, part, colour, backdrop) in enumerate(PARTS):
        _picture(part, colour, backdrop, seed=number).save(folder / name, quality=92)
    half = (folder / PARTS[0][0]).read_bytes()
    (folder / "52000199.jpg").write_bytes(half[: len(half) // 3])
    (folder / "_1.jpg").write_bytes(half)
    (folder / "price list.txt").write_text("not a picture\n", encoding="utf-8")
    return sorted(path.name for path in folder.iterdir())


def write_sample(
    path: Path, part: str, colour: tuple[int, int, int], backdrop: tuple[int, int, int], *, seed: int
) -> None:
    """Write one drawn part: gear, ring, bracket, bolt, disc or plate."""
    _picture(part, colour, backdrop, seed).save(path, quality=92)


def _picture(part: str, colour: tuple[int, int, int], backdrop: tuple[int, int, int], seed: int) -> Any:
    import numpy as np
    from PIL import Image, ImageFilter

    random = np.random.default_rng(seed)
    mask = _DRAW[part]()
    shadow = mask.filter(ImageFilter.GaussianBlur(28)).transform(
        mask.size, Image.Transform.AFFINE, (1, 0, -18, 0, 1, -34)
    )
    alpha = np.asarray(mask, np.float32) / 255
    dark = np.asarray(shadow, np.float32) / 255
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    vignette = 1 - 0.07 * (((x / WIDTH - 0.5) ** 2 + (y / HEIGHT - 0.5) ** 2) * 2)
    ground = np.array(backdrop, np.float32) * vignette[..., None] * (1 - 0.22 * dark[..., None])
    light = 0.72 + 0.5 * (1 - y / HEIGHT) + 0.16 * np.sin(x / 37 + y / 61)
    metal = np.array(colour, np.float32) * light[..., None]
    pixels = ground * (1 - alpha[..., None]) + metal * alpha[..., None]
    pixels += random.normal(0, 1.6, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _canvas() -> tuple[Any, Any]:
    from PIL import Image, ImageDraw

    mask = Image.new("L", (WIDTH * _OVERSAMPLE, HEIGHT * _OVERSAMPLE))
    return mask, ImageDraw.Draw(mask)


def _smooth(mask: Any) -> Any:
    from PIL import Image

    return mask.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _centre() -> tuple[float, float]:
    return WIDTH * _OVERSAMPLE / 2, HEIGHT * _OVERSAMPLE / 2


def _disc(draw: Any, radius: float, fill: int, at: tuple[float, float] = (0, 0)) -> None:
    x, y = _centre()
    r = radius * _OVERSAMPLE
    x, y = x + at[0] * _OVERSAMPLE, y + at[1] * _OVERSAMPLE
    draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)


def _gear() -> Any:
    mask, draw = _canvas()
    x, y = _centre()
    outline = []
    for step in range(24 * 4):
        radius = (430 if step % 4 in (0, 1) else 370) * _OVERSAMPLE
        angle = 2 * math.pi * step / (24 * 4)
        outline.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    draw.polygon(outline, fill=255)
    _disc(draw, 110, 0)
    for turn in range(6):
        angle = math.pi * turn / 3
        _disc(draw, 58, 0, (240 * math.cos(angle), 240 * math.sin(angle)))
    return _smooth(mask)


def _ring() -> Any:
    mask, draw = _canvas()
    _disc(draw, 400, 255)
    _disc(draw, 300, 0)
    return _smooth(mask)


def _bracket() -> Any:
    mask, draw = _canvas()
    scale = _OVERSAMPLE
    draw.rounded_rectangle((400 * scale, 250 * scale, 620 * scale, 950 * scale), 40 * scale, fill=255)
    draw.rounded_rectangle((400 * scale, 740 * scale, 1180 * scale, 950 * scale), 40 * scale, fill=255)
    for at in ((-290, -240), (-290, 0), (120, 245), (300, 245)):
        _disc(draw, 48, 0, at)
    return _smooth(mask)


def _bolt() -> Any:
    mask, draw = _canvas()
    scale = _OVERSAMPLE
    draw.polygon(
        [
            (560 * scale, 330 * scale),
            (640 * scale, 250 * scale),
            (960 * scale, 250 * scale),
            (1040 * scale, 330 * scale),
            (1040 * scale, 430 * scale),
            (560 * scale, 430 * scale),
        ],
        fill=255,
    )
    for turn in range(14):
        top = (430 + 36 * turn) * scale
        draw.rectangle((705 * scale, top, 895 * scale, top + 24 * scale), fill=255)
        draw.rectangle((720 * scale, top + 24 * scale, 880 * scale, top + 36 * scale), fill=255)
    return _smooth(mask)


def _brake_disc() -> Any:
    mask, draw = _canvas()
    _disc(draw, 420, 255)
    _disc(draw, 90, 0)
    for turn in range(5):
        angle = 2 * math.pi * turn / 5
        _disc(draw, 30, 0, (165 * math.cos(angle), 165 * math.sin(angle)))
    for turn in range(20):
        angle = 2 * math.pi * turn / 20
        _disc(draw, 13, 0, (330 * math.cos(angle), 330 * math.sin(angle)))
    return _smooth(mask)


def _plate() -> Any:
    mask, draw = _canvas()
    scale = _OVERSAMPLE
    draw.polygon(
        [
            (350 * scale, 820 * scale),
            (520 * scale, 330 * scale),
            (1150 * scale, 300 * scale),
            (1270 * scale, 760 * scale),
            (820 * scale, 930 * scale),
        ],
        fill=255,
    )
    _disc(draw, 70, 0, (-140, 30))
    _disc(draw, 40, 0, (240, 20))
    return _smooth(mask)


_DRAW: dict[str, Callable[[], Any]] = {
    "gear": _gear,
    "ring": _ring,
    "bracket": _bracket,
    "bolt": _bolt,
    "disc": _brake_disc,
    "plate": _plate,
}
