"""The cells of the table in docs/share.md, and what people do on the share in tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PIL import Image
from sqlalchemy import text

from crown.product_images.workspace import (
    Workspace,
)
from crown.store import files

PUT, EDITED, RENAMED, GONE = "put there", "edited there", "renamed there", "taken away"


COVERED: set[tuple[str, str]] = set()


_Test = TypeVar("_Test", bound=Callable[..., None])


def cell(folder: str, *acts: str) -> Callable[[_Test], _Test]:
    """Marks the cells of the page's table that a test stands for."""
    COVERED.update((folder, act) for act in acts)
    return lambda test: test


def names(workspace: Workspace, folder: str) -> list[str]:
    return sorted(path.name for path in workspace.media(folder).iterdir())


def decisions(workspace: Workspace) -> list[tuple[str, str, str]]:
    with workspace.engine.connect() as connection:
        rows = connection.execute(
            text("select subject, verdict, who from ledger.decisions order by decision_id")
        )
        return [(row[0], row[1], row[2]) for row in rows]


def uploads(workspace: Workspace) -> list[tuple[str, str]]:
    with workspace.engine.connect() as connection:
        rows = connection.execute(text("select photo, kind from product_images.uploads order by upload_id"))
        return [(row[0], row[1]) for row in rows]


def mark(path: Path, colour: tuple[int, int, int, int] = (255, 0, 0, 255), keep: str = "PNG") -> str:
    """Edit a picture as a retoucher would, in place; its new hash."""
    with Image.open(path) as opened:
        assert opened.format == keep
        picture = opened.convert("RGB" if keep == "JPEG" else "RGBA")
    picture.paste(colour[: len(picture.getbands())], (0, 0, 20, 20))
    picture.save(path)
    return files.sha256(path)
