"""Orphans: unfinished files of workers that died, and stored bytes that no row needs.

The former are removed when old. What no row knows is only listed, for nobody deletes an original by rule; what nothing
but rehearsals names is theirs to remove (`rehearsal_removal.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from crown.database.engine import connect
from crown.product_images.workspace import (
    OBJECTS,
    PRODUCTS,
    READY,
    REVIEW,
    Workspace,
)
from crown.store.files import TEMPORARY

# Rehearsals whose bytes were removed, or that are to be left out, need nothing.
_NEEDED = """
    select content_hash from product_images.uploads union
    select of_hash from product_images.uploads where of_hash is not null union
    select content_hash from ledger.outputs where root = :root union
    select content_hash from ledger.decisions union
    select r.after_hash from product_images.rehearsal_results r join product_images.rehearsals h using (rehearsal_id)
    where r.after_hash is not null and h.bytes_removed_at is null and h.rehearsal_id <> all(:but)
"""


def remove_unfinished(
    workspace: Workspace, *, older_than: timedelta = timedelta(days=1), dry_run: bool = False
) -> list[Path]:
    """Remove our temporary files that no living worker can still be writing; returns them."""
    limit = (datetime.now(UTC) - older_than).timestamp()
    folders = [
        workspace.roots[OBJECTS],
        *(target.folder for target in workspace.targets.values()),
        *(workspace.media(f) for f in (PRODUCTS, REVIEW, READY)),
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


def unknown_objects(workspace: Workspace, others: Iterable[str] = ()) -> list[str]:
    """Stored bytes that no row knows, by content hash.

    Args:
        workspace: the department's workspace.
        others: content hashes that other departments keep in the same store.
    """
    if not workspace.roots[OBJECTS].is_dir():
        return []
    with workspace.engine.connect() as connection:
        known = set(others).union(connection.execute(text(_NEEDED), {"root": OBJECTS, "but": []}).scalars())
    return sorted(
        entry.name
        for entry in os.scandir(workspace.roots[OBJECTS])
        if entry.name not in known and not entry.name.startswith(TEMPORARY)
    )


def only_rehearsed(
    connection: Connection, rehearsals: Sequence[int] | None, others: Iterable[str] = ()
) -> dict[str, datetime]:
    """Bytes that nothing but the given rehearsals names, by content hash, and when they last came out.

    Args:
        connection: to the database.
        rehearsals: their numbers; None: all of them.
        others: see `unknown_objects`.
    """
    if rehearsals is None:
        found = connection.execute(text("select rehearsal_id from product_images.rehearsals"))
        rehearsals = list(found.scalars())
    rows = connection.execute(
        text(
            f"with needed as ({_NEEDED}) select after_hash, max(made_at) from product_images.rehearsal_results"
            " where rehearsal_id = any(:but) and after_hash is not null"
            "  and not exists (select from needed where content_hash = after_hash)"
            " group by after_hash order by after_hash"
        ),
        {"root": OBJECTS, "but": list(rehearsals)},
    ).tuples()
    kept = set(others)
    return {content_hash: made_at for content_hash, made_at in rows if content_hash not in kept}


def only_rehearsed_at(url: str, others: Callable[[Engine], Iterable[str]]) -> set[str]:
    """As `only_rehearsed` in another database, a restored one: bytes that may have been removed since its backup.

    Args:
        url: the database.
        others: the bytes that other departments keep, given an engine on it.
    """
    engine = connect(url, pool_size=2)
    try:
        with engine.connect() as connection:
            return set(only_rehearsed(connection, None, others(engine)))
    finally:
        engine.dispose()
