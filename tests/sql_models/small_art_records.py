"""The small art records that the tests of the marts count by hand."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

Rows = Callable[[str], list[tuple[Any, ...]]]


HARBOUR, PIER, REGATTA, OTHER_REGATTA = "prHarbour", "prPier", "prRegatta", "prRegatta2"


BLUE, QUAY, DIRECT, OLD = "gaBlue", "gaQuay", "gaDirect", "gaOld"


def edition(
    key: str, print_id: str | None, number: int | None, gallery: str | None, **more: Any
) -> dict[str, Any]:
    """An edition that is printed, unsold, unsettled, unless `more` says otherwise."""
    usual = {"is_printed": True, "is_sold": "date_sold" in more, "is_settled": False}
    keys = {
        "airtable_id": f"ed{key:_>6}",
        "print_id": print_id,
        "edition_number": number,
        "distributor_id": gallery,
    }
    return {**keys, **usual, **more}


EDITIONS = [
    # Harbour, announced as 10 copies.
    # a1: net 60; 30 days to sell; 21 days old; tax year 2025-26, third quarter.
    edition("a1", HARBOUR, 1, BLUE, retail_price=100, commission_percentage=40, date_sold="2025-12-20",
            date_in_gallery="2025-11-20"),
    # a2: no commission written down: none is taken off, net 80; the gallery date is after the sale: no days;
    # the last day of 2024-25.
    edition("a2", HARBOUR, 2, BLUE, retail_price=80, date_sold="2025-04-05", date_in_gallery="2025-04-10",
            is_settled=True),
    # a3: 100.01 x 0.65 = 65.0065, net 65.01; 365 days to sell; 279 days old; the first day of 2025-26.
    edition("a3", HARBOUR, 3, QUAY, retail_price=Decimal("100.01"), commission_percentage=35,
            date_sold="2025-04-06", date_in_gallery="2024-04-06"),
    # a4 is 180 days at Blue, a5 179.
    edition("a4", HARBOUR, 4, BLUE, retail_price=120, date_in_gallery="2025-07-14", is_stock_checked=True),
    edition("a5", HARBOUR, 5, BLUE, date_in_gallery="2025-07-15", size="Large", frame_type="Mounted"),
    edition("a6", HARBOUR, 6, DIRECT, is_printed=False),
    # a7: sold, though never marked as printed; nobody knows where or when; no commission: 0, net 90.
    edition("a7", HARBOUR, 7, None, is_printed=False, is_sold=True, retail_price=90, is_settled=True),
    # a8 bears a7's number; given away: 0, so nothing is due; two years ago to the day.
    edition("a8", HARBOUR, 7, QUAY, retail_price=0, commission_percentage=50, date_sold="2024-01-10"),
    # a9 is linked to two prints; one year ago to the day; net 30; 9 days to sell.
    edition("a9", HARBOUR, 8, BLUE, other_print_ids=[PIER], retail_price=50, commission_percentage=40,
            date_sold="2025-01-10", date_in_gallery="2025-01-01"),
    edition("a11", HARBOUR, 11, DIRECT, is_printed=False),  # above the announced 10
    # Outside every mart: numbers 0 and -1, no number, no print, blank.
    edition("zero", HARBOUR, 0, BLUE, retail_price=500, date_sold="2025-12-01"),
    edition("minus", HARBOUR, -1, BLUE, retail_price=40, date_sold="2025-12-01"),
    edition("none", HARBOUR, None, BLUE),
    edition("loose", None, 7, BLUE),
    edition("blank", None, None, None),
    # Pier, size unknown: its 4 copies count.
    # b1: net 100; 9 days to sell; 31 days old: not in the last 30 days, not in the last month.
    edition("b1", PIER, 1, QUAY, retail_price=200, commission_percentage=50, date_sold="2025-12-10",
            date_in_gallery="2025-12-01"),
    edition("b2", PIER, 2, QUAY, retail_price=150, commission_percentage=50, date_sold="2023-06-01", is_settled=True),
    edition("b3", PIER, 3, QUAY, retail_price=200, frame_type="Unknown"),
    edition("b4", PIER, 4, DIRECT, is_printed=False),
    # Regatta, 2 copies, both sold; c1 four years ago to the day; c2 a day earlier, its price unknown.
    edition("c1", REGATTA, 1, DIRECT, retail_price=60, date_sold="2022-01-10"),
    edition("c2", REGATTA, 2, OLD, commission_percentage=0, date_sold="2022-01-09", is_settled=True),
    # The other Regatta: 12 announced, one printed.
    edition("d1", OTHER_REGATTA, 1, DIRECT),
    *(edition(f"d{n}", OTHER_REGATTA, n, DIRECT, is_printed=False) for n in range(2, 14)),
    edition("gone", HARBOUR, 9, BLUE, retail_price=1000, commission_percentage=0, date_sold="2025-12-24"),
]  # fmt: skip


def as_dict(rows: Rows, query: str) -> dict[Any, tuple[Any, ...]]:
    """Rows by their first column."""
    return {row[0]: row[1:] for row in rows(query)}


def d(amount: str) -> Decimal:
    return Decimal(amount)
