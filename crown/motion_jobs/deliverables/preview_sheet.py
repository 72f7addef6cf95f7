"""The mapping sheet of a job: the PSD with a numbered box for each slot, a layout estimate, and the pairs in words.

The estimate places pictures and texts by the transforms at the beginning. No effect, mask, expression or time is
looked at, and nothing is rendered: only After Effects can show the composition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from crown.motion_jobs.after_effects.ae_project import (
    Composition,
    Layer,
    Placement,
    Project,
)
from crown.motion_jobs.matches.job_warnings import JobWarning
from crown.motion_jobs.matches.pairs import Pair
from crown.motion_jobs.sources import Psd
from crown.store import files
from crown.store.files import Ownership

_SIDE, _GAP, _LINE = 640, 20, 20
_INK, _PAPER, _FRAME = (20, 20, 20), (255, 255, 255), (120, 120, 120)
_COLOURS = ((200, 30, 30), (20, 90, 200), (20, 130, 60), (150, 60, 170), (190, 110, 0), (0, 130, 140))
_SEVERITY = {"critical": (190, 0, 0), "warning": (170, 100, 0), "info": (90, 90, 90)}
_MAX_LINES = 60

Matrix = tuple[float, float, float, float, float, float]
_IDENTITY: Matrix = (1, 0, 0, 0, 1, 0)


@dataclass(frozen=True)
class Sheet:
    """What a sheet shows."""

    job_id: str
    psd: Psd
    project: Project
    comp_id: int
    pairs: tuple[Pair, ...]
    warnings: tuple[JobWarning, ...]


def draw(sheet: Sheet, target: Path) -> tuple[int, int]:
    """Write the sheet as PNG; equal sheets give equal bytes. Returns its size in pixels."""
    lines = _lines(sheet)
    height = 2 * _GAP + _LINE + _SIDE + (len(lines) + 1) * _LINE
    page = Image.new("RGB", (2 * _SIDE + 3 * _GAP, height), _PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    comp = sheet.project.composition(sheet.comp_id)
    document = sheet.psd.document
    titles = (
        f"{document.path.name}, {document.width} x {document.height}",
        f"{comp.name}, {comp.width} x {comp.height}: layout estimate, not a render",
    )
    for column, title in enumerate(titles):
        pen.text((_GAP + column * (_SIDE + _GAP), _GAP // 2), _short(title, 80), _INK, font)
    page.paste(_psd_picture(sheet), (_GAP, _GAP + _LINE))
    page.paste(_estimate(sheet, comp), (2 * _GAP + _SIDE, _GAP + _LINE))
    for number, (words, colour) in enumerate(lines):
        pen.text((_GAP, 2 * _GAP + _LINE + _SIDE + number * _LINE), _short(words, 170), colour, font)
    page.save(target, "PNG", compress_level=6)
    files.finish(target, Ownership(0o640, 0o750))
    return page.size


def _lines(sheet: Sheet) -> list[tuple[str, tuple[int, int, int]]]:
    names = {layer.id: layer.name for layer in sheet.project.composition(sheet.comp_id).layers}
    lines = []
    for number, pair in enumerate(sheet.pairs, start=1):
        slot = names.get(pair.slot_id, str(pair.slot_id))
        if pair.layer_id is None:
            lines.append((f"{number}. {slot}: stays as in the template ({pair.method})", _FRAME))
            continue
        layer = sheet.psd.document.layer(pair.layer_id)
        said = f" = {layer.text.text!r}" if layer.text else ""
        adjusted = f", {pair.adjustment}" if pair.adjustment else ""
        lines.append((f"{number}. {slot} <- {layer.name}{said} ({pair.method}{adjusted})", _colour(number)))
    lines += [(f"{one.severity}: {one.message}", _SEVERITY[one.severity]) for one in sheet.warnings]
    if len(lines) > _MAX_LINES:
        lines = [
            *lines[: _MAX_LINES - 1],
            (f"and {len(lines) - _MAX_LINES + 1} more lines; see the job", _INK),
        ]
    return lines


def _colour(number: int) -> tuple[int, int, int]:
    return _COLOURS[(number - 1) % len(_COLOURS)]


def _short(words: str, most: int) -> str:
    plain = " ".join(words.replace("\x03", " / ").split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _psd_picture(sheet: Sheet) -> Image.Image:
    document = sheet.psd.document
    scale = _SIDE / max(document.width, document.height)
    size = max(1, round(document.width * scale)), max(1, round(document.height * scale))
    panel = Image.new("RGB", (_SIDE, _SIDE), (235, 235, 235))
    if sheet.psd.preview:
        with Image.open(sheet.psd.preview) as flat:
            panel.paste(flat.convert("RGB").resize(size), (0, 0))
    pen, font = ImageDraw.Draw(panel), ImageFont.load_default(16)
    if not sheet.psd.preview:
        pen.text(
            (8, _SIDE - 24), "The PSD holds no flat picture ('Maximize Compatibility' is off).", _INK, font
        )
    for number, pair in enumerate(sheet.pairs, start=1):
        box = sheet.psd.document.layer(pair.layer_id).box if pair.layer_id is not None else None
        if box is not None:
            left, top, right, bottom = (value * scale for value in box)
            pen.rectangle(
                (left, top, max(left + 1, right - 1), max(top + 1, bottom - 1)), outline=_colour(number)
            )
            pen.text((left + 3, top + 2), str(number), _colour(number), font)
    return panel


def _estimate(sheet: Sheet, comp: Composition) -> Image.Image:
    scale = _SIDE / max(comp.width, comp.height)
    canvas = Image.new("RGBA", (_SIDE, _SIDE), (235, 235, 235, 255))
    ImageDraw.Draw(canvas).rectangle(
        (0, 0, round(comp.width * scale) - 1, round(comp.height * scale) - 1),
        fill=(250, 250, 250),
        outline=_FRAME,
    )
    by_slot = {pair.slot_id: (number, pair) for number, pair in enumerate(sheet.pairs, start=1)}
    sizes = {item.id: (item.width, item.height) for item in sheet.project.footage}
    sizes |= {one.id: (one.width, one.height) for one in sheet.project.compositions}
    layers = {layer.id: layer for layer in comp.layers}
    for layer in reversed(comp.layers):
        if not layer.enabled or layer.placement is None:
            continue
        number, pair = by_slot.get(layer.id, (0, None))
        matrix = _product((scale, 0, 0, 0, scale, 0), _placed(layer, layers))
        if layer.text is not None:
            _draw_text(canvas, sheet, layer, number, pair, matrix)
        elif layer.source_id in sizes:
            _draw_picture(canvas, sheet, layer, number, pair, matrix, sizes[layer.source_id])
    return canvas.convert("RGB")


def _draw_picture(
    canvas: Image.Image,
    sheet: Sheet,
    layer: Layer,
    number: int,
    pair: Pair | None,
    matrix: Matrix,
    size: tuple[int, int],
) -> None:
    picture = sheet.psd.picture(pair.layer_id) if pair and pair.layer_id is not None else None
    shown = size
    if picture is not None and pair is not None:
        with Image.open(sheet.psd.path(picture.file)) as opened:
            image = opened.convert("RGBA")
        local = _adjusted(image.size, size, pair.adjustment)
        if pair.adjustment == "crop":
            image, local = _cropped(image, size, local)
        else:
            shown = (round(image.width * local[0]), round(image.height * local[4]))
        _paste(canvas, image, _product(matrix, local), layer.placement)
    colour = _colour(number) if number else _FRAME
    outline = [_point(matrix, x, y) for x, y in ((0, 0), (shown[0], 0), shown, (0, shown[1]))]
    pen = ImageDraw.Draw(canvas)
    pen.polygon(outline, outline=colour)
    pen.text(
        (outline[0][0] + 3, outline[0][1] + 2),
        str(number) if number else layer.name,
        colour,
        ImageFont.load_default(14),
    )


def _draw_text(
    canvas: Image.Image, sheet: Sheet, layer: Layer, number: int, pair: Pair | None, matrix: Matrix
) -> None:
    if layer.text is None:
        return
    words = layer.text.text
    if pair and pair.layer_id is not None:
        text = sheet.psd.document.layer(pair.layer_id).text
        words = text.text if text else words
    colour = _colour(number) if number else _FRAME
    pen = ImageDraw.Draw(canvas)
    scale = math.hypot(matrix[0], matrix[3])
    if layer.text.box:
        wide, high = layer.text.box
        corners = ((-wide / 2, -high / 2), (wide / 2, -high / 2), (wide / 2, high / 2), (-wide / 2, high / 2))
        outline = [_point(matrix, x, y) for x, y in corners]
        pen.polygon(outline, outline=colour)
        at = outline[0]
    else:
        at = _point(matrix, 0, -layer.text.size)
    font = ImageFont.load_default(max(6.0, min(200.0, layer.text.size * scale)))
    pen.text(at, f"{number or ''} {words.replace(chr(3), chr(10))}".strip(), colour, font)


def _adjusted(picture: tuple[int, int], slot: tuple[int, int], adjustment: str | None) -> Matrix:
    """Where a picture is in its slot: as large as it is, or scaled and centred."""
    if adjustment not in ("scale_fit", "scale_fill", "crop") or not all((*picture, *slot)):
        return _IDENTITY
    ratios = slot[0] / picture[0], slot[1] / picture[1]
    factor = min(ratios) if adjustment == "scale_fit" else max(ratios)
    left, top = (slot[0] - picture[0] * factor) / 2, (slot[1] - picture[1] * factor) / 2
    return (factor, 0, left, 0, factor, top)


def _cropped(image: Image.Image, slot: tuple[int, int], local: Matrix) -> tuple[Image.Image, Matrix]:
    factor = local[0] or 1.0
    left, top = -local[2] / factor, -local[5] / factor
    box = (round(left), round(top), round(left + slot[0] / factor), round(top + slot[1] / factor))
    return image.crop(box), (factor, 0, 0, 0, factor, 0)


def _paste(canvas: Image.Image, image: Image.Image, matrix: Matrix, placement: Placement | None) -> None:
    a, b, c, d, e, f = matrix
    turned = a * e - b * d
    if abs(turned) < 1e-9:
        return
    inverse = (
        e / turned,
        -b / turned,
        (b * f - c * e) / turned,
        -d / turned,
        a / turned,
        (c * d - a * f) / turned,
    )
    placed = image.transform(canvas.size, Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR)
    if placement and placement.opacity < 1:
        placed.putalpha(placed.getchannel("A").point(lambda value: round(value * placement.opacity)))
    canvas.alpha_composite(placed)


def _placed(layer: Layer, layers: Mapping[int, Layer]) -> Matrix:
    """From a layer's own pixels to the composition's, through its parents."""
    matrix, seen = _own(layer.placement), {layer.id}
    parent = layers.get(layer.parent_id or -1)
    while parent is not None and parent.id not in seen:
        seen.add(parent.id)
        matrix = _product(_own(parent.placement), matrix)
        parent = layers.get(parent.parent_id or -1)
    return matrix


def _own(place: Placement | None) -> Matrix:
    if place is None:
        return _IDENTITY
    sine, cosine = math.sin(math.radians(place.rotation)), math.cos(math.radians(place.rotation))
    a, b = cosine * place.scale[0], -sine * place.scale[1]
    d, e = sine * place.scale[0], cosine * place.scale[1]
    x, y = place.anchor
    return (a, b, place.position[0] - a * x - b * y, d, e, place.position[1] - d * x - e * y)


def _product(one: Matrix, other: Matrix) -> Matrix:
    a, b, c, d, e, f = one
    g, h, i, j, k, m = other
    return (a * g + b * j, a * h + b * k, a * i + b * m + c, d * g + e * j, d * h + e * k, d * i + e * m + f)


def _point(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    return matrix[0] * x + matrix[1] * y + matrix[2], matrix[3] * x + matrix[4] * y + matrix[5]
