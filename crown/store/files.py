"""Hashing, and atomic writes. What a file means does not belong here."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crown.errors import PermanentFailure, SystemicFailure

#: Names of our unfinished files begin with this; whatever carries it may be removed when old.
TEMPORARY = ".crown-"
_CHUNK = 1 << 20
#: Errors whose cause is the disk or the mount and not the file.
_SYSTEMIC = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOTCONN}


@dataclass(frozen=True)
class Ownership:
    """Mode and group of what we write on a share, so that colleagues can read and move it."""

    file_mode: int = 0o664
    folder_mode: int = 0o2775
    group: str | None = None


def sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def temporary(target: Path) -> Path:
    """A name for the unfinished file, in the target's own folder, so that the last step is one rename.

    It keeps the target's suffix, by which encoders choose their format.
    """
    return target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}{target.suffix}")


@contextmanager
def systemic_errors(doing: str) -> Iterator[None]:
    """Turn errors of the disk into SystemicFailure; all others pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _SYSTEMIC:
            raise SystemicFailure(
                f"{doing} failed: {error.strerror}; free or mend the disk, then run again."
            ) from error
        raise


def make_folder(folder: Path, ownership: Ownership) -> None:
    """Make a folder and its parents, each with our mode and group; existing ones are left as they are."""
    if folder.is_dir():
        return
    make_folder(folder.parent, ownership)
    try:
        folder.mkdir()
    except FileExistsError:
        return
    _own(folder, ownership.folder_mode, ownership.group)


def copy(source: Path, target: Path, ownership: Ownership) -> str:
    """Copy bytes to an unfinished file beside `target`, fsynced; returns its path's hash.

    The caller gives it its name with `publish`.
    """
    digest = hashlib.sha256()
    with (
        systemic_errors(f"Copying {source} to {target.parent}"),
        source.open("rb") as reader,
        target.open("xb") as writer,
    ):
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    _own(target, ownership.file_mode, ownership.group)
    return digest.hexdigest()


def finish(unfinished: Path, ownership: Ownership) -> None:
    """Make the bytes of an unfinished file durable and readable for colleagues."""
    with systemic_errors(f"Writing {unfinished}"):
        descriptor = os.open(unfinished, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    _own(unfinished, ownership.file_mode, ownership.group)


def publish(unfinished: Path, target: Path, ours: frozenset[str]) -> None:
    """Give an unfinished file its final name, replacing only bytes that are ours.

    Args:
        unfinished: a finished temporary file in the target's folder.
        target: its final name.
        ours: content hashes that we last wrote, or were about to write, under that name.

    Raises:
        PermanentFailure: a file that we did not write is there; it is left alone.
    """
    if target.is_symlink() or (target.exists() and sha256(target) not in ours):
        unfinished.unlink(missing_ok=True)
        raise PermanentFailure(
            f"{target} was put or changed there by someone else and is left alone; move it away, then retry."
        )
    with systemic_errors(f"Renaming to {target}"):
        unfinished.rename(target)
        _sync_folder(target.parent)


def remove_ours(target: Path, ours: frozenset[str]) -> bool:
    """Remove a file whose bytes we last wrote there; False when it is gone already or a person's."""
    if target.is_symlink() or not target.is_file() or sha256(target) not in ours:
        return False
    target.unlink()
    return True


def write_text(target: Path, text: str, ownership: Ownership) -> None:
    """Write a small text file, whole or not at all; replaces what we wrote under that name before."""
    unfinished = temporary(target)
    with systemic_errors(f"Writing {target}"):
        unfinished.write_text(text, encoding="utf-8")
        finish(unfinished, ownership)
        unfinished.rename(target)


def free_name(target: Path) -> Path:
    """`target`, or the first of `name (2).ext`, `name (3).ext` ... that no file has."""
    candidate, number = target, 2
    while candidate.exists() or candidate.is_symlink():
        candidate = target.with_name(f"{target.stem} ({number}){target.suffix}")
        number += 1
    return candidate


def prune_empty(folder: Path, stop: Path) -> None:
    """Remove empty folders upwards from `folder`, never `stop` itself."""
    while folder != stop and stop in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _own(path: Path, mode: int, group: str | None) -> None:
    path.chmod(mode)
    if group is not None:
        shutil.chown(path, group=group)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
