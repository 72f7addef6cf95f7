"""The contact sheet of a rehearsal: today's cut-out, the rehearsed one, and where they differ. Thumbnails only."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crown.pictures.contact_sheet import (
    CELL,
    crossed_out,
    on_checkerboard,
    write_sheet,
)
from crown.product_images.cutout.mask_difference import Box, box_of, frame_of

if TYPE_CHECKING:
    from crown.product_images.rehearsal.records import Result
    from crown.product_images.workspace import Workspace

#: Photos on the sheet: those that differ most, in the order of the list.
MOST = 12
_MARGIN = 12
#: A difference of alpha or colour, of 255, from which on it is marked.
_VISIBLE = 20
_NOWHERE = Box(0, 0, 1, 1, (1, 1))

_log = logging.getLogger(__name__)


def draw(workspace: Workspace, results: Iterable[Result], target: Path) -> Path | None:
    """Write the sheet, one line of three cells a photo; None when nothing differs.

    In the third cell red is what the rehearsed cut-out adds, blue what it leaves out, yellow another colour.
    """
    import pyvips

    cells: list[Any] = []
    for result in results:
        if len(cells) == 3 * MOST:
            break
        if result.after_hash is None or result.same_bytes:
            continue
        try:
            cells += _line(workspace, result)
        except pyvips.Error as error:
            _log.warning("%s cannot be shown on the sheet: %s", result.photo, str(error).strip())
    return write_sheet(cells, target, across=3) if cells else None


def _line(workspace: Workspace, result: Result) -> list[Any]:
    before, after = _box(result.before_facts), _box(result.facts)
    frame = frame_of(before or after or _NOWHERE, after or before or _NOWHERE)
    new = _framed(workspace.objects.path(result.after_hash or ""), after, frame)
    if result.before_hash is None or before is None:
        return [crossed_out(), on_checkerboard(new), crossed_out()]
    old = _framed(workspace.objects.path(result.before_hash), before, frame)
    return [on_checkerboard(old), on_checkerboard(new), on_checkerboard(_difference(old, new))]


def _box(facts: Mapping[str, Any] | None) -> Box | None:
    return None if facts is None else box_of(facts)


def _framed(path: Path, box: Box | None, frame: tuple[int, int, int, int]) -> Any:
    """The cut-out as a thumbnail, where it is in the frame."""
    import pyvips

    image = pyvips.Image.new_from_file(str(path), access="sequential")
    if box is not None:
        left, top, right, bottom = frame
        image = image.embed(
            box.left - left, box.top - top, right - left, bottom - top, background=[0, 0, 0, 0]
        )
    return image.thumbnail_image(CELL - _MARGIN, height=CELL - _MARGIN).copy_memory()


def _difference(old: Any, new: Any) -> Any:
    """Where two thumbnails differ, on a pale shadow of the old one."""
    import numpy as np
    import pyvips

    one, other = (image.numpy().astype(np.float32) for image in (old, new))
    gained = other[..., 3] - one[..., 3]
    colour = np.abs(other[..., :3] - one[..., :3]).max(axis=2) * np.minimum(one[..., 3], other[..., 3]) / 255
    shown = np.zeros(one.shape, np.uint8)
    shown[..., :3], shown[..., 3] = 120, (one[..., 3] * 0.25).astype(np.uint8)
    for mask, tint in (
        (colour > _VISIBLE, (230, 190, 0)),
        (gained > _VISIBLE, (220, 30, 30)),
        (gained < -_VISIBLE, (30, 80, 220)),
    ):
        shown[mask] = (*tint, 255)
    image = pyvips.Image.new_from_memory(shown.tobytes(), shown.shape[1], shown.shape[0], 4, "uchar")
    return image.copy(interpretation="srgb")
