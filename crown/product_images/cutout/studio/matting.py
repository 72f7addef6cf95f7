"""From a mask at working size to soft alpha at full size, and the part's true colour at its rim.

Only a narrow band along the outline is computed. There every pixel is a mixture of the part's colour and the
backdrop's, both known nearby; mixing happens in linear light, as in a camera. Which pixels are part is decided elsewhere.
"""

from __future__ import annotations

import cv2
import numpy as np

BAND = 2.0
"""Half width of the band, in pixels of the working picture."""
COLOUR = 0.4
"""How much the mixture of colours counts at best, beside the outline that was decided at working size."""
_ROWS = 512

_CODES = np.arange(256, dtype=np.float32) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""sRGB code value to linear light (IEC 61966-2-1)."""


def linear(rgb: np.ndarray) -> np.ndarray:
    """Linear light, float32, from sRGB uint8."""
    return _LINEAR[rgb]


def to_codes(light: np.ndarray) -> np.ndarray:
    """Convert linear light to sRGB uint8."""
    c = np.clip(light, 0, 1)
    return np.round(255 * np.where(c <= 0.0031308, c * 12.92, 1.055 * c ** (1 / 2.4) - 0.055)).astype(
        np.uint8
    )


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance to the outline in pixels, positive inside, float32."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)


def near_colours(light: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour of the part and of the backdrop near every pixel of the outline, both H x W x 3 linear light.

    Each is the mean of what surely belongs to it close by, and of more distant pixels where there is none. For a
    part too thin to hold a sure pixel, its pixels count by how much they differ from the backdrop.
    """
    distance = signed_distance(mask)
    back = spread(light, (distance < -2.5).astype(np.float32))
    thick = (distance > 1.5).astype(np.float32)
    part = spread(light, thick)
    contrast = ((light - back) ** 2).sum(axis=-1)
    has_core = cv2.dilate(thick, np.ones((9, 9), np.uint8)) > 0
    thin = spread(light, np.where(mask, contrast**2 + 1e-9, 0).astype(np.float32), (1.2, 3.0))
    return np.where(has_core[..., None], part, thin).astype(np.float32), back


def spread(
    light: np.ndarray, weight: np.ndarray, sigmas: tuple[float, ...] = (2.0, 5.0, 14.0, 40.0)
) -> np.ndarray:
    """Weighted mean around each pixel (H x W x 3), at the smallest scale at which there is enough weight."""
    result = np.zeros_like(light)
    filled = np.zeros(weight.shape, np.float32)
    weight = weight / (float(weight.max()) or 1.0)
    stack = np.dstack([light * weight[..., None], weight])
    for sigma in sigmas:
        blurred = _wide_blur(stack, sigma)
        amount = blurred[..., 3]
        trust = (np.clip(amount / 0.02, 0, 1) if sigma != sigmas[-1] else 1.0) * (1 - filled)
        result += blurred[..., :3] * (trust / np.maximum(amount, 1e-8))[..., None]
        filled += trust
    return result


def _wide_blur(stack: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; a wide one at a fraction of the size, where it looks the same."""
    fraction = max(1, int(sigma / 2.5))
    if fraction == 1:
        return cv2.GaussianBlur(stack, (0, 0), sigma)
    height, width = stack.shape[:2]
    size = (max(1, width // fraction), max(1, height // fraction))
    small = cv2.GaussianBlur(cv2.resize(stack, size, interpolation=cv2.INTER_AREA), (0, 0), sigma / fraction)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def matte(rgb: np.ndarray, mask: np.ndarray, share: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Soft alpha at the size of `rgb`.

    Args:
        rgb: H x W x 3 uint8, full size.
        mask: The part at working size.
        share: How much of each working pixel is part, 0 to 1; read beside the outline of `mask` only.
        light: Linear light of the working picture, same size as `mask`.

    Returns:
        H x W uint8.
    """
    height, width = rgb.shape[:2]
    rows, columns = mask.shape
    part, back = near_colours(light, mask)
    distance = signed_distance(mask)
    # The outline runs between the pixels, where the share passes one half.
    distance = np.where(
        np.abs(distance) < 1, np.where(mask, np.maximum(share, 0.5), np.minimum(share, 0.5)) - 0.5, distance
    ).astype(np.float32)
    scale_x, scale_y = columns / width, rows / height
    alpha = np.zeros((height, width), np.uint8)
    xs = ((np.arange(width, dtype=np.float32) + 0.5) * scale_x - 0.5)[None]
    for top in range(0, height, _ROWS):
        bottom = min(top + _ROWS, height)
        ys = ((np.arange(top, bottom, dtype=np.float32) + 0.5) * scale_y - 0.5)[:, None]
        map_x = np.broadcast_to(xs, (bottom - top, width))
        map_y = np.broadcast_to(ys, (bottom - top, width))
        far = _sample(distance, map_x, map_y)
        out = np.where(far > 0, 255, 0).astype(np.uint8)
        y, x = np.nonzero(np.abs(far) < BAND + 1)
        if y.size:
            seen = linear(rgb[top + y, x])
            f = _points(part, map_x[y, x], map_y[y, x])
            b = _points(back, map_x[y, x], map_y[y, x])
            out[y, x] = np.round(255 * _mix(seen, f, b, far[y, x]))
        alpha[top:bottom] = out
    return alpha


def _sample(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    mode = cv2.BORDER_REPLICATE
    return cv2.remap(
        image, np.ascontiguousarray(x), np.ascontiguousarray(y), cv2.INTER_LINEAR, borderMode=mode
    )


def _points(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear samples of H x W x C at n points: n x C."""
    height, width = image.shape[:2]
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    x0, y0 = (
        np.minimum(x.astype(np.int32), max(width - 2, 0)),
        np.minimum(y.astype(np.int32), max(height - 2, 0)),
    )
    u, v = (x - x0)[:, None], (y - y0)[:, None]
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    upper = image[y0, x0] * (1 - u) + image[y0, x1] * u
    lower = image[y1, x0] * (1 - u) + image[y1, x1] * u
    return upper * (1 - v) + lower * v


def _mix(seen: np.ndarray, part: np.ndarray, back: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Share of the part in each mixed pixel, held to what the outline allows at that distance."""
    span = part - back
    size = (span * span).sum(axis=1)
    share = ((seen - back) * span).sum(axis=1) / np.maximum(size, 1e-8)
    # Where part and backdrop are alike the mixture says nothing: then the outline itself decides. It has a say
    # everywhere, since a part of many colours is not the mixture that its mean colour promises.
    level = 0.02 * (0.05 + back.mean(axis=1))
    trust = COLOUR * size / (size + level**2 * 3)
    outline = np.clip(far + 0.5, 0, 1)
    mixed = trust * np.clip(share, 0, 1) + (1 - trust) * outline
    lower = np.clip((far - BAND) + 1, 0, 1)
    ceiling = np.clip((far + BAND), 0, 1)
    return np.clip(mixed, lower, ceiling)


def foreground(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours of the part alone: what the backdrop lent to mixed pixels is taken out again.

    A mixed pixel is share x part + (1 - share) x backdrop in linear light; it is solved for the part where the
    share is large enough to be solved for, and the part's colour close by is taken where it is not.

    Args:
        rgb: H x W x 3 uint8.
        alpha: H x W uint8, from any engine.

    Returns:
        H x W x 3 uint8, equal to `rgb` where alpha is 0 or 255.
    """
    height, width = alpha.shape
    y, x = np.nonzero((alpha > 0) & (alpha < 255))
    solid = alpha >= 128
    if not y.size or not solid.any() or solid.all():
        return rgb
    scale = min(1.0, (1_000_000 / (height * width)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    light = linear(cv2.resize(np.ascontiguousarray(rgb), size, interpolation=cv2.INTER_AREA))
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) >= 128
    if not small.any() or small.all():
        return rgb
    part, back = near_colours(light, small)
    at_x = ((x + 0.5) * size[0] / width - 0.5).astype(np.float32)
    at_y = ((y + 0.5) * size[1] / height - 0.5).astype(np.float32)
    near, behind = _points(part, at_x, at_y), _points(back, at_x, at_y)
    share = (alpha[y, x].astype(np.float32) / 255)[:, None]
    solved = np.clip((linear(rgb[y, x]) - (1 - share) * behind) / np.maximum(share, 0.05), 0, 1)
    trust = np.clip((share - 0.3) / 0.5, 0, 1)
    out = np.array(rgb)
    out[y, x] = to_codes(trust * solved + (1 - trust) * near)
    return out
