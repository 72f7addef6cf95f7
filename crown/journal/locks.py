"""A lock between processes that its holder's death releases. POSIX; the folder is on a local disk."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold the lock for the block, or yield False at once when another process (or thread) holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        if not try_flock(descriptor, fcntl.LOCK_EX):
            yield False
            return
        try:
            yield True
        finally:
            # Said aloud: a child forked meanwhile shares the descriptor and would keep the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def try_flock(descriptor: int, kind: int) -> bool:
    """Take a shared or exclusive lock on an open file without waiting; False when it is not to be had."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
