"""Outlines of made-up machine parts, in two families that share no shape.

`TUNING` is for whoever changes a number in the cut-out; `FIGURE` is only for the figure that is published.
A shape is a list of strokes in its own plane, about -1 to 1 on both axes, drawn in order. Light, position
and camera are in `cutout_pictures`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator


@dataclass(frozen=True)
class Stroke:
    """A filled outline, or a line of some width; `solid` False cuts a hole, `material` is 0 or 1."""

    points: np.ndarray
    solid: bool = True
    material: int = 0
    width: float | None = None


def circle(x: float, y: float, rx: float, ry: float | None = None, n: int = 96) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([x + rx * np.cos(t), y + (rx if ry is None else ry) * np.sin(t)], axis=1)


def box(x0: float, y0: float, x1: float, y1: float, r: float = 0.0) -> np.ndarray:
    """A rectangle with corners rounded by r."""
    if r <= 0:
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    corners = [(x1 - r, y0 + r, -90), (x1 - r, y1 - r, 0), (x0 + r, y1 - r, 90), (x0 + r, y0 + r, 180)]
    arcs = []
    for cx, cy, start in corners:
        t = np.radians(np.linspace(start, start + 90, 8))
        arcs.append(np.stack([cx + r * np.cos(t), cy + r * np.sin(t)], axis=1))
    return np.concatenate(arcs)


def teeth(n: int, outer: float, root: float, duty: float) -> np.ndarray:
    points = []
    for i in range(n):
        a = 2 * np.pi * i / n
        half = np.pi / n
        for offset, radius in (
            (-half * duty, root),
            (-half * duty * 0.6, outer),
            (half * duty * 0.6, outer),
            (half * duty, root),
        ):
            points.append((radius * np.cos(a + offset), radius * np.sin(a + offset)))
    return np.array(points)


def wander(rng: Rng, n: int, reach: float) -> np.ndarray:
    """A smooth line through a few random points."""
    knots = rng.uniform(-reach, reach, (n, 2))
    t = np.linspace(0, n - 1, n * 40)
    return (
        np.stack([np.interp(t, range(n), knots[:, k]) for k in (0, 1)], axis=1) if n < 3 else _spline(knots)
    )


def _spline(knots: np.ndarray) -> np.ndarray:
    from scipy.interpolate import CubicSpline

    n = len(knots)
    return np.asarray(CubicSpline(np.arange(n), knots)(np.linspace(0, n - 1, n * 40)))


# --- shapes for the figure -------------------------------------------------------------------------------------


def ring(rng: Rng) -> list[Stroke]:
    inner = rng.uniform(0.5, 0.86)
    return [Stroke(circle(0, 0, 1)), Stroke(circle(0, 0, inner), solid=False)]


def gear(rng: Rng) -> list[Stroke]:
    n = int(rng.integers(14, 36))
    strokes = [Stroke(teeth(n, 1.0, 0.86, 0.8)), Stroke(circle(0, 0, rng.uniform(0.12, 0.2)), solid=False)]
    holes, radius = int(rng.integers(3, 7)), rng.uniform(0.1, 0.18)
    for i in range(holes):
        a = 2 * np.pi * i / holes
        strokes.append(Stroke(circle(0.52 * np.cos(a), 0.52 * np.sin(a), radius), solid=False))
    return strokes


def cap(rng: Rng) -> list[Stroke]:
    lip = rng.uniform(0.1, 0.2)
    return [
        Stroke(circle(0, 0.35, 1, 0.5)),
        Stroke(box(-0.82, -0.75, 0.82, 0.4, 0.12), material=1),
        Stroke(circle(0, -0.7, 0.82, 0.82 * lip + 0.1)),
    ]


def cover(rng: Rng) -> list[Stroke]:
    return [
        Stroke(box(-1, -0.62, 1, 0.62, rng.uniform(0.08, 0.3))),
        Stroke(box(-0.7, -0.35, 0.45, 0.35, 0.08), material=1),
        Stroke(circle(0.74, 0, 0.1), solid=False),
    ]


def boot(rng: Rng) -> list[Stroke]:
    folds = int(rng.integers(4, 8))
    y = np.linspace(-1, 1, folds * 16)
    half = 0.35 + 0.2 * (y + 1) / 2 + 0.07 * np.sin(y * np.pi * folds)
    outline = np.concatenate([np.stack([half, y], 1), np.stack([-half[::-1], y[::-1]], 1)])
    return [Stroke(outline)]


def harness(rng: Rng) -> list[Stroke]:
    strokes = []
    for _ in range(int(rng.integers(2, 5))):
        path = np.concatenate(
            [[[-0.8, rng.uniform(-0.1, 0.1)]], rng.uniform(-0.7, 0.7, (3, 2)), [[0.8, 0.0]]]
        )
        strokes.append(Stroke(_spline(path), width=rng.uniform(0.012, 0.03)))
    strokes.append(Stroke(box(-1.0, -0.2, -0.72, 0.2, 0.04), material=1))
    strokes.append(Stroke(box(0.72, -0.16, 1.0, 0.16, 0.04), material=1))
    return strokes


def screw(_: Rng) -> list[Stroke]:
    y = np.linspace(-0.5, 1, 120)
    half = 0.16 + 0.03 * np.sign(np.sin(y * 40))
    outline = np.concatenate([np.stack([half, y], 1), np.stack([-half[::-1], y[::-1]], 1)])
    return [Stroke(outline), Stroke(box(-0.4, -0.85, 0.4, -0.5, 0.08))]


def disc(rng: Rng) -> list[Stroke]:
    strokes = [
        Stroke(circle(0, 0, 1)),
        Stroke(circle(0, 0, 0.55), material=1),
        Stroke(circle(0, 0, 0.2), solid=False),
    ]
    for i in range(5):
        a = 2 * np.pi * i / 5
        strokes.append(Stroke(circle(0.36 * np.cos(a), 0.36 * np.sin(a), 0.055), solid=False))
    if rng.random() < 0.6:
        for i in range(24):
            a = 2 * np.pi * i / 24
            r = 0.68 + 0.1 * (i % 3)
            strokes.append(Stroke(circle(r * np.cos(a), r * np.sin(a), 0.028), solid=False))
    return strokes


def bracket(rng: Rng) -> list[Stroke]:
    w = rng.uniform(0.25, 0.45)
    outline = np.array([[-1, -1], [-1 + w, -1], [-1 + w, 1 - w], [1, 1 - w], [1, 1], [-1, 1]])
    strokes = [Stroke(outline)]
    strokes += [Stroke(circle(-1 + w / 2, y, w * 0.26), solid=False) for y in (-0.75, 0.0)]
    strokes.append(Stroke(box(0.2, 1 - w * 0.7, 0.75, 1 - w * 0.3, w * 0.15), solid=False))
    return strokes


def spring(rng: Rng) -> list[Stroke]:
    turns = int(rng.integers(6, 11))
    t = np.linspace(0, 2 * np.pi * turns, turns * 48)
    path = np.stack([0.42 * np.cos(t), np.linspace(-1, 1, t.size) + 0.06 * np.sin(t)], axis=1)
    return [Stroke(path, width=rng.uniform(0.05, 0.09))]


def hose(rng: Rng) -> list[Stroke]:
    path = _spline(np.array([[-1, 0.5], [-0.4, rng.uniform(-0.6, 0)], [0.4, rng.uniform(0, 0.6)], [1, -0.5]]))
    strokes = [Stroke(path, width=rng.uniform(0.16, 0.28))]
    for end in (path[:24], path[-24:]):
        strokes.append(Stroke(end, material=1, width=0.3))
    return strokes


def gasket(rng: Rng) -> list[Stroke]:
    strokes = [Stroke(box(-1, -0.6, 1, 0.6, 0.2))]
    bores = int(rng.integers(2, 5))
    for i in range(bores):
        x = -1 + (i + 0.5) * 2 / bores
        strokes.append(Stroke(circle(x, 0, 0.82 / bores, 0.4), solid=False))
    for x in np.linspace(-0.9, 0.9, bores + 1):
        strokes += [Stroke(circle(x, y, 0.045), solid=False) for y in (-0.5, 0.5)]
    return strokes


def kit(rng: Rng) -> list[Stroke]:
    strokes = []
    for i in range(int(rng.integers(3, 6))):
        x, y = -0.8 + 0.8 * (i % 3), -0.45 + 0.9 * (i // 3)
        r = rng.uniform(0.18, 0.32)
        strokes.append(
            Stroke(circle(x, y, r) if i % 2 else box(x - r, y - r, x + r, y + r, 0.05), material=i % 2)
        )
        if rng.random() < 0.5:
            strokes.append(Stroke(circle(x, y, r * 0.45), solid=False))
    return strokes


def long_bar(_: Rng) -> list[Stroke]:
    return [
        Stroke(box(-1, -0.14, 1, 0.14, 0.02)),
        Stroke(circle(-0.3, 0, 0.07), solid=False),
        Stroke(circle(0.3, 0, 0.22), material=1),
        Stroke(circle(0.3, 0, 0.1), solid=False),
    ]


FIGURE: dict[str, Callable[[Rng], list[Stroke]]] = {
    "ring": ring,
    "gear": gear,
    "chrome cap": cap,
    "white cover": cover,
    "black boot": boot,
    "wire harness": harness,
    "tiny screw": screw,
    "brake disc": disc,
    "bracket": bracket,
    "spring": spring,
    "hose": hose,
    "gasket": gasket,
    "kit": kit,
    "bar at border": long_bar,
}


# --- shapes for tuning -----------------------------------------------------------------------------------------


def link(rng: Rng) -> list[Stroke]:
    d = rng.uniform(0.5, 0.7)
    strokes = [Stroke(circle(-d, 0, 0.4)), Stroke(circle(d, 0, 0.4)), Stroke(box(-d, -0.24, d, 0.24))]
    return strokes + [Stroke(circle(s * d, 0, rng.uniform(0.15, 0.3)), solid=False) for s in (-1, 1)]


def pulley(rng: Rng) -> list[Stroke]:
    spokes = int(rng.integers(3, 7))
    strokes = [Stroke(circle(0, 0, 1)), Stroke(circle(0, 0, 0.78), solid=False)]
    for i in range(spokes):
        a = 2 * np.pi * i / spokes
        strokes.append(Stroke(np.array([[0, 0], [0.85 * np.cos(a), 0.85 * np.sin(a)]]), width=0.16))
    return [*strokes, Stroke(circle(0, 0, 0.28), material=1), Stroke(circle(0, 0, 0.1), solid=False)]


def elbow(rng: Rng) -> list[Stroke]:
    t = np.linspace(0, np.pi / 2, 60)
    path = np.stack([0.7 * np.cos(t) - 0.4, 0.7 * np.sin(t) - 0.4], axis=1)
    ends = [
        Stroke(np.array([path[i], path[i] + off]), width=0.5, material=1)
        for i, off in ((0, (0, -0.2)), (-1, (-0.2, 0)))
    ]
    return [Stroke(path, width=rng.uniform(0.3, 0.42)), *ends]


def handle(rng: Rng) -> list[Stroke]:
    t = np.linspace(0, np.pi, 60)
    path = np.stack([np.cos(t), -rng.uniform(0.5, 0.9) * np.sin(t)], axis=1)
    return [
        Stroke(path, width=0.2),
        Stroke(box(-1.25, 0, -0.8, 0.2, 0.04)),
        Stroke(box(0.8, 0, 1.25, 0.2, 0.04)),
    ]


def module(rng: Rng) -> list[Stroke]:
    strokes = [Stroke(box(-0.9, -0.7, 0.9, 0.7, 0.05)), Stroke(box(-0.6, -0.4, 0.3, 0.2, 0.02), material=1)]
    pins = int(rng.integers(4, 9))
    for x in np.linspace(-0.7, 0.7, pins):
        strokes.append(Stroke(box(x - 0.03, 0.68, x + 0.03, 0.95), material=1))
    return strokes


def cable(rng: Rng) -> list[Stroke]:
    t = np.linspace(0, 2 * np.pi * rng.uniform(1.3, 2.6), 240)
    r = np.linspace(0.9, 0.55, t.size)
    path = np.stack([r * np.cos(t), r * 0.7 * np.sin(t)], axis=1)
    end = path[-1]
    return [
        Stroke(path, width=rng.uniform(0.014, 0.035)),
        Stroke(box(end[0] - 0.14, end[1] - 0.1, end[0] + 0.14, end[1] + 0.1), material=1),
    ]


def clip(rng: Rng) -> list[Stroke]:
    t = np.radians(np.linspace(30, 330, 80))
    return [
        Stroke(np.stack([np.cos(t), np.sin(t)], 1), width=rng.uniform(0.15, 0.3)),
        Stroke(circle(0.9, 0.55, 0.2)),
    ]


def sieve(rng: Rng) -> list[Stroke]:
    n = int(rng.integers(3, 6))
    strokes = [Stroke(box(-1, -0.75, 1, 0.75, 0.06))]
    for x in np.linspace(-0.8, 0.8, n + 2):
        strokes += [
            Stroke(box(x - 0.09, y - 0.09, x + 0.09, y + 0.09), solid=False)
            for y in np.linspace(-0.5, 0.5, n)
        ]
    return strokes


def hinge(_: Rng) -> list[Stroke]:
    strokes = [
        Stroke(box(-1, -0.6, -0.08, 0.6, 0.1)),
        Stroke(box(0.08, -0.6, 1, 0.6, 0.1)),
        Stroke(box(-0.1, -0.68, 0.1, 0.68, 0.04), material=1),
    ]
    return strokes + [Stroke(circle(x, y, 0.08), solid=False) for x in (-0.6, 0.6) for y in (-0.35, 0.35)]


def belt(rng: Rng) -> list[Stroke]:
    return [Stroke(circle(0, 0, 1, rng.uniform(0.35, 0.6))), Stroke(circle(0, 0.01, 0.9, 0.28), solid=False)]


def lever(_: Rng) -> list[Stroke]:
    outline = np.array([[-1, -0.12], [0.6, -0.3], [1, 0.0], [0.6, 0.3], [-1, 0.12]])
    return [
        Stroke(outline),
        Stroke(circle(0.6, 0, 0.14), solid=False),
        Stroke(box(-1.2, -0.2, -0.6, 0.2, 0.15), material=1),
    ]


def pins(rng: Rng) -> list[Stroke]:
    strokes = []
    for i in range(int(rng.integers(3, 7))):
        x = -0.9 + 0.36 * i
        strokes += [
            Stroke(box(x - 0.05, -0.7, x + 0.05, 0.7)),
            Stroke(circle(x, -0.7, 0.12, 0.07), material=1),
        ]
    return strokes


def panel(rng: Rng) -> list[Stroke]:
    return [
        Stroke(np.array([[-1, -0.35], [1, -rng.uniform(0.2, 0.45)], [1, 0.4], [-1, 0.3]])),
        Stroke(box(-0.5, -0.15, 0.1, 0.15, 0.05), solid=False),
        Stroke(box(0.35, -0.12, 0.7, 0.12, 0.02), material=1),
    ]


def fan(rng: Rng) -> list[Stroke]:
    blades = int(rng.integers(4, 8))
    strokes = []
    for i in range(blades):
        a = 2 * np.pi * i / blades
        t = np.array([[0.1, -0.06], [0.95, -0.28], [1.0, 0.1], [0.1, 0.1]])
        turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        strokes.append(Stroke(t @ turn.T))
    return [*strokes, Stroke(circle(0, 0, 0.3), material=1)]


TUNING: dict[str, Callable[[Rng], list[Stroke]]] = {
    "link": link,
    "pulley": pulley,
    "chrome elbow": elbow,
    "white handle": handle,
    "black module": module,
    "cable": cable,
    "tiny clip": clip,
    "sieve": sieve,
    "hinge": hinge,
    "belt": belt,
    "lever": lever,
    "pins": pins,
    "panel at border": panel,
    "fan": fan,
}
