"""Selection of the page of a TIFF file, and whether its extra channel is transparency.

Belongs here: what the directories of the file say (TIFF Revision 6.0; Adobe's TIFF Technical Notes; DNG 1.7).
Does not: pixels and colours (`pictures.py`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crown.pictures.formats import Undecodable, camera_raw

_REDUCED, _MASK = 1, 4
_CFA, _LINEAR_RAW, _CIELAB = 32803, 34892, 8
_RAW_COMPRESSIONS = {32767: "Sony ARW", 34713: "Nikon NEF", 65000: "Kodak", 65535: "Pentax PEF"}
_TRANSPARENCY = (1, 2)
_ALIKE = 0.03
"""Two pictures whose proportions differ by less show the same."""
_LARGER = 1.5
"""So many times larger a side is the picture of a thumbnail."""
_THUMBNAIL = 320
"""A first page whose longest side is at most this is a thumbnail of a page at least four times as long, cropped or not."""
_PAGES = 200

_Picture = tuple[int, int | None, Any]
"""Page, number of the SubIFD below it or None, and tifffile's page."""


@dataclass(frozen=True)
class Choice:
    """The picture to read: `page`, and `subifd` below it or None; its size, and what its header says."""

    page: int
    subifd: int | None
    width: int
    height: int
    pages: int
    orientation: int
    #: 8-bit CIELab, which libvips 8.18 cannot open.
    lab8: bool
    #: The channels behind the colours are saved selections or spot colours, not transparency.
    opaque: bool
    #: Offset of the directory in the file.
    offset: int


def choose(path: Path, label: str) -> Choice:
    """Read the directories of a TIFF and choose the first page, or the larger picture that it is a thumbnail of.

    Raises:
        Undecodable: The directories are damaged or cut short.
        BadInput: A camera's RAW file under the ending of a TIFF.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong is said by our own sentence
    try:
        with tifffile.TiffFile(path) as tiff:
            found: list[_Picture] = [(index, None, page) for index, page in enumerate(_pages(tiff))]
            if _is_raw(found[0][2]):
                raise camera_raw(label)
            found[1:1] = [(0, number, page) for number, page in enumerate(_below(found[0][2]))]
            if any(_is_raw(page) for _, _, page in found):
                raise camera_raw(label)
            page, subifd, chosen = _chosen(found)
            return Choice(
                page,
                subifd,
                chosen.imagewidth,
                chosen.imagelength,
                len(tiff.pages),
                _orientation(chosen, found[0][2]),
                chosen.photometric == _CIELAB and chosen.bitspersample == 8,
                bool(chosen.extrasamples) and int(chosen.extrasamples[0]) not in _TRANSPARENCY,
                chosen.offset,
            )
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError, TypeError) as error:
        raise Undecodable(
            f"{label} cannot be decoded ({error}): it is damaged or cut short, upload it again."
        ) from error


def _pages(tiff: Any) -> list[Any]:
    return [tiff.pages[index] for index in range(min(len(tiff.pages), _PAGES))]


def _below(page: Any) -> list[Any]:
    """The pictures in the SubIFDs of a page."""
    return [one for one in (page.pages or ()) if one is not None] if page.subifds else []


def _is_raw(page: Any) -> bool:
    return page.photometric in (_CFA, _LINEAR_RAW) or page.compression in _RAW_COMPRESSIONS


def _chosen(found: list[_Picture]) -> _Picture:
    first = found[0][2]
    larger = [one for one in found[1:] if _is_thumbnail(first, one[2])]
    return max(larger, key=lambda one: one[2].imagewidth * one[2].imagelength) if larger else found[0]


def _is_thumbnail(small: Any, large: Any) -> bool:
    if large.subfiletype & (_REDUCED | _MASK):
        return False
    times = [
        large.imagewidth / max(small.imagewidth, 1),
        large.imagelength / max(small.imagelength, 1),
    ]
    if min(times) < _LARGER:
        return False
    if small.subfiletype & _REDUCED or abs(times[0] / times[1] - 1) < _ALIKE:
        return True
    return max(small.imagewidth, small.imagelength) <= _THUMBNAIL and max(times) >= 4


def _orientation(chosen: Any, first: Any) -> int:
    for page in (chosen, first):
        if (tag := page.tags.get(274)) is not None:
            return int(tag.value) if 1 <= int(tag.value) <= 8 else 1
    return 1
