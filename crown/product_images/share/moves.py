"""What people moved, changed and put between the share's folders, turned into decisions and retouches.

The habit of moving a file writes the same row of the decision ledger as the console and the command line (review.py).
"""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import text

from crown.errors import BadInput, TemporaryFailure
from crown.flow import inbox
from crown.ledger import written_files
from crown.product_images import names
from crown.product_images.share import intake, review
from crown.product_images.share.intake import Upload
from crown.product_images.share.notes import refusals
from crown.product_images.share.review import Cutout
from crown.product_images.workspace import (
    CUTOUTS,
    ERRORS,
    MEDIA,
    NAME_CONFLICTS,
    PHOTOS,
    READY,
    REVIEW,
    Workspace,
)
from crown.store import files, watch
from crown.store.roots import comparable
from crown.store.watch import SETTLE_SECONDS, Sighting

SHARE = "share"
#: More pictures than this gone at one look, and more than half of those shown, is no review but an accident.
MOST_GONE = 10

_log = logging.getLogger(__name__)


@dataclass
class ReviewReport:
    """What a look at the review folders found and did, by photo."""

    shown: list[str] = field(default_factory=list)
    approved: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    retouched: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    #: Photos that were all taken away at once: nothing is decided, they are laid out again.
    held: list[str] = field(default_factory=list)


def collect(workspace: Workspace, *, settle_seconds: float = SETTLE_SECONDS) -> ReviewReport:
    """Turn what people did in the review folders into decisions and retouches.

    A file in `ready_for_formatting/` (or in a person's sub-folder of it) with the bytes of the current cut-out
    approves it; with other bytes it is a retouch, approved. A changed file in `review/bg_removed` is a retouch
    that waits for approval; one that is gone from there and appears nowhere else is a rejection, unless
    so many went at once that it looks like an accident (`MOST_GONE`).
    """
    report = ReviewReport()
    # The review folder is listed first: a file moved in between is then seen in its new place.
    closed: list[str] = []
    reviewed, ready = (
        intake.name_bytes_aside(workspace, folder, files_there, report.refused)
        for folder, files_there in (
            (REVIEW, intake.listed(workspace, REVIEW)),
            (READY, intake.listed(workspace, READY, closed=closed)),
        )
    )
    for place in intake.review_folders(workspace):
        intake.folders_left(workspace, place)
    for name in closed:
        _log.warning(
            "%s may not be looked into, so nothing counts as taken away; give the group the right to read, write and"
            " enter it.",
            watch.spelt_out(f"{READY}/{name}".removesuffix("/.")),
        )
    named = _photos_named(reviewed, ready) | {
        PurePosixPath(path).stem for path in written_files.below(workspace.engine, MEDIA, REVIEW)
    }
    current = {c.photo: c for c in review.cutouts(workspace, photos=named)}
    for sighting in watch.look(workspace.engine, MEDIA, ready, f"{READY}/", settle_seconds=settle_seconds):
        with _one_file(sighting, report):
            _collect_ready(workspace, sighting, current, report)
    _collect_reviewed(workspace, reviewed, current, report, settle_seconds)
    if not closed:
        _collect_gone(workspace, reviewed, current, report)
    return report


def _photos_named(*listings: Sequence[tuple[str, Any]]) -> set[str]:
    """The photos that the names of files mean."""
    photos = set()
    for listing in listings:
        for path, _ in listing:
            with suppress(BadInput):
                photos.add(names.parse(PurePosixPath(path).name).key)
    return photos


@contextmanager
def _one_file(sighting: Sighting, report: ReviewReport) -> Iterator[None]:
    """A file that a person takes away meanwhile, or that cannot be read, holds up no other."""
    name = PurePosixPath(sighting.path).name
    try:
        yield
    except FileNotFoundError:
        report.unfinished.append(name)
    except PermissionError:
        report.refused[name] = (
            f"{sighting.path} cannot be read; give the group the right to read and write it."
        )
        _log.warning("%s", report.refused[name])


def _collect_ready(
    workspace: Workspace, sighting: Sighting, current: dict[str, Cutout], report: ReviewReport
) -> None:
    inside = PurePosixPath(sighting.path).relative_to(READY)
    who = unicodedata.normalize("NFC", inside.parts[0]) if len(inside.parts) > 1 else SHARE
    photo = _photo_of(workspace, sighting, report)
    if photo is None:
        return
    path = workspace.roots.path(MEDIA, sighting.path)
    cutout = current.get(photo.key)
    content_hash = files.sha256(path)
    if cutout is not None and content_hash == cutout.content_hash:
        review.decide_on_bytes(workspace, [(photo.key, content_hash)], "approve", who, "share")
        if files.remove_ours(path, frozenset({content_hash})):  # the store holds these bytes
            report.approved.append(photo.key)
    elif _was_cutout(workspace, photo.key, content_hash):
        _refuse_outdated(workspace, sighting, photo, report)
    elif _retouch(workspace, sighting, photo, report, approved_by=who):
        report.approved.append(photo.key)


def _refuse_outdated(
    workspace: Workspace, sighting: Sighting, photo: names.PhotoName, report: ReviewReport
) -> None:
    name = PurePosixPath(sighting.path).name
    reason = f"{name!r} is the cut-out of an earlier version of {photo.key}; approve the newest one."
    refusals(workspace).set_aside(sighting.path, ERRORS, reason)
    report.refused[name] = reason


def _photo_of(workspace: Workspace, sighting: Sighting, report: ReviewReport) -> names.PhotoName | None:
    name = PurePosixPath(sighting.path).name
    path = workspace.roots[MEDIA] / sighting.path
    if not os.path.lexists(path):
        report.unfinished.append(name)
        return None
    if name.endswith(inbox.REASON):
        refusals(workspace).put_note_back(sighting.path)
        return None
    regular = path.is_file() and not path.is_symlink()
    if regular and not sighting.complete:
        report.unfinished.append(name)
        return None
    if not regular or not names.accepted(name):
        reason = f"{name!r} is not a picture file; put the PNG itself there."
        refusals(workspace).set_aside(sighting.path, ERRORS, reason)
        report.refused[name] = reason
        return None
    try:
        return intake.photo_of(workspace, name)
    except BadInput as error:
        refusals(workspace).set_aside(sighting.path, NAME_CONFLICTS, str(error))
        report.refused[name] = str(error)
        return None


def _retouch(
    workspace: Workspace,
    sighting: Sighting,
    photo: names.PhotoName,
    report: ReviewReport,
    *,
    approved_by: str | None,
) -> bool:
    path = workspace.roots.path(MEDIA, sighting.path)
    try:
        facts = intake.probe_file(str(path), workspace.max_pixels)
    except BadInput as error:
        if intake.stalled(workspace, sighting, error):
            report.unfinished.append(path.name)
        else:
            refusals(workspace).set_aside(sighting.path, ERRORS, str(error))
            report.refused[path.name] = str(error)
        return False
    try:
        status = path.lstat()
        upload = Upload(photo, path, status, facts, inbox.uploader(status))
        _store_retouch(workspace, upload, approved_by)
    except TemporaryFailure:
        report.unfinished.append(path.name)
        return False
    report.retouched.append(photo.key)
    return True


def _store_retouch(workspace: Workspace, upload: Upload, approved_by: str | None) -> None:
    photo = upload.photo
    with workspace.engine.connect() as connection:
        original = connection.execute(
            text(
                "select content_hash from product_images.uploads where photo = :photo and kind = 'original'"
                " order by upload_id desc limit 1"
            ),
            {"photo": photo.key},
        ).scalar()
    content_hash = files.sha256(upload.path)
    if original is None:
        # A cut-out under another number is of the same original; any other finished picture is its own.
        original = _original_of(workspace, content_hash) or workspace.objects.put(upload.path)[0]
        size = workspace.objects.path(original).stat().st_size
        with workspace.engine.begin() as connection:
            intake.record_upload(connection, upload, "original", None, original, size)
    if approved_by is not None:
        review.decide_on_bytes(workspace, [(photo.key, content_hash)], "approve", approved_by, "share")
    intake.store(workspace, upload, kind="retouch", of_hash=original)


def _original_of(workspace: Workspace, content_hash: str) -> str | None:
    """The original of which a cut-out was made, whatever photo it was made for."""
    with workspace.engine.connect() as connection:
        original: str | None = connection.execute(
            text(
                "select p.content_hash from ledger.outputs c join ledger.output_inputs e using (output_id)"
                " join ledger.outputs p on p.output_id = e.input_id and p.asset = :photos"
                " where c.asset = :cutouts and c.content_hash = :hash order by c.output_id desc limit 1"
            ),
            {"photos": PHOTOS, "cutouts": CUTOUTS, "hash": content_hash},
        ).scalar()
    return original if original is not None and workspace.objects.path(original).is_file() else None


def _collect_reviewed(
    workspace: Workspace,
    reviewed: Sequence[tuple[str, Any]],
    current: dict[str, Cutout],
    report: ReviewReport,
    settle_seconds: float,
) -> None:
    ours = {
        comparable(path): (path, hashes)
        for path, hashes in written_files.below(workspace.engine, MEDIA, REVIEW).items()
    }
    for sighting in watch.look(
        workspace.engine, MEDIA, reviewed, f"{REVIEW}/", settle_seconds=settle_seconds
    ):
        laid_out, hashes = ours.get(comparable(sighting.path), (sighting.path, frozenset()))
        with _one_file(sighting, report):
            path = workspace.roots[MEDIA] / sighting.path
            if path.is_file() and not path.is_symlink() and files.sha256(path) in hashes:
                continue
            before = os.path.lexists(path)
            _collect_changed(workspace, sighting, current, report)
            if before and not os.path.lexists(path):
                # We took it, as a retouch or because it cannot be used: that is no rejection by a person.
                written_files.forget(workspace.engine, MEDIA, laid_out)


def _collect_changed(
    workspace: Workspace, sighting: Sighting, current: dict[str, Cutout], report: ReviewReport
) -> None:
    """A file in the review that is not what we laid out there."""
    photo = _photo_of(workspace, sighting, report)
    if photo is None:
        return
    path = workspace.roots.path(MEDIA, sighting.path)
    content_hash = files.sha256(path)
    cutout = current.get(photo.key)
    if cutout is not None and cutout.content_hash == content_hash:
        _put_back(workspace, cutout, path)
    elif _was_cutout(workspace, photo.key, content_hash):
        _refuse_outdated(workspace, sighting, photo, report)
    else:
        _retouch(workspace, sighting, photo, report, approved_by=None)


def _put_back(workspace: Workspace, cutout: Cutout, path: Path) -> None:
    """The cut-out that is current now, put into the review by a person: nothing new while it waits there.

    One that was rejected by taking it away waits again. One that was decided otherwise stays so, and the file goes.
    """
    if (cutout.verdict, cutout.who) == ("reject", SHARE):
        review.decide_on_bytes(
            workspace,
            [(cutout.photo, cutout.content_hash)],
            "withdraw",
            SHARE,
            "share",
            f"put back into {REVIEW}",
        )
    elif cutout.verdict is not None and files.remove_ours(path, frozenset({cutout.content_hash})):
        _log.warning(  # the store holds these bytes
            "%s is removed from %s: %s has said %s to this picture already; `crown images withdraw %s` takes that"
            " back.",
            path.name,
            REVIEW,
            cutout.who,
            cutout.verdict,
            cutout.photo,
        )


def _collect_gone(
    workspace: Workspace,
    reviewed: Sequence[tuple[str, Any]],
    current: dict[str, Cutout],
    report: ReviewReport,
) -> None:
    there = {comparable(f"{REVIEW}/{name}") for name, _ in reviewed}
    # What another run is laying out at this moment is not gone.
    written = written_files.standing(workspace.engine, MEDIA, REVIEW)
    laid_out = {
        path: hashes
        for path, hashes in written_files.below(workspace.engine, MEDIA, REVIEW).items()
        if path in written
    }
    # What is still copied may be the very picture, on its way to another folder.
    on_the_way = _photos_named([(name, None) for name in report.unfinished])
    gone = {
        path: PurePosixPath(path).stem
        for path in laid_out
        if comparable(path) not in there
        and PurePosixPath(path).stem not in on_the_way
        and not workspace.roots.path(MEDIA, path).exists()
    }
    decided = {c.photo: c.verdict for c in review.cutouts(workspace, photos=gone.values())}
    taken_away = [
        photo
        for path, photo in gone.items()
        if photo in current and decided.get(photo) is None and current[photo].content_hash in laid_out[path]
    ]
    for path in gone:
        written_files.forget(workspace.engine, MEDIA, path)
    if len(taken_away) > MOST_GONE and len(taken_away) > len(laid_out) / 2:
        report.held = sorted(taken_away)
        _log.warning(
            "%d of %d pictures went from %s at once: none is rejected, they are laid out again. To reject them all,"
            " run `crown images reject PATTERN --reason ... --apply`.",
            len(taken_away),
            len(laid_out),
            REVIEW,
        )
        return
    seen = [(photo, current[photo].content_hash) for photo in taken_away]
    review.decide_on_bytes(workspace, seen, "reject", SHARE, "share", f"removed from {REVIEW}")
    report.rejected.extend(taken_away)


def _was_cutout(workspace: Workspace, photo: str, content_hash: str) -> bool:
    with workspace.engine.connect() as connection:
        return bool(
            connection.execute(
                text(
                    "select exists (select from ledger.outputs where asset = :asset and key = :photo"
                    " and content_hash = :hash and recipe not in"
                    " (select recipe from ledger.recipes where asset = :asset and name = 'retouch'))"
                ),
                {"asset": CUTOUTS, "photo": photo, "hash": content_hash},
            ).scalar_one()
        )
