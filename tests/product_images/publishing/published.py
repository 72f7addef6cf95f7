"""Pictures and settings that the tests of publishing share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from crown.product_images.workspace import (
    Workspace,
)
from crown.settings.model import fields

SMALL = "64x64_72dpi_jpeg"


Opening = Callable[..., Workspace]


#: Dotted names of the settings by their last part.
_FIELD = {name.rpartition(".")[2]: name for name in fields()}


def write(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    return str(path)


def targets(tmp_path: Path, content: str) -> str:
    return write(tmp_path / "targets.yaml", content.replace("BASE", str(tmp_path)))
