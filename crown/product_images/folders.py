"""What people did in the department's folders since we last wrote there. Looks only; acts on nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from crown.ledger import placed
from crown.product_images.room import INBOX, MEDIA, READY, REVIEW, Room
from crown.store import watch
from crown.store.roots import comparable


def seen_by_people(room: Room) -> list[tuple[str, str, bool]]:
    """Files of people, and files of ours that are gone: (path, what makes it new, whether it is at rest)."""
    seen = []
    for folder, depth in ((INBOX, 0), (READY, 1)):
        files = watch.listing(room.roots.path(MEDIA, folder), depth=depth)
        for sighting in watch.look(room.engine, MEDIA, files, f"{folder}/"):
            seen.append((sighting.path, _token(room, sighting), sighting.complete))
    return seen + _review(room)


def _token(room: Room, sighting: watch.Sighting) -> str:
    # A file that is still there after a run (undecodable, or the disk was full) is new again after its waiting
    # time, so that nothing lies there unseen.
    age = datetime.now(UTC) - sighting.first_seen_at
    turn = age // timedelta(minutes=max(room.settings.stalled_minutes, 1))
    return f"{sighting.size_bytes}:{sighting.mtime_ns}:{turn}"


def _review(room: Room) -> list[tuple[str, str, bool]]:
    ours = placed.below(room.engine, MEDIA, REVIEW)
    with room.engine.connect() as connection:
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
    listing = watch.listing(room.roots.path(MEDIA, REVIEW))
    # The kernel's change time cannot be set by a person; later than our writing means someone was there.
    touched = [
        (name, status)
        for name, status in listing
        if f"{REVIEW}/{name}" not in ours
        or datetime.fromtimestamp(status.st_ctime, UTC) > written[f"{REVIEW}/{name}"] + timedelta(seconds=1)
    ]
    seen = [
        (sighting.path, f"{sighting.size_bytes}:{sighting.mtime_ns}", sighting.complete)
        for sighting in watch.look(room.engine, MEDIA, touched, f"{REVIEW}/")
    ]
    there = {comparable(f"{REVIEW}/{name}") for name, _ in listing}
    gone = [path for path in ours if comparable(path) not in there]
    return seen + [(path, f"gone:{written[path].isoformat()}", True) for path in gone]
