"""Review: what people see, say and move between the share's folders, turned into decisions.

The console, the command line and the old habit of moving a file write the same row of the decision ledger.
Nothing is rendered or published here.
"""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import BadInput, PermanentFailure, Refused, TemporaryFailure
from crown.journal import activity
from crown.ledger import decisions, written_files
from crown.ledger.decisions import Decision, Verdict
from crown.product_images import names
from crown.product_images.names import matches, photo_name
from crown.product_images.share import intake, notes
from crown.product_images.share.intake import Upload
from crown.product_images.workspace import (
    CUTOUTS,
    DEPARTMENT,
    ERRORS,
    MEDIA,
    NAME_CONFLICTS,
    OBJECTS,
    PHOTOS,
    READY,
    REVIEW,
    REVIEW_FAILED,
    Workspace,
)
from crown.store import files, watch
from crown.store.roots import comparable
from crown.store.watch import SETTLE_SECONDS, Sighting

SHARE = "share"
#: More pictures than this gone at one look, and more than half of those shown, is no review but an accident.
MOST_GONE = 10

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


@dataclass(frozen=True)
class Chosen:
    """Bytes that an act is about: their score, the verdict that stands on them, whose, and which one stands `then`."""

    photo: str
    content_hash: str
    score: float | None
    stands: str | None
    who: str | None
    then: str | None


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


def cutouts(
    workspace: Workspace, pattern: str = "*", *, undecided: bool = False, photos: Iterable[str] | None = None
) -> list[Cutout]:
    """Current cut-outs whose photo key is `pattern` or matches it as a shell pattern, the doubtful first.

    Args:
        workspace: the department's workspace.
        pattern: shell pattern of photo keys.
        undecided: only those of which nothing has been said.
        photos: only these photo keys; a library of thousands is then not read for a few.
    """
    with workspace.engine.connect() as connection:
        rows = connection.execute(
            text(
                "select i.key as photo, m.content_hash, m.facts, v.verdict, v.who, v.reason from ledger.items i"
                " join ledger.outputs m using (output_id) left join ledger.verdicts v on v.stage = i.asset"
                " and v.subject = i.key and v.content_hash = m.content_hash"
                " where i.asset = :asset and i.state = 'current' and (not :undecided or v.verdict is null)"
                " and (cast(:photos as text[]) is null or i.key = any(cast(:photos as text[]))) order by i.key"
            ),
            {"asset": CUTOUTS, "undecided": undecided, "photos": None if photos is None else list(photos)},
        ).all()
    found = [
        Cutout(
            row.photo,
            row.content_hash,
            workspace.objects.path(row.content_hash),
            row.facts,
            row.verdict,
            row.who,
            row.reason,
        )
        for row in rows
        if pattern == "*" or matches(row.photo, pattern)
    ]
    return sorted(found, key=lambda c: (c.facts.get("triage", {}).get("score", 100), c.photo))


def decide(
    workspace: Workspace,
    pattern: str,
    verdict: Verdict,
    *,
    who: str,
    via: activity.Via,
    reason: str | None = None,
) -> list[Decision]:
    """Decide on every current cut-out that matches; see `choose` and `decide_on`."""
    return decide_on(
        workspace, choose(workspace, [pattern], verdict), verdict, who=who, via=via, reason=reason
    )


def choose(
    workspace: Workspace, patterns: Sequence[str], verdict: Verdict, *, score_above: float | None = None
) -> list[Chosen]:
    """The bytes that a decision on patterns would be about: the current cut-outs that match any of them.

    Withdrawing is about every decision that stands on a matching photo, on earlier bytes of it too.

    Args:
        workspace: the department's workspace.
        patterns: shell patterns of photo keys, or keys.
        verdict: what is to be said.
        score_above: only cut-outs of which nothing has been said and whose score is higher.

    Raises:
        BadInput: a pattern matches nothing.
    """
    if verdict == "withdraw":
        return _decided(workspace, patterns)
    known = [
        Chosen(c.photo, c.content_hash, c.facts.get("triage", {}).get("score"), c.verdict, c.who, verdict)
        for c in cutouts(workspace, undecided=score_above is not None)
    ]
    if score_above is not None:
        known = [one for one in known if one.score is not None and one.score > score_above]
    what = "cut-out" if score_above is None else f"undecided cut-out with a score above {score_above:g}"
    return _matching(known, patterns, f"No {what} matches")


def _matching(known: Sequence[Chosen], patterns: Sequence[str], nothing: str) -> list[Chosen]:
    for pattern in patterns:
        if not any(matches(one.photo, pattern) for one in known):
            raise BadInput(f"{nothing} {pattern!r}; `crown images status --review` lists what waits.")
    return [one for one in known if any(matches(one.photo, pattern) for pattern in patterns)]


def decide_on(
    workspace: Workspace,
    chosen: Sequence[Chosen],
    verdict: Verdict,
    *,
    who: str,
    via: activity.Via,
    reason: str | None = None,
) -> list[Decision]:
    """Decide on exactly the bytes that were chosen.

    Raises:
        Refused: a rejection without a reason.
    """
    if verdict == "reject" and not (reason or "").strip():
        raise Refused("A rejection needs a reason that the retoucher can act on; give it with --reason.")
    return _say_all(workspace, [(one.photo, one.content_hash) for one in chosen], verdict, who, via, reason)


def _decided(workspace: Workspace, patterns: Sequence[str]) -> list[Chosen]:
    """The bytes on which a decision stands, and what stands when it is withdrawn."""
    with workspace.engine.connect() as connection:
        rows = connection.execute(
            text(
                "select subject, content_hash, verdict, who from ledger.verdicts where stage = :stage"
                " order by decision_id"
            ),
            {"stage": CUTOUTS},
        )
        known = [Chosen(row.subject, row.content_hash, None, row.verdict, row.who, None) for row in rows]
        found = _matching(known, patterns, "No decision stands on a cut-out that matches")
        before = [decisions.restored(connection, CUTOUTS, one.photo, one.content_hash) for one in found]
    return [
        one if old is None else replace(one, then=old.verdict) for one, old in zip(found, before, strict=True)
    ]


def supposed(chosen: Sequence[Chosen], verdict: Verdict, who: str) -> Callable[[Connection], None]:
    """What `decide_on` would write, to be tried in a transaction that is rolled back."""

    def act(connection: Connection) -> None:
        seen = [(one.photo, one.content_hash) for one in chosen]
        decisions.decide_all(connection, stage=CUTOUTS, seen=seen, verdict=verdict, who=who, via="cli")

    return act


def _say(
    workspace: Workspace,
    photo: str,
    content_hash: str,
    verdict: Verdict,
    who: str,
    via: activity.Via,
    reason: str | None = None,
) -> Decision:
    return _say_all(workspace, [(photo, content_hash)], verdict, who, via, reason)[0]


def _say_all(
    workspace: Workspace,
    seen: Sequence[tuple[str, str]],
    verdict: decisions.Verdict,
    who: str,
    via: activity.Via,
    reason: str | None,
) -> list[Decision]:
    """Decide on photos and their bytes in one transaction, with a row of the trail and a line of the log for each."""
    what = {
        "approve": activity.HUMAN_APPROVED,
        "reject": activity.HUMAN_REJECTED,
        "withdraw": activity.APPROVAL_WITHDRAWN,
    }[verdict]
    with workspace.engine.begin() as connection:
        said = decisions.decide_all(
            connection, stage=CUTOUTS, seen=seen, verdict=verdict, who=who, via=via, reason=reason
        )
        news = [one for one in said if one.is_new]
        activity.record_all(
            connection,
            [
                activity.Entry(
                    who=who,
                    what=what,
                    subject=one.decision.subject,
                    department=DEPARTMENT,
                    via=via,
                    product_number=photo_name(one.decision.subject).number,
                    details=reason,
                    old=one.before and {"verdict": one.before.verdict, "who": one.before.who},
                    new={
                        "verdict": verdict,
                        "content_hash": one.decision.content_hash,
                        "decision_id": one.decision.decision_id,
                    },
                )
                for one in news
            ],
        )
    for one in news:
        _tell(one.decision)
    return [one.decision for one in said]


def _tell(said: Decision) -> None:
    words = {"approve": "approved", "reject": "rejected", "withdraw": "taken back"}
    _log.info(
        "%s %s by %s%s",
        said.subject,
        words[said.verdict],
        said.who,
        f": {said.reason}" if said.reason else "",
        extra={
            "product_number": photo_name(said.subject).number,
            "user_id": said.who,
            "context": {
                "via": said.via,
                "content_hash": said.content_hash,
                "decision_id": said.decision_id,
            },
        },
    )


def show(workspace: Workspace, *, new: bool = True, photos: Collection[str] | None = None) -> list[str]:
    """Lay undecided cut-outs into review/bg_removed and take away ours that are decided, outdated or retired; returns
    the photos newly shown. A person's file under such a name is left alone.

    Args:
        workspace: the department's workspace.
        new: False looks only at what is laid out already: a library of thousands is then not read.
        photos: look at these photos only.
    """
    shown: list[str] = []
    laid_out = {
        PurePosixPath(path).stem: (path, ours)
        for path, ours in written_files.below(workspace.engine, MEDIA, REVIEW).items()
        if photos is None or PurePosixPath(path).stem in photos
    }
    if not new and not laid_out:
        return shown
    # What another run, or one that was killed, was about to write is laid out anew.
    written = written_files.standing(workspace.engine, MEDIA, REVIEW)
    chosen = photos if photos is not None else None if new else laid_out
    current = {c.photo: c for c in cutouts(workspace, undecided=True, photos=chosen)}
    # A person may have changed the case of a name, or their desktop its form of Unicode: it is the same file.
    spelt = {comparable(name): name for name, _ in watch.listing(workspace.roots.path(MEDIA, REVIEW))}
    for photo in sorted(laid_out.keys() | current.keys()):
        cutout = current.get(photo)
        wanted = f"{REVIEW}/{photo}{_ending(cutout)}"
        path, ours = laid_out.get(photo, (wanted, frozenset()))
        name = PurePosixPath(path).name
        there = workspace.roots.path(MEDIA, f"{REVIEW}/{spelt.get(comparable(name), name)}")
        if cutout is None:
            if files.remove_ours(there, ours):
                written_files.forget(workspace.engine, MEDIA, path)
        elif cutout.content_hash not in ours or path not in written:
            if there != workspace.roots.path(MEDIA, wanted) and not files.remove_ours(there, ours):
                continue
            if path != wanted:
                written_files.forget(workspace.engine, MEDIA, path)
            if lay_out(workspace, wanted, cutout.path, cutout.content_hash):
                shown.append(photo)
    return shown


def _ending(cutout: Cutout | None) -> str:
    """Engines make PNG; a person's retouch is what it is."""
    from crown.pictures.formats import ending_of

    retouch = cutout is not None and cutout.facts.get("retouch") and cutout.path.is_file()
    return ending_of(cutout.path, cutout.photo) if cutout is not None and retouch else ".png"


def lay_out(workspace: Workspace, path: str, source: Path, content_hash: str) -> bool:
    """Copy a file to a path on the share, as ours; False when a person's file stands there."""
    target = workspace.roots.path(MEDIA, path)
    ours = written_files.intend(workspace.engine, MEDIA, path, content_hash)
    files.make_folder(target.parent, workspace.ownership)
    unfinished = files.temporary(target)
    files.copy(source, unfinished, workspace.ownership)
    try:
        files.publish(unfinished, target, ours)
    except PermanentFailure:
        written_files.forget(workspace.engine, MEDIA, path)  # a person's file stands there, nothing of ours
        return False
    written_files.record(workspace.engine, MEDIA, path, content_hash)
    return True


def show_failures(workspace: Workspace) -> list[str]:
    """Lay the picture itself into review/bg_removal_failed for photos that could not be cut out, and take ours away when
    they were; returns the photos newly shown.
    """
    with workspace.engine.connect() as connection:
        failing = connection.execute(
            text(
                "select i.key, i.changed_at, m.content_hash from ledger.items i"
                " join ledger.outputs m on m.output_id = i.inputs[1]"
                " where i.asset = :asset and i.state = 'quarantined' order by i.key"
            ),
            {"asset": CUTOUTS},
        ).all()
        laid_out = connection.execute(
            text(
                "select path, content_hash, intended, written_at from ledger.files"
                " where root = :media and starts_with(path, :folder)"
            ),
            {"media": MEDIA, "folder": f"{REVIEW_FAILED}/"},
        ).all()
    since = {PurePosixPath(row.path).stem: row.written_at for row in laid_out}
    failed = {row.key: row.changed_at for row in failing}
    for row in laid_out:
        if PurePosixPath(row.path).stem not in failed:
            ours = frozenset({row.content_hash, row.intended} - {None})
            files.remove_ours(workspace.roots.path(MEDIA, row.path), ours)
            written_files.forget(workspace.engine, MEDIA, row.path)
    return [
        row.key
        for row in failing
        if (row.key not in since or since[row.key] <= row.changed_at)
        and _lay_out_failure(workspace, row.key, row.content_hash)
    ]


def _lay_out_failure(workspace: Workspace, photo: str, content_hash: str) -> bool:
    """Lay out a photo as PNG, upright and in sRGB; one that cannot be opened as it came."""
    from crown.pictures.decoding import open_picture
    from crown.pictures.formats import ending_of

    original = workspace.objects.path(content_hash)
    scratch = files.temporary(workspace.roots[OBJECTS] / "failed.png")
    try:
        picture = open_picture(original, workspace.max_pixels, name=photo)
        picture.pngsave(str(scratch), compression=3)
        return lay_out(workspace, f"{REVIEW_FAILED}/{photo}.png", scratch, files.sha256(scratch))
    except BadInput:
        with suppress(BadInput):  # gone from the store, which `crown images verify` says
            return lay_out(
                workspace, f"{REVIEW_FAILED}/{photo}{ending_of(original, photo)}", original, content_hash
            )
        return False
    finally:
        scratch.unlink(missing_ok=True)


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
    current = {c.photo: c for c in cutouts(workspace, photos=named)}
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
        _say(workspace, photo.key, content_hash, "approve", who, "share")
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
    intake.set_aside(workspace, sighting.path, ERRORS, reason)
    report.refused[name] = reason


def _photo_of(workspace: Workspace, sighting: Sighting, report: ReviewReport) -> names.PhotoName | None:
    name = PurePosixPath(sighting.path).name
    path = workspace.roots[MEDIA] / sighting.path
    if not os.path.lexists(path):
        report.unfinished.append(name)
        return None
    if name.endswith(notes.REASON):
        notes.put_back(workspace, sighting.path)
        return None
    regular = path.is_file() and not path.is_symlink()
    if regular and not sighting.complete:
        report.unfinished.append(name)
        return None
    if not regular or not names.accepted(name):
        reason = f"{name!r} is not a picture file; put the PNG itself there."
        intake.set_aside(workspace, sighting.path, ERRORS, reason)
        report.refused[name] = reason
        return None
    try:
        return intake.photo_of(workspace, name)
    except BadInput as error:
        intake.set_aside(workspace, sighting.path, NAME_CONFLICTS, str(error))
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
            intake.set_aside(workspace, sighting.path, ERRORS, str(error))
            report.refused[path.name] = str(error)
        return False
    try:
        status = path.lstat()
        upload = Upload(photo, path, status, facts, intake.uploader(status))
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
        _say(workspace, photo.key, content_hash, "approve", approved_by, "share")
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
        _say(
            workspace,
            cutout.photo,
            cutout.content_hash,
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
    decided = {c.photo: c.verdict for c in cutouts(workspace, photos=gone.values())}
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
    for photo in taken_away:
        _say(
            workspace, photo, current[photo].content_hash, "reject", SHARE, "share", f"removed from {REVIEW}"
        )
        report.rejected.append(photo)


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
