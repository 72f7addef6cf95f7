"""The demo of product images: uploads, cut-outs, approvals by a user named demo, renditions, production."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from crown.errors import BadInput
from crown.product_images import names, review
from crown.product_images.room import ERRORS, INBOX, NAME_CONFLICTS, PRODUCTION, Room, open_room
from crown.store import files
from crown_cli.demo import Chapter
from crown_cli.demo_images_story import DEMO, tell
from crown_cli.runs import run_job

if TYPE_CHECKING:
    import dagster as dg

    from crown_cli.world import World


def play(world: World, instance: dg.DagsterInstance, images: Path | None) -> Chapter:
    """Run the department once, approve as `demo`, run again."""
    room = open_room(world.engine, world.settings)
    chapter = Chapter()
    chapter.items_in = _bring(room, images)
    before = _refused(room)
    runs: list[dict[str, Any]] = []

    def run() -> dict[str, Any]:
        runs.append(run_job(instance, "product_images"))
        return runs[-1]

    run()
    approved = _approve(room)
    if approved:
        run()
    # The story is about the samples: nobody's own pictures are edited or retired.
    told = tell(world, run) if images is None else []
    _count(room, runs, chapter)
    new = [line for line in _refused(room) if line not in before]
    chapter.items_failed = len(new) + _left_failed(room)
    chapter.story.append(f"{chapter.items_in} files were put into the inbox.")
    if approved:
        chapter.story.append(f"{len(approved)} cut-outs were approved by {DEMO}: {', '.join(approved)}.")
    chapter.story += new or (
        ["Nothing new: everything is current, nothing was made again."] if not (approved or told) else []
    )
    chapter.story += told
    chapter.where = {
        "originals": str(room.objects.folder),
        "the share": str(room.settings.media),
        "published": str(room.settings.production),
    }
    return chapter


def _bring(room: Room, images: Path | None) -> int:
    """Put pictures into the inbox that are not stored yet; returns how many."""
    from crown.product_images.samples import write_samples

    inbox = room.media(INBOX)
    if images is None:
        with room.engine.connect() as connection:
            if connection.execute(text("select exists (select from product_images.uploads)")).scalar_one():
                return 0
        return len(write_samples(inbox))
    brought = 0
    for path in sorted(images.iterdir()):
        if path.is_file() and names.accepted(path.name) and not room.objects.holds(files.sha256(path)):
            shutil.copyfile(path, inbox / path.name)
            brought += 1
    return brought


def _approve(room: Room) -> list[str]:
    undecided = [cutout.photo for cutout in review.cutouts(room, undecided=True)]
    approved = []
    for photo in undecided:
        try:
            review.decide(room, photo, "approve", who=DEMO, via="demo", reason="the demo approves everything")
        except BadInput:
            continue  # a key with a pattern character matched nothing
        approved.append(photo)
    return approved


def _count(room: Room, runs: list[dict[str, Any]], chapter: Chapter) -> None:
    for run in runs:
        chapter.items_made += sum(asset.get("successful", 0) for asset in run["assets"].values())
    with room.engine.connect() as connection:
        chapter.items_current = connection.execute(
            text(
                "select count(*) from ledger.items where starts_with(asset, 'product_images/') and state = 'current'"
            )
        ).scalar_one()
        published = connection.execute(
            text("select count(*) from ledger.files where root = :root"), {"root": PRODUCTION}
        ).scalar_one()
    chapter.story.append(f"{published} pictures are published.")


def _refused(room: Room) -> list[str]:
    """The reasons that lie beside refused files."""
    reasons = []
    for folder in (ERRORS, NAME_CONFLICTS):
        for note in sorted(room.media(folder).glob("*.error.txt")):
            said = dict(line.split(": ", 1) for line in note.read_text("utf-8").splitlines() if ": " in line)
            reasons.append(f"Refused into {folder}: {said['reason']}")
    return reasons


def _left_failed(room: Room) -> int:
    with room.engine.connect() as connection:
        return connection.execute(
            text(
                "select count(*) from ledger.items where starts_with(asset, 'product_images/')"
                " and state in ('failed', 'quarantined')"
            )
        ).scalar_one()
