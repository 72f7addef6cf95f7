"""Projects that the tests make themselves, with py-aep: nothing of them was made by After Effects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import py_aep
from PIL import Image
from psd_tools import PSDImage

from crown.motion_jobs.after_effects.ae_project import (
    Composition,
    Expression,
    Footage,
    Layer,
    LayerText,
    Project,
)


def made_project(folder: Path, name: str = "made.aep") -> Path:
    """A render composition that shows an inner one twice; each holds a text layer, and the inner one a picture."""
    picture = folder / "photo.png"
    Image.new("RGBA", (30, 20), "red").save(picture)
    made = py_aep.new(platform="macos").project
    root = made.root_folder
    inner = root.add_comp("inner", 400, 300, 1.0, 5.0, 25.0)
    outer = root.add_comp("render_main", 1920, 1080, 1.0, 10.0, 30.0)
    picture_item = made.import_file(py_aep.ImportOptions(picture))
    inner.add(picture_item)
    inner.add_text("Headline")
    outer.add(inner)
    outer.add(inner)
    outer.add_box_text([200.0, 50.0])
    target = folder / name
    made.save(target)
    return target


def text_layer(layer_id: int, name: str, **more: object) -> Layer:
    """A text layer in ArialMT of 20 pixels, unless told otherwise."""
    values = {"text": name, "fonts": ("ArialMT",), "size": 20.0, "tracking": 0.0, "horizontal_scale": 1.0}
    text = LayerText(**{**values, "all_caps": False, "box": None, **more})  # type: ignore[arg-type]
    return Layer(layer_id, layer_id, name, "text", None, None, True, text, ())


def source_layer(layer_id: int, name: str, source_id: int, kind: str = "footage", effects: int = 0) -> Layer:
    """A layer that shows an item."""
    return Layer(layer_id, layer_id, name, kind, source_id, None, True, None, ("ADBE Fill",) * effects)


def footage(item_id: int, file: str, exists: bool | None = True, psd_layer: str | None = None) -> Footage:
    """A footage file of 100 x 50 pixels."""
    return Footage(item_id, file.rsplit("/", 1)[-1], "file", file, exists, 100, 50, psd_layer)


def comp(comp_id: int, name: str, *layers: Layer, renderer: str = "ADBE Advanced 3d") -> Composition:
    """A composition of 1200 x 1500 pixels."""
    return Composition(comp_id, name, 1200, 1500, 10.0, 30.0, renderer, layers)


def project(
    comps: list[Composition], items: list[Footage], expressions: tuple[Expression, ...] = ()
) -> Project:
    """A project that no file stands behind."""
    return Project(Path("made.aepx"), "aepx", "25.5", tuple(comps), tuple(items), expressions, ())


def made_psd(target: Path, layers: Sequence[str], shift: int = 0) -> Path:
    """A document of 60 x 40 with one 20 x 10 layer for each name, each in its own colour."""
    psd = PSDImage.new("RGBA", (60, 40))
    for number, name in enumerate(layers):
        picture = Image.new("RGBA", (20, 10), (number, 100, 200, 255))
        psd.append(psd.create_pixel_layer(picture, name=name, top=5 + shift, left=10 + number))
    psd.save(target)
    return target
