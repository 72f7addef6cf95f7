"""Every number of the art marts on art tables that are small enough to count by hand, on 10 January 2026.

Days that matter: 30 days before is 11 December 2025; a month before 10 December 2025; a year before
10 January 2025; two years before 10 January 2024; four years before 10 January 2022.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.sql_models.conftest import AS_OF
from tests.sql_models.small_art_records import (
    BLUE,
    DIRECT,
    HARBOUR,
    OLD,
    OTHER_REGATTA,
    PIER,
    QUAY,
    REGATTA,
    Rows,
    as_dict,
    d,
)


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
