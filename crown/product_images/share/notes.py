"""The notes (`.error.txt`) beside files that were set aside: written with the reason, gone when their file has gone.

Why a file is set aside is decided in intake.py, review.py and rejected.py.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import text

from crown.ledger import written_files
from crown.product_images.workspace import (
    ERRORS,
    INBOX,
    MEDIA,
    NAME_CONFLICTS,
    READY,
    REJECTED,
    Workspace,
)
from crown.store import files

REASON = ".error.txt"
#: Of an approved picture that cannot be made into its outputs; written and removed by unrendered.py.
UNRENDERED = f".not_rendered{REASON}"
_FOLDERS = (ERRORS, NAME_CONFLICTS, REJECTED)

_log = logging.getLogger(__name__)


def move_with_note(workspace: Workspace, source: Path, target: Path, content: str) -> bool:
    """Write the note of a file and move the file beside it; False when the file is gone already.

    The note first: a crash between the two leaves a note too many, never a file without one. Only a note whose file
    has come counts as written, so that nobody clears it away meanwhile.
    """
    note = target.with_name(f"{target.name}{REASON}")
    path, content_hash = _write(workspace, note, content)
    try:
        source.rename(target)
    except FileNotFoundError:
        note.unlink()  # another intake, or a person, was quicker
        written_files.forget(workspace.engine, MEDIA, path)
        return False
    written_files.record(workspace.engine, MEDIA, path, content_hash)
    return True


def write(workspace: Workspace, target: Path, content: str) -> None:
    """Write the note of a file that stands already."""
    path, content_hash = _write(workspace, target.with_name(f"{target.name}{REASON}"), content)
    written_files.record(workspace.engine, MEDIA, path, content_hash)


def _write(workspace: Workspace, note: Path, content: str) -> tuple[str, str]:
    path = workspace.roots.relative(MEDIA, note)
    content_hash = hashlib.sha256(content.encode()).hexdigest()
    written_files.intend(workspace.engine, MEDIA, path, content_hash)
    files.write_text(note, content, workspace.ownership)
    return path, content_hash


def clear(workspace: Workspace) -> list[str]:
    """Remove the notes whose file a person has moved away or removed; one that someone wrote in is kept."""
    removed = []
    for path, content_hash in _written(workspace):
        if path.endswith(UNRENDERED) or os.path.lexists(workspace.roots[MEDIA] / path.removesuffix(REASON)):
            continue
        if _on_its_way(workspace, Path(path).name):
            continue
        if files.remove_ours(workspace.roots.path(MEDIA, path), frozenset({content_hash})):
            removed.append(path)
            _log.info("%s is removed: the file that it explains has gone.", path)
        written_files.forget(workspace.engine, MEDIA, path)
    return removed


def _on_its_way(workspace: Workspace, name: str) -> bool:
    """Whether a note lies where pictures are put, for `put_back` to know it by its hash."""
    ready = workspace.media(READY)
    places = [workspace.media(INBOX), ready, *(folder for folder in ready.iterdir() if folder.is_dir())]
    return any(os.path.lexists(place / name) for place in places)


def put_back(workspace: Workspace, path: str) -> None:
    """Take a note away that was moved together with its picture to where pictures are put.

    Ours goes, or back to its file when that has stayed. One that someone wrote in goes to the errors.
    """
    source = workspace.roots[MEDIA] / path
    with suppress(FileNotFoundError):
        content_hash = files.sha256(source)
        home = next((home for home, written in _written(workspace) if written == content_hash), None)
        stayed = home is not None and os.path.lexists(workspace.roots[MEDIA] / home.removesuffix(REASON))
        if home is None or stayed:
            folder = workspace.roots.path(MEDIA, home or f"{ERRORS}/{source.name}")
            source.rename(files.free_name(folder))
        else:
            source.unlink()


def _written(workspace: Workspace) -> Sequence[Any]:
    """Path and hash of every note that we wrote."""
    with workspace.engine.connect() as connection:
        return connection.execute(
            text(
                "select path, content_hash from ledger.files where root = :root and content_hash is not null"
                " and split_part(path, '/', 1) = any(:folders) and right(path, :length) = :ending order by path"
            ),
            {
                "root": MEDIA,
                "folders": [folder.split("/")[0] for folder in _FOLDERS],
                "length": len(REASON),
                "ending": REASON,
            },
        ).all()
