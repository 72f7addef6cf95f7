"""Positions in a text: the line and column of an error message.

Belongs here: counting. Does not: parsing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A place in a file; line and column count from 1, as editors show them."""

    path: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


def place_at(path: Path, text: str, offset: int) -> Place:
    """The place of the character `offset` (from 0) of `text`, the content of `path`."""
    before = text[: max(0, min(offset, len(text)))]
    return Place(path, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
