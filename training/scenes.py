"""Training pictures: the tuning family and random outlines, in more materials, backdrops and lights.

Shapes and seeds of the figure family do not belong here. Pictures are drawn with `benchmarks.cutout_pictures`;
textures, paper grain, reflections, camouflage, hard shadows, sharpening and stronger JPEG are added so that a network
learns photographs rather than one renderer.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks import cutout_pictures as pictures
from benchmarks.cutout_shapes import TUNING, Rng, Stroke, _spline, box, circle

HELD_OUT = ("cable", "sieve", "chrome elbow", "fan")
"""Kinds of the tuning family that are never trained on: they measure the result on unseen shapes."""
KINDS = tuple(kind for kind in TUNING if kind not in HELD_OUT)
FIRST_NUMBER = 100
"""The tuning pictures of lower numbers are for validation and for fitting the triage."""
_FIRST_SEED = 600_000_000
"""Seeds of the made-up scenes: between those of the tuning family and those of the figure family."""


@dataclass(frozen=True)
class Scene:
    """A photograph: `rgb` H x W x 3 uint8 and its true `alpha` H x W uint8."""

    rgb: np.ndarray
    alpha: np.ndarray


def scene(number: int) -> Scene:
    """Make training picture `number`; the same number always gives the same bytes."""
    rng = np.random.default_rng(_FIRST_SEED + number)
    megapixels = float(rng.uniform(0.3, 1.2))
    if rng.random() < 0.3:
        kind, backdrop = str(rng.choice(KINDS)), str(rng.choice(pictures.BACKDROPS))
        sample = pictures.photograph(
            "tuning", kind, backdrop, FIRST_NUMBER + number % 800, megapixels=megapixels
        )
        return Scene(sample.rgb, sample.alpha)
    aspect = rng.choice([1.0, 4 / 3, 3 / 2, 3 / 4])
    height, width = round((megapixels * 1e6 / aspect) ** 0.5), round((megapixels * 1e6 * aspect) ** 0.5)
    source = rng.random()
    if source < 0.25:
        strokes = TUNING[str(rng.choice(KINDS))](rng)
    elif source < 0.6:
        strokes = made_up(rng)
    else:
        strokes = repeated(rng)
    place = str(rng.choice(["", "tiny", "border"], p=[0.74, 0.12, 0.14]))
    solid, material = pictures._draw(rng, strokes, place, height, width)
    look = str(rng.choice(["", "chrome", "white", "black"], p=[0.5, 0.2, 0.15, 0.15]))
    varied = rng.random() < 0.75
    light = backdrop_light(rng, height, width, varied)
    part = pictures._lit_part(rng, look, solid, material, light)
    if varied:
        part = dressed(rng, part, solid, light)
    ground = light * pictures._shadow(rng, solid)[..., None]
    if varied and rng.random() < 0.25:
        ground = ground * hard_shadow(rng, solid)[..., None]
    if varied and rng.random() < 0.12:
        ground = mirrored(rng, ground, part, solid)
    image = ground + (part - ground) * solid[..., None]
    image *= pictures._vignette(rng, height, width)[..., None]
    if not varied:
        return Scene(*pictures._camera(rng, image, solid))
    return photographed(rng, image, solid)


# --- outlines ------------------------------------------------------------------------------------------------


def made_up(rng: Rng) -> list[Stroke]:
    """A few random pieces: blobs, polygons, boxes, curved bars, wires; some holes cut into them."""
    strokes: list[Stroke] = []
    thin = rng.random() < 0.3
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(-0.6, 0.6, 2)
        strokes.append(_piece(rng, x, y, rng.uniform(0.3, 1.1), thin))
    if rng.random() < 0.6:
        grid = rng.random() < 0.3
        for _ in range(int(rng.integers(1, 9))):
            x, y = np.round(rng.uniform(-0.7, 0.7, 2) * 4) / 4 if grid else rng.uniform(-0.7, 0.7, 2)
            shape = _piece(rng, x, y, rng.uniform(0.04, 0.3), False)
            strokes.append(Stroke(shape.points, solid=False, width=shape.width))
    # A hole cut last may leave nothing; one piece always stays.
    x, y = rng.uniform(-0.8, 0.8, 2)
    strokes.append(_piece(rng, x, y, rng.uniform(0.1, 0.35), False))
    return strokes


def repeated(rng: Rng) -> list[Stroke]:
    """Random pieces repeated as in made things: around a centre, mirrored, or in rows; holes the same way."""
    strokes: list[Stroke] = []
    thin = rng.random() < 0.35
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(-0.5, 0.5, 2)
        piece = _piece(rng, x, y, rng.uniform(0.25, 0.8), thin)
        strokes += _copies(rng, piece)
    if rng.random() < 0.7:
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.uniform(-0.5, 0.5, 2)
            hole = _piece(rng, x, y, rng.uniform(0.05, 0.3), False)
            strokes += _copies(rng, Stroke(hole.points, solid=False, width=hole.width))
    x, y = rng.uniform(-0.8, 0.8, 2)
    strokes.append(_piece(rng, x, y, rng.uniform(0.08, 0.35), thin))
    return strokes


def _copies(rng: Rng, piece: Stroke) -> list[Stroke]:
    """One piece in a pattern."""
    pattern = int(rng.integers(4))
    if pattern == 0:
        copies = int(rng.integers(2, 17))
        angles = 2 * np.pi * np.arange(copies) / copies
        moved = [piece.points @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) for a in angles]
    elif pattern == 1:
        moved = [piece.points, piece.points * (-1, 1)]
        if rng.random() < 0.4:
            moved += [p * (1, -1) for p in moved]
    elif pattern == 2:
        rows, columns = int(rng.integers(1, 4)), int(rng.integers(2, 7))
        small = (piece.points - piece.points.mean(axis=0)) * rng.uniform(0.5, 1.3) / columns
        moved = [
            small + (x, y)
            for x in np.linspace(-0.85, 0.85, columns)
            for y in (np.linspace(-0.6, 0.6, rows) if rows > 1 else [rng.uniform(-0.4, 0.4)])
        ]
    else:
        moved = [piece.points]
    return [Stroke(points, piece.solid, piece.material, piece.width) for points in moved]


def _piece(rng: Rng, x: float, y: float, size: float, thin: bool) -> Stroke:
    material = int(rng.integers(2))
    form = int(rng.integers(3, 7)) if thin else int(rng.integers(0, 6))
    turn = rng.uniform(0, 2 * np.pi)
    if form == 0:
        t = np.linspace(0, 2 * np.pi, 160, endpoint=False)
        radius = np.ones_like(t)
        for k in range(2, int(rng.integers(3, 12))):
            radius += rng.normal(0, 0.5 / k) * np.cos(k * t + rng.uniform(0, 6.3)) * rng.uniform(0, 1)
        radius = np.clip(radius, 0.2, 2)
        points = np.stack([radius * np.cos(t), rng.uniform(0.4, 1) * radius * np.sin(t)], 1)
    elif form == 1:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 14))))
        points = rng.uniform(0.5, 1.1, angles.size)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    elif form == 2:
        half = rng.uniform(0.12, 1)
        points = box(-1, -half, 1, half, float(rng.choice([0, 0.05, 0.1])))
    elif form == 3:
        points = circle(0, 0, 1, rng.uniform(0.3, 1))
        if thin:
            closed = np.concatenate([points, points[:2]])
            return Stroke(_transformed(closed, turn, size, x, y), True, material, rng.uniform(0.012, 0.05))
    else:
        knots = rng.uniform(-1, 1, (int(rng.integers(3, 7)), 2))
        path = _spline(knots) if rng.random() < 0.7 else knots
        wire = thin or rng.random() < 0.3
        width = rng.uniform(0.012, 0.05) if wire else rng.uniform(0.06, 0.35)
        return Stroke(_transformed(path, turn, size * (1.4 if wire else 1), x, y), True, material, width)
    return Stroke(_transformed(points, turn, size, x, y), True, material)


def _transformed(points: np.ndarray, turn: float, size: float, x: float, y: float) -> np.ndarray:
    c, s = np.cos(turn), np.sin(turn)
    return size * points @ np.array([[c, s], [-s, c]]) + (x, y)


# --- backdrops, materials, light -----------------------------------------------------------------------------


def smooth_noise(rng: Rng, height: int, width: int, cells: float) -> np.ndarray:
    """Random blotches, about -1 to 1, `cells` of them across the short side."""
    rows = max(2, round(cells * height / min(height, width))) + 1
    columns = max(2, round(cells * width / min(height, width))) + 1
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def backdrop_light(rng: Rng, height: int, width: int, varied: bool) -> np.ndarray:
    """H x W x 3 linear light of an empty backdrop."""
    if not varied or rng.random() < 0.4:
        light = pictures._backdrop(rng, str(rng.choice(pictures.BACKDROPS)), height, width)
    else:
        level = pictures._linear(float(rng.uniform(0.12, 0.97)))
        colour = 1 + rng.normal(0, rng.choice([0.03, 0.12, 0.35]), 3)
        ramp = smooth_noise(rng, height, width, rng.uniform(1, 2.5)) * rng.uniform(0.02, 0.3)
        light = np.clip(level * np.exp(ramp), 0.002, 1.02)[..., None] * np.clip(colour, 0.15, 2).astype(
            np.float32
        )
        if rng.random() < 0.2:
            y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
            bend = 1 / (1 + np.exp(-(y - rng.uniform(0.15, 0.6)) / rng.uniform(0.02, 0.1)))
            light = light * (1 - rng.uniform(0.05, 0.35) * bend[..., None])
    if varied and rng.random() < 0.4:
        grain = cv2.GaussianBlur(
            rng.standard_normal((height, width), dtype=np.float32), (0, 0), rng.uniform(0.6, 3)
        )
        light = light * (1 + rng.uniform(0.003, 0.03) * grain / grain.std())[..., None]
    if varied and rng.random() < 0.15:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        a, pitch = rng.uniform(0, np.pi), rng.uniform(2.5, 12)
        wave = np.sin((x * np.cos(a) + y * np.sin(a)) * 2 * np.pi / pitch)
        light = light * (1 + rng.uniform(0.003, 0.02) * wave)[..., None]
    return np.clip(light, 0.001, 1.1).astype(np.float32)


def dressed(rng: Rng, part: np.ndarray, solid: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Another colour, exposure or pattern for the part; now and then nearly the backdrop's own."""
    height, width = solid.shape
    part = part * np.clip(1 + rng.normal(0, rng.choice([0.02, 0.25]), 3), 0.2, 2).astype(np.float32)
    part = part * np.exp(rng.normal(0, 0.35))
    if rng.random() < 0.3:
        inside = solid > 0.5
        if inside.any():
            wanted = light[inside].mean(axis=0) * rng.uniform(0.75, 1.25)
            seen = part[inside].mean(axis=0)
            part = part * (1 + rng.uniform(0.5, 1) * (wanted / np.maximum(seen, 1e-3) - 1)).astype(np.float32)
    if rng.random() < 0.35:
        blotches = smooth_noise(rng, height, width, rng.uniform(3, 40))
        part = part * np.exp(rng.uniform(0.05, 0.5) * blotches)[..., None]
    if rng.random() < 0.15:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        a, pitch = rng.uniform(0, np.pi), rng.uniform(3, 40)
        wave = np.sin((x * np.cos(a) + y * np.sin(a)) * 2 * np.pi / pitch) > rng.uniform(-0.8, 0.8)
        part = part * np.where(wave, 1, rng.uniform(0.4, 1.6)).astype(np.float32)[..., None]
    if rng.random() < 0.15:
        print_ = np.zeros((height, width), np.uint8)
        for _ in range(int(rng.integers(1, 6))):
            place = (int(rng.uniform(0.2, 0.7) * width), int(rng.uniform(0.2, 0.8) * height))
            cv2.putText(print_, str(rng.integers(10**6)), place, 0, rng.uniform(0.4, 2), 255, 1)
        share = (print_ / np.float32(255))[..., None]
        part = part * (1 - share) + share * rng.uniform(0, 1, 3).astype(np.float32)
    if rng.random() < 0.25:
        part = part * (1 - rng.uniform(0.2, 0.7)) + rng.uniform(0.2, 0.7) * part.mean()
    return np.clip(part, 0.0005, 1.1)


def hard_shadow(rng: Rng, solid: np.ndarray) -> np.ndarray:
    """A smaller lamp: a shadow farther off, with a firmer edge."""
    height, width = solid.shape
    short = min(height, width)
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.01, 0.1) * short
    shift = np.array([[1, 0, reach * np.cos(angle)], [0, 1, reach * np.sin(angle)]], np.float64)
    moved = cv2.GaussianBlur(
        cv2.warpAffine(solid, shift, (width, height)), (0, 0), rng.uniform(0.004, 0.02) * short
    )
    return 1 - rng.uniform(0.05, 0.45) * moved


def mirrored(rng: Rng, ground: np.ndarray, part: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """A faint mirror image below the part, as on acrylic; it belongs to the backdrop."""
    rows = np.flatnonzero((solid > 0.5).any(axis=1))
    if not rows.size:
        return ground
    axis, height = int(rows[-1]), solid.shape[0]
    source = 2 * axis - np.arange(height)
    valid = (source >= 0) & (source < height)
    index = np.clip(source, 0, height - 1)
    share = cv2.GaussianBlur((solid[index] * valid[:, None]).astype(np.float32), (0, 0), rng.uniform(1.5, 6))
    fade = np.exp(-np.maximum(np.arange(height) - axis, 0) / (rng.uniform(0.05, 0.2) * height))
    share = share * (rng.uniform(0.05, 0.25) * fade).astype(np.float32)[:, None]
    image = cv2.GaussianBlur(part[index], (0, 0), 2.0)
    return ground + (image - ground) * share[..., None]


def photographed(rng: Rng, image: np.ndarray, solid: np.ndarray) -> Scene:
    """As the camera of `cutout_pictures`, with exposure, white balance, sharpening and a wider choice of JPEG."""
    sigma = rng.uniform(0.3, 1.5)
    image = image * np.exp(rng.normal(0, 0.15)) * (1 + rng.normal(0, 0.04, 3)).astype(np.float32)
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma)
    alpha = cv2.GaussianBlur(solid, (0, 0), sigma)
    gain = rng.uniform(0.00001, 0.0005)
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < 0.3:
        noise = (cv2.GaussianBlur(noise, (0, 0), 0.7) * 2).astype(np.float32)
    image = image + noise * np.sqrt(np.clip(image, 0, None) * gain + 1e-7)
    seen = pictures._srgb(image).astype(np.float32)
    seen = np.clip(seen, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.12)))
    if rng.random() < 0.35:
        seen = seen + rng.uniform(0.2, 1.0) * (seen - cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.8, 2)))
    rgb = np.round(np.clip(seen, 0, 1) * 255).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 99))]
    ok, data = cv2.imencode(".jpg", rgb[..., ::-1], options)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert ok
    assert decoded is not None
    return Scene(
        np.ascontiguousarray(decoded[..., ::-1].astype(np.uint8)), np.round(alpha * 255).astype(np.uint8)
    )
