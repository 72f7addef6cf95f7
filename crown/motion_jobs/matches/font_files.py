"""The fonts of a folder by PostScript name. Whether a render machine has them is what its folder says, not a rendering."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_ENDINGS = (".ttf", ".otf", ".ttc", ".otc")
_POSTSCRIPT_NAME = 6


@cache
def fonts_of(folder: Path) -> dict[str, Path]:
    """The font files below a folder, by PostScript name; files that are no fonts are left out."""
    from fontTools.ttLib import TTCollection, TTFont, TTLibError

    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in _ENDINGS:
            continue
        try:
            many = path.suffix.lower() in (".ttc", ".otc")
            fonts = TTCollection(path).fonts if many else [TTFont(path, lazy=True)]
            names = [font["name"].getDebugName(_POSTSCRIPT_NAME) for font in fonts]
        except (TTLibError, OSError, KeyError, AssertionError, ValueError):
            continue
        for name in names:
            if name:
                found.setdefault(str(name), path)
    return found
