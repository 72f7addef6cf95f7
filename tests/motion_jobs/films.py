"""Tiny real films, and logs in the form of aerender and nexrender."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np


def aerender(frames: Sequence[int] = range(1, 51), end: bool = True, more: Sequence[str] = ()) -> str:
    """A log as aerender writes it."""
    lines = [
        "aerender version 25.5x4",
        "PROGRESS:  Launching After Effects...",
        "PROGRESS:  11/27/2026 10:00:00 AM: Starting composition “main”.",
        "PROGRESS:  Output To: D:\\out\\job_1.mov",
        "PROGRESS:  Start: 0:00:00:00",
        "PROGRESS:  Duration: 0:00:02:00",
        "PROGRESS:  Frame Rate: 25.00 (comp)",
        *(f"PROGRESS:  0:00:0{(n - 1) // 25}:{(n - 1) % 25:02} ({n}): 0 Seconds" for n in frames),
        *more,
    ]
    if end:
        lines += [
            "PROGRESS:  11/27/2026 10:00:09 AM: Finished composition “main”.",
            "PROGRESS:  Total Time Elapsed: 9 Seconds",
        ]
    return "\n".join(lines) + "\n"


def nexrender(uid: str = "job_1", percent: int = 100, end: bool = True, more: Sequence[str] = ()) -> str:
    """A log as nexrender writes it."""
    lines = [
        f"[{uid}] setting up job...",
        f"[{uid}] rendering job...",
        f"[{uid}] rendering progress {percent}%...",
        *more,
    ]
    return "\n".join([*lines, *([f"[{uid}] rendering took ~9.25 sec."] if end else [])]) + "\n"


def film(
    path: Path,
    frames: int = 50,
    size: tuple[int, int] = (64, 48),
    rate: int = 25,
    black: bool = False,
    options: dict[str, str] | None = None,
) -> Path:
    """A tiny real film."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            picture = np.zeros((size[1], size[0], 3), np.uint8)
            if not black:
                picture[:, : 1 + number % size[0]] = (200, 40 + number % 200, 90)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path
