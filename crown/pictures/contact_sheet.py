"""Contact sheets: thumbnails of the outputs of a stage, for the run's page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crown.errors import BadInput
from crown.pictures.decoding import open_picture
from crown.pictures.formats import recognise
from crown.store import files
from crown.store.files import Ownership

#: Side of a cell, in pixels.
CELL = 180
_ACROSS = 6
_MOST = 24
_MOST_PIXELS = 60_000_000
"""A sheet waits for no larger picture of a kind that has to be decoded whole."""
_SHRUNK_ON_READING = ("jpeg", "png", "webp")


def contact_sheet(pictures: Sequence[Path], target: Path) -> Path | None:
    """Write a WebP of up to 24 pictures, six across, on a checkerboard where they are transparent.

    Args:
        pictures: picture files; those that are gone are passed over.
        target: where it goes; its folder is made.

    Returns:
        `target`, or None when there was nothing to show.
    """
    cells = [_cell(path) for path in pictures[:_MOST] if path.is_file()]
    return write_sheet(cells, target, across=min(_ACROSS, len(cells))) if cells else None


def write_sheet(cells: Sequence[Any], target: Path, *, across: int) -> Path:
    """Write cells (pyvips images of `CELL` x `CELL`) as a WebP; the folder is made. Returns `target`."""
    import pyvips

    files.make_folder(target.parent, Ownership(0o640, 0o750))
    unfinished = files.temporary(target)
    sheet = pyvips.Image.arrayjoin(list(cells), across=across, shim=6, background=[255, 255, 255])
    sheet.webpsave(str(unfinished), Q=80)
    unfinished.rename(target)
    return target


def _cell(path: Path) -> Any:
    import pyvips

    side = CELL - 12
    try:
        if recognise(path, path.name) in _SHRUNK_ON_READING:
            small = pyvips.Image.thumbnail(str(path), side, height=side, export_profile="srgb")
        else:
            small = open_picture(path, _MOST_PIXELS).thumbnail_image(side, height=side)
        return on_checkerboard(small)
    except (pyvips.Error, BadInput):
        return crossed_out()


def crossed_out() -> Any:
    """The cell of a picture that cannot be shown."""
    return _checkerboard().draw_line([200, 0, 0], 0, 0, CELL, CELL)


def on_checkerboard(small: Any) -> Any:
    """A cell with a picture (pyvips, at most `CELL` a side) in its middle."""
    if not small.hasalpha():
        small = small.bandjoin(255)
    left, top = (CELL - small.width) // 2, (CELL - small.height) // 2
    return _checkerboard().composite2(small, "over", x=left, y=top).flatten().cast("uchar").copy_memory()


def _checkerboard() -> Any:
    import pyvips

    xy = pyvips.Image.xyz(CELL, CELL) // 10
    squares = ((xy[0] + xy[1]) % 2).ifthenelse(235, 255).cast("uchar")
    return squares.bandjoin([squares, squares]).copy(interpretation="srgb")
