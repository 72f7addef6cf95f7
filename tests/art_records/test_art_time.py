"""Two axes of time: when something was so, and when the art tables said so."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from crown.art_records.acts import local
from crown.art_records.history.rollback import rollback
from crown.art_records.history.states import as_of

from .conftest import ArtTables, distributor_row, edition_row, print_row, rid

ONE = rid("E", 1)
NOW = date.max


def row(pounds: int, **cells: str) -> dict[str, str]:
    return edition_row(
        1, at=1, Printed="checked", Commission="40%", **{"Retail Price": f"£{pounds}.00"}, **cells
    )


def dated(day: str) -> dict[str, str]:
    return {"editions": f"Editions {day}.csv"}


def entered_on(art_records: ArtTables, sync_number: int, day: str) -> None:
    """Let an act have been entered on another day than today."""
    with art_records.engine.begin() as connection:
        connection.execute(
            text("update art.syncs set completed_at = cast(:d as timestamptz) where sync_number = :n"),
            {"d": f"{day} 12:00", "n": sync_number},
        )


def field(art_records: ArtTables, name: str, on: date, *, recorded: bool = False) -> Any:
    state = as_of(art_records.engine, ONE, on, recorded=recorded)
    return None if state is None else state[name]


@pytest.fixture
def art_records_of_autumn(art_records: ArtTables) -> ArtTables:
    """Sync 1: places and prints; 2: export of 1 October at £90; 3: a sale of 20 November, entered that day;
    4: export of 10 November at £95, loaded on 25 November.
    """
    art_records.sync(prints=[print_row(1)], distributors=[distributor_row(1, "Amber Room", Commission="40%")])
    art_records.sync(editions=[row(90)], names=dated("2025-10-01"))
    local.sell(art_records.engine, ONE, who="ann", sold_on=date(2025, 11, 20), price=Decimal(90))
    art_records.sync("merge", editions=[row(95)], names=dated("2025-11-10"))
    for number, day in ((1, "2025-10-02"), (2, "2025-10-02"), (3, "2025-11-20"), (4, "2025-11-25")):
        entered_on(art_records, number, day)
    return art_records


def test_between_an_older_export_and_a_later_sale_the_edition_was_not_sold(
    art_records_of_autumn: ArtTables,
) -> None:
    valid = {
        day: (field(art_records_of_autumn, "is_sold", day), field(art_records_of_autumn, "retail_price", day))
        for day in (date(2025, 10, 31), date(2025, 11, 15), date(2025, 11, 20))
    }
    assert valid == {
        date(2025, 10, 31): (False, Decimal(90)),
        date(2025, 11, 15): (False, Decimal(95)),
        date(2025, 11, 20): (True, Decimal(95)),
    }


def test_the_recorded_axis_answers_with_what_had_been_entered(art_records_of_autumn: ArtTables) -> None:
    recorded = {
        day: (
            field(art_records_of_autumn, "is_sold", day, recorded=True),
            field(art_records_of_autumn, "retail_price", day, recorded=True),
        )
        for day in (date(2025, 11, 15), date(2025, 11, 22), date(2025, 11, 25))
    }
    assert recorded == {
        date(2025, 11, 15): (False, Decimal(90)),
        date(2025, 11, 22): (True, Decimal(90)),
        date(2025, 11, 25): (True, Decimal(95)),
    }


def test_before_the_first_export_a_record_was_in_no_art_records(art_records_of_autumn: ArtTables) -> None:
    assert as_of(art_records_of_autumn.engine, ONE, date(2025, 9, 30)) is None
    assert as_of(art_records_of_autumn.engine, ONE, date(2025, 10, 1)) is not None
    assert as_of(art_records_of_autumn.engine, ONE, date(2025, 10, 1), recorded=True) is None


def test_a_state_of_an_earlier_day_carries_the_computed_columns_of_that_state(
    art_records_of_autumn: ArtTables,
) -> None:
    state = as_of(art_records_of_autumn.engine, ONE, date(2025, 11, 20))
    assert state is not None
    computed = ("invoice_amount", "commission_amount", "month_sold", "edition_display_name", "kind")
    assert [state[name] for name in computed] == [
        Decimal("57.00"),
        Decimal("38.00"),
        11,
        "Work 1 - 1",
        "edition",
    ]


def test_at_the_end_of_time_both_axes_tell_the_current_record(art_records_of_autumn: ArtTables) -> None:
    current = art_records_of_autumn.rows("select * from art.editions where airtable_id = :i", i=ONE)[0]
    for recorded in (False, True):
        state = as_of(art_records_of_autumn.engine, ONE, NOW, recorded=recorded)
        assert state is not None
        assert tuple(state.values()) == current


def test_a_late_entry_counts_from_its_own_day_only_on_the_valid_axis(
    art_records_of_autumn: ArtTables,
) -> None:
    done = local.settle(art_records_of_autumn.engine, ONE, who="ann", paid_on=date(2025, 12, 1))
    entered_on(art_records_of_autumn, done.sync_number, "2026-01-15")
    day = date(2025, 12, 1)
    assert field(art_records_of_autumn, "is_settled", day) is True
    assert field(art_records_of_autumn, "is_settled", day, recorded=True) is False


def test_what_was_taken_back_never_held_but_the_art_records_once_said_it(
    art_records_of_autumn: ArtTables,
) -> None:
    report = rollback(art_records_of_autumn.engine, 4, who="eve", apply=True)
    assert report.sync_number is not None
    entered_on(art_records_of_autumn, report.sync_number, "2025-12-01")
    assert field(art_records_of_autumn, "retail_price", date(2025, 11, 26)) == Decimal(90)
    assert field(art_records_of_autumn, "retail_price", date(2025, 11, 26), recorded=True) == Decimal(95)
    assert field(art_records_of_autumn, "retail_price", date(2025, 12, 1), recorded=True) == Decimal(90)


def test_a_record_that_was_withdrawn_is_in_no_art_records_and_a_closed_one_tells_why(
    art_records_of_autumn: ArtTables,
) -> None:
    local_close = "update art.editions set is_active = false, close_reason = 'water' where airtable_id = :i"
    with art_records_of_autumn.engine.begin() as connection:
        connection.execute(text("select set_config('crown.effective_on', '2025-12-05', true)"))
        connection.execute(text(local_close), {"i": ONE})
    assert field(art_records_of_autumn, "close_reason", date(2025, 12, 4)) is None
    assert field(art_records_of_autumn, "close_reason", date(2025, 12, 5)) == "water"
    rollback(art_records_of_autumn.engine, 2, who="eve", apply=True, through_latest=True, choose="force")
    assert as_of(art_records_of_autumn.engine, ONE, date(2025, 12, 5)) is None
