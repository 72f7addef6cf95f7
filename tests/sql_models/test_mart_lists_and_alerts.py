"""Lists, periods and alerts of the marts on small art records; totals are in test_marts.py."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.sql_models.conftest import AS_OF, insert
from tests.sql_models.small_art_records import (
    BLUE,
    HARBOUR,
    OLD,
    OTHER_REGATTA,
    PIER,
    REGATTA,
    Rows,
    as_dict,
    d,
    edition,
)


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
