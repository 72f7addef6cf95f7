"""The networks that predict the share of part in each pixel: inputs, two passes, inference.

Two convolutional networks of U shape, each a file of the package, trained by training/studio.py on generated
pictures: `coarse` sees the whole frame at `COARSE_PIXELS`, `fine` a window at working size together with the
output of `coarse` there. The window and the use of the result are decided in `engine`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from crown.product_images.cutout.studio import backdrop as studio_backdrop

COARSE_PIXELS = 150_000
"""Size at which the whole frame is shown to the first network."""
STRIDE = 32
"""Both sides of what a network sees are multiples of this; the rest is filled by mirroring."""


def inputs(lab: np.ndarray, field: np.ndarray) -> np.ndarray:
    """What a network sees of a picture: H x W x 6 float32, each about -1 to 1.

    The colour itself, and its difference from the estimated backdrop: in lightness, and in what of a* and b* no
    shadow explains (see `studio_backdrop.unexplained`).

    Args:
        lab: H x W x 3 L*a*b*.
        field: The estimated backdrop, same size.
    """
    factor = studio_backdrop.shading(lab, field)
    return np.dstack(
        [
            lab[..., 0] / 50 - 1,
            lab[..., 1:] / 40,
            (lab[..., 0] - field[..., 0]) / 25,
            (lab[..., 1] - factor * field[..., 1]) / 15,
            (lab[..., 2] - factor * field[..., 2]) / 15,
        ]
    ).astype(np.float32)


def coarse(lab: np.ndarray, field: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How likely each pixel is part, seen from afar: H x W float32, 0 to 1.

    Args:
        lab: The frame, H x W x 3 L*a*b*.
        field: The estimated backdrop.
        second: How sure the second opinion is of it (`studio_second`), H x W, 0 to 1.
    """
    return _run("coarse", np.dstack([inputs(lab, field), 2 * second - 1]))


def fine(lab: np.ndarray, field: np.ndarray, before: np.ndarray) -> np.ndarray:
    """How much of each pixel is part, seen close up: H x W float32, 0 to 1.

    Args:
        lab: The window, H x W x 3 L*a*b*.
        field: The estimated backdrop there.
        before: What `coarse` said about the window, H x W.
    """
    return _run("fine", np.dstack([inputs(lab, field), 2 * before - 1]))


def _run(name: str, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image[..., :4], 0, -height % STRIDE, 0, -width % STRIDE, cv2.BORDER_REFLECT)
    rest = cv2.copyMakeBorder(
        np.ascontiguousarray(image[..., 4:]), 0, -height % STRIDE, 0, -width % STRIDE, cv2.BORDER_REFLECT
    )
    stacked = np.concatenate([padded, rest], axis=2).transpose(2, 0, 1)[None]
    (share,) = _session(name).run(None, {"image": np.ascontiguousarray(stacked)})
    return np.asarray(share[0, 0, :height, :width], dtype=np.float32)


@lru_cache(maxsize=2)
def _session(name: str) -> Any:
    """Open a network once per process, on one thread: the same input then always gives the same bits."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # What a run needed is given back before the soft edge is computed at full size.
    options.enable_cpu_mem_arena = False
    path = Path(__file__).with_name(f"studio_{name}.onnx")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
