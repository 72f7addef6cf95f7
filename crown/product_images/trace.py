"""Trace: from any file of ours to its original, uploader, recipe, decision and run, and forward from there.

Everything comes from our own ledger; Dagster's history is not needed.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import text

from crown.errors import BadInput
from crown.ledger import lineage
from crown.product_images import cutout_models
from crown.product_images.room import CUTOUTS, Room
from crown.store import files, watch


def trace(room: Room, what: str) -> dict[str, Any]:
    """Everything the ledger knows of a file.

    Args:
        room: the department's room.
        what: a path (absolute, or relative to this folder or to a root), or a content hash.

    Returns:
        `file`, `content_hash`, `unchanged` (the bytes there are the ones we made; None when given a hash),
        `made` (the making), `back` and `forward` (makings with recipe and decision, nearest first),
        `uploads` (who gave us the originals) and `chosen_model` (the model that a person chose for this photo, or for
        all, and that holds now; None when the setting does or it is no picture of one photo).

    Raises:
        BadInput: the ledger has never made such a file.
    """
    found, path = _find(room, what)
    with room.engine.connect() as connection:
        if not found:
            raise BadInput(
                f"{what!r} is not a file that was made here; give a path under one of the roots, or a hash."
            )
        back = lineage.back(connection, found[0])
        forward = lineage.forward(connection, found[0])
        uploads = connection.execute(
            text(
                "select kind, photo, file_name, content_hash, size_bytes, uploader, uploaded_at, facts"
                " from product_images.uploads where content_hash = any(:hashes) and photo = any(:photos)"
                " order by upload_id"
            ),
            {
                "hashes": [m["content_hash"] for m in back if m["asset"] == "product_images/inbox_photos"],
                "photos": [
                    m["key"].split("@")[0] for m in back if m["asset"] == "product_images/inbox_photos"
                ],
            },
        ).all()
        photo = next((m["key"] for m in back if m["asset"] == CUTOUTS), None)
        chosen = cutout_models.choice_for(connection, photo) if photo else None
    made = back[0]
    return {
        "file": None if path is None else str(path),
        "content_hash": made["content_hash"],
        "unchanged": None if path is None else path.is_file() and files.sha256(path) == made["content_hash"],
        "made": made,
        "back": back[1:],
        "forward": forward[1:],
        "uploads": [dict(row._mapping) for row in uploads],
        "chosen_model": chosen and asdict(chosen),
    }


def _find(room: Room, what: str) -> tuple[list[int], Path | None]:
    with room.engine.connect() as connection:
        if len(what) == 64 and all(c in "0123456789abcdef" for c in what):
            return lineage.find(connection, content_hash=what), None
        for path in (Path(what).absolute(), *(folder / what for folder in room.roots.folders.values())):
            for root, folder in sorted(room.roots.folders.items(), key=lambda pair: -len(str(pair[1]))):
                if folder in path.parents and watch.storable(str(path)):
                    found = lineage.find(connection, root=root, path=room.roots.relative(root, path))
                    if found:
                        return found, path
    return [], None
