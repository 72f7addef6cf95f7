"""Every number of the art marts on art tables that are small enough to count by hand, on 10 January 2026.

Days that matter: 30 days before is 11 December 2025; a month before 10 December 2025; a year before
10 January 2025; two years before 10 January 2024; four years before 10 January 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.sql_models.conftest import AS_OF, insert

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


@pytest.fixture
def small_art_records(art_records: Engine) -> None:
    insert(
        art_records,
        "prints",
        [
            {"airtable_id": HARBOUR, "name": "Harbour", "total_editions": 10},
            {"airtable_id": PIER, "name": "Pier"},
            {"airtable_id": REGATTA, "name": "Regatta", "total_editions": 2},
            {"airtable_id": OTHER_REGATTA, "name": "Regatta", "total_editions": 12},
        ],
    )
    insert(
        art_records,
        "distributors",
        [
            {"airtable_id": BLUE, "name": "Blue Door", "kind": "gallery", "commission_percentage": 40},
            {"airtable_id": QUAY, "name": "Quay", "kind": "gallery", "commission_percentage": 50},
            {"airtable_id": DIRECT, "name": "Direct", "kind": "direct", "commission_percentage": 0},
            {"airtable_id": OLD, "name": "Direct Old", "kind": "legacy"},
        ],
    )
    insert(art_records, "editions", EDITIONS)
    with art_records.begin() as connection:
        connection.execute(text("delete from art.editions where airtable_id like '%gone'"))  # closes it


def as_dict(rows: Rows, query: str) -> dict[Any, tuple[Any, ...]]:
    """Rows by their first column."""
    return {row[0]: row[1:] for row in rows(query)}


def d(amount: str) -> Decimal:
    return Decimal(amount)


@pytest.mark.usefixtures("small_art_records")
def test_counts_of_an_artwork_leave_out_blank_zero_negative_closed_and_second_links(rows: Rows) -> None:
    # Harbour: 10 records with numbers above 0; on paper a1-a5, a7, a8, a9; sold a1, a2, a3, a7, a8, a9.
    # Pier: its own 4, not a9. The two Regattas stay apart.
    assert as_dict(
        rows,
        "select print_id, editions, editions_are_counted, printed, sold, in_stock, left_to_sell, "
        "sell_through_percent, repeated_numbers from marts.art_artworks",
    ) == {
        HARBOUR: (10, False, 8, 6, 2, 4, d("60.0"), 1),
        PIER: (4, True, 3, 2, 1, 2, d("50.0"), 0),
        REGATTA: (2, False, 2, 2, 0, 0, d("100.0"), 0),
        OTHER_REGATTA: (12, False, 1, 0, 1, 12, d("0.0"), 1 - 1),
    }


@pytest.mark.usefixtures("small_art_records")
def test_money_of_an_artwork(rows: Rows) -> None:
    # Harbour: gross 100 + 80 + 100.01 + 90 + 0 + 50; net 60 + 80 + 65.01 + 90 + 0 + 30.
    # Its average leaves out the gift: 420.01 / 5 = 84.002; 4 left at that price: 336.008.
    # Pier: 200 + 150, net 100 + 75, average 175, 2 left. Regatta: 60, the other price is unknown.
    assert as_dict(
        rows, "select print_id, gross, net, average_price, potential_gross from marts.art_artworks"
    ) == {
        HARBOUR: (d("420.01"), d("325.01"), d("84.00"), d("336.01")),
        PIER: (d("350"), d("175"), d("175"), d("350")),
        REGATTA: (d("60"), d("60"), d("60"), d("0")),
        OTHER_REGATTA: (d("0"), d("0"), None, d("0")),
    }


@pytest.mark.usefixtures("small_art_records")
def test_pace_of_an_artwork(rows: Rows) -> None:
    # Harbour in 12 months: a1, a2, a3 and a9, a year ago to the day; 4 left: 100 %, 12 months.
    # Pier: b1; 2 left: 50 %, 24 months. Nothing left, or nothing sold: no pace.
    assert as_dict(
        rows,
        "select print_id, sold_12_months, velocity_percent, months_to_sell_out, first_sale, last_sale "
        "from marts.art_artworks",
    ) == {
        HARBOUR: (4, d("100.0"), 12, date(2024, 1, 10), date(2025, 12, 20)),
        PIER: (1, d("50.0"), 24, date(2023, 6, 1), date(2025, 12, 10)),
        REGATTA: (0, None, None, date(2022, 1, 9), date(2022, 1, 10)),
        OTHER_REGATTA: (0, d("0.0"), None, None, None),
    }


@pytest.mark.usefixtures("small_art_records")
def test_top_gallery_and_years_of_an_artwork(rows: Rows) -> None:
    # Harbour: Blue a1, a2, a9; Quay a3, a8. Regatta: one each, Direct's had a price.
    assert as_dict(
        rows, "select print_id, top_gallery, top_gallery_sold, sold_by_year from marts.art_artworks"
    ) == {
        HARBOUR: ("Blue Door", 3, {"2024": 1, "2025": 4}),
        PIER: ("Quay", 2, {"2023": 1, "2025": 1}),
        REGATTA: ("Direct", 1, {"2022": 2}),
        OTHER_REGATTA: (None, None, None),
    }


@pytest.mark.usefixtures("small_art_records")
def test_stock_and_money_of_a_gallery(rows: Rows) -> None:
    # Blue: a1, a2, a9 sold, a4 (120) and a5 (no price) there; net 60 + 80 + 30; due a1 and a9.
    # Quay: a3, a8, b1, b2 sold, b3 there; gross 100.01 + 0 + 200 + 150; net 65.01 + 0 + 100 + 75; due a3 and b1.
    # Direct: c1 sold and due, d1 there; what is not printed is nowhere. Old: c2.
    assert as_dict(
        rows,
        "select gallery_id, artworks, allocated, sold, conversion_percent, in_stock, stock_value, gross, net, "
        "due_sales, due from marts.art_galleries",
    ) == {
        BLUE: (1, 5, 3, d("60.0"), 2, d("120"), d("230"), d("170"), 2, d("90")),
        QUAY: (2, 5, 4, d("80.0"), 1, d("200"), d("450.01"), d("240.01"), 2, d("165.01")),
        DIRECT: (2, 2, 1, d("50.0"), 1, d("0"), d("60"), d("60"), 1, d("60")),
        OLD: (1, 1, 1, d("100.0"), 0, d("0"), d("0"), d("0"), 0, d("0")),
    }


@pytest.mark.usefixtures("small_art_records")
def test_pace_and_periods_of_a_gallery(rows: Rows) -> None:
    # Blue: a1 in 30 days and in the month; a1, a2, a9 in 12 months; days 30 and 9: 19.5, rounded 20;
    # a9 fell into 1 to 10 January of the year before. Quay: a3, b1 in 12 months; days 365 and 9: 187.
    assert as_dict(
        rows,
        "select gallery_id, sold_30_days, month_sold, month_net, sold_12_months, net_12_months, "
        "average_days_to_sell, year_to_date_sold, previous_year_to_date_sold, previous_year_to_date_net, "
        "sold_by_year from marts.art_galleries",
    ) == {
        BLUE: (1, 1, d("60"), 3, d("170"), 20, 0, 1, d("30"), {"2025": 3}),
        QUAY: (0, 0, d("0"), 2, d("165.01"), 187, 0, 0, d("0"), {"2023": 1, "2024": 1, "2025": 2}),
        DIRECT: (0, 0, d("0"), 0, d("0"), None, 0, 0, d("0"), {"2022": 1}),
        OLD: (0, 0, d("0"), 0, d("0"), None, 0, 0, d("0"), {"2022": 1}),
    }


@pytest.mark.usefixtures("small_art_records")
def test_portfolio_totals(rows: Rows) -> None:
    # 10 + 4 + 2 + 12 copies, 8 + 3 + 2 + 1 on paper, 6 + 2 + 2 sold, 4 + 2 + 0 + 12 left; 10 / 28 = 35.71 %;
    # (60 + 50 + 100 + 0) / 4; due a1 60, a3 65.01, a9 30, b1 100, c1 60.
    assert rows(
        "select as_of, artworks, editions, printed, sold, left_to_sell, sell_through_percent, "
        "average_sell_through_percent, nearly_sold_out, sold_out, gross, net, potential_gross, due_sales, due "
        "from marts.art_portfolio"
    ) == [
        (
            AS_OF,
            4,
            28,
            14,
            10,
            18,
            d("35.7"),
            d("52.5"),
            0,
            1,
            d("830.01"),
            d("560.01"),
            d("686.01"),
            5,
            d("315.01"),
        )
    ]


@pytest.mark.usefixtures("small_art_records")
def test_portfolio_rolling_periods(rows: Rows) -> None:
    # Last 12 months: a1 100, a2 80, a3 100.01, a9 50, b1 200. The 12 before: a8, a gift: its value has no change
    # in percent. Three years before: a8 0, b2 150, c1 60: 1 copy and 70 pounds a year; 530.01 is 657.2 % more.
    assert rows(
        "select rolling_sold, rolling_gross, rolling_net, previous_sold, previous_gross, previous_net, "
        "change_sold_percent, change_gross_percent, three_year_average_sold, three_year_average_gross, "
        "three_year_average_net, against_average_sold_percent, against_average_gross_percent, "
        "year_to_date_sold, previous_year_to_date_sold, previous_year_to_date_net from marts.art_portfolio"
    ) == [
        (5, d("530.01"), d("335.01"), 1, d("0"), d("0"), d("400.0"), None, d("1.0"), d("70.00"), d("45.00"),
         d("400.0"), d("657.2"), 0, 1, d("30"))
    ]  # fmt: skip


@pytest.mark.usefixtures("small_art_records")
def test_portfolio_says_what_its_numbers_rest_on(rows: Rows) -> None:
    # No date: a7, 90. No price: c2. No gallery: a7. No commission of their own: a2, a7, c1. Outside: 500 + 40.
    assert rows(
        "select sold_without_date, gross_without_date, sold_without_price, sold_without_gallery, "
        "sold_without_commission, sold_outside, gross_outside from marts.art_portfolio"
    ) == [(1, d("90"), 1, 1, 3, 2, d("540"))]


@pytest.mark.usefixtures("small_art_records")
def test_uk_tax_years_begin_on_6_april(rows: Rows) -> None:
    # 2025-26: a3 (6 April), a1, b1. 2024-25: a2 (5 April), a9. 2023-24: a8, b2. 2021-22: c1, c2. Undated: a7.
    assert as_dict(
        rows,
        "select tax_year, sales, sales_without_price, gross, commission, net, settled_net, unsettled_net, "
        "unsettled_sales, previous_sales, previous_gross, previous_net from marts.art_uk_tax_year where level = 'year'",
    ) == {
        "2025-26": (3, 0, d("400.01"), d("175.00"), d("225.01"), d("0"), d("225.01"), 3, 2, d("130"), d("110")),
        "2024-25": (2, 0, d("130"), d("20"), d("110"), d("80"), d("30"), 1, 2, d("150"), d("75")),
        "2023-24": (2, 0, d("150"), d("75"), d("75"), d("75"), d("0"), 1, None, None, None),
        "2021-22": (2, 1, d("60"), d("0"), d("60"), d("0"), d("60"), 1, None, None, None),
        "undated": (1, 0, d("90"), d("0"), d("90"), d("90"), d("0"), 0, None, None, None),
    }  # fmt: skip


@pytest.mark.usefixtures("small_art_records")
def test_uk_tax_year_quarters_months_and_channels_add_up_to_the_year(rows: Rows) -> None:
    def level(name: str, column: str) -> set[tuple[Any, ...]]:
        return set(
            rows(
                f"select tax_year, {column}, sales, gross from marts.art_uk_tax_year "
                f"where level = '{name}' and tax_year in ('2025-26', '2024-25')"
            )
        )

    assert level("quarter", "tax_quarter") == {
        ("2025-26", 1, 1, d("100.01")), ("2025-26", 3, 2, d("300")), ("2024-25", 4, 2, d("130"))
    }  # fmt: skip
    assert level("month", "month") == {
        ("2025-26", date(2025, 4, 1), 1, d("100.01")), ("2025-26", date(2025, 12, 1), 2, d("300")),
        ("2024-25", date(2025, 1, 1), 1, d("50")), ("2024-25", date(2025, 4, 1), 1, d("80")),
    }  # fmt: skip
    assert level("channel", "gallery") == {
        ("2025-26", "Blue Door", 1, d("100")), ("2025-26", "Quay", 2, d("300.01")),
        ("2024-25", "Blue Door", 2, d("130")),
    }  # fmt: skip
    sums = rows("select distinct sum(gross) from marts.art_uk_tax_year group by level")
    assert sums == [(d("830.01"),)]


@pytest.mark.usefixtures("small_art_records")
def test_invoices_of_a_gallery_by_month(rows: Rows) -> None:
    assert set(
        rows(
            "select gallery_id || to_char(month, ' YYYY-MM'), sales, sales_without_price, gross, commission, net, paid, "
            "due, due_sales from marts.art_gallery_invoices"
        )
    ) == {
        ("gaBlue 2025-12", 1, 0, d("100"), d("40"), d("60"), d("0"), d("60"), 1),
        ("gaBlue 2025-04", 1, 0, d("80"), d("0"), d("80"), d("80"), d("0"), 0),
        ("gaBlue 2025-01", 1, 0, d("50"), d("20"), d("30"), d("0"), d("30"), 1),
        ("gaQuay 2025-12", 1, 0, d("200"), d("100"), d("100"), d("0"), d("100"), 1),
        ("gaQuay 2025-04", 1, 0, d("100.01"), d("35.00"), d("65.01"), d("0"), d("65.01"), 1),
        ("gaQuay 2024-01", 1, 0, d("0"), d("0"), d("0"), d("0"), d("0"), 0),
        ("gaQuay 2023-06", 1, 0, d("150"), d("75"), d("75"), d("75"), d("0"), 0),
        ("gaDirect 2022-01", 1, 0, d("60"), d("0"), d("60"), d("0"), d("60"), 1),
        ("gaOld 2022-01", 1, 1, d("0"), d("0"), d("0"), d("0"), d("0"), 0),
    }  # fmt: skip


@pytest.mark.usefixtures("small_art_records")
def test_an_invoice_number_is_that_of_the_issued_invoice_in_force_and_nothing_else(
    art_records: Engine, rows: Rows
) -> None:
    number = "select invoice from marts.art_sales_register where edition_id = 'ed____a1'"
    month = (
        "select invoices, sales_not_invoiced from marts.art_gallery_invoices "
        "where gallery_id = 'gaBlue' and month = '2025-12-01'"
    )
    assert (rows(number), rows(month)) == ([(None,)], [(None, 1)])
    issued = text("""
        insert into art.documents (kind, year, number, distributor_id, month, issued_on, who, reason, replaces, stated,
                                   html_sha256, pdf_sha256)
        values ('invoice', 2026, :n, 'gaBlue', '2025-12-01', '2026-01-09', 'ann', 'a test',
                (select document_id from art.documents where number = cast(:n as integer) - 1),
                '{"lines": [{"edition_id": "ed____a1", "net": "60"}]}', repeat('a', 64), repeat('b', 64))
    """)
    with art_records.begin() as connection:
        connection.execute(issued, {"n": 1})
    assert (rows(number), rows(month)) == ([("INV-2026-0001",)], [("INV-2026-0001", 0)])
    with art_records.begin() as connection:
        connection.execute(issued, {"n": 2})
    assert (rows(number), rows(month)) == ([("INV-2026-0002",)], [("INV-2026-0002", 0)])


@pytest.mark.usefixtures("small_art_records")
def test_net_is_the_art_tables_invoice_amount_in_every_mart(rows: Rows) -> None:
    (net,) = rows("select sum(invoice_amount) from art.editions where is_active and kind = 'edition'")
    assert net == (d("560.01"),)
    assert rows("select net from marts.art_portfolio") == [net]
    assert rows("select sum(net) from marts.art_artworks") == [net]
    assert rows("select sum(net) from marts.art_sales_register") == [net]
    assert rows("select sum(net) from marts.art_uk_tax_year where level = 'year'") == [net]
    placed = rows("select sum(invoice_amount) from art.editions where is_active and kind = 'edition' "
                  "and distributor_id is not null")  # fmt: skip
    assert rows("select sum(net) from marts.art_galleries") == placed
    assert rows("select sum(net) from marts.art_gallery_invoices") == placed


@pytest.mark.usefixtures("small_art_records")
def test_the_register_has_one_line_per_sale(rows: Rows) -> None:
    lines = as_dict(
        rows,
        "select edition_id, artwork, gallery, tax_year, invoice, gross, commission, net, commission_is_unknown "
        "from marts.art_sales_register",
    )
    assert len(lines) == 10
    assert lines["ed____a2"] == (
        "Harbour", "Blue Door", "2024-25", None, d("80"), d("0"), d("80"), True
    )  # fmt: skip
    assert lines["ed____a7"] == ("Harbour", None, "undated", None, d("90"), d("0"), d("90"), True)


@pytest.mark.usefixtures("small_art_records")
def test_unpaid_sales_by_age(rows: Rows) -> None:
    # Ages: a1 21 days, a9 365, a3 279, b1 31, c1 four years.
    assert as_dict(
        rows,
        "select gallery, sales, due, due_0_30_days, due_31_60_days, due_61_90_days, due_91_180_days, "
        "due_over_180_days, due_undated, oldest_sale from marts.art_unsettled_ageing",
    ) == {
        "Blue Door": (2, d("90"), d("60"), 0, 0, 0, d("30"), 0, date(2025, 1, 10)),
        "Quay": (2, d("165.01"), 0, d("100"), 0, 0, d("65.01"), 0, date(2025, 4, 6)),
        "Direct": (1, d("60"), 0, 0, 0, 0, d("60"), 0, date(2022, 1, 10)),
    }


@pytest.mark.parametrize(
    ("days", "column"),
    [
        (0, "due_0_30_days"), (30, "due_0_30_days"), (31, "due_31_60_days"), (60, "due_31_60_days"),
        (61, "due_61_90_days"), (90, "due_61_90_days"), (91, "due_91_180_days"), (180, "due_91_180_days"),
        (181, "due_over_180_days"), (None, "due_undated"),
    ],
)  # fmt: skip
def test_an_unpaid_sale_ages_at_the_right_day(
    art_records: Engine, rows: Rows, days: int | None, column: str
) -> None:
    sold = None if days is None else AS_OF - timedelta(days=days)
    insert(art_records, "prints", [{"airtable_id": PIER, "name": "Pier"}])
    insert(
        art_records, "editions", [edition("x", PIER, 1, None, is_sold=True, date_sold=sold, retail_price=10)]
    )
    assert rows(f"select due, {column} from marts.art_unsettled_ageing") == [(d("10"), d("10"))]


@pytest.mark.usefixtures("small_art_records")
def test_sell_through_grows_year_by_year(rows: Rows) -> None:
    # Harbour, 10 copies: a8 in 2024, then a1, a2, a3, a9; a7 has no date. Pier, 4: b2, b1.
    def years(print_id: str) -> list[tuple[Any, ...]]:
        return rows(
            "select year, sold, sold_to_date, sell_through_percent from marts.art_sell_through "
            f"where print_id = '{print_id}' order by year"
        )

    assert years(HARBOUR) == [(2024, 1, 1, d("10.0")), (2025, 4, 5, d("50.0")), (2026, 0, 5, d("50.0"))]
    assert years(PIER) == [
        (2023, 1, 1, d("25.0")), (2024, 0, 1, d("25.0")), (2025, 1, 2, d("50.0")), (2026, 0, 2, d("50.0"))
    ]  # fmt: skip
    assert years(OTHER_REGATTA) == []


@pytest.mark.usefixtures("small_art_records")
def test_sales_by_month_have_no_gaps(rows: Rows) -> None:
    # January 2022 to January 2026 are 49 months. December 2025: a1 100 and b1 200; 9 dated sales of 28 copies.
    months = as_dict(
        rows,
        "select month, sold, gross, net, sold_to_date, sell_through_percent from marts.art_sales_by_month",
    )
    assert len(months) == 49
    assert months[date(2022, 1, 1)] == (2, d("60"), d("60"), 2, d("7.1"))
    assert months[date(2025, 11, 1)] == (0, d("0"), d("0"), 7, d("25.0"))
    assert months[date(2025, 12, 1)] == (2, d("300"), d("160"), 9, d("32.1"))
    assert months[date(2026, 1, 1)] == (0, d("0"), d("0"), 9, d("32.1"))


@pytest.mark.usefixtures("small_art_records")
def test_the_grid_of_galleries_and_artworks(rows: Rows) -> None:
    # a9 stands under Harbour only, its first link.
    assert set(
        rows(
            "select gallery, print_id, allocated, sold, in_stock, conversion_percent, gross "
            "from marts.art_gallery_artworks"
        )
    ) == {
        ("Blue Door", HARBOUR, 5, 3, 2, d("60.0"), d("230")),
        ("Quay", HARBOUR, 2, 2, 0, d("100.0"), d("100.01")),
        ("Quay", PIER, 3, 2, 1, d("66.7"), d("350")),
        ("Direct", REGATTA, 1, 1, 0, d("100.0"), d("60")),
        ("Direct", OTHER_REGATTA, 1, 0, 1, d("0.0"), d("0")),
        ("Direct Old", REGATTA, 1, 1, 0, d("100.0"), d("0")),
    }


@pytest.mark.usefixtures("small_art_records")
def test_the_next_ten_numbers_to_print(rows: Rows) -> None:
    # Harbour: 6; 7 is on paper, 11 is above 10. The other Regatta: 2 to 11; 12 is the eleventh, 13 above 12.
    numbers: dict[str, list[int]] = {}
    for print_id, place, number in rows(
        "select print_id, place, edition_number from marts.art_next_unprinted order by print_id, place"
    ):
        numbers.setdefault(print_id, []).append(number)
        assert place == len(numbers[print_id])
    assert numbers == {HARBOUR: [6], PIER: [4], OTHER_REGATTA: list(range(2, 12))}


@pytest.mark.usefixtures("small_art_records")
def test_the_stock_check_list(rows: Rows) -> None:
    assert set(
        rows(
            "select gallery, edition, days_in_gallery, is_stale, is_stock_checked, size from marts.art_stock_check"
        )
    ) == {
        ("Blue Door", "Harbour - 4", 180, True, True, None),
        ("Blue Door", "Harbour - 5", 179, False, False, "Large"),
        ("Quay", "Pier - 3", None, False, False, None),
        ("Direct", "Regatta - 1", None, False, False, None),
    }


@pytest.mark.usefixtures("small_art_records")
def test_defaults_live_in_the_presentation_mart_alone(rows: Rows) -> None:
    shown = as_dict(
        rows,
        "select right(edition_id, 2), size, size_is_default, frame_type, frame_is_default, is_settled, "
        "settled_is_default from marts.art_editions_shown where kind = 'edition'",
    )
    assert shown["a5"] == ("Large", False, "Mounted", False, False, False)
    assert shown["b3"] == ("Small", True, "Framed", True, False, False)
    assert shown["a3"] == ("Small", True, "Framed", True, True, True)  # 279 days old
    assert shown["a1"] == ("Small", True, "Framed", True, False, False)
    assert shown["a2"] == ("Small", True, "Framed", True, True, False)
    sizes = "select distinct size from {} order by 1"
    assert rows(sizes.format("marts.art_stock_check")) == [("Large",), (None,)]
    assert rows("select distinct frame_type from intermediate.art_counted_editions order by 1") == [
        ("Mounted",), ("Unknown",), (None,)
    ]  # fmt: skip


@pytest.mark.usefixtures("small_art_records")
def test_another_day_moves_every_period(rows: Rows, art_records: Engine) -> None:
    assert rows("select rolling_sold from marts.art_portfolio") == [(5,)]
    with art_records.connect() as connection:
        # On 9 January 2025: a8 and nothing else within a year.
        connection.execute(text("set crown.as_of = '2025-01-09'"))
        found = connection.execute(text("select as_of, rolling_sold, rolling_gross from marts.art_portfolio"))
        assert found.one() == (date(2025, 1, 9), 1, 0)
        connection.execute(text("set crown.as_of = ''"))
        assert connection.execute(text("select as_of = current_date from staging.art_clock")).scalar_one()


@pytest.mark.usefixtures("small_art_records")
def test_alerts_of_the_small_art_records(rows: Rows) -> None:
    # Blue has 2 pieces and sold 3, Quay 1 and 2; Direct has 1 and sold none in 12 months.
    assert set(rows("select alert, subject, value from marts.art_alerts")) == {
        ("sold_out", "Regatta", 2),
        ("low_stock", "Blue Door", 2),
        ("low_stock", "Quay", 1),
    }


def _alerts_of(
    art_records: Engine, rows: Rows, editions: list[dict[str, Any]], total: int | None = None
) -> set[str]:
    insert(art_records, "prints", [{"airtable_id": PIER, "name": "Pier", "total_editions": total}])
    insert(
        art_records,
        "distributors",
        [
            {"airtable_id": BLUE, "name": "Blue Door", "kind": "gallery"},
            {"airtable_id": OLD, "name": "Checked", "kind": "placeholder"},
        ],
    )
    insert(art_records, "editions", editions)
    return {alert for (alert,) in rows("select alert from marts.art_alerts")}


@pytest.mark.parametrize(
    ("total", "sold", "expected"),
    [
        (20, 18, {"nearly_sold_out"}),  # 2 left, 90 %
        (19, 17, set()),  # 2 left, 89.5 %
        (50, 45, {"nearly_sold_out"}),  # 5 left, 90 %
        (60, 54, set()),  # 6 left, 90 %
        (9, 9, {"sold_out"}),
        (8, 10, {"oversold"}),  # 125 %
    ],
)
def test_nearly_sold_out_is_at_most_five_left_and_at_least_90_percent(
    art_records: Engine, rows: Rows, total: int, sold: int, expected: set[str]
) -> None:
    # Two years old, so that nothing is fast.
    editions = [
        edition(str(n), PIER, n, None, retail_price=1, date_sold="2023-01-01") for n in range(1, sold + 1)
    ]
    assert _alerts_of(art_records, rows, editions, total) == expected


@pytest.mark.parametrize(
    ("total", "sold", "expected"),
    [(9, 3, {"high_velocity"}), (10, 3, set()), (8, 3, set())],
    ids=["3 of 6 left", "3 of 7 left", "only 5 left"],
)
def test_high_velocity_is_half_of_the_rest_in_a_year_and_more_than_five_left(
    art_records: Engine, rows: Rows, total: int, sold: int, expected: set[str]
) -> None:
    editions = [edition(str(n), PIER, n, None, date_sold="2025-06-01") for n in range(1, sold + 1)]
    assert _alerts_of(art_records, rows, editions, total) == expected


@pytest.mark.parametrize(
    ("gallery", "number", "expected"), [(BLUE, 3, {"unsettled"}), (BLUE, 2, set()), (OLD, 3, set())]
)
def test_three_unpaid_sales_of_a_place_are_an_alert(
    art_records: Engine, rows: Rows, gallery: str, number: int, expected: set[str]
) -> None:
    editions = [
        edition(str(n), PIER, n, gallery, retail_price=10, date_sold="2024-06-01")
        for n in range(1, number + 1)
    ]
    assert _alerts_of(art_records, rows, editions, 100) == expected


@pytest.mark.parametrize(
    ("since", "number", "expected"),
    [("2025-07-14", 3, {"stale"}), ("2025-07-15", 3, set()), ("2025-07-14", 2, set())],
)
def test_three_pieces_of_180_days_are_stale(
    art_records: Engine, rows: Rows, since: str, number: int, expected: set[str]
) -> None:
    editions = [edition(str(n), PIER, n, BLUE, date_in_gallery=since) for n in range(1, number + 1)]
    assert _alerts_of(art_records, rows, editions, 100) == expected


@pytest.mark.parametrize(
    ("stock", "sold_on", "expected"),
    [(3, "2025-01-10", {"low_stock"}), (4, "2025-01-10", set()), (3, "2025-01-09", set())],
)
def test_low_stock_is_one_to_three_pieces_where_something_sold_in_12_months(
    art_records: Engine, rows: Rows, stock: int, sold_on: str, expected: set[str]
) -> None:
    editions = [edition(str(n), PIER, n, BLUE) for n in range(1, stock + 1)]
    editions.append(edition("sold", PIER, 50, BLUE, date_sold=sold_on))
    assert _alerts_of(art_records, rows, editions, 100) == expected


def test_empty_art_records_give_empty_marts_and_a_portfolio_of_zeros(rows: Rows) -> None:
    assert rows("select artworks, sold, gross, sell_through_percent from marts.art_portfolio") == [
        (0, 0, 0, None)
    ]
    for mart in ("art_artworks", "art_galleries", "art_alerts", "art_uk_tax_year", "art_sales_by_month"):
        assert rows(f"select * from marts.{mart}") == []
