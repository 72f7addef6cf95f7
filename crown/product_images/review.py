"""Review: what people see, say and move between the share's folders, turned into decisions.

The console, the command line and the old habit of moving a file write the same row of the decision ledger.
Nothing is rendered or published here.
"""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from sqlalchemy import Connection, text

from crown.errors import BadInput, PermanentFailure, Refused, TemporaryFailure
from crown.journal import activity
from crown.ledger import decisions, placed
from crown.ledger.decisions import Decision
from crown.product_images import intake, names
from crown.product_images.intake import Upload
from crown.product_images.names import photo_name
from crown.product_images.room import (
    CUTOUTS,
    DEPARTMENT,
    ERRORS,
    MEDIA,
    NAME_CONFLICTS,
    OBJECTS,
    READY,
    REVIEW,
    REVIEW_FAILED,
    Room,
)
from crown.store import files, watch
from crown.store.roots import comparable
from crown.store.watch import SETTLE_SECONDS, Sighting

SHARE = "share"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cutout:
    """A current cut-out and what has been said of it."""

    photo: str
    content_hash: str
    path: Path
    facts: dict[str, Any]
    verdict: str | None
    who: str | None
    reason: str | None


@dataclass
class ReviewReport:
    """What a look at the review folders found and did, by photo."""

    shown: list[str] = field(default_factory=list)
    approved: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    retouched: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def cutouts(room: Room, pattern: str = "*", *, undecided: bool = False) -> list[Cutout]:
    """Current cut-outs whose photo key matches a shell pattern, the doubtful first."""
    with room.engine.connect() as connection:
        rows = connection.execute(
            text(
                "select i.key as photo, m.content_hash, m.facts, v.verdict, v.who, v.reason from ledger.items i"
                " join ledger.makings m using (making_id) left join ledger.verdicts v on v.stage = i.asset"
                " and v.subject = i.key and v.content_hash = m.content_hash"
                " where i.asset = :asset and i.state = 'current' order by i.key"
            ),
            {"asset": CUTOUTS},
        ).all()
    found = [
        Cutout(
            row.photo,
            row.content_hash,
            room.objects.path(row.content_hash),
            row.facts,
            row.verdict,
            row.who,
            row.reason,
        )
        for row in rows
        if fnmatch.fnmatchcase(comparable(row.photo), comparable(pattern)) and not (undecided and row.verdict)
    ]
    return sorted(found, key=lambda c: (c.facts.get("triage", {}).get("score", 100), c.photo))


def decide(
    room: Room,
    pattern: str,
    verdict: Literal["approve", "reject", "withdraw"],
    *,
    who: str,
    via: activity.Via,
    reason: str | None = None,
) -> list[Decision]:
    """Decide on every current cut-out that matches; each decision is about the bytes that are current now.

    Withdrawing takes back every decision that stands on a matching photo, on earlier bytes of it too.

    Raises:
        BadInput: nothing matches.
        Refused: a rejection without a reason.
    """
    if verdict == "reject" and not (reason or "").strip():
        raise Refused("A rejection needs a reason that the retoucher can act on; give it with --reason.")
    current = [(c.photo, c.content_hash) for c in cutouts(room, pattern)]
    seen = _decided(room, pattern) if verdict == "withdraw" else current
    if not seen:
        raise BadInput(f"No cut-out matches {pattern!r}; `crown images status --review` lists what waits.")
    return [_say(room, photo, content_hash, verdict, who, via, reason) for photo, content_hash in seen]


def _decided(room: Room, pattern: str) -> list[tuple[str, str]]:
    """Photos that match, with the bytes on which a decision stands."""
    with room.engine.connect() as connection:
        rows = connection.execute(
            text(
                "select subject, content_hash from ledger.verdicts where stage = :stage order by decision_id"
            ),
            {"stage": CUTOUTS},
        )
        return [
            (row.subject, row.content_hash)
            for row in rows
            if fnmatch.fnmatchcase(comparable(row.subject), comparable(pattern))
        ]


def withdrawing(room: Room, pattern: str, who: str) -> Callable[[Connection], None]:
    """What `decide(..., "withdraw")` would write, to be tried in a transaction that is rolled back.

    Raises:
        BadInput: nothing matches.
    """
    seen = _decided(room, pattern)
    if not seen:
        raise BadInput(f"No decision stands on a cut-out that matches {pattern!r}.")

    def act(connection: Connection) -> None:
        for photo, content_hash in seen:
            decisions.decide(
                connection,
                stage=CUTOUTS,
                subject=photo,
                content_hash=content_hash,
                verdict="withdraw",
                who=who,
                via="cli",
            )

    return act


def _say(
    room: Room,
    photo: str,
    content_hash: str,
    verdict: decisions.Verdict,
    who: str,
    via: activity.Via,
    reason: str | None = None,
) -> Decision:
    what = {
        "approve": activity.HUMAN_APPROVED,
        "reject": activity.HUMAN_REJECTED,
        "withdraw": activity.APPROVAL_WITHDRAWN,
    }[verdict]
    with room.engine.begin() as connection:
        before = decisions.standing(connection, CUTOUTS, {photo: content_hash}).get(photo)
        said = decisions.decide(
            connection,
            stage=CUTOUTS,
            subject=photo,
            content_hash=content_hash,
            verdict=verdict,
            who=who,
            via=via,
            reason=reason,
        )
        news = before is None or before.decision_id != said.decision_id
        if news:
            activity.record(
                connection,
                who=who,
                what=what,
                subject=photo,
                department=DEPARTMENT,
                via=via,
                product_number=photo_name(photo).number,
                details=reason,
                old=before and {"verdict": before.verdict, "who": before.who},
                new={"verdict": verdict, "content_hash": content_hash, "decision_id": said.decision_id},
            )
    if not news:
        return said
    words = {"approve": "approved", "reject": "rejected", "withdraw": "taken back"}
    _log.info(
        "%s %s by %s%s",
        photo,
        words[verdict],
        who,
        f": {reason}" if reason else "",
        extra={
            "product_number": photo_name(photo).number,
            "user_id": who,
            "context": {"via": via, "content_hash": content_hash, "decision_id": said.decision_id},
        },
    )
    return said


def show(room: Room) -> list[str]:
    """Lay undecided cut-outs into review/bg_removed, failed ones into review/bg_removal_failed, and take away ours
    that are decided; returns the photos newly shown. A person's file under such a name is left alone.
    """
    shown = []
    folder = {
        PurePosixPath(path).stem: ours for path, ours in placed.below(room.engine, MEDIA, REVIEW).items()
    }
    for cutout in cutouts(room):
        path = f"{REVIEW}/{cutout.photo}.png"
        if cutout.verdict is not None:
            if cutout.photo in folder and files.remove_ours(
                room.roots.path(MEDIA, path), folder[cutout.photo]
            ):
                placed.forget(room.engine, MEDIA, path)
        elif cutout.content_hash not in folder.get(cutout.photo, ()) and _lay_out(
            room, path, cutout.path, cutout.content_hash
        ):
            shown.append(cutout.photo)
    return shown


def _lay_out(room: Room, path: str, source: Path, content_hash: str) -> bool:
    target = room.roots.path(MEDIA, path)
    ours = placed.intend(room.engine, MEDIA, path, content_hash)
    files.make_folder(target.parent, room.ownership)
    unfinished = files.temporary(target)
    files.copy(source, unfinished, room.ownership)
    try:
        files.publish(unfinished, target, ours)
    except PermanentFailure:
        return False
    placed.record(room.engine, MEDIA, path, content_hash)
    return True


def show_failures(room: Room) -> list[str]:
    """Lay the picture itself, as PNG, into review/bg_removal_failed for photos that could not be cut out."""
    from crown.product_images.pictures import open_picture

    with room.engine.connect() as connection:
        rows = connection.execute(
            text(
                "select i.key, i.error, m.content_hash from ledger.items i"
                " join ledger.makings m on m.making_id = i.inputs[1]"
                " where i.asset = :asset and i.state = 'quarantined' order by i.key"
            ),
            {"asset": CUTOUTS},
        ).all()
    there = placed.below(room.engine, MEDIA, REVIEW_FAILED)
    shown = []
    for row in rows:
        path = f"{REVIEW_FAILED}/{row.key}.png"
        if path in there:
            continue
        scratch = files.temporary(room.roots[OBJECTS] / "failed.png")
        try:
            picture = open_picture(room.objects.path(row.content_hash), room.max_pixels, name=row.key)
            picture.pngsave(str(scratch), compression=3)
            if _lay_out(room, path, scratch, files.sha256(scratch)):
                shown.append(row.key)
        except BadInput:
            continue  # the reason stands in the ledger; there is no picture to show
        finally:
            scratch.unlink(missing_ok=True)
    return shown


def collect(room: Room, *, settle_seconds: float = SETTLE_SECONDS) -> ReviewReport:
    """Turn what people did in the review folders into decisions and retouches.

    A file in `ready_for_formatting/` (or in a person's sub-folder of it) with the bytes of the current cut-out
    approves it; with other bytes it is a retouch, approved. A changed file in `review/bg_removed` is a retouch
    that waits for approval; one that is gone from there and appears nowhere else is a rejection.
    """
    report = ReviewReport()
    # The review folder is listed first: a file moved in between is then seen in its new place.
    reviewed = watch.listing(room.roots.path(MEDIA, REVIEW))
    ready = watch.listing(room.roots.path(MEDIA, READY), depth=1)
    current = {c.photo: c for c in cutouts(room)}
    for sighting in watch.look(room.engine, MEDIA, ready, f"{READY}/", settle_seconds=settle_seconds):
        _collect_ready(room, sighting, current, report)
    _collect_reviewed(room, reviewed, current, report, settle_seconds)
    if not report.unfinished:
        _collect_gone(room, reviewed, current, report)
    return report


def _collect_ready(room: Room, sighting: Sighting, current: dict[str, Cutout], report: ReviewReport) -> None:
    inside = PurePosixPath(sighting.path).relative_to(READY)
    who = inside.parts[0] if len(inside.parts) > 1 else SHARE
    photo = _photo_of(room, sighting, report)
    if photo is None:
        return
    path = room.roots.path(MEDIA, sighting.path)
    cutout = current.get(photo.key)
    content_hash = files.sha256(path)
    if cutout is not None and content_hash == cutout.content_hash:
        _say(room, photo.key, content_hash, "approve", who, "share")
        if files.remove_ours(path, frozenset({content_hash})):  # the store holds these bytes
            report.approved.append(photo.key)
    elif _was_cutout(room, photo.key, content_hash):
        reason = f"{path.name!r} is the cut-out of an earlier version of {photo.key}; approve the newest one."
        intake.set_aside(room, sighting.path, ERRORS, reason)
        report.refused[path.name] = reason
    elif _retouch(room, sighting, photo, who, report, approve=True):
        report.approved.append(photo.key)


def _photo_of(room: Room, sighting: Sighting, report: ReviewReport) -> names.PhotoName | None:
    name = PurePosixPath(sighting.path).name
    path = room.roots[MEDIA] / sighting.path
    if path.is_symlink() or not path.is_file() or not names.accepted(name):
        reason = f"{name!r} is not a picture file; put the PNG itself there."
        intake.set_aside(room, sighting.path, ERRORS, reason)
        report.refused[name] = reason
        return None
    if not sighting.complete:
        report.unfinished.append(name)
        return None
    try:
        return names.parse(name)
    except BadInput as error:
        intake.set_aside(room, sighting.path, NAME_CONFLICTS, str(error))
        report.refused[name] = str(error)
        return None


def _retouch(
    room: Room, sighting: Sighting, photo: names.PhotoName, who: str, report: ReviewReport, *, approve: bool
) -> bool:
    path = room.roots.path(MEDIA, sighting.path)
    try:
        facts = intake.probe_file(str(path), room.max_pixels)
    except BadInput as error:
        if intake.stalled(room, sighting):
            report.unfinished.append(path.name)
        else:
            intake.set_aside(room, sighting.path, ERRORS, str(error))
            report.refused[path.name] = str(error)
        return False
    try:
        _store_retouch(room, Upload(photo, path, path.lstat(), facts, who), who if approve else None)
    except TemporaryFailure:
        report.unfinished.append(path.name)
        return False
    report.retouched.append(photo.key)
    return True


def _store_retouch(room: Room, upload: Upload, approved_by: str | None) -> None:
    photo = upload.photo
    with room.engine.connect() as connection:
        original = connection.execute(
            text(
                "select content_hash from product_images.uploads where photo = :photo and kind = 'original'"
                " order by upload_id desc limit 1"
            ),
            {"photo": photo.key},
        ).scalar()
    content_hash = files.sha256(upload.path)
    if original is None:
        # A finished picture of a photo that was never in the inbox is its own original.
        room.objects.put(upload.path)
        with room.engine.begin() as connection:
            intake.record_upload(connection, upload, "original", None, content_hash, upload.status.st_size)
        original = content_hash
    if approved_by is not None:
        _say(room, photo.key, content_hash, "approve", approved_by, "share")
    intake.store(room, upload, kind="retouch", of_hash=original)


def _collect_reviewed(
    room: Room,
    reviewed: Sequence[tuple[str, Any]],
    current: dict[str, Cutout],
    report: ReviewReport,
    settle_seconds: float,
) -> None:
    ours = placed.below(room.engine, MEDIA, REVIEW)
    for sighting in watch.look(room.engine, MEDIA, reviewed, f"{REVIEW}/", settle_seconds=settle_seconds):
        path = room.roots[MEDIA] / sighting.path
        if path.is_file() and not path.is_symlink() and files.sha256(path) in ours.get(sighting.path, ()):
            continue
        photo = _photo_of(room, sighting, report)
        if photo is None:
            continue
        content_hash = files.sha256(path)
        if photo.key in current and current[photo.key].content_hash == content_hash:
            continue  # a copy of what is shown already
        if _retouch(room, sighting, photo, intake.uploader(path.lstat()), report, approve=False):
            placed.forget(room.engine, MEDIA, sighting.path)


def _collect_gone(
    room: Room, reviewed: Sequence[tuple[str, Any]], current: dict[str, Cutout], report: ReviewReport
) -> None:
    there = {comparable(f"{REVIEW}/{name}") for name, _ in reviewed}
    for path, ours in placed.below(room.engine, MEDIA, REVIEW).items():
        photo = PurePosixPath(path).stem
        if comparable(path) in there or room.roots.path(MEDIA, path).exists():
            continue
        cutout = current.get(photo)
        placed.forget(room.engine, MEDIA, path)
        if cutout is not None and cutout.verdict is None and cutout.content_hash in ours:
            standing = {c.photo: c for c in cutouts(room, photo)}.get(photo)
            if standing is not None and standing.verdict is None:
                _say(room, photo, cutout.content_hash, "reject", SHARE, "share", f"removed from {REVIEW}")
                report.rejected.append(photo)


def _was_cutout(room: Room, photo: str, content_hash: str) -> bool:
    with room.engine.connect() as connection:
        return bool(
            connection.execute(
                text(
                    "select exists (select from ledger.makings where asset = :asset and key = :photo"
                    " and content_hash = :hash and recipe not in"
                    " (select recipe from ledger.recipes where asset = :asset and name = 'retouch'))"
                ),
                {"asset": CUTOUTS, "photo": photo, "hash": content_hash},
            ).scalar_one()
        )
