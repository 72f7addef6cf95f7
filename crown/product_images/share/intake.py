"""Intake: from the inbox to the store of originals. Every upload is kept, verified, before its inbox copy goes.

Belongs here: names, decoding and folders. Does not: cutting out and everything later.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import BadInput, CrownError, TemporaryFailure
from crown.flow import inbox
from crown.journal import activity
from crown.pictures import formats
from crown.product_images import names
from crown.product_images.names import PhotoName
from crown.product_images.share.notes import refusals
from crown.product_images.workspace import (
    DEPARTMENT,
    ERRORS,
    INBOX,
    MEDIA,
    NAME_CONFLICTS,
    READY,
    REVIEW,
    Workspace,
)
from crown.store import watch
from crown.store.watch import SETTLE_SECONDS, Sighting

_log = logging.getLogger(__name__)


@dataclass
class IntakeReport:
    """What an intake did, by file name."""

    stored: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    stalled: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    #: Folders in the inbox: what is in them is not looked at.
    folders: list[str] = field(default_factory=list)
    bytes_stored: int = 0

    @property
    def total(self) -> int:
        """Files that were looked at."""
        return (
            len(self.stored) + len(self.known) + len(self.unfinished) + len(self.stalled) + len(self.refused)
        )


@dataclass(frozen=True)
class Upload:
    """A decodable file from a person, and the photo it is of."""

    photo: PhotoName
    path: Path
    status: os.stat_result
    facts: dict[str, Any]
    uploader: str


def take_in(
    workspace: Workspace,
    *,
    settle_seconds: float = SETTLE_SECONDS,
    on_progress: Callable[[IntakeReport], None] | None = None,
) -> IntakeReport:
    """Store every complete picture of the inbox and record it; set aside what cannot be used, with the reason.

    Args:
        workspace: the department's workspace.
        settle_seconds: how long a file must have been unchanged since it was first seen.
        on_progress: called after each file.
    """
    report = IntakeReport()
    found = name_bytes_aside(workspace, INBOX, listed(workspace, INBOX), report.refused)
    sightings = watch.look(workspace.engine, MEDIA, found, f"{INBOX}/", settle_seconds=settle_seconds)
    statuses = {f"{INBOX}/{name}": status for name, status in found}
    report.folders = folders_left(workspace, INBOX)
    ready: list[tuple[PhotoName, Sighting]] = []
    for sighting in sightings:
        name = Path(sighting.path).name
        if not stat.S_ISREG(statuses[sighting.path].st_mode):
            reason = (
                f"{name!r} is a link or device, not a picture; links are not followed, copy the file itself."
            )
            refusals(workspace).set_aside(sighting.path, ERRORS, reason)
            report.refused[name] = reason
        elif not sighting.complete:
            report.unfinished.append(name)
        else:
            photo = _named(workspace, sighting.path, name, report, beside=[other for other, _ in found])
            if photo is not None:
                ready.append((photo, sighting))
    for photo, sighting, outcome in _probed(workspace, ready):
        _take(workspace, photo, sighting, outcome, statuses[sighting.path], report)
        if on_progress is not None:
            on_progress(report)
    refusals(workspace).clear_notes()
    return report


def listed(
    workspace: Workspace, folder: str, *, closed: list[str] | None = None
) -> list[tuple[str, os.stat_result]]:
    """The files that are in one of the folders of people.

    Args:
        workspace: the department's workspace.
        folder: of the contract.
        closed: given, one level of sub-folders is looked into, and it takes those that may not be read.

    Returns:
        Names and status; notes of photo programs (`formats.SIDECARS`) are left out and stay where a person put them.

    Raises:
        SystemicFailure: the folder may not be read.
    """
    place = workspace.roots.path(MEDIA, folder)
    found = inbox.listed(place, depth=0 if closed is None else 1, closed=closed)
    return [one for one in found if not formats.is_sidecar(one[0])]


def review_folders(workspace: Workspace) -> list[str]:
    """Folders of the review in which no further folder is looked into: the review's, and those of persons."""
    persons = filter(watch.storable, watch.folders(workspace.roots.path(MEDIA, READY)))
    return [REVIEW, *(f"{READY}/{person}" for person in persons)]


def folders_left(workspace: Workspace, folder: str) -> list[str]:
    """Folders that people put into one that is flat; nothing in them is seen, and each is said in the log."""
    found = watch.folders(workspace.roots.path(MEDIA, folder))
    for name in found:
        _log.warning(
            "%s/%s is a folder and is not looked into; put the pictures into %s.",
            folder,
            watch.spelt_out(name),
            folder,
        )
    return found


def _named(
    workspace: Workspace, path: str, name: str, report: IntakeReport, *, beside: Sequence[str]
) -> PhotoName | None:
    if name.endswith(inbox.REASON):
        refusals(workspace).put_note_back(path)
        return None
    if Path(name).suffix.lower() in formats.RAW_SUFFIXES:
        reason, folder = str(formats.camera_raw(name)), ERRORS
    elif not names.accepted(name):
        known = ", ".join(ending[1:] for ending in names.EXTENSIONS)
        reason = f"{name!r} is not one of the kinds of picture taken in ({known}); save it as one of them."
        folder = ERRORS
    else:
        try:
            return photo_of(workspace, name, beside=beside)
        except BadInput as error:
            reason, folder = str(error), NAME_CONFLICTS
    refusals(workspace).set_aside(path, folder, reason)
    report.refused[name] = reason
    return None


def photo_of(workspace: Workspace, file_name: str, *, beside: Sequence[str] = ()) -> PhotoName:
    """The photo that a file in one of the folders means; `beside` are the names that are there with it.

    Raises:
        BadInput: the name is none, that of a desktop's copy of a photo we know (it would make another product), or no
            product's as the settings say, unless a photo of that name is known.
    """
    photo, copied = names.parse(file_name), names.copy_of(file_name)
    if copied is not None and (_is_photo(workspace, copied) or _is_beside(copied, file_name, beside)):
        raise BadInput(
            f"{file_name!r} is named like a copy of {copied.key}; for a new version of {copied.key} name it"
            f" {copied.key}{Path(file_name).suffix.lower()}, for another view {copied.number}_VIEW."
        )
    try:
        names.refuse_unlikely(photo, workspace.settings.product_images.product_number_pattern, file_name)
    except BadInput:
        if not _is_photo(workspace, photo):
            raise
    return photo


def _is_photo(workspace: Workspace, photo: PhotoName) -> bool:
    with workspace.engine.connect() as connection:
        return connection.execute(
            text("select exists (select from product_images.uploads where photo = :photo)"),
            {"photo": photo.key},
        ).scalar_one()


def _is_beside(photo: PhotoName, file_name: str, beside: Sequence[str]) -> bool:
    for other in beside:
        try:
            if other != file_name and names.accepted(other) and names.parse(other) == photo:
                return True
        except BadInput:
            continue
    return False


def name_bytes_aside(
    workspace: Workspace, folder: str, found: Sequence[tuple[str, os.stat_result]], refused: dict[str, str]
) -> list[tuple[str, os.stat_result]]:
    """Set files aside whose names are bytes and not text, which nothing can record; returns the others."""
    for name, _ in found:
        if not watch.storable(name):
            shown = inbox.readable_name(Path(name).name)
            reason = f"The name of {shown!r} holds bytes that are no UTF-8 text; name it NUMBER.ext or NUMBER_VIEW.ext."
            refusals(workspace).set_aside(f"{folder}/{name}", NAME_CONFLICTS, reason)
            refused[shown] = reason
    return [one for one in found if watch.storable(one[0])]


def _take(
    workspace: Workspace,
    photo: PhotoName,
    sighting: Sighting,
    outcome: dict[str, Any] | Exception,
    status: os.stat_result,
    report: IntakeReport,
) -> None:
    name = Path(sighting.path).name
    if isinstance(outcome, Exception):
        if not os.path.lexists(workspace.roots[MEDIA] / sighting.path):
            return  # another intake has taken it, or a person has
        if stalled(workspace, sighting, outcome):
            report.stalled.append(name)
        else:
            refusals(workspace).set_aside(sighting.path, ERRORS, str(outcome))
            report.refused[name] = str(outcome)
        return
    path = workspace.roots.path(MEDIA, sighting.path)
    try:
        new, size = store(workspace, Upload(photo, path, status, outcome, inbox.uploader(status)))
    except (TemporaryFailure, FileNotFoundError):
        report.unfinished.append(name)
        return
    (report.stored if new else report.known).append(name)
    report.bytes_stored += size if new else 0


def stalled(workspace: Workspace, sighting: Sighting, error: Exception) -> bool:
    """Whether a refused file may be a copy that only paused: undecodable, and young enough."""
    if not isinstance(error, formats.Undecodable):
        return False
    minutes = workspace.settings.product_images.stalled_minutes
    return inbox.younger_than(sighting, timedelta(minutes=minutes))


def store(
    workspace: Workspace,
    upload: Upload,
    *,
    kind: str = "original",
    of_hash: str | None = None,
    note: Callable[[Connection, str], None] | None = None,
) -> tuple[bool, int]:
    """Keep an upload's bytes, record it, and only then remove the file it came from; see `inbox.keep`.

    Bytes equal to the newest upload of the same photo are recorded once.

    Args:
        workspace: the department's workspace.
        upload: the file.
        kind: `original`, or `retouch` of the original `of_hash`.
        of_hash: content hash of the original.
        note: called in the same transaction with the content hash.

    Returns:
        Whether it was new, and its size in bytes.

    Raises:
        TemporaryFailure: the file changed meanwhile; it is left where it is.
    """
    started = time.perf_counter()

    def record(connection: Connection, content_hash: str, size: int) -> bool:
        new = record_upload(connection, upload, kind, of_hash, content_hash, size)
        if note is not None:
            note(connection, content_hash)
        return new

    def log(new: bool, content_hash: str, size: int) -> None:
        _log.info(
            "%s stored as %s of %s" if new else "%s is known already as %s of %s: nothing new",
            upload.path.name,
            kind,
            upload.photo.key,
            extra={
                "subject": upload.photo.number,
                "user_id": upload.uploader,
                "execution_time_ms": (time.perf_counter() - started) * 1000,
                "context": {"content_hash": content_hash, "bytes": size},
            },
        )

    return inbox.keep(workspace, upload.path, upload.status, record, key=upload.photo.key, then=log)


def record_upload(
    connection: Connection, upload: Upload, kind: str, of_hash: str | None, content_hash: str, size: int
) -> bool:
    """Record an upload whose bytes are stored; False when the newest one of the photo has the same bytes."""
    photo = upload.photo
    newest = connection.execute(
        text(
            "select content_hash, of_hash, file_name from product_images.uploads"
            " where photo = :photo and kind = :kind order by upload_id desc limit 1"
        ),
        {"photo": photo.key, "kind": kind},
    ).first()
    if newest is not None and (newest.content_hash, newest.of_hash) == (content_hash, of_hash):
        return False
    connection.execute(
        text(
            "insert into product_images.uploads (kind, photo, product_number, view, file_name, content_hash,"
            " size_bytes, uploader, modified_at, facts, of_hash) values (:kind, :photo, :number, :view,"
            " :file_name, :hash, :size, :uploader, to_timestamp(:modified), cast(:facts as jsonb), :of_hash)"
        ),
        {
            "kind": kind,
            "photo": photo.key,
            "number": photo.number,
            "view": photo.view,
            "file_name": upload.path.name,
            "hash": content_hash,
            "size": size,
            "uploader": upload.uploader,
            "modified": upload.status.st_mtime,
            "facts": json.dumps(upload.facts),
            "of_hash": of_hash,
        },
    )
    what = {"original": "initial_upload" if newest is None else "new_version", "retouch": "retouch"}[kind]
    activity.record(
        connection,
        who=upload.uploader,
        what=what,
        subject=photo.key,
        department=DEPARTMENT,
        via="share",
        entity=photo.number,
        source_file=upload.path.name,
        old=None if newest is None else {"content_hash": newest.content_hash, "file": newest.file_name},
        new={"content_hash": content_hash, "file": upload.path.name},
    )
    return True


def probe_file(path: str, max_pixels: int) -> dict[str, Any]:
    """Decode one file in a process of its own; see `pictures.probe`. One that shows nothing is refused."""
    from crown.pictures.decoding import probe

    facts = probe(Path(path), max_pixels)
    if not facts.pop("visible"):
        raise BadInput(f"{Path(path).name} is transparent everywhere: nothing is seen in it; save it anew.")
    return facts


def _probed(
    workspace: Workspace, ready: Sequence[tuple[PhotoName, Sighting]]
) -> Iterable[tuple[PhotoName, Sighting, dict[str, Any] | Exception]]:
    """Decode the files, each in a process that may be killed, in order."""
    calls = [(str(workspace.roots.path(MEDIA, sighting.path)), workspace.max_pixels) for _, sighting in ready]
    outcomes = inbox.each_in_a_process(workspace, probe_file, calls)
    for (photo, sighting), outcome in zip(ready, outcomes, strict=True):
        yield photo, sighting, _probe_outcome(outcome, Path(sighting.path).name)


def _probe_outcome(outcome: dict[str, Any] | Exception, name: str) -> dict[str, Any] | Exception:
    if isinstance(outcome, OSError) and not isinstance(outcome, TimeoutError):
        return formats.Undecodable(f"{name!r} cannot be read ({outcome.strerror}); check its rights.")
    if isinstance(outcome, Exception) and not isinstance(outcome, CrownError):
        return formats.Undecodable(
            f"{name!r} cannot be decoded ({type(outcome).__name__}); save it anew from the program it is of."
        )
    return outcome
