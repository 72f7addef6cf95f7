"""Small pictures and headers that several tests write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LIMIT = 100_000_000


FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures"


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    """A picture whose four corners differ, so that a wrong turn shows."""
    y, x = np.mgrid[0:height, 0:width]
    data = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], axis=-1)
    return Image.fromarray(data.astype(np.uint8))


def save(picture: Image.Image, path: Path, **options: Any) -> Path:
    picture.save(path, **options)
    return path
