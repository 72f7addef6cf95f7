"""The content-addressed store: bytes under their own sha256, never overwritten."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from crown.errors import SystemicFailure, TemporaryFailure
from crown.store.files import Ownership, copy, finish, make_folder, sha256, temporary

ROOT = "objects"
_PRIVATE = Ownership(file_mode=0o640, folder_mode=0o750)


@dataclass(frozen=True)
class Objects:
    """Originals and masters as `<folder>/<sha256>`; `put` verifies what it stored before it returns."""

    folder: Path
    ownership: Ownership = _PRIVATE

    def path(self, content_hash: str) -> Path:
        """The path of an object, whether it exists or not."""
        return self.folder / content_hash

    def put(self, source: Path) -> tuple[str, int]:
        """Store a file's bytes; returns (sha256, size). The source is only read.

        Raises:
            TemporaryFailure: the source changed while it was read.
            SystemicFailure: the disk is full or gone.
        """
        make_folder(self.folder, self.ownership)
        before = source.stat()
        unfinished = temporary(self.folder / "object")
        try:
            content_hash = copy(source, unfinished, self.ownership)
            after = source.stat()
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise TemporaryFailure(f"{source} changed while it was read; it is taken when it is at rest.")
            target = self.path(content_hash)
            if sha256(unfinished) != content_hash:
                raise TemporaryFailure(
                    f"{source} could not be stored intact; check the disk under {self.folder}."
                )
            if self._takes_over(content_hash):
                return content_hash, after.st_size
            unfinished.rename(target)
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(descriptor)
            os.close(descriptor)
            return content_hash, after.st_size
        finally:
            unfinished.unlink(missing_ok=True)

    def holds(self, content_hash: str) -> bool:
        """Whether the object is there with exactly its bytes."""
        path = self.path(content_hash)
        try:
            return path.is_file() and sha256(path) == content_hash
        except FileNotFoundError:
            return False  # removed in this moment

    def adopt(self, unfinished: Path, content_hash: str) -> None:
        """Give a file that was written in this store's folder its name; its bytes are known to have that hash."""
        finish(unfinished, self.ownership)
        if self._takes_over(content_hash):
            unfinished.unlink()
        else:
            unfinished.rename(self.path(content_hash))

    def remove(self, content_hash: str, *, unless_put_after: datetime) -> bool:
        """Remove an object that nothing needs; returns whether it was removed.

        It stays when its bytes were put or adopted after that moment: whoever did it names them in a row that may not
        be written yet.

        Raises:
            SystemicFailure: the disk or its rights forbid it.
        """
        path, aside = self.path(content_hash), temporary(self.folder / "object")
        limit = unless_put_after.timestamp()
        try:
            if path.stat().st_mtime > limit:
                return False
            # Away first, looked at once more, then removed: put and adopt find the bytes either gone, or mark them
            # before they are away.
            path.rename(aside)
            if aside.stat().st_mtime > limit:
                aside.rename(path)
                return False
            aside.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise SystemicFailure(
                f"{path} cannot be removed ({error.strerror}); mend the disk or the rights of its folder, then repeat."
            ) from error
        return True

    def _takes_over(self, content_hash: str) -> bool:
        """Whether the bytes are there already; they are marked as put just now, for `remove`."""
        if not self.holds(content_hash):
            return False
        try:
            os.utime(self.path(content_hash))
        except OSError:
            return False  # removed in this moment, or another account's: the caller's own copy takes the name
        return True
