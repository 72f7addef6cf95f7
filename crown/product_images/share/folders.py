"""Changes that people made in the department's folders since our last write. Read-only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from crown.ledger import written_files
from crown.product_images.share import intake
from crown.product_images.workspace import (
    INBOX,
    MEDIA,
    READY,
    REVIEW,
    Workspace,
)
from crown.store import watch
from crown.store.roots import comparable
from crown.store.watch import Seen


def seen_by_people(workspace: Workspace) -> list[Seen]:
    """Files of people, and files of ours that are gone."""
    seen = []
    for folder, files in (
        (INBOX, intake.listed(workspace, INBOX)),
        (READY, intake.listed(workspace, READY, closed=[])),
    ):
        seen += _bytes_as_names(folder, files)
        named = [one for one in files if watch.storable(one[0])]
        for sighting in watch.look(workspace.engine, MEDIA, named, f"{folder}/"):
            seen.append(Seen(sighting.path, _token(workspace, sighting), sighting.complete))
    return seen + _folders_left(workspace) + _review(workspace)


def _folders_left(workspace: Workspace) -> list[Seen]:
    """Folders that are not looked into: a run says so in the log, once."""
    return [
        Seen(f"{place}/{watch.spelt_out(name)}/", "folder", True)
        for place in (INBOX, *intake.review_folders(workspace))
        for name in watch.folders(workspace.roots.path(MEDIA, place))
    ]


def _token(workspace: Workspace, sighting: watch.Sighting) -> str:
    # A file that is still there after a run (undecodable, or the disk was full) is new again after its waiting
    # time, so that nothing is there unseen.
    age = datetime.now(UTC) - sighting.first_seen_at
    turn = age // timedelta(minutes=max(workspace.settings.product_images.stalled_minutes, 1))
    return f"{sighting.size_bytes}:{sighting.mtime_ns}:{turn}"


def _review(workspace: Workspace) -> list[Seen]:
    with workspace.engine.connect() as connection:
        written: dict[str, datetime] = dict(
            connection.execute(
                text(
                    "select path, written_at from ledger.files where root = :root and starts_with(path, :folder)"
                ),
                {"root": MEDIA, "folder": f"{REVIEW}/"},
            )
            .tuples()
            .all()
        )
    ours = {comparable(path): moment for path, moment in written.items()}
    listing = intake.listed(workspace, REVIEW)
    # The kernel's change time cannot be set by a person; later than our writing means someone was there.
    touched = []
    for name, status in listing:
        moment = ours.get(comparable(f"{REVIEW}/{name}"))
        changed = datetime.fromtimestamp(status.st_ctime, UTC)
        if watch.storable(name) and (moment is None or changed > moment + timedelta(seconds=1)):
            touched.append((name, status))
    seen = _bytes_as_names(REVIEW, listing) + [
        Seen(sighting.path, f"{sighting.size_bytes}:{sighting.mtime_ns}", sighting.complete)
        for sighting in watch.look(workspace.engine, MEDIA, touched, f"{REVIEW}/")
    ]
    there = {comparable(f"{REVIEW}/{name}") for name, _ in listing}
    standing = written_files.standing(
        workspace.engine, MEDIA, REVIEW
    )  # what a run is just laying out is not gone
    gone = [path for path in written if path in standing and comparable(path) not in there]
    return seen + [Seen(path, f"gone:{written[path].isoformat()}", True) for path in gone]


def _bytes_as_names(folder: str, files: Sequence[tuple[str, os.stat_result]]) -> list[Seen]:
    """Files whose names are no text: nothing can remember a look at them, so they count at once."""
    return [
        Seen(f"{folder}/{os.fsencode(name)!r}", str(status.st_mtime_ns), True)
        for name, status in files
        if not watch.storable(name)
    ]
