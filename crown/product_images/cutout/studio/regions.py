"""Segmentation into part and backdrop by regions.

A watershed divides the picture into small regions along its edges; each has a distance from the estimated
backdrop, and each border between two a sharpness. One minimum cut (Boykov and Jolly 2001, on regions
instead of pixels) weighs both: a soft shadow has no sharp border to the backdrop and goes with it, a white part
on white has one and stays. Holes are classified afterwards as regions of their own. Full-size pixels are not used here.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from skimage.segmentation import watershed

from crown.product_images.cutout.studio.backdrop import Backdrop, unexplained

STEP = 9
"""Spacing of region seeds in pixels of the working picture."""
CHROMA = 1.6
"""How much a step of chroma counts beside a step of lightness in an edge."""
RINGING = 0.08
"""Height of JPEG ringing beside an edge, as a share of the edge's steepest gradient."""
_UNIT = 1000.0


@dataclass(frozen=True)
class Regions:
    """The picture as a graph: `labels` H x W from 0, `area` per region, and one row per touching pair."""

    labels: np.ndarray
    area: np.ndarray
    pairs: np.ndarray
    length: np.ndarray
    sharp: np.ndarray


def gradient(lab: np.ndarray, sigma: float) -> np.ndarray:
    """Length of the colour gradient after a blur, in L*a*b* units per pixel."""
    smooth = cv2.GaussianBlur(lab, (0, 0), sigma)
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3) / 8
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3) / 8
    square = dx * dx + dy * dy
    return np.sqrt(square[..., 0] + CHROMA**2 * (square[..., 1] + square[..., 2]))


def sharpness(lab: np.ndarray) -> np.ndarray:
    """Gradient at a fine scale less the gradient at a coarse one: steps stay, the ramps of shadows vanish."""
    fine, coarse = gradient(lab, 1.0), gradient(lab, 4.0)
    return np.maximum(fine - np.minimum(1.25 * coarse, 0.8 * fine), 0)


def split(lab: np.ndarray, difference: np.ndarray, sharp: np.ndarray, contrast: float) -> Regions:
    """Cut the picture into regions along its edges.

    Every cell of a grid gives a seed at its calmest pixel and, where the cell holds both backdrop and
    something else, one at the pixel most unlike the backdrop and one at the most alike: wires and small holes
    then have regions of their own.
    """
    relief = gradient(lab, 0.8)
    labels = watershed(relief, _seeds(relief, difference, contrast)) - 1
    count = int(labels.max()) + 1
    first = np.concatenate([labels[:, :-1].ravel(), labels[:-1].ravel()])
    second = np.concatenate([labels[:, 1:].ravel(), labels[1:].ravel()])
    edge = np.concatenate(
        [np.maximum(sharp[:, :-1], sharp[:, 1:]).ravel(), np.maximum(sharp[:-1], sharp[1:]).ravel()]
    )
    apart = first != second
    low, high, edge = np.minimum(first, second)[apart], np.maximum(first, second)[apart], edge[apart]
    keys, index = np.unique(low.astype(np.int64) * count + high, return_inverse=True)
    length = np.bincount(index).astype(np.float64)
    return Regions(
        labels,
        np.bincount(labels.ravel(), minlength=count).astype(np.float64),
        np.stack([keys // count, keys % count]),
        length,
        np.bincount(index, weights=edge) / length,
    )


def _seeds(relief: np.ndarray, difference: np.ndarray, contrast: float) -> np.ndarray:
    height, width = relief.shape
    rows, columns = -(-height // STEP), -(-width // STEP)
    pad = ((0, rows * STEP - height), (0, columns * STEP - width))

    def cells(image: np.ndarray, fill: float) -> np.ndarray:
        padded = np.pad(image, pad, constant_values=fill)
        return padded.reshape(rows, STEP, columns, STEP).transpose(0, 2, 1, 3).reshape(rows * columns, -1)

    calm = cells(relief, np.inf).argmin(axis=1)
    smooth = cv2.GaussianBlur(difference, (0, 0), 0.7)
    most, least = cells(smooth, -np.inf), cells(smooth, np.inf)
    mixed = most.max(axis=1) - least.min(axis=1) > contrast
    markers = np.zeros((height, width), np.int32)
    number = 1
    cell = np.arange(rows * columns)
    for position, chosen in (
        (calm, np.ones(cell.size, bool)),
        (most.argmax(axis=1), mixed),
        (least.argmin(axis=1), mixed),
    ):
        y = (cell // columns) * STEP + position // STEP
        x = (cell % columns) * STEP + position % STEP
        free = chosen & (markers[y, x] == 0)
        markers[y[free], x[free]] = np.arange(number, number + free.sum())
        number += int(free.sum())
    return markers


def mean_of(regions: Regions, image: np.ndarray) -> np.ndarray:
    """Mean of a H x W image within each region."""
    return (
        np.bincount(regions.labels.ravel(), weights=image.ravel(), minlength=regions.area.size) / regions.area
    )


def colours_of(regions: Regions, lab: np.ndarray) -> np.ndarray:
    """Mean colour of each region: N x 3."""
    return np.stack([mean_of(regions, lab[..., c]) for c in range(3)], axis=-1)


def leaning(regions: Regions, means: np.ndarray, backdrop: Backdrop, rough: np.ndarray) -> np.ndarray:
    """How much each region looks like part (positive) or like backdrop (negative), per pixel, about -1 to 2.

    Darker than the backdrop counts little, since a shadow does that too; brighter, another colour or a
    structure of its own count much. Similarity beyond an outline carries little weight.

    Args:
        regions: The graph.
        means: Mean colour of each region, N x 3 L*a*b*.
        backdrop: The estimate.
        rough: Mean `texture` of each region.
    """
    expected = colours_of(regions, backdrop.field)
    lightness, chroma = unexplained(means, expected)
    doubt = mean_of(regions, backdrop.distance)
    sure = mean_of(regions, backdrop.sure.astype(np.float32)) > 0.9
    slack_l = 0.8 + 1.5 * _quantile(np.abs(lightness[sure]), 0.9) + 12 * doubt
    slack_c = 0.6 + 1.5 * _quantile(chroma[sure], 0.9) + 5 * doubt
    up, down, hue = np.maximum(lightness, 0) / slack_l, np.maximum(-lightness, 0) / slack_l, chroma / slack_c
    factor = (means[:, 0] + 16) / (expected[:, 0] + 16)
    nearest = np.maximum(np.maximum(up, down), hue)
    like = -np.clip(1 - nearest, 0, 1) * np.where(sure, 1.0, 0.15)
    unlike = np.minimum(np.maximum(hue - 1, 0) * 0.3, 2) + np.minimum(np.maximum(up - 1, 0) * 0.15, 1)
    unlike += np.minimum(np.maximum(down - 1, 0) * 0.04, 0.15) + np.clip((0.6 - factor) * 5, 0, 1)
    unlike += np.clip((rough - 1.8) * 0.12, 0, 0.4)
    return like + unlike


def releaning(means: np.ndarray, near: np.ndarray, lit: np.ndarray, rough: np.ndarray) -> np.ndarray:
    """As `leaning`, once the part is known roughly and the backdrop carried on from all around it.

    What is seen through a hole or beside a rim is between the backdrop in shadow (`near`) and without it
    (`lit`): from 0.89 of the one's (L + 16) to 1.02 of the other's, with 2.2 of chroma, is taken for backdrop.
    """
    _, chroma = unexplained(means, near)
    darker = 0.89 - (means[:, 0] + 16) / (near[:, 0] + 16)
    brighter = (means[:, 0] + 16) / (lit[:, 0] + 16) - 1.02
    beyond = np.maximum(brighter, 0) / 0.03 + np.maximum(darker, 0) / 0.04
    unlike = 0.7 * np.maximum(chroma / 2.2 - 1, 0) + 0.7 * beyond
    unlike += np.clip((rough - 2) * 0.3, 0, 1)
    return np.clip(unlike - 0.5, -0.5, 1)


def texture(lab: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Fine structure around each pixel as a multiple of the backdrop's own.

    Outlines are left out by a median, and the ringing that JPEG puts within a block (8 pixels) of a strong edge
    by allowing for a share of the strongest edge near.
    """
    light = lab[..., 0]
    fine = np.abs(light - cv2.GaussianBlur(light, (0, 0), 1.5))
    steady = cv2.medianBlur(cv2.convertScaleAbs(fine, alpha=40), 11).astype(np.float32) / 40
    ringing = RINGING * cv2.dilate(gradient(lab, 0.8), np.ones((19, 19), np.uint8))
    own = float(np.median(steady[sure])) if sure.any() else 0.0
    return (np.maximum(steady - ringing, 0) + 0.1) / (own + 0.1)


def calmness(sharp: np.ndarray, sure: np.ndarray) -> float:
    """Sharpness that plain backdrop reaches by noise and JPEG blocks alone; edges are measured against it."""
    return 0.22 + 1.2 * _quantile(sharp[sure], 0.98)


def _quantile(values: np.ndarray, share: float) -> float:
    return float(np.quantile(values, share)) if values.size else 0.0


def minimum_cut(
    regions: Regions, lean: np.ndarray, calm: float, weight: float = 8.0, within: np.ndarray | None = None
) -> np.ndarray:
    """Label every region part (True) or backdrop (False).

    Args:
        regions: The graph.
        lean: Per region and pixel, from `leaning`.
        calm: Sharpness below which a border counts as none.
        weight: Price of cutting one pixel of border without an edge.
        within: Only these regions are asked; the others count as backdrop.
    """
    count = regions.area.size
    price = weight * regions.length * np.exp(-((regions.sharp / calm) ** 2)) + 0.02 * regions.length
    terminal = lean * regions.area
    if within is not None:
        terminal = np.where(within, terminal, -regions.area)
    i, j = regions.pairs
    nodes = np.arange(count)
    source, sink = np.full(count, count), np.full(count, count + 1)
    rows = np.concatenate([i, j, source, nodes])
    columns = np.concatenate([j, i, nodes, sink])
    capacity = np.concatenate([price, price, np.maximum(terminal, 0), np.maximum(-terminal, 0)])
    whole = np.round(np.minimum(capacity * _UNIT, 2**24)).astype(np.int32)
    graph = coo_matrix((whole, (rows, columns)), shape=(count + 2, count + 2)).tocsr()
    graph.sort_indices()
    flow = maximum_flow(graph, count, count + 1).flow
    rest = csr_matrix(graph - flow)
    rest.data = (rest.data > 0).astype(np.int32)
    rest.eliminate_zeros()
    reached = breadth_first_order(rest, count, directed=True, return_predecessors=False)
    part = np.zeros(count + 2, bool)
    part[reached] = True
    return part[:count] if within is None else part[:count] & within
