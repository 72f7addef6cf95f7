"""Rows on disk while the database is away: files of COPY lines that are entered once, oldest first.

The folder is bounded: what does not fit is lost and counted, and the oldest rows stay. Nothing here knows what a row means.
"""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

SAMPLES, STATES = "samples", "states"
_LARGEST = 8 * 1024 * 1024


@dataclass(frozen=True)
class Lost:
    """Rows that were not kept, and why."""

    rows: int
    reason: str


class Buffer:
    """The folder, its files and their size.

    Args:
        folder: on a local disk; made when missing.
        max_bytes: of all files together.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        self.folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._open: dict[str, Path] = {}
        self._number = 1 + max((int(path.name.split("-")[0]) for path in self.files()), default=0)
        self._bytes = sum(path.stat().st_size for path in self.files())

    def files(self) -> list[Path]:
        """What waits, oldest first."""
        return sorted(self.folder.glob("*.copy"), key=lambda path: (int(path.name.split("-")[0]), path.name))

    @property
    def bytes_waiting(self) -> int:
        """Their size."""
        return self._bytes

    def keep(self, table: str, lines: list[str]) -> Lost | None:
        """Append rows, each with its line break, in one write; what was not kept."""
        if not lines:
            return None
        with self._lock:
            return self._keep(table, lines)

    def _keep(self, table: str, lines: list[str]) -> Lost | None:
        data = "".join(lines).encode()
        if self._bytes + len(data) > self._max_bytes:
            return Lost(len(lines), "the disk buffer is full (CROWN_DEVICES_BUFFER_MB)")
        path = self._file(table)
        try:
            with path.open("ab") as file:
                before = file.tell()
                try:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), before)
                    raise
        except OSError as error:
            return Lost(len(lines), f"the disk of the buffer cannot be written ({error.strerror})")
        self._bytes += len(data)
        return None

    def close(self) -> None:
        """Begin new files; those there can be entered."""
        with self._lock:
            self._open.clear()

    def entered(self, path: Path) -> None:
        """Remove a file whose rows are in the database."""
        with self._lock:
            self._bytes -= path.stat().st_size
            path.unlink()

    def set_aside(self, path: Path) -> None:
        """Keep a file that the database refuses, under a name that nobody enters."""
        with self._lock:
            self._bytes -= path.stat().st_size
            path.rename(path.with_suffix(".refused"))

    def _file(self, table: str) -> Path:
        path = self._open.get(table)
        if path is None or (path.exists() and path.stat().st_size > _LARGEST):
            path = self.folder / f"{self._number:010d}-{table}-{uuid.uuid4().hex[:12]}.copy"
            self._number += 1
            self._open[table] = path
        return path


def table_of(path: Path) -> str:
    """Which table a file's rows are of."""
    return path.name.split("-")[1]


def lines_of(path: Path) -> list[str]:
    """The whole rows of a file; the end that a killed process left unfinished is no row."""
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [f"{line}\n" for line in whole.decode("utf-8").split("\n")] if whole else []
