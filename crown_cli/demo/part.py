"""What a department's part of the demo returns."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Part:
    """What a department's demo did.

    Attributes:
        items_in: things that came from outside.
        items_made: results made in this call of the demo.
        items_current: results that are current.
        items_failed: things that could not be used, each with its reason in `messages`.
        seconds: wall time.
        messages: what happened, in sentences.
        where: what is where.
    """

    items_in: int = 0
    items_made: int = 0
    items_current: int = 0
    items_failed: int = 0
    seconds: float = 0.0
    messages: list[str] = field(default_factory=list)
    where: dict[str, str] = field(default_factory=dict)
