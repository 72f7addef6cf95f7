"""What housekeeping may clear away, and what it only lists."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from crown.art_records.workspace import kept_objects
from crown.product_images import orphans
from crown.product_images.workspace import Workspace
from crown.store import files


def test_unfinished_files_are_removed_when_no_worker_can_still_be_writing_them(workspace: Workspace) -> None:
    folder = workspace.media("products")
    old, new = files.temporary(folder / "a.png"), files.temporary(folder / "b.png")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    assert orphans.remove_unfinished(workspace, dry_run=True) == [old]
    assert old.exists()
    assert orphans.remove_unfinished(workspace) == [old]
    assert list(folder.iterdir()) == [new]
    assert orphans.remove_unfinished(workspace, older_than=timedelta(0)) == [new]


def test_bytes_that_no_row_knows_are_listed_and_never_removed(workspace: Workspace, part: Path) -> None:
    stray, _ = workspace.objects.put(part)
    assert orphans.unknown_objects(workspace, kept_objects(workspace.engine)) == [stray]
    assert orphans.unknown_objects(workspace, [stray]) == []
    assert workspace.objects.holds(stray)
