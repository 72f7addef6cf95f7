"""Verify: looks at the files themselves. The only place where a missing or changed file is noticed.

Nothing is repaired here; what is missing becomes pending and the next run makes it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from crown.journal import activity
from crown.ledger import planning
from crown.product_images.room import DEPARTMENT, MEDIA, OBJECTS, PRODUCTION, Room
from crown.store import files, watch

_CURRENT = """
    select m.making_id, m.asset, m.key, m.root, m.path, m.content_hash, m.size_bytes
    from ledger.items i join ledger.makings m using (making_id)
    where starts_with(i.asset, 'product_images/') and i.state = 'current' and m.path is not null
    order by m.root, m.path
"""


@dataclass
class Verification:
    """What the files were found to be; paths are `root:relative`."""

    checked: int = 0
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether every file is there with its bytes, and production holds no other."""
        return not (self.missing or self.changed or self.foreign)


def verify(
    room: Room,
    *,
    quick: bool = False,
    byte_budget: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Verification:
    """Compare every current file with the ledger.

    Args:
        room: the department's room.
        quick: compare presence and size only, not the bytes.
        byte_budget: stop reading bytes after about so many; what is left is compared by size.
        on_progress: called with the number of files checked.

    Raises:
        SystemicFailure: a root is not there; nothing is marked then.
    """
    for root in (MEDIA, PRODUCTION, OBJECTS):
        room.roots.require(root)
    with room.engine.connect() as connection:
        rows = connection.execute(text(_CURRENT)).all()
    found = Verification()
    missing, changed = [], []
    left = byte_budget
    for row in rows:
        path = room.roots.path(row.root, row.path)
        read = not quick and (left is None or left > 0)
        state = _state(path, row.content_hash, row.size_bytes, read=read)
        if left is not None and read:
            left -= row.size_bytes or 0
        found.checked += 1
        if on_progress is not None and found.checked % 100 == 0:
            on_progress(found.checked)
        if state == "missing" or (state == "changed" and row.root == OBJECTS):
            missing.append(row.making_id)
            found.missing.append(f"{row.root}:{row.path}")
        elif state == "changed":
            changed.append(row.making_id)
            found.changed.append(f"{row.root}:{row.path}")
    found.foreign = _foreign(room)
    _mark(room, missing, changed, found)
    return found


def _state(path: Path, content_hash: str, size: int | None, *, read: bool) -> str:
    if path.is_symlink() or not path.is_file():
        return "missing"
    if size is not None and path.stat().st_size != size:
        return "changed"
    return "changed" if read and files.sha256(path) != content_hash else "sound"


def _foreign(room: Room) -> list[str]:
    with room.engine.connect() as connection:
        ours = set(
            connection.execute(
                text("select path from ledger.files where root = :root"), {"root": PRODUCTION}
            ).scalars()
        )
    return [
        f"{PRODUCTION}:{path}"
        for path, _ in watch.listing(room.roots[PRODUCTION], depth=8)
        if path not in ours
    ]


def _mark(room: Room, missing: list[int], changed: list[int], found: Verification) -> None:
    if not missing and not changed:
        return
    with room.engine.begin() as connection:
        planning.mark_lost(connection, missing)
        planning.mark_changed(
            connection,
            changed,
            "The file was changed by someone else and is left alone; move it away, then `crown images retry`.",
        )
        activity.record(
            connection,
            who="verify",
            what="files_differ",
            subject=DEPARTMENT,
            department=DEPARTMENT,
            via="run",
            new={"missing": found.missing[:100], "changed": found.changed[:100]},
        )
