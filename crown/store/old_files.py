"""Removal of old files of runs: previews and Dagster's compute logs.

Only names that begin with the id of a run are touched. What is kept of originals and results does not belong here.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Removed:
    """How much was removed, or would be."""

    files: int = 0
    bytes: int = 0


def remove_old_previews(folder: Path, older_than: timedelta, *, dry_run: bool = False) -> Removed:
    """Remove the pictures of old runs below `folder`; the newest of each asset and kind stays, however old.

    Args:
        folder: the console's previews, `ASSET/RUN.webp` or `ASSET/RUN-KIND.png`.
        older_than: age by the file's time.
        dry_run: only count.
    """
    newest: dict[tuple[Path, str], tuple[float, Path]] = {}
    found = []
    for path in _named_by_runs(folder.rglob("*")):
        with suppress(FileNotFoundError):
            status = path.stat()
            kind = (path.parent, _RUN.sub("", path.name, count=1))
            newest[kind] = max(newest.get(kind, (0.0, path)), (status.st_mtime, path))
            found.append((path, status.st_mtime, status.st_size))
    stay = {path for _, path in newest.values()}
    limit = time.time() - older_than.total_seconds()
    old = [(path, size) for path, mtime, size in found if mtime < limit and path not in stay]
    if not dry_run:
        for path, _ in old:
            path.unlink(missing_ok=True)
    return Removed(len(old), sum(size for _, size in old))


def remove_old_compute_logs(folder: Path, older_than: timedelta, *, dry_run: bool = False) -> Removed:
    """Remove what Dagster kept of the output of old runs, each in a folder named by its run."""
    limit = time.time() - older_than.total_seconds()
    files = size = 0
    for run in _named_by_runs(folder.glob("*")):
        inside = [path.stat() for path in run.rglob("*") if path.is_file()]
        if max((status.st_mtime for status in inside), default=run.stat().st_mtime) >= limit:
            continue
        files, size = files + len(inside), size + sum(status.st_size for status in inside)
        if not dry_run:
            shutil.rmtree(run, ignore_errors=True)
    return Removed(files, size)


def _named_by_runs(paths: Iterator[Path]) -> Iterator[Path]:
    return (path for path in paths if _RUN.match(path.name) and not path.is_symlink())
