"""Files and folders that may not be read, also for root, who otherwise may read everything."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# linux/capability.h: version 3 of the call, and the two rights that let root pass by file modes.
_VERSION_3 = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Rights(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


@contextmanager
def closed(path: Path) -> Iterator[None]:
    """Take everyone's rights to `path` away while the block runs, in this thread."""
    if sys.platform != "linux":
        pytest.skip("file modes are taken from root on Linux only")
    libc, header, rights = ctypes.CDLL(None, use_errno=True), _Header(_VERSION_3, 0), (_Rights * 2)()
    assert libc.capget(ctypes.byref(header), rights) == 0
    before, mode = rights[0].effective, path.stat().st_mode
    path.chmod(0)
    rights[0].effective = before & ~(_DAC_OVERRIDE | _DAC_READ_SEARCH)
    assert libc.capset(ctypes.byref(header), rights) == 0
    try:
        yield
    finally:
        rights[0].effective = before
        assert libc.capset(ctypes.byref(header), rights) == 0
        path.chmod(mode)
