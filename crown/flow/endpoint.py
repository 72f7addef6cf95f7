"""What a source outside answered when it was asked for changes. How it is asked is the department's affair."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Asked:
    """The answer of a source.

    Attributes:
        changed: what was changed since the last fetch (tables, folders, ...); everything before the first one.
        version: how often the source was fetched.
        again_at: when it is asked again, while it is left alone.
        error: why it is left alone.
    """

    changed: tuple[str, ...] = ()
    version: int = 0
    again_at: datetime | None = None
    error: str | None = None
