"""How wide a line of text is in a font, from HarfBuzz's advances with kerning; unknown rather than a guess."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import uharfbuzz as hb


def text_width(
    line: str, font_file: Path, size: float, tracking: float = 0, horizontal_scale: float = 1
) -> float | None:
    """The width in pixels, or None when the font lacks a character.

    Args:
        line: One line, without breaks.
        font_file: The font's file.
        size: Its size in pixels.
        tracking: In thousandths of the size, after each glyph.
        horizontal_scale: 1 is unchanged.
    """
    if not line:
        return 0.0
    font, units = _font(font_file)
    buffer = hb.Buffer()
    buffer.add_str(line)
    buffer.guess_segment_properties()
    hb.shape(font, buffer)
    infos, positions = buffer.glyph_infos or [], buffer.glyph_positions or []
    if any(info.codepoint == 0 for info in infos):
        return None
    advance = sum(position.x_advance for position in positions) * size / units
    return float((advance + len(infos) * tracking / 1000 * size) * horizontal_scale)


@lru_cache(maxsize=64)
def _font(file: Path) -> tuple[hb.Font, int]:
    face = hb.Face(hb.Blob.from_file_path(str(file)))
    return hb.Font(face), face.upem
