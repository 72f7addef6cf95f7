"""What a department's part of the demo returns."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Chapter:
    """What a department's demo did.

    Attributes:
        items_in: things that came from outside.
        items_made: results made in this call of the demo.
        items_current: results that stand now.
        items_failed: things that could not be used, each with its reason in `story`.
        seconds: wall time.
        story: what happened, in sentences.
        where: what lies where.
    """

    items_in: int = 0
    items_made: int = 0
    items_current: int = 0
    items_failed: int = 0
    seconds: float = 0.0
    story: list[str] = field(default_factory=list)
    where: dict[str, str] = field(default_factory=dict)
