"""The closing lines of every benchmark: `NAME = VALUE (goal GOAL)`, and CHECK=1."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


class Report:
    """Collects figures with their goals; `close` prints them and ends the process when CHECK=1 and one is missed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._rows: list[tuple[str, float, float, str, bool]] = []
        self._spreads: dict[str, str] = {}

    def add(
        self,
        name: str,
        value: float,
        goal: float,
        *,
        unit: str = "",
        below: bool,
        spread: Sequence[float] = (),
    ) -> None:
        """Add a figure; `below` says that smaller is better, `spread` are the measurements it is the middle of."""
        self._rows.append((name, value, goal, unit, value <= goal if below else value >= goal))
        if spread:
            self._spreads[name] = f", from {min(spread):.4g} to {max(spread):.4g}"
        print(f"  {name}: {value:.4g} {unit}".rstrip(), flush=True)

    def close(self) -> None:
        """Print the closing lines; with CHECK=1 in the environment a missed goal exits with 1."""
        print()
        for name, value, goal, unit, met in self._rows:
            miss = "" if met else "  MISSED"
            print(
                f"{name} = {value:.4g}{' ' + unit if unit else ''} (goal {goal:g}{self._spreads.get(name, '')}){miss}"
            )
        if os.environ.get("CHECK") == "1" and not all(met for *_, met in self._rows):
            sys.exit(1)
