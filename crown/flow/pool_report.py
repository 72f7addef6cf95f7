"""What a run of a queue did: counts by asset and a few examples. Its size does not grow with the run."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from crown.ledger.claims import Failed, Finished, Made

_SLOWEST = 3
_EXAMPLES = 24


@dataclass
class Tally:
    """What a run did to one asset: counts, and a few examples; its size does not grow with the run."""

    made: int = 0
    failed: int = 0
    bytes_made: int = 0
    #: Failures by error class.
    errors: Counter[str] = field(default_factory=Counter)
    #: (seconds, key), the slowest first.
    slowest: list[tuple[float, str]] = field(default_factory=list)
    #: Root and path of the files that were made last.
    newest: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_EXAMPLES))

    def count(self, result: Made | Failed) -> None:
        """Add a result."""
        if isinstance(result, Failed):
            self.failed += 1
            self.errors[result.error_class] += 1
            return
        self.made += 1
        self.bytes_made += result.size_bytes or 0
        if result.root is not None and result.path is not None:
            self.newest.append((result.root, result.path))
        if result.seconds is not None:
            self.slowest = sorted([*self.slowest, (result.seconds, result.job.key)], reverse=True)[:_SLOWEST]


@dataclass
class PoolReport:
    """What a run of a queue did, by asset."""

    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    dropped: int = 0
    seconds: float = 0.0

    @property
    def made(self) -> int:
        """Items made, of all assets."""
        return sum(tally.made for tally in self.tallies.values())

    @property
    def failed(self) -> int:
        """Tries that failed, of all assets."""
        return sum(tally.failed for tally in self.tallies.values())


#: Called after each commit with the sums so far and what was entered.
Progress = Callable[[PoolReport, Finished], None]
