"""The files of an invented export: the cells of every column, as Airtable writes them.

Does not belong here: which values a base has (`samples.py`), and the texts of single values (`sample_parts.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crown.art_records.sample_parts import (
    FORMULA_COLUMNS,
    MONTHS,
    amounts,
    csv_file,
    days,
    in_list,
    texts,
    ticks,
)

if TYPE_CHECKING:
    from crown.art_records.samples import Base

EDITION_COLUMNS = [
    "Print - Edition", "Print", "Print Edition", "Printed", "Size", "Frame", "Distributor", "Sold",
    "Retail Price", "Date Sold", "Settled", "Notes", "Variation", "Date in Gallery", "Stock Checked",
    "To check in detail", "Commission", "Invoice Amount", "Commissions", "Payment", "Month Sold", "Year Sold",
    "Weeks in Gallery", "Print - Edition copy", "Print copy", "record_id", "print_record_id",
    "distributor_record_id",
]  # fmt: skip
PRINT_COLUMNS = [
    "Print Name", "Image", "Description", "Total Editions", "Web link", "Editions", "Notes", "Record_id",
]  # fmt: skip
DISTRIBUTOR_COLUMNS = [
    "Name", "Image", "Commission", "Notes", "Prints", "Prints copy", "Contact Number", "Web address",
    "Net Revenue", "Distributor Revenue", "Retail Amount Sold", "Net Revenue Unpaid",
    "Net Revenue Unpaid by Invoice Month", "Date", "Record_id",
]  # fmt: skip


@dataclass(frozen=True)
class Export:
    """One export of the whole base as bytes, ready to be dropped into the exports folder."""

    prints: bytes
    distributors: bytes
    editions: bytes
    exported_on: date

    def write(self, folder: Path) -> dict[str, Path]:
        """Write the three files under the names that Airtable gives; returns table -> path."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = {}
        for table in ("prints", "distributors", "editions"):
            path = folder / f"{table.title()}-{self.exported_on.isoformat()} export.csv"
            path.write_bytes(getattr(self, table))
            paths[table] = path
        return paths


def export(base: Base, on: date, *, all_columns: bool) -> Export:
    """The three files as Airtable writes them: BOM, quotes where needed, no newline at the end."""
    columns = _edition_columns(base, on)
    wanted = [c for c in EDITION_COLUMNS if all_columns or c not in FORMULA_COLUMNS]
    rows = zip(*(columns[c][base.order] for c in wanted), strict=True)
    return Export(
        prints=csv_file(PRINT_COLUMNS, _print_rows(base, columns["Print - Edition"])),
        distributors=csv_file(DISTRIBUTOR_COLUMNS, _distributor_rows(base)),
        editions=csv_file(wanted, rows),
        exported_on=on,
    )


def _edition_columns(base: Base, on: date) -> dict[str, np.ndarray]:
    names = np.array([in_list(name) for name in base.print_names] + [""], dtype=object)
    ids = np.append(base.print_ids, "")
    two = base.second_link >= 0
    linked = np.where(two, names[base.owner] + "," + names[base.second_link], names[base.owner])
    linked_ids = np.where(two, ids[base.owner] + ", " + ids[base.second_link], ids[base.owner])
    number = np.array(["" if x is None else str(x) for x in base.number], dtype=object)
    display = np.where(base.blank, "-", linked + " - " + number)
    owed, share = _amounts(base)
    sold_on = np.array([d is not None for d in base.sale])
    galleries = np.array([in_list(name) for name in base.distributor_names] + [""], dtype=object)
    gallery_ids = np.append(base.distributor_ids, "")
    at = np.array([-1 if a is None else a for a in base.at])
    return {
        "Print - Edition": display, "Print": linked, "Print Edition": number,
        "Printed": ticks(base.printed), "Size": texts(base.frame_size), "Frame": texts(base.frame),
        "Distributor": galleries[at], "Sold": ticks(base.sold), "Retail Price": amounts(base.price),
        "Date Sold": days(base.sale), "Settled": ticks(base.settled), "Notes": texts(base.notes),
        "Variation": texts(base.variation), "Date in Gallery": days(base.gallery),
        "Stock Checked": ticks(base.checked), "To check in detail": ticks(base.in_detail),
        "Commission": np.array(["" if c is None else f"{c}%" for c in base.commission], dtype=object),
        "Invoice Amount": amounts(owed), "Commissions": amounts(share), "Payment": texts(base.payment),
        "Month Sold": np.array([f"{d[1]:02d} {MONTHS[d[1] - 1]}" if s else "#ERROR!"
                                for d, s in zip(base.sale, sold_on, strict=True)], dtype=object),
        "Year Sold": np.array([f"{d[0]:04d}" if s else "#ERROR!"
                               for d, s in zip(base.sale, sold_on, strict=True)], dtype=object),
        "Weeks in Gallery": np.array(["NaN" if d is None else str((on - date(*d)).days // 7)
                                      for d in base.gallery], dtype=object),
        "Print - Edition copy": display, "Print copy": linked, "record_id": base.ids,
        "print_record_id": linked_ids, "distributor_record_id": gallery_ids[at],
    }  # fmt: skip


def _amounts(base: Base) -> tuple[np.ndarray, np.ndarray]:
    """Invoice Amount and Commissions in pence, with the base's formulas: an empty cell counts as zero."""
    price = np.array([p or 0 for p in base.price], dtype=np.int64)
    part = np.array([c or 0 for c in base.commission], dtype=np.int64)
    owed = np.where(base.sold, price * (100 - part) // 100, 0)
    return owed, price - owed


def _print_rows(base: Base, display: np.ndarray) -> list[list[str]]:
    rows = []
    for p, name in enumerate(base.print_names):
        mine = display[(base.owner == p) | (base.second_link == p)]
        # Five of the real prints have pictures whose names hold commas or brackets.
        file = f"{p:02d}, state (2).jpg" if p in (1, 10, 19, 28, 37) else f"{p:02d}.jpg"
        picture = f"{file} (https://dl.invalid/v5/{p:02d}/signed)" if p % 3 else ""
        total = base.print_totals[p]
        rows.append([name, picture, "Linocut" if p % 2 else "", "" if total is None else str(total),
                     f"https://prints.invalid/{p}" if p % 4 == 0 else "",
                     ",".join(in_list(d) for d in mine), "", base.print_ids[p]])  # fmt: skip
    return rows


def _distributor_rows(base: Base) -> list[list[str]]:
    owed, _ = _amounts(base)
    at = np.array([-1 if a is None else a for a in base.at])
    price = np.array([p or 0 for p in base.price], dtype=np.int64)
    rows = []
    for d, name in enumerate(base.distributor_names):
        net, retail = int(owed[at == d].sum()), int(price[at == d].sum())
        unpaid = int(owed[(at == d) & base.sold & ~base.settled].sum())
        share = base.distributor_shares[d]
        real = d == 0 or d > 4
        rows.append([name, "", "" if share is None else f"{share}%", "", "", "",
                     f"01632 96{d:04d}" if real else "", f"https://gallery{d}.invalid" if real else "",
                     *(f"£{v // 100}.{v % 100:02d}" for v in (net, retail - net, retail, unpaid, unpaid)),
                     f"October {d + 1}, 2025" if real else "", base.distributor_ids[d]])  # fmt: skip
    return rows
