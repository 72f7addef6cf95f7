"""The format of one column, inferred over the whole column from its unambiguous cells.

`3/4/2021` alone may be a day in March or in April; beside `14/3/2021` in the same column it is not. Belongs here: day
or month first, decimal point or comma, percentages or shares of one. Does not belong here: what a single cell then
becomes (`rules.py`). A format other than the base's usual one is named in a sentence: a person decides on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_TOLERATED = 0.05
"""Cells of the other kind that are typing slips: at most this share of the cells that leave no choice."""


@dataclass(frozen=True)
class Written:
    """How a column is written; the defaults are the base's usual way.

    `mixed` says that both ways occur too often for a slip: only cells that leave no choice are read.
    """

    day_first: bool = False
    decimal_comma: bool = False
    fractions: bool = False
    mixed: bool = False


USUAL = Written()
Cells = Iterable[tuple[str, int]]


def decide(rule: str, cells: Cells) -> tuple[Written, str | None]:
    """How a column of this rule is written, and in words when that is not the usual way.

    Args:
        rule: The column's rule.
        cells: Every different text with the number of its cells.
    """
    if rule == "date":
        other, mixed, words = _weigh(cells, day_or_month, "day first", "month first")
        return Written(day_first=other, mixed=mixed), words
    if rule in ("price", "total"):
        other, mixed, words = _weigh(cells, point_or_comma, "with a decimal comma", "with a decimal point")
        return Written(decimal_comma=other, mixed=mixed), words
    if rule == "percent":
        return _percentages(list(cells))
    return USUAL, None


def _weigh(
    cells: Cells, kind: Callable[[str], bool | None], other: str, usual: str
) -> tuple[bool, bool, str | None]:
    """Whether the column is written the other way, whether it mixes both, and the sentence about it."""
    counts = {True: 0, False: 0}
    for text, number in cells:
        says = kind(text)
        if says is not None:
            counts[says] += number
    least, most = sorted(counts.values())
    if not counts[True]:
        return False, False, None
    if least > _TOLERATED * most:
        return False, True, None
    if counts[False] == most:
        return False, False, None
    against = f", {counts[False]:,} only {usual}" if counts[False] else ""
    return True, False, f"is written {other} ({counts[True]:,} cells can only be read so{against})"


def _percentages(cells: list[tuple[str, int]]) -> tuple[Written, str | None]:
    comma, mixed, words = _weigh(cells, point_or_comma, "with a decimal comma", "with a decimal point")
    bare = [(n, t) for t, n in cells if re.fullmatch(r"\s*\d*[.,]?\d+\s*", t)]
    signed = sum(n for t, n in cells if "%" in t)
    shares = sum(n for n, t in bare if 0 < float(t.replace(",", ".")) < 1)
    above = sum(n for n, t in bare if float(t.replace(",", ".")) > 1)
    fractions = bool(shares) and not signed and not above
    if fractions:
        words = "; ".join(
            filter(None, [words, f"is written as shares of one ({shares:,} cells below 1, none above)"])
        )
    return Written(decimal_comma=comma, fractions=fractions, mixed=mixed), words


_DAY = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-]\d{1,4}")


def day_or_month(text: str) -> bool | None:
    """True: the day can only come first; False: the month; None: this text is ambiguous."""
    found = _DAY.fullmatch(text.strip())
    if found is None:
        return None
    first, second = int(found[1]), int(found[2])
    if first > 12 >= second:
        return True
    return False if second > 12 >= first else None


_COMMA = re.compile(r"\d{1,3}(\.\d{3})+,\d+|\d{1,3}(\.\d{3}){2,}|\d+,(\d{1,2}|\d{4,})")
_POINT = re.compile(r"\d{1,3}(,\d{3})+\.\d+|\d{1,3}(,\d{3}){2,}|\d+\.(\d{1,2}|\d{4,})")


def point_or_comma(text: str) -> bool | None:
    """True: a comma can only precede the decimals; False: a point; None: this text is ambiguous."""
    digits = "".join(c for c in text if c.isdigit() or c in ".,")
    if _COMMA.fullmatch(digits):
        return True
    return False if _POINT.fullmatch(digits) else None
