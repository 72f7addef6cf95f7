"""Intake of files from a folder of people: kept ones are stored before they go, refused ones set aside with a note.

When a file is at rest is crown/store/watch.py; what a file means, and what is recorded of it, is the department's
affair.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pwd
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, text

from crown.errors import CrownError, SystemicFailure, TemporaryFailure
from crown.flow.worker_processes import process_pool
from crown.flow.workspace import Workspace
from crown.journal import activity
from crown.ledger import written_files
from crown.store import files, watch
from crown.store.watch import Sighting

#: The ending of the note beside a file that was set aside.
REASON = ".error.txt"

_log = logging.getLogger(__name__)
_Recorded = TypeVar("_Recorded")


def listed(
    folder: Path, *, depth: int = 0, closed: list[str] | None = None
) -> list[tuple[str, os.stat_result]]:
    """The files of a folder; see `watch.listing`.

    Raises:
        SystemicFailure: the folder may not be read; it is not to be taken for an empty one.
    """
    try:
        return watch.listing(folder, depth=depth, closed=closed)
    except PermissionError as error:
        raise SystemicFailure(
            f"{error.filename} cannot be read; give Crown's user the right to read, write and enter its folder."
        ) from None


def uploader(status: os.stat_result) -> str:
    """The user name of a file's owner, `uid:<n>` when the system has no name for it."""
    try:
        return pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        return f"uid:{status.st_uid}"


def readable_name(name: str) -> str:
    """A file name as text, with a mark for each byte that is none."""
    return os.fsencode(name).decode("utf-8", "replace")


def younger_than(sighting: Sighting, age: timedelta) -> bool:
    """Whether a file was first seen so short a time ago that its copy may only have paused."""
    return datetime.now(UTC) - sighting.first_seen_at < age


def keep(
    workspace: Workspace,
    path: Path,
    status: os.stat_result,
    record: Callable[[Connection, str, int], _Recorded],
    *,
    key: str,
    then: Callable[[_Recorded, str, int], None],
) -> tuple[_Recorded, int]:
    """Keep a file's bytes in the store, verified, record them, and only then remove the file.

    Args:
        workspace: the department's workspace.
        path: the file.
        status: as it was when it was looked at.
        record: called in a transaction with content hash and size.
        key: what it is recorded of: two intakes at once do not record it twice.
        then: called when it is recorded, for the log.

    Returns:
        What `record` returned, and the size in bytes.

    Raises:
        TemporaryFailure: the file changed meanwhile; it is left where it is.
    """
    content_hash, size = workspace.objects.put(path)
    with workspace.engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 1))"), {"key": key})
        recorded = record(connection, content_hash, size)
    then(recorded, content_hash, size)
    try:
        now = path.lstat()
    except FileNotFoundError:
        return recorded, size  # another intake has taken it meanwhile
    if (now.st_size, now.st_mtime_ns, now.st_ino) != (status.st_size, status.st_mtime_ns, status.st_ino):
        raise TemporaryFailure(f"{path.name} was replaced while it was stored; the newer one is taken next.")
    path.unlink(missing_ok=True)
    return recorded, size


def each_in_a_process(
    workspace: Workspace, function: Callable[..., Any], calls: Sequence[tuple[object, ...]]
) -> Iterator[Any]:
    """Call a function with each of the arguments, in processes that may be killed one by one; results in order.

    What a call raised is its result: a CrownError, a TimeoutError, pebble's ProcessExpired, an OSError.
    """
    from pebble import ProcessExpired

    if not calls:
        return
    pool = process_pool(workspace.limits.workers)
    futures: list[Future[Any]] = [
        pool.schedule(function, args=arguments, timeout=workspace.limits.item_timeout_seconds)
        for arguments in calls
    ]
    for future in futures:
        try:
            yield future.result()
        except (CrownError, TimeoutError, ProcessExpired, OSError) as error:
            yield error


@dataclass(frozen=True)
class Refusals:
    """The folders of a department into which files are set aside, each with a note that says why.

    Attributes:
        workspace: the department's workspace.
        root: the root of the folders.
        folders: whose notes are looked after; the first one's names begin with the time.
        incoming: the folders where people put files: a note in them was moved along with its file.
        others: endings of notes that somebody else looks after.
        number_of: the number in a file's name, for the log; None when there is none.
    """

    workspace: Workspace
    root: str
    folders: tuple[str, ...]
    incoming: Callable[[], Sequence[Path]]
    others: tuple[str, ...]
    number_of: Callable[[str], str | None]

    def set_aside(self, path: str, folder: str, reason: str) -> None:
        """Move a file out of the way, never over another, with its reason in a note beside it."""
        source = self.workspace.roots[self.root] / path
        name = readable_name(source.name)
        stamp = f"{datetime.now().astimezone():%Y%m%d_%H%M%S}_" if folder == self.folders[0] else ""
        target = self.workspace.roots.path(self.root, folder) / f"{stamp}{_shortened(name)}"
        files.make_folder(target.parent, self.workspace.ownership)
        target = files.free_name(target)
        moment = datetime.now().astimezone().isoformat(timespec="seconds")
        if not self._move(source, target, f"file: {name}\ntimestamp: {moment}\nreason: {reason}\n"):
            return
        who, number = uploader(target.lstat()), self.number_of(name)
        _log.warning(
            "%s refused: %s",
            name,
            reason,
            extra={
                "department": self.workspace.department,
                "subject": number,
                "user_id": who,
                "context": {"folder": folder},
            },
        )
        with self.workspace.engine.begin() as connection:
            activity.record(
                connection,
                who=who,
                what="refused",
                subject=name,
                department=self.workspace.department,
                via="share",
                entity=number,
                source_file=name,
                new={"folder": folder, "reason": reason},
            )

    def _move(self, source: Path, target: Path, content: str) -> bool:
        """Write the note of a file and move the file beside it; False when the file is gone already.

        The note first: a crash between the two leaves a note too many, never a file without one. Only a note whose file
        has come counts as written, so that nobody clears it away meanwhile.
        """
        note = target.with_name(f"{target.name}{REASON}")
        path, content_hash = self._write(note, content)
        try:
            source.rename(target)
        except FileNotFoundError:
            note.unlink()  # another intake, or a person, was quicker
            written_files.forget(self.workspace.engine, self.root, path)
            return False
        written_files.record(self.workspace.engine, self.root, path, content_hash)
        return True

    def write_note(self, target: Path, content: str) -> None:
        """Write the note of a file that is already there."""
        path, content_hash = self._write(target.with_name(f"{target.name}{REASON}"), content)
        written_files.record(self.workspace.engine, self.root, path, content_hash)

    def _write(self, note: Path, content: str) -> tuple[str, str]:
        path = self.workspace.roots.relative(self.root, note)
        content_hash = hashlib.sha256(content.encode()).hexdigest()
        written_files.intend(self.workspace.engine, self.root, path, content_hash)
        files.write_text(note, content, self.workspace.ownership)
        return path, content_hash

    def clear_notes(self) -> list[str]:
        """Remove the notes whose file a person has moved away or removed; one that someone wrote in is kept."""
        removed = []
        base = self.workspace.roots[self.root]
        for path, content_hash in self._written():
            if path.endswith(self.others) or os.path.lexists(base / path.removesuffix(REASON)):
                continue
            name = Path(path).name
            if any(os.path.lexists(place / name) for place in self.incoming()):
                continue  # `put_note_back` will know it by its hash
            if files.remove_ours(self.workspace.roots.path(self.root, path), frozenset({content_hash})):
                removed.append(path)
                _log.info("%s is removed: the file that it explains has gone.", path)
            written_files.forget(self.workspace.engine, self.root, path)
        return removed

    def put_note_back(self, path: str) -> None:
        """Take a note away that was moved together with its file to where people put files.

        Ours goes, or back to its file when that has stayed. One that someone wrote in goes to the first folder.
        """
        base = self.workspace.roots[self.root]
        source = base / path
        with suppress(FileNotFoundError):
            content_hash = files.sha256(source)
            home = next((home for home, written in self._written() if written == content_hash), None)
            stayed = home is not None and os.path.lexists(base / home.removesuffix(REASON))
            if home is None or stayed:
                folder = self.workspace.roots.path(self.root, home or f"{self.folders[0]}/{source.name}")
                source.rename(files.free_name(folder))
            else:
                source.unlink()

    def _written(self) -> Sequence[Any]:
        """Path and hash of every note that we wrote."""
        with self.workspace.engine.connect() as connection:
            return connection.execute(
                text(
                    "select path, content_hash from ledger.files where root = :root and content_hash is not null"
                    " and split_part(path, '/', 1) = any(:folders) and right(path, :length) = :ending order by path"
                ),
                {
                    "root": self.root,
                    "folders": [folder.split("/")[0] for folder in self.folders],
                    "length": len(REASON),
                    "ending": REASON,
                },
            ).all()


def _shortened(name: str) -> str:
    """A name that leaves space for a time before it and a note's ending behind it: 255 bytes are the most."""
    suffix = Path(name).suffix if len(Path(name).suffix) <= 10 else ""
    stem = name.removesuffix(suffix).encode()
    return stem[:180].decode("utf-8", "ignore") + suffix
