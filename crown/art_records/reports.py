"""The report of a sync or a rollback: as an object, as JSON and as text for a terminal.

Notes and payment texts contain people's names; they are masked here in all output.
Does not belong here: computing any of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from crown.art_records.history.comparing import Change, Conflict, masked
from crown.art_records.wording import named, said

if TYPE_CHECKING:
    from crown.art_records.exports.cleaning import Finding


@dataclass
class TableReport:
    """One table's part of a sync. `noop` is the sentence why nothing was compared, else None."""

    table: str
    source_file: str
    source_hash: str
    layout: str
    exported_on: date | None
    counts: dict[str, int] = field(default_factory=dict)
    changed_fields: dict[str, int] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    kept_local: list[tuple[str, str]] = field(default_factory=list)
    taken_back: list[tuple[str, str]] = field(default_factory=list)
    unknown_columns: list[str] = field(default_factory=list)
    noop: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    """Names of the records that change or are linked, by record id."""

    @property
    def nothing_new(self) -> bool:
        """Whether the table would stay as it is."""
        return not (self.created or self.changes or self.conflicts)

    def as_dict(self) -> dict[str, Any]:
        """JSON values, personal texts masked; created records by id, changes field by field."""
        return {
            "table": self.table,
            "source_file": self.source_file,
            "source_hash": self.source_hash,
            "layout": self.layout,
            "exported_on": self.exported_on.isoformat() if self.exported_on else None,
            "noop": self.noop,
            "counts": self.counts,
            "changed_fields": self.changed_fields,
            "created": self.created,
            "closed": self.closed,
            "kept_local": [{"airtable_id": i, "field": f} for i, f in self.kept_local],
            "taken_back": [{"airtable_id": i, "field": f} for i, f in self.taken_back],
            "unknown_columns": self.unknown_columns,
            "changes": [
                {"airtable_id": c.airtable_id, "name": self.names.get(c.airtable_id), "op": c.op, "field": c.field,
                 "old": masked(c.field, c.old), "new": masked(c.field, c.new)}
                for c in self.changes
            ],
            "conflicts": [
                {"airtable_id": c.airtable_id, "name": self.names.get(c.airtable_id),
                 "field": c.field, "base": masked(c.field, c.base),
                 "local": masked(c.field, c.local), "source": masked(c.field, c.source)}
                for c in self.conflicts
            ],
            "quarantine": [
                {"row": f.row, "airtable_id": f.airtable_id, "column": f.column, "rule": f.rule,
                 "outcome": f.outcome, "problem": f.problem, "raw": masked(f.field, f.raw),
                 "money_at_stake": None if f.money_at_stake is None else float(f.money_at_stake)}
                for f in self.findings
            ],
        }  # fmt: skip


@dataclass
class SyncReport:
    """What a sync did, or would do.

    Attributes:
        diff_hash: Names exactly this difference; a person's decision is on it. The hash of `body`.
        blocks: Sentences why it is not applied without a decision.
        sync_number: The sync's place in the order of all; None when nothing was written.
        body: The difference as a plan of the ledger: the mode and a hash per table.
    """

    mode: str
    diff_hash: str
    blocks: list[str]
    tables: list[TableReport]
    applied: bool = False
    sync_number: int | None = None
    sync_id: str | None = None
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def noop(self) -> bool:
        """Whether every file is the one that was read last time."""
        return all(table.noop for table in self.tables)

    @property
    def waiting(self) -> bool:
        """Whether a person has to decide before this may be applied."""
        return bool(self.blocks) and not self.applied

    def table(self, name: str) -> TableReport:
        """The part of one table."""
        return next(t for t in self.tables if t.table == name)

    def as_dict(self) -> dict[str, Any]:
        """JSON values, personal texts masked."""
        return {
            "sync_number": self.sync_number,
            "sync_id": self.sync_id,
            "mode": self.mode,
            "applied": self.applied,
            "noop": self.noop,
            "waiting": self.waiting,
            "diff_hash": self.diff_hash,
            "blocks": self.blocks,
            "tables": [table.as_dict() for table in self.tables],
        }

    def text(self, rows: int = 20) -> str:
        """The diff for a terminal: counts, then up to `rows` changed records per table, personal texts masked."""
        if self.noop:
            return "Nothing to do: " + "; ".join(f"{t.source_file}: {t.noop}" for t in self.tables)
        lines = [
            f"{'Applied as sync ' + str(self.sync_number) if self.applied else 'Not applied'}, mode {self.mode}"
        ]
        for table in self.tables:
            lines += ["", *_table_lines(table, rows)]
        if self.waiting:
            lines += ["", "Waits for a decision:", *(f"  {block}" for block in self.blocks)]
        lines += ["", f"diff {self.diff_hash}"]
        return "\n".join(lines)


def _table_lines(table: TableReport, rows: int) -> list[str]:
    dated = f", exported on {table.exported_on}" if table.exported_on else ""
    lines = [f"{table.table}: {table.source_file}{dated}"]
    if table.noop:
        return [*lines, f"  nothing to do: {table.noop}"]
    words = ("processed", "created", "updated", "unchanged", "closed")
    lines.append("  " + ", ".join(f"{table.counts['records_' + word]} {word}" for word in words))
    if table.changed_fields:
        lines.append("  fields: " + ", ".join(f"{name} {n}" for name, n in table.changed_fields.items()))
    if table.kept_local:
        lines.append(f"  kept: {len(table.kept_local)} × entered here, not in the export")
    if table.taken_back:
        lines.append(f"  taken back: {len(table.taken_back)} × entered here, not in the export")
    if table.unknown_columns:
        lines.append(
            f"  columns that no layout knows, kept in the raw file: {', '.join(table.unknown_columns)}"
        )
    found = Counter((f.outcome, f.column, f.problem) for f in table.findings)
    for (outcome, column, problem), n in found.most_common(10):
        lines.append(f"  {outcome}: {n} × {column} {problem}")
    for conflict in table.conflicts[:rows]:
        lines.append(
            f"  conflict {named(conflict.airtable_id, table.names)} {conflict.field}: "
            + ", ".join(
                f"{side} {said(conflict.field, value, table.names)}"
                for side, value in (
                    ("was", conflict.base),
                    ("here", conflict.local),
                    ("export", conflict.source),
                )
            )
        )
    lines += [f"  + {named(airtable_id, table.names)}" for airtable_id in table.created[:rows]]
    if len(table.created) > rows:
        lines.append(f"  + and {len(table.created) - rows} more")
    return lines + change_lines(table.changes, rows, table.names)


def change_lines(changes: list[Change], records: int, names: dict[str, str]) -> list[str]:
    """Changes grouped by record, for a terminal; records and links with their names."""
    grouped: dict[str, list[Change]] = {}
    for change in changes:
        grouped.setdefault(change.airtable_id, []).append(change)
    lines = []
    for airtable_id, fields in list(grouped.items())[:records]:
        parts = ", ".join(
            f"{c.field}: {said(c.field, c.old, names)} → {said(c.field, c.new, names)}" if c.field else c.op
            for c in fields
        )
        sign = "-" if fields[0].op in ("close", "withdraw") else "~"
        lines.append(f"  {sign} {named(airtable_id, names)} {parts}")
    if len(grouped) > records:
        lines.append(f"  ~ and {len(grouped) - records} more")
    return lines
