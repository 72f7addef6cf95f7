"""Projects that the tests make themselves, with py-aep: nothing of them was made by After Effects."""

from __future__ import annotations

from pathlib import Path

import py_aep
from PIL import Image


def made_project(folder: Path, name: str = "made.aep") -> Path:
    """A render composition that shows an inner one twice; each holds a text layer, and the inner one a picture."""
    picture = folder / "photo.png"
    Image.new("RGBA", (30, 20), "red").save(picture)
    project = py_aep.new(platform="macos").project
    root = project.root_folder
    inner = root.add_comp("inner", 400, 300, 1.0, 5.0, 25.0)
    outer = root.add_comp("render_main", 1920, 1080, 1.0, 10.0, 30.0)
    footage = project.import_file(py_aep.ImportOptions(picture))
    inner.add(footage)
    inner.add_text("Headline")
    outer.add(inner)
    outer.add(inner)
    outer.add_box_text([200.0, 50.0])
    target = folder / name
    project.save(target)
    return target
