"""From text to values: named rules, one per column, applied to every distinct text once.

Belongs here: what a cell means, which value it becomes and what is wrong with it. A value that fails its
rule is withheld and reported with its row; the row's other fields go on. Nothing becomes a default.
The rules themselves are in `rules.py`. Does not belong here: reading files
(`exports.py`), comparing with the art tables (`comparing.py`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from crown.art_records.exports.column_formats import decide
from crown.art_records.exports.files import Export
from crown.art_records.exports.rules import (
    SECOND_FIELD,
    Outcome,
    Rulebook,
    Verdict,
    judge,
    name_key,
    rulebook,
    split_display_name,
    withheld,
)
from crown.art_records.exports.schema_changes import recognised
from crown.art_records.tables import ENTITIES


@dataclass(frozen=True)
class Finding:
    """One value of one row that failed a rule (withheld), was repaired, or is doubtful (flagged)."""

    row: int
    airtable_id: str
    column: str
    field: str
    rule: str
    outcome: Outcome
    problem: str
    raw: str
    loaded: str | None
    money_at_stake: Decimal | None


@dataclass
class Column:
    """One cleaned field: a code per row into the different values."""

    codes: np.ndarray
    values: np.ndarray

    def of_rows(self, rows: np.ndarray | None = None) -> np.ndarray:
        """The values row by row."""
        return self.values[self.codes if rows is None else self.codes[rows]]


@dataclass
class Cleaned:
    """One export after the rules: ids and fields in file order (row 0 here is row 2 of the file).

    Attributes:
        filled: Cells with a text per column.
        unknown: Columns that no layout knows; they stay in the raw file only.
        shape: Names how the file is made: its columns and how they are written.
        shape_changes: What of that is not the base's usual way, in sentences; a person decides on a shape once.
    """

    table: str
    ids: np.ndarray
    columns: dict[str, Column]
    carried: frozenset[str]
    findings: list[Finding] = field(default_factory=list)
    blank: int = 0
    rule_version: str = ""
    filled: dict[str, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    shape: str = ""
    shape_changes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def frame(self) -> pd.DataFrame:
        """The cleaned rows as a DataFrame with plain Python values; unknown is None."""
        values = {name: column.of_rows() for name, column in self.columns.items()}
        return pd.DataFrame({"airtable_id": self.ids, **values}, dtype=object)

    @property
    def withheld(self) -> set[tuple[str, str]]:
        """(record id, field) of every value that failed its rule."""
        return {(f.airtable_id, f.field) for f in self.findings if f.outcome == "withheld"}

    def hashes(self) -> np.ndarray:
        """A 64-bit hash per row over the compared fields that the export carries, stable across versions.

        Each different value is hashed once (BLAKE2b); a row is the sum of its values' hashes times powers of
        an odd constant, modulo 2**64. It only saves comparing: rows that differ are compared field by field.
        """
        total = np.zeros(len(self), dtype=np.uint64)
        for name in ENTITIES[self.table].fields:
            total *= np.uint64(0x9E3779B97F4A7C15)
            if name in self.carried:
                column = self.columns[name]
                digests = [
                    hashlib.blake2b(t.encode(), digest_size=8).digest() for t in encoded(column.values)
                ]
                total += np.frombuffer(b"".join(digests), dtype="<u8")[column.codes]
        return total.view(np.int64)

    def copy_lines(self, names: tuple[str, ...], rows: np.ndarray) -> list[str]:
        """Rows in PostgreSQL's COPY text format: record id, then the named fields; no line end."""
        parts = [self.ids[rows]]
        for name in names:
            if name in self.columns:
                column = self.columns[name]
                parts.append(np.array(encoded(column.values), dtype=object)[column.codes[rows]])
            else:
                parts.append(np.full(len(rows), r"\N", dtype=object))
        return list(map("\t".join, zip(*(part.tolist() for part in parts), strict=True)))


def encoded(values: np.ndarray) -> list[str]:
    r"""Values in COPY text format: `\N` for unknown, t and f, ISO dates, arrays in braces, text escaped."""
    texts = values.tolist()
    strings = [t for t in texts if isinstance(t, str)]
    # All at once, between a character that no text of PostgreSQL holds: less than half the time of one by one.
    escaped = iter(_escape("\0".join(strings)).split("\0"))
    return [next(escaped) if isinstance(t, str) else encode(t) for t in texts]


def encode(value: Any) -> str:
    r"""One value in COPY text format; `encoded` does a column."""
    if value is None:
        return r"\N"
    if value is True or value is False:
        return "t" if value else "f"
    if isinstance(value, tuple):
        quoted = ('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in value)
        return _escape("{" + ",".join(quoted) + "}")
    return _escape(value) if isinstance(value, str) else str(value)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def clean(export: Export, book: Rulebook | None = None) -> Cleaned:
    """Apply the rules to every column of an export.

    Each different text is judged once, so 100,000 rows cost about as much as their different values.
    """
    book = book or rulebook()
    export, changes = recognised(export, book)
    layout, frame = export.layout, export.frame
    cleaned = Cleaned(
        unknown=changes.unknown,
        shape_changes=list(changes.sentences),
        table=layout.table,
        ids=frame[layout.identity].to_numpy(),
        columns={},
        carried=frozenset(),
        rule_version=book.version,
    )
    suspects: list[tuple[np.ndarray, str, str, str, Verdict, str]] = []
    for column, name in layout.fields.items():
        rule = layout.rules[column]
        if column in export.absent or rule in ("record_id", "edition_name"):
            continue
        codes, texts = pd.factorize(frame[column].to_numpy())
        cells = np.bincount(codes, minlength=len(texts)).tolist()
        written, said = decide(rule, zip(texts, cells, strict=True))
        if said:
            cleaned.shape_changes.append(f"the column {column} {said}")
        cleaned.filled[column] = sum(n for text, n in zip(texts, cells, strict=True) if text.strip())
        verdicts = [judge(text, rule, book, written) for text in texts]
        second = SECOND_FIELD.get(rule)
        names = [name] if second is None or second not in ENTITIES[layout.table].columns else [name, second]
        for position, target in enumerate(names):
            taken = [v.value[position] if second and v.value is not None else v.value for v in verdicts]
            cleaned.columns[target] = _recoded(codes, taken)
        for code, verdict in enumerate(verdicts):
            if verdict.outcome is not None:
                rows = np.flatnonzero(codes == code)
                for target in names if verdict.outcome == "withheld" else names[:1]:
                    suspects.append((rows, column, target, rule, verdict, texts[code]))
    _report(cleaned, suspects)
    if layout.table == "editions":
        _check_display_names(cleaned, frame, export.absent)
    formats = sorted(re.sub(r" \(.*\)", "", said) for said in cleaned.shape_changes)
    cleaned.shape = hashlib.sha256("\n".join([export.header_fingerprint, *formats]).encode()).hexdigest()[:16]
    if not formats:
        cleaned.shape = export.header_fingerprint
    carried = {f for f in ENTITIES[layout.table].fields if f in cleaned.columns}
    cleaned.carried = frozenset(carried)
    cleaned.findings.sort(key=lambda f: (f.row, f.column, f.field))
    return cleaned


def _recoded(codes: np.ndarray, values: list[Any]) -> Column:
    """Different texts may clean to one value: give equal values one code."""
    different: dict[Any, int] = {}
    renumbered = np.array([different.setdefault((type(v), v), len(different)) for v in values], dtype=np.intp)
    kept = np.empty(len(different), dtype=object)
    kept[:] = [value for _, value in different]
    return Column(renumbered[codes], kept)


def _report(cleaned: Cleaned, suspects: list[tuple[np.ndarray, str, str, str, Verdict, str]]) -> None:
    prices = cleaned.columns.get("retail_price")
    for rows, column, name, rule, verdict, raw in suspects:
        loaded = None if verdict.outcome == "withheld" else str(verdict.value)
        for row in rows.tolist():
            cleaned.findings.append(
                Finding(
                    row=row + 2,
                    airtable_id=cleaned.ids[row],
                    column=column,
                    field=name,
                    rule=rule,
                    outcome=verdict.outcome or "flagged",
                    problem=verdict.problem,
                    raw=raw,
                    loaded=loaded,
                    money_at_stake=None if prices is None else prices.values[prices.codes[row]],
                )
            )


def _check_display_names(cleaned: Cleaned, frame: pd.DataFrame, absent: frozenset[str]) -> None:
    """The display name must say what Print and Print Edition say; where only one knows the number, it is taken.

    Most display names are exactly `Print - Print Edition`, which one comparison of whole columns shows; only the
    others are taken apart.
    """
    if absent & {"Print - Edition", "Print", "Print Edition", "print_record_id"}:
        return  # nothing to compare with
    shown = frame["Print - Edition"].to_numpy()
    prints, numbers = frame["Print"].to_numpy(), frame["Print Edition"].to_numpy()
    number = cleaned.columns["edition_number"]
    row_numbers = number.of_rows()
    bare = np.array([text.strip() for text in shown], dtype=object)
    cleaned.columns["exported_name"] = Column(np.arange(len(bare)), _or_none(bare))
    linked = cleaned.columns["print_id"].of_rows()
    dash = np.isin(bare.astype(str), ("", "-"))
    cleaned.blank = int((dash & _unknown(linked) & _unknown(row_numbers)).sum())
    suspects = []
    changed = False
    for row in np.flatnonzero((shown != prints + " - " + numbers) & ~dash).tolist():
        name, displayed = split_display_name(shown[row])
        if " ".join(bare[row].rstrip("-").split()) == " ".join(prints[row].split()):
            # The print itself is called so: "Gate - 7" is no seventh copy.
            name, displayed = prints[row], None
        elif name.endswith("-") and displayed is None:
            name = name[:-1].strip()
        known = row_numbers[row]
        if displayed is not None and known is None and not numbers[row].strip():
            row_numbers[row], changed = displayed, True
            verdict = Verdict(
                displayed, "repaired", "number taken from the display name, Print Edition is empty"
            )
            suspects.append(
                (np.array([row]), "Print - Edition", "edition_number", "edition_name", verdict, shown[row])
            )
        elif displayed is not None and known is not None and displayed != known:
            row_numbers[row], changed = None, True
            verdict = withheld(f"says {displayed}, Print Edition says {known}")
            suspects.append(
                (np.array([row]), "Print - Edition", "edition_number", "edition_name", verdict, shown[row])
            )
        if name_key(name) != name_key(prints[row]):
            verdict = Verdict(shown[row], "flagged", f"does not begin with the linked print {prints[row]!r}")
            suspects.append(
                (np.array([row]), "Print - Edition", "exported_name", "edition_name", verdict, shown[row])
            )
    unlinked = np.flatnonzero((prints != "") & _unknown(linked) & (frame["print_record_id"].to_numpy() == ""))
    if len(unlinked):
        verdict = withheld("names a print without its record id")
        suspects.append((unlinked, "Print", "print_id", "print_links", verdict, prints[unlinked[0]]))
    if changed:
        codes, different = pd.factorize(row_numbers, use_na_sentinel=False)
        cleaned.columns["edition_number"] = _recoded(
            codes, [None if pd.isna(v) else int(v) for v in different]
        )
    _report(cleaned, suspects)


def _unknown(values: np.ndarray) -> np.ndarray:
    return np.array([value is None for value in values], dtype=bool)


def _or_none(texts: np.ndarray) -> np.ndarray:
    return np.array([text or None for text in texts], dtype=object)
