"""The export's own formulas as free tests: what the art tables compute must be what the base computed, row by row.

Belongs here: comparing computed columns with the formula columns of the export that the art tables hold.
Does not belong here: the formulas (the views of the migration), the exceptions (`signatures.py`), other checks
(`checks.py`).
An empty price counts as zero in the base and as unknown in the art tables; only there are zero and unknown equal.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, text

from crown.art_records.exports.signatures import Exemption, described, exemptions
from crown.art_records.history.states import state_at
from crown.art_records.tables import APPLIED
from crown.store.objects import Objects


@dataclass
class Oracle:
    """One formula column: how many rows agree, how many are excused by a signed exception, which are wrong."""

    column: str
    rows: int = 0
    equal: int = 0
    excused: int = 0
    wrong: list[tuple[str, Any, Any]] = field(default_factory=list)
    exemption: Exemption | None = None

    @property
    def passed(self) -> bool:
        """Whether every row agrees or is excused."""
        return not self.wrong

    def as_dict(self) -> dict[str, Any]:
        """JSON values; at most 20 wrong rows as (record, ours, export)."""
        wrong = [[i, float(a) if isinstance(a, Decimal) else a, str(b)] for i, a, b in self.wrong[:20]]
        return {"column": self.column, "rows": self.rows, "equal": self.equal, "excused": self.excused,
                "wrong": len(self.wrong), "examples": wrong, "exception": self.exception,
                "signed_by": self.exemption.signed_by if self.exemption else None}  # fmt: skip

    @property
    def exception(self) -> str | None:
        """Why rows may differ, whether or not somebody signed it."""
        return self.exemption.reason if self.exemption else None

    @property
    def may_differ(self) -> bool:
        """Whether a signed exception excuses rows."""
        return self.exemption is not None and self.exemption.signed_by is not None

    @property
    def known(self) -> str | None:
        """How many rows a signed exception excuses, and who signed it when; None when it excuses none."""
        if not self.excused or self.exemption is None or self.exemption.signed is None:
            return None
        return f"{self.excused:,} rows differ as known; the exception is signed by {self.exemption.signed}."

    def sentence(self) -> str | None:
        """What is wrong and what to do; None when nothing is."""
        if self.passed:
            return None
        waits = self.exemption is not None and not self.may_differ
        then = f" An exception waits to be signed: `crown art sign {self.column!r}`." if waits else ""
        return f"{len(self.wrong)} of {self.rows} rows differ.{then}"


def formula_oracles(
    engine: Engine, objects: Objects, tables: Collection[str] = ("editions", "distributors")
) -> list[Oracle]:
    """Compare the newest export in the art tables that carries formula columns, and the distributors' sums.

    `tables` says whose columns are compared.

    The art tables are read as they were when that export was synced, so later work does not disturb the comparison.
    No such export: an empty list.
    """
    with engine.connect() as connection:
        editions = _newest(connection, "editions", "editions-28")
        distributors = _newest(connection, "distributors", "distributors-15")
        found: list[Oracle] = []
        if editions is not None and "editions" in tables:
            found += _edition_columns(connection, editions, objects)
        if (
            "distributors" in tables
            and editions is not None
            and distributors is not None
            and editions.sync_number == distributors.sync_number
        ):
            found += _distributor_sums(connection, distributors, objects)
    return found


def _newest(connection: Connection, table: str, layout: str) -> Any:
    return connection.execute(
        text("""
            select s.sync_number, r.kept_as, r.file_name, r.exported_on
            from art.sync_tables t join art.syncs s using (sync_number) join art.raw_files r on r.sha256 = t.source_hash
            where t.table_name = :t and r.layout = :l and s.status = any(:applied)
            order by sync_number desc limit 1
        """),
        {"t": table, "l": layout, "applied": list(APPLIED)},
    ).one_or_none()


def _edition_columns(connection: Connection, raw: Any, objects: Objects) -> list[Oracle]:
    from crown.art_records.exports.files import kept, parse

    export = parse(kept("editions", raw.file_name, raw.kept_as, objects))
    art_records = {row["airtable_id"]: row for row in state_at(connection, "editions", raw.sync_number)}
    repaired = _repaired(connection, raw.sync_number)
    known = exemptions(connection)
    found = []
    ids = export.frame["record_id"].tolist()
    for column, spec in described()["columns"].items():
        oracle = Oracle(column, exemption=known.get(column))
        for airtable_id, shown in zip(ids, export.frame[column].tolist(), strict=True):
            row = art_records[airtable_id]
            ours = _ours(row, spec["ours"], raw.exported_on)
            theirs = _number(shown)
            unpriced = row["retail_price"] is None and ours is None and theirs == 0
            oracle.rows += 1
            if ours == theirs or unpriced:
                oracle.equal += 1
            elif oracle.may_differ and not row["is_sold"]:
                oracle.excused += 1
            elif (airtable_id, _source_of(column)) in repaired:
                oracle.excused += 1  # the base computed with the faulty year that a rule repaired
            else:
                oracle.wrong.append((airtable_id, ours, shown))
        found.append(oracle)
    return found


def _ours(row: dict[str, Any], name: str, exported_on: date | None) -> Any:
    if name == "weeks_in_gallery":
        began = row["date_in_gallery"]
        return None if began is None or exported_on is None else (exported_on - began).days // 7
    return row[name]


def _source_of(column: str) -> str:
    return "date_in_gallery" if column == "Weeks in Gallery" else "date_sold"


def _number(shown: str) -> Decimal | int | None:
    """A formula cell: `£1.00`, `12`, `07 July` (the month's number), or nothing (`NaN`, `#ERROR!`)."""
    found = re.match(r"-?\d+(\.\d+)?", shown.replace("£", "").replace(",", ""))
    return Decimal(found[0]) if found else None


def _repaired(connection: Connection, number: int) -> set[tuple[str, str]]:
    rows = connection.execute(
        text("select airtable_id, field from art.quarantine where sync_number = :n and outcome = 'repaired'"),
        {"n": number},
    )
    return set(rows.tuples())


def _distributor_sums(connection: Connection, raw: Any, objects: Objects) -> list[Oracle]:
    from crown.art_records.exports.files import kept, parse

    export = parse(kept("distributors", raw.file_name, raw.kept_as, objects))
    net: dict[str, Decimal] = {}
    retail: dict[str, Decimal] = {}
    sold: dict[str, Decimal] = {}
    for row in state_at(connection, "editions", raw.sync_number):
        place, price = row["distributor_id"], row["retail_price"] or Decimal(0)
        net[place] = net.get(place, Decimal(0)) + (row["invoice_amount"] or 0)
        retail[place] = retail.get(place, Decimal(0)) + price
        sold[place] = sold.get(place, Decimal(0)) + (price if row["is_sold"] else 0)
    expected = {
        "Net Revenue": net,
        "Retail Amount Sold": sold,
        "Distributor Revenue": {i: retail.get(i, Decimal(0)) - net.get(i, Decimal(0)) for i in retail},
    }
    found, known = [], exemptions(connection)
    for column, sums in expected.items():
        oracle = Oracle(column, exemption=known.get(column))
        for airtable_id, shown in zip(export.frame["Record_id"], export.frame[column], strict=True):
            ours, theirs = sums.get(airtable_id, Decimal(0)), _number(shown) or Decimal(0)
            oracle.rows += 1
            if ours == theirs:
                oracle.equal += 1
            elif oracle.may_differ and theirs == retail.get(airtable_id, Decimal(0)):
                oracle.excused += 1  # exactly the fault that was signed, nothing else
            else:
                oracle.wrong.append((airtable_id, ours, shown))
        found.append(oracle)
    return found
