"""Studio photographs of made-up parts with known alpha: light, material, backdrop, shadow, lens, noise, JPEG.

Everything is drawn in linear light and photographed afterwards, so that shadows darken the backdrop, reflections
carry its colour into the part and edges mix as they do in a camera. No cut-out code belongs here.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.cutout_shapes import FIGURE, TUNING, Rng, Stroke

BACKDROPS = ("white sweep", "grey gradient", "dark gradient", "blue paper", "lit table")
FAMILIES = {"figure": FIGURE, "tuning": TUNING}
_FIRST_SEED = {"tuning": 100_000, "figure": 1_000_000_000}
"""The tuning seeds end below 501 million; the two ranges do not meet."""


@dataclass(frozen=True)
class Sample:
    """A photograph: `rgb` H x W x 3 uint8 and its true `alpha` H x W uint8."""

    family: str
    kind: str
    backdrop: str
    seed: int
    rgb: np.ndarray
    alpha: np.ndarray


def photograph(
    family: str, kind: str, backdrop: str, number: int, *, megapixels: float | None = None
) -> Sample:
    """Make one picture; the same arguments always give the same bytes.

    Args:
        family: "figure" or "tuning"; the two share neither shapes nor seeds.
        kind: A key of that family's shapes.
        backdrop: One of `BACKDROPS`.
        number: Which picture of this kind and backdrop, from 0.
        megapixels: Size; by default 0.8 to 2.2 at random.
    """
    seed = _FIRST_SEED[family] + zlib.crc32(f"{kind}/{backdrop}".encode()) % 500_000 * 1000 + number
    rng = np.random.default_rng(seed)
    area = 1e6 * (megapixels or rng.uniform(0.8, 2.2))
    aspect = rng.choice([1.0, 4 / 3, 3 / 2, 3 / 4])
    height, width = round((area / aspect) ** 0.5), round((area * aspect) ** 0.5)
    solid, material = _draw(rng, FAMILIES[family][kind](rng), kind, height, width)
    light = _backdrop(rng, backdrop, height, width)
    part = _lit_part(rng, kind, solid, material, light)
    ground = light * _shadow(rng, solid)[..., None]
    scene = ground + (part - ground) * solid[..., None]
    scene *= _vignette(rng, height, width)[..., None]
    rgb, alpha = _camera(rng, scene, solid)
    return Sample(family, kind, backdrop, seed, rgb, alpha)


def _draw(
    rng: Rng, strokes: list[Stroke], kind: str, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coverage (0 to 1) and material (0 or 1) of every pixel, drawn at twice the size."""
    ss = 2
    shortest = min(height, width) * ss
    if "tiny" in kind:
        scale = shortest * rng.uniform(0.035, 0.07)
    elif "border" in kind:
        scale = max(height, width) * ss * rng.uniform(0.52, 0.7)
    else:
        scale = shortest * rng.uniform(0.26, 0.42)
    angle = rng.uniform(-0.25, 0.25) if "border" in kind else rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    tilt = np.diag([1.0, rng.uniform(0.7, 1.0)])
    if "border" in kind and height > width:
        turn = np.array([[0, -1], [1, 0]]) @ turn
    centre = np.array([width, height]) * ss * (0.5 + rng.uniform(-0.05, 0.05, 2))
    matrix = scale * (tilt @ turn)
    solid = np.zeros((height * ss, width * ss), np.uint8)
    material = np.zeros_like(solid)
    shift = 4
    for stroke in strokes:
        points = stroke.points @ matrix.T + centre
        fixed = np.round(points * 2**shift).astype(np.int32)
        value = 255 if stroke.solid else 0
        if stroke.width is None:
            cv2.fillPoly(solid, [fixed], value, cv2.LINE_8, shift)
            cv2.fillPoly(material, [fixed], stroke.material, cv2.LINE_8, shift)
        else:
            thick = max(2, round(stroke.width * scale))
            cv2.polylines(solid, [fixed], False, value, thick, cv2.LINE_8, shift)
            cv2.polylines(material, [fixed], False, stroke.material, thick, cv2.LINE_8, shift)
    small = cv2.resize(solid, (width, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255, cv2.resize(
        material, (width, height), interpolation=cv2.INTER_NEAREST
    )


def _linear(srgb: float | np.ndarray) -> np.ndarray:
    c = np.asarray(srgb, dtype=np.float32)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _srgb(linear: np.ndarray) -> np.ndarray:
    c = np.clip(linear, 0, 1)
    return np.where(c <= 0.0031308, c * 12.92, 1.055 * c ** (1 / 2.4) - 0.055)


def _backdrop(rng: Rng, name: str, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width, y / height
    a = rng.uniform(0, 2 * np.pi)
    ramp = 0.5 + 0.5 * ((x - 0.5) * np.cos(a) + (y - 0.5) * np.sin(a)) * 1.4
    if name == "white sweep":
        level = _linear(rng.uniform(0.88, 0.97)) * (1 + 0.06 * (ramp - 0.5))
        tint = 1 + rng.uniform(-0.025, 0.025, 3)
    elif name == "grey gradient":
        level = _linear(rng.uniform(0.5, 0.75)) * (0.8 + 0.5 * ramp)
        tint = 1 + rng.uniform(-0.04, 0.04, 3)
    elif name == "dark gradient":
        level = _linear(rng.uniform(0.15, 0.3)) * (0.5 + 1.3 * ramp)
        tint = 1 + rng.uniform(-0.08, 0.08, 3)
    elif name == "blue paper":
        level = _linear(rng.uniform(0.5, 0.7)) * (0.85 + 0.3 * ramp)
        tint = np.array([0.35, 0.7, 1.4]) if rng.random() < 0.6 else np.array([0.45, 1.25, 0.5])
    else:
        # A table that meets the wall in a soft bend, with a pool of light.
        bend = 1 / (1 + np.exp(-(y - rng.uniform(0.25, 0.45)) / rng.uniform(0.04, 0.1)))
        pool = np.exp(-((x - rng.uniform(0.3, 0.7)) ** 2 + (y - rng.uniform(0.4, 0.7)) ** 2) / 0.25)
        level = _linear(rng.uniform(0.6, 0.78)) * (0.7 + 0.25 * bend + 0.35 * pool)
        tint = 1 + rng.uniform(-0.05, 0.05, 3)
    return (np.ones_like(x) * level)[..., None] * tint.astype(np.float32)


def _normals(rng: Rng, solid: np.ndarray, material: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope of the surface (dx, dy) from the distance to each material's edge: bevelled, rounded or flat."""
    inside = solid > 0.5
    height_field = np.zeros_like(solid)
    largest = 1.0
    for m in (0, 1):
        area = (inside & (material == m)).astype(np.uint8)
        if area.any():
            distance = cv2.distanceTransform(area, cv2.DIST_L2, 5)
            radius = max(2.0, float(distance.max()) * rng.uniform(0.25, 1.0))
            t = np.clip(distance / radius, 0, 1)
            height_field += np.sqrt(np.clip(1 - (1 - t) ** 2, 0, 1)) * radius * rng.uniform(0.3, 0.9) * area
            largest = max(largest, radius)
    height_field = cv2.GaussianBlur(height_field, (0, 0), 0.8)
    dx = cv2.Sobel(height_field, cv2.CV_32F, 1, 0, ksize=3) / 8
    dy = cv2.Sobel(height_field, cv2.CV_32F, 0, 1, ksize=3) / 8
    length = np.sqrt(dx * dx + dy * dy + 1)
    return -dx / length, -dy / length


_COLOURS = (
    (0.55, 0.55, 0.56),
    (0.35, 0.33, 0.32),
    (0.7, 0.12, 0.1),
    (0.75, 0.6, 0.2),
    (0.15, 0.3, 0.55),
    (0.12, 0.12, 0.13),
    (0.8, 0.78, 0.75),
    (0.2, 0.45, 0.2),
)


def _lit_part(rng: Rng, kind: str, solid: np.ndarray, material: np.ndarray, light: np.ndarray) -> np.ndarray:
    nx, ny = _normals(rng, solid, material)
    nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0.01, 1))
    surroundings = light.reshape(-1, 3).mean(axis=0)
    exposure = 0.55 + 0.45 * float(surroundings.mean() > 0.2)
    out = np.zeros((*solid.shape, 3), np.float32)
    finishes = [_finish(rng, kind) for _ in (0, 1)]
    grain = cv2.GaussianBlur(
        rng.standard_normal(solid.shape, dtype=np.float32), (0, 0), rng.uniform(0.6, 2.0)
    )
    grain /= grain.std()
    la = rng.uniform(0, 2 * np.pi)
    lx, ly, lz = 0.55 * np.cos(la), 0.55 * np.sin(la), 0.83
    for m, (finish, colour) in enumerate(finishes):
        albedo = _linear(np.array(colour))
        lambert = np.clip(nx * lx + ny * ly + nz * lz, 0, 1)
        if finish == "metal":
            shade = _reflect(rng, nx, ny, surroundings) * (0.35 + 0.65 * albedo)
            shade *= 1 + 0.03 * grain[..., None]
        else:
            half = np.clip(nx * lx * 0.6 + ny * ly * 0.6 + nz * 0.9, 0, 1)
            gloss = {"matt": 0.01, "rubber": 0.03, "plastic": 0.12}[finish]
            shade = albedo * (0.35 + 0.7 * lambert)[..., None] * (1 + 0.04 * grain[..., None])
            shade = shade + gloss * (half**40)[..., None] + 0.04 * albedo * surroundings
        out[material == m] = (shade * exposure * 1.15)[material == m]
    return out


def _finish(rng: Rng, kind: str) -> tuple[str, tuple[float, float, float]]:
    if "chrome" in kind:
        return "metal", (0.95, 0.95, 0.96)
    if "white" in kind:
        v = float(rng.uniform(0.86, 0.97))
        return "plastic", (v, v, v * 0.985)
    if "black" in kind:
        v = float(rng.uniform(0.06, 0.16))
        return "rubber", (v, v, v)
    colour = _COLOURS[int(rng.integers(len(_COLOURS)))]
    return str(rng.choice(["metal", "matt", "plastic", "matt"])), colour


def _reflect(rng: Rng, nx: np.ndarray, ny: np.ndarray, surroundings: np.ndarray) -> np.ndarray:
    """What a mirror-like surface shows: two soft boxes, dark surroundings, and the backdrop where it looks down."""
    a = rng.uniform(0, 2 * np.pi)
    u = nx * np.cos(a) + ny * np.sin(a)
    v = -nx * np.sin(a) + ny * np.cos(a)

    def band(t: np.ndarray, centre: float, half: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(half - np.abs(t - centre)) / 0.03))

    boxes = band(u, rng.uniform(-0.5, -0.2), 0.13) * 0.9 + band(u, rng.uniform(0.2, 0.6), 0.08) * 0.8
    ground = band(v, 0.6, 0.35) * 0.75
    ambient = 0.10 + 0.22 * (1 - np.abs(u))
    return (
        np.clip(boxes + ambient, 0, 1.05)[..., None] * (1 - ground[..., None])
        + ground[..., None] * surroundings
    )


def _shadow(rng: Rng, solid: np.ndarray) -> np.ndarray:
    """How much light reaches the ground, 0 to 1: a wide soft shadow and a narrower one near the contact."""
    height, width = solid.shape
    short = min(height, width)
    out = np.ones_like(solid)
    for reach, sigma, strength in (
        (0.05, rng.uniform(0.02, 0.05), rng.uniform(0.15, 0.5)),
        (0.012, rng.uniform(0.006, 0.012), rng.uniform(0.0, 0.35)),
    ):
        dx, dy = rng.uniform(-reach, reach) * short, rng.uniform(0.2, 1.0) * reach * short
        moved = cv2.warpAffine(solid, np.array([[1, 0, dx], [0, 1, dy]], np.float64), (width, height))
        small = cv2.resize(moved, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), max(0.6, sigma * short / 4))
        out *= 1 - strength * cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(out, 0, 1)


def _vignette(rng: Rng, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    r2 = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2
    return 1 - rng.uniform(0.0, 0.3) * r2


def _camera(rng: Rng, scene: np.ndarray, solid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lens blur, shot and read noise, 8 bit, JPEG; the true alpha is blurred by the same lens."""
    sigma = rng.uniform(0.4, 1.0)
    scene = cv2.GaussianBlur(scene, (0, 0), sigma)
    alpha = cv2.GaussianBlur(solid, (0, 0), sigma)
    gain = rng.uniform(0.00002, 0.00025)
    noise = rng.standard_normal(scene.shape, dtype=np.float32)
    scene = scene + noise * np.sqrt(np.clip(scene, 0, None) * gain + 1e-7)
    rgb = np.round(_srgb(scene) * 255).astype(np.uint8)
    quality = int(rng.integers(75, 96))
    ok, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    rgb = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(rgb), np.round(alpha * 255).astype(np.uint8)
