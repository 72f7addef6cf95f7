"""Orphans: unfinished files of workers that died, and stored bytes that no row knows.

The former are removed when old; the latter are only listed, for nobody deletes an original by rule.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from crown.product_images.room import OBJECTS, PRODUCTS, READY, REVIEW, Room
from crown.store.files import TEMPORARY


def remove_unfinished(
    room: Room, *, older_than: timedelta = timedelta(days=1), dry_run: bool = False
) -> list[Path]:
    """Remove our temporary files that no living worker can still be writing; returns them."""
    limit = (datetime.now(UTC) - older_than).timestamp()
    folders = [
        room.roots[OBJECTS],
        *(target.folder for target in room.targets.values()),
        *(room.media(f) for f in (PRODUCTS, REVIEW, READY)),
    ]
    old = [path for folder in folders for path in _unfinished(folder) if path.lstat().st_mtime < limit]
    if not dry_run:
        for path in old:
            path.unlink(missing_ok=True)
    return old


def _unfinished(folder: Path) -> Iterator[Path]:
    for current, _, names in os.walk(folder):
        for name in names:
            if name.startswith(TEMPORARY):
                yield Path(current) / name


def unknown_objects(room: Room, others: Iterable[str] = ()) -> list[str]:
    """Stored bytes that no row knows, by content hash.

    Args:
        room: the department's room.
        others: content hashes that other departments keep in the same store.
    """
    if not room.roots[OBJECTS].is_dir():
        return []
    with room.engine.connect() as connection:
        known = set(others).union(
            connection.execute(
                text(
                    "select content_hash from product_images.uploads union"
                    " select content_hash from ledger.makings where root = :root union"
                    " select after_hash from product_images.rehearsal_results where after_hash is not null"
                ),
                {"root": OBJECTS},
            ).scalars()
        )
    return sorted(
        entry.name
        for entry in os.scandir(room.roots[OBJECTS])
        if entry.name not in known and not entry.name.startswith(TEMPORARY)
    )
