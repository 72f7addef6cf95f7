"""Watched folders: which files are complete. A file is complete when two observations, some time apart, are equal.

Observations are stored in the database, so that nothing waits for a file. What a file means does not belong here.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine, text

from crown.store.files import TEMPORARY

#: Two looks closer together than this prove nothing.
SETTLE_SECONDS = 2.0
#: What a bigint holds; file systems know times after the year 2262.
_LATEST_NS = 2**63 - 1
#: What desktops and copying programs leave behind; never ours, never touched.
DROPPINGS = (".*", "Thumbs.db", "desktop.ini", "~$*", "*.part", "*.tmp", "*.crdownload", f"{TEMPORARY}*")


@dataclass(frozen=True)
class Sighting:
    """A file in a watched folder: relative path, size in bytes, mtime, and whether it is at rest."""

    path: str
    size_bytes: int
    mtime_ns: int
    first_seen_at: datetime
    complete: bool


class Seen(NamedTuple):
    """Something in the folders of people: a path, what makes it new, and whether it is at rest."""

    path: str
    token: str
    ready: bool


def settled(look: Callable[[], Sequence[Seen]], *, settle_seconds: float = SETTLE_SECONDS) -> Sequence[Seen]:
    """A look, and one more after the settling time when something is not at rest.

    Sensors and assets look through this function, so that a file counts in the tick or run that first sees it.
    """
    seen = look()
    if all(one.ready for one in seen):
        return seen
    threading.Event().wait(settle_seconds + 0.1)
    return look()


def is_dropping(name: str) -> bool:
    """Whether a file name is a desktop's or a half-copied file's."""
    return any(fnmatch(name.casefold(), pattern.casefold()) for pattern in DROPPINGS)


def storable(name: str) -> bool:
    """Whether a file name is text; Linux allows any bytes, and those that are no UTF-8 fit into no database."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def modified_ns(status: os.stat_result) -> int:
    """When a file was modified, as the database can hold it."""
    return max(-_LATEST_NS, min(status.st_mtime_ns, _LATEST_NS))


def spelt_out(name: str) -> str:
    r"""A file name for people to read and for databases to keep: bytes that are not text appear as `\xe4`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def listing(
    folder: Path, *, depth: int = 0, closed: list[str] | None = None
) -> list[tuple[str, os.stat_result]]:
    """Files below `folder` down to `depth` sub-folders, by relative path; links are listed, not followed.

    Args:
        folder: where to look.
        depth: how many levels of sub-folders to enter.
        closed: takes the relative paths of folders that may not be read (`.` for `folder` itself); without it the
            first one is an error.
    """
    found: list[tuple[str, os.stat_result]] = []

    def walk(current: Path, prefix: str, left: int) -> None:
        try:
            opened = os.scandir(current)
        except PermissionError:
            if closed is None:
                raise
            closed.append(prefix.rstrip("/") or ".")
            return
        with opened as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if is_dropping(entry.name):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except PermissionError:
                    if closed is None:
                        raise
                    closed.append(prefix + entry.name)
                    continue
                if stat.S_ISDIR(status.st_mode):
                    if left > 0:
                        with suppress(FileNotFoundError, NotADirectoryError):  # renamed during the look
                            walk(Path(entry.path), f"{prefix}{entry.name}/", left - 1)
                else:
                    found.append((prefix + entry.name, status))

    walk(folder, "", depth)
    return found


def folders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted; links and desktop files are left out.

    One that may not be read holds none: `listing` is where that is noticed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(
                e.name for e in entries if e.is_dir(follow_symlinks=False) and not is_dropping(e.name)
            )
    except PermissionError:
        return []


def look(
    engine: Engine,
    root: str,
    files: Sequence[tuple[str, os.stat_result]],
    prefix: str,
    *,
    settle_seconds: float = SETTLE_SECONDS,
) -> list[Sighting]:
    """Compare with the last look under `prefix` and remember this one.

    Args:
        engine: our database, where the looks are remembered.
        root: root name; `files` are relative to `prefix` under it.
        files: the current files (`listing`).
        prefix: folder under the root, `inbox/`; what was seen there before and is gone is forgotten.
        settle_seconds: how long size and mtime must have been unchanged.

    Returns:
        The files, oldest first.
    """
    rows = {
        "root": root,
        "prefix": prefix,
        "paths": [prefix + path for path, _ in files],
        "sizes": [status.st_size for _, status in files],
        "settle": settle_seconds,
        "times": [modified_ns(status) for _, status in files],
    }
    with engine.begin() as connection:
        connection.execute(
            text(
                "delete from store.sightings where root = :root and starts_with(path, :prefix)"
                " and path <> all(cast(:paths as text[]))"
            ),
            rows,
        )
        seen = connection.execute(
            text(
                "insert into store.sightings as s (root, path, size_bytes, mtime_ns)"
                " select :root, * from unnest(cast(:paths as text[]), cast(:sizes as bigint[]),"
                "   cast(:times as bigint[])) on conflict (root, path) do update set"
                "   looks = case when (s.size_bytes, s.mtime_ns) = (excluded.size_bytes, excluded.mtime_ns)"
                "           then s.looks + 1 else 1 end,"
                "   first_seen_at = case when (s.size_bytes, s.mtime_ns) = (excluded.size_bytes, excluded.mtime_ns)"
                "           then s.first_seen_at else clock_timestamp() end,"
                "   size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, seen_at = clock_timestamp()"
                " returning path, size_bytes, mtime_ns, first_seen_at, looks > 1 and"
                "   clock_timestamp() - s.first_seen_at >= make_interval(secs => :settle) as complete"
            ),
            rows,
        ).all()
    sightings = [Sighting(**row._mapping) for row in seen]
    return sorted(sightings, key=lambda s: (s.mtime_ns, s.path))
