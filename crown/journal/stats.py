"""PipelineStats: the counts of a run, in the same form for every department.

Presentation (run metadata, `crown status`) does not belong here.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_SLOWEST = 3


@dataclass
class PipelineStats:
    """Counts of one run, or of several merged.

    >>> stats = PipelineStats()
    >>> stats.succeeded("52000123", seconds=1.5, size_bytes=2048)
    >>> stats.fail("52000124", "BadInput")
    >>> stats.total, stats.successful, stats.failed, stats.exit_code
    (2, 1, 1, 1)
    """

    total: int = 0
    successful: int = 0
    failed: int = 0
    skipped: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    #: Wall time of the `measured` block; of merged stats, the sum.
    execution_ms: float = 0.0
    #: (seconds, subject), slowest first.
    slowest: list[tuple[float, str]] = field(default_factory=list)

    def succeeded(self, subject: str, *, seconds: float | None = None, size_bytes: int = 0) -> None:
        """Count an item that was made."""
        self.total += 1
        self.successful += 1
        self.bytes += size_bytes
        self._timed(subject, seconds)

    def fail(self, subject: str, error_class: str, *, seconds: float | None = None) -> None:
        """Count an item that failed, under the class of its error."""
        self.total += 1
        self.failed += 1
        self.errors[error_class] += 1
        self._timed(subject, seconds)

    def skip(self, count: int = 1) -> None:
        """Count items that needed nothing, or were dropped."""
        self.total += count
        self.skipped += count

    def merge(self, other: PipelineStats) -> PipelineStats:
        """A new sum of both."""
        return PipelineStats(
            self.total + other.total,
            self.successful + other.successful,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.errors + other.errors,
            self.bytes + other.bytes,
            self.execution_ms + other.execution_ms,
            sorted([*self.slowest, *other.slowest], reverse=True)[:_SLOWEST],
        )

    @property
    def exit_code(self) -> int:
        """What a command ends with: 0 when nothing failed, else 1."""
        return 1 if self.failed else 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, in the order in which people read it."""
        return {
            "total": self.total,
            "successful": self.successful,
            "failed": self.failed,
            "skipped": self.skipped,
            "errors": dict(self.errors.most_common()),
            "bytes": self.bytes,
            "execution_ms": round(self.execution_ms, 3),
            "slowest": [{"subject": subject, "seconds": round(s, 3)} for s, subject in self.slowest],
        }

    def _timed(self, subject: str, seconds: float | None) -> None:
        if seconds is not None:
            self.slowest = sorted([*self.slowest, (seconds, subject)], reverse=True)[:_SLOWEST]


@contextmanager
def measured() -> Iterator[PipelineStats]:
    """Stats whose `execution_ms` is the wall time of the block, also when it raises."""
    stats = PipelineStats()
    start = time.perf_counter()
    try:
        yield stats
    finally:
        stats.execution_ms = (time.perf_counter() - start) * 1000
