"""The rotating log file, written by any number of processes at once without losing a record.

The standard RotatingFileHandler loses records when shared, because each process renames on its own. Here
every record is one append by the kernel, only the rename takes a lock, and no writer waits for it.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from crown.journal.locks import try_lock

ROTATIONS = 10


class SteadyHandler(logging.Handler):
    """A handler whose failures are written to stderr in one line, once, and never raised."""

    _reported = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """Report the first failure."""
        if not self._reported and sys.stderr is not None:
            self._reported = True
            error = sys.exc_info()[1]
            try:
                sys.stderr.write(
                    f"Records of {record.name} are not written by {type(self).__name__}: {error}\n"
                )
            except OSError:
                pass


class SharedRotatingFile(SteadyHandler):
    """Appends to `path`; at `max_bytes` it becomes `path.1`, and so on up to `path.10`, which is removed."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        super().__init__()
        self.path = path
        self.max_bytes = max_bytes
        self._descriptor: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; errors are written to stderr and never raised."""
        try:
            line = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
            while True:
                descriptor = self._current()
                written = os.write(descriptor, line)
                info = os.fstat(descriptor)
                # A file that was rotated away for good while we wrote has lost the record.
                if info.st_nlink > 0:
                    break
            if written < len(line):
                raise OSError(f"{self.path} is full")
            if info.st_size >= self.max_bytes:
                self._rotate(info.st_ino)
        except Exception:  # noqa: BLE001 - logging never stops the work
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        super().close()

    def _current(self) -> int:
        """A descriptor of the file that bears the name now."""
        if self._descriptor is not None:
            try:
                named = self.path.stat()
            except FileNotFoundError:
                named = None
            ours = os.fstat(self._descriptor)
            if named is not None and (named.st_ino, named.st_dev) == (ours.st_ino, ours.st_dev):
                return self._descriptor
            os.close(self._descriptor)
            self._descriptor = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        return self._descriptor

    def _rotate(self, inode: int) -> None:
        with try_lock(self.path.with_name(f".{self.path.name}.lock")) as mine:
            # Busy: another process is rotating. Another inode: it has rotated.
            if not mine or self.path.stat().st_ino != inode:
                return
            names = [self.path, *(self.path.with_name(f"{self.path.name}.{n + 1}") for n in range(ROTATIONS))]
            for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
                if newer.exists():
                    newer.replace(older)
