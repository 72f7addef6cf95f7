"""What housekeeping may clear away, and what it only lists."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from crown.art_records.room import kept_objects
from crown.product_images import orphans
from crown.product_images.room import Room
from crown.store import files


def test_unfinished_files_are_removed_when_no_worker_can_still_be_writing_them(room: Room) -> None:
    folder = room.media("products")
    old, new = files.temporary(folder / "a.png"), files.temporary(folder / "b.png")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    assert orphans.remove_unfinished(room, dry_run=True) == [old]
    assert old.exists()
    assert orphans.remove_unfinished(room) == [old]
    assert list(folder.iterdir()) == [new]
    assert orphans.remove_unfinished(room, older_than=timedelta(0)) == [new]


def test_bytes_that_no_row_knows_are_listed_and_never_removed(room: Room, part: Path) -> None:
    stray, _ = room.objects.put(part)
    assert orphans.unknown_objects(room, kept_objects(room.engine)) == [stray]
    assert orphans.unknown_objects(room, [stray]) == []
    assert room.objects.holds(stray)
