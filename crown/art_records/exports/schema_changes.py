"""What changed at the source besides values: columns that are new, gone or renamed.

Belongs here: pairing a column that an export lacks with a new one that likely is it under another name, and the
sentences about it. Does not belong here: reading headers (`exports.py`), and that such a difference waits for a
person (`comparing.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from crown.art_records.exports.column_formats import decide
from crown.art_records.exports.files import Export
from crown.art_records.exports.rules import Rulebook, judge

_LIKELY = 0.65
_TYPELESS = {"text", "free_text", "print_name", "distributor_name"}
"""Rules that take any text: only the name shows whether a column is one of these."""


@dataclass(frozen=True)
class SchemaChanges:
    """Columns that no layout knows and are read by no rule, and the sentences of what is missing or renamed."""

    unknown: tuple[str, ...] = ()
    sentences: list[str] = field(default_factory=list)


def recognised(export: Export, book: Rulebook) -> tuple[Export, SchemaChanges]:
    """The export with likely renames undone, and what changed at the source in words."""
    missing = [c for c in export.layout.stored if c in export.absent]
    pairs = _pairs(export, missing, book)
    sentences = [
        f"the column {old} is missing and {new} is new: read as the same column under another name"
        for old, new in pairs.items()
    ]
    sentences += [
        f"the column {column} is missing: its field stays as it is in the art tables"
        for column in missing
        if column not in pairs
    ]
    unknown = tuple(c for c in export.unknown if c not in pairs.values())
    if pairs:
        export = replace(
            export,
            frame=export.frame.rename(columns={new: old for old, new in pairs.items()}),
            absent=export.absent - set(pairs),
            unknown=unknown,
        )
    return export, SchemaChanges(unknown, sentences)


def _pairs(export: Export, missing: list[str], book: Rulebook) -> dict[str, str]:
    """Missing column -> the new one that it likely is, the best pairs first, each column once."""
    scored = sorted(
        ((_likeness(export, old, new, book), old, new) for old in missing for new in export.unknown),
        reverse=True,
    )
    pairs: dict[str, str] = {}
    for score, old, new in scored:
        if score >= _LIKELY and old not in pairs and new not in pairs.values():
            pairs[old] = new
    return pairs


def _likeness(export: Export, old: str, new: str, book: Rulebook) -> float:
    """From 0 to 1: how alike the names are, and how many cells the missing column's rule accepts."""
    rule = export.layout.rules[old]
    names = SequenceMatcher(None, _letters(old), _letters(new)).ratio()
    if rule in _TYPELESS:
        return names
    counts = export.frame[new].value_counts()
    cells = {text: n for text, n in zip(counts.index, counts.tolist(), strict=True) if text.strip()}
    if rule in ("record_id", "edition_name") or not cells:
        return names
    written, _ = decide(rule, cells.items())
    accepted = sum(n for text, n in cells.items() if judge(text, rule, book, written).outcome != "withheld")
    share = accepted / sum(cells.values())
    return (names + share) / 2 if share < 1 else (names + 2) / 3


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()
