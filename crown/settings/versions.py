"""Versions of this program and of its libraries, for records; nothing depends on them."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """This program's version; `0+source` when it runs from a checkout that was not installed."""
    return version_of("crown") or "0+source"


def version_of(distribution: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
