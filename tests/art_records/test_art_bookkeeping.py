"""The book-keeper's acts on single records and on many: what they write, refuse and leave alone."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from threading import Barrier, Thread

import pytest

from crown.art_records.acts import bookkeeping, local
from crown.art_records.history.rollback import rollback
from crown.art_records.wording import day, money, month, percent, said
from crown.errors import BadInput, Refused

from .conftest import ArtTables, distributor_row, edition_row, print_row, rid

TODAY = date(2026, 3, 1)
PAID = date(2026, 2, 10)


@pytest.fixture
def stocked(art_records: ArtTables) -> ArtTables:
    """Amber Room sold 1 and 2 in January 2026 and 3 in February, Blue Door sold 4; 5 to 8 are not printed."""
    sold = {"Printed": "checked", "Sold": "checked", "Retail Price": "£100.00"}
    art_records.sync(
        prints=[print_row(1, **{"Total Editions": "10"})],
        distributors=[distributor_row(1, "Direct", Commission="0%"), distributor_row(2, "Amber Room", Commission="40%"),
                      distributor_row(3, "Blue Door", Commission="50%")],
        editions=[
            edition_row(1, at=2, Commission="40%", **sold, **{"Date Sold": "1/5/2026"}),
            edition_row(2, at=2, Commission="35%", **sold, **{"Date Sold": "1/31/2026"}),
            edition_row(3, at=2, Commission="40%", **sold, **{"Date Sold": "2/1/2026"}),
            edition_row(4, at=3, Commission="50%", **sold, **{"Date Sold": "1/9/2026"}),
            *[edition_row(n, at=1) for n in range(5, 9)],
        ],
    )  # fmt: skip
    return art_records


def settled(art_records: ArtTables) -> list[tuple[object, ...]]:
    return art_records.rows(
        "select edition_number, date_settled from art.editions where is_settled order by 1"
    )


def test_a_gallerys_month_is_settled_as_one_sync_with_the_day_it_was_paid(stocked: ArtTables) -> None:
    plan = bookkeeping.settle_month(
        stocked.engine, "amber room", date(2026, 1, 1), who="ann", paid_on=PAID, today=TODAY
    )
    assert ([row[1] for row in plan.editions], plan.total, plan.sync_number) == (
        ["Work 1 - 1", "Work 1 - 2"], Decimal("125.00"), None)  # fmt: skip
    assert settled(stocked) == []
    done = bookkeeping.settle_month(
        stocked.engine, "amber room", date(2026, 1, 1), who="ann", paid_on=PAID, today=TODAY, apply=True
    )
    assert settled(stocked) == [(1, PAID), (2, PAID)]
    assert stocked.rows("select distinct sync_number from art.changes where field = 'is_settled'") == [
        (done.sync_number,)]  # fmt: skip
    assert "£125.00 net" in done.text()
    assert done.as_dict()["total_net"] == 125.0
    with pytest.raises(Refused, match="Amber Room sold 2 in 2026-01, all settled already"):
        bookkeeping.settle_month(
            stocked.engine, "amber room", date(2026, 1, 1), who="ann", paid_on=PAID, today=TODAY
        )
    rollback(stocked.engine, done.sync_number, who="ann", apply=True)
    assert settled(stocked) == []


def test_a_month_is_settled_once_though_two_settle_it_at_the_same_time(stocked: ArtTables) -> None:
    start, said_so = Barrier(2), []

    def settle() -> None:
        start.wait()
        try:
            bookkeeping.settle_month(stocked.engine, "Amber Room", date(2026, 1, 1), who="ann", paid_on=PAID,
                                     today=TODAY, apply=True)  # fmt: skip
            said_so.append("settled")
        except Refused as error:
            said_so.append(str(error))

    both = [Thread(target=settle) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(said_so) == ["Amber Room sold 2 in 2026-01, all settled already.", "settled"]
    assert stocked.one("select count(*) from art.changes where field = 'is_settled'") == 2


@pytest.mark.parametrize(
    ("gallery", "of", "paid", "sentence"),
    [
        ("Amber Room", date(2025, 1, 1), PAID, "sold nothing in 2025-01"),
        ("Amber Room", date(2026, 1, 1), date(2026, 3, 2), "in the future"),
        ("Amber Room", date(2026, 1, 1), date(2026, 1, 15), "was sold on 2026-01-31, after 2026-01-15"),
        ("Nowhere", date(2026, 1, 1), PAID, "not in distributors"),
    ],
)
def test_a_month_that_cannot_be_settled_is_refused_whole(
    stocked: ArtTables, gallery: str, of: date, paid: date, sentence: str
) -> None:
    with pytest.raises((Refused, BadInput), match=sentence):
        bookkeeping.settle_month(
            stocked.engine, gallery, of, who="ann", paid_on=paid, today=TODAY, apply=True
        )
    assert settled(stocked) == []


def test_a_sale_is_taken_back_and_a_settled_one_only_when_it_is_said(stocked: ArtTables) -> None:
    local.settle(stocked.engine, rid("E", 1), who="ann", paid_on=PAID, payment="by Ann", today=TODAY)
    with pytest.raises(Refused, match="is settled; say --settled"):
        bookkeeping.take_back_sale(stocked.engine, rid("E", 1), who="ann", reason="returned")
    bookkeeping.take_back_sale(stocked.engine, rid("E", 1), who="ann", reason="returned", even_settled=True)
    assert stocked.rows("select is_sold, date_sold, is_settled, date_settled, payment_note, retail_price, invoice_amount "
                        "from art.editions where airtable_id = :i", i=rid("E", 1)) == [
        (False, None, False, None, None, Decimal("100.00"), Decimal(0))]  # fmt: skip
    with pytest.raises(Refused, match="is not sold"):
        bookkeeping.take_back_sale(stocked.engine, rid("E", 1), who="ann", reason="returned")


def test_printed_marks_many_editions_and_names_those_that_are_not_there(stocked: ArtTables) -> None:
    plan = bookkeeping.mark_printed(stocked.engine, "Work 1", bookkeeping.ranges("4-6"), who="ann")
    assert ([row[1] for row in plan.editions], plan.left) == (
        ["Work 1 - 5", "Work 1 - 6"],
        {"printed already": 1},
    )
    bookkeeping.mark_printed(stocked.engine, "Work 1", [5, 6], who="ann", apply=True)
    assert stocked.rows("select edition_number from art.editions where not is_printed order by 1") == [
        (7,),
        (8,),
    ]
    with pytest.raises(BadInput, match="no edition 9, 10 in the art tables"):
        bookkeeping.mark_printed(stocked.engine, "Work 1", [8, 9, 10], who="ann", apply=True)
    with pytest.raises(Refused, match="printed already"):
        bookkeeping.mark_printed(stocked.engine, "Work 1", [5], who="ann")
    with pytest.raises(BadInput, match="'6-2' is no number or range"):
        bookkeeping.ranges("1,6-2")


def test_a_new_gallery_and_a_new_edition_are_entered_once(stocked: ArtTables) -> None:
    gallery = bookkeeping.add_gallery(stocked.engine, " Harbour  Lights ", who="ann", commission=Decimal(45))
    assert stocked.rows("select name, kind, commission_percentage from art.distributors where airtable_id = :i",
                        i=gallery.airtable_id) == [("Harbour Lights", "gallery", Decimal("45.00"))]  # fmt: skip
    with pytest.raises(Refused, match="called harbour lights already"):
        bookkeeping.add_gallery(stocked.engine, "harbour lights", who="ann")
    edition = bookkeeping.add_edition(stocked.engine, "Work 1", 9, who="ann", price=Decimal(120), at="Harbour Lights",
                                      printed=True)  # fmt: skip
    assert edition.name == "Work 1 - 9"
    assert stocked.rows("select edition_display_name, is_printed, is_sold, retail_price, distributor_id, source "
                        "from art.editions where airtable_id = :i", i=edition.airtable_id) == [
        ("Work 1 - 9", True, False, Decimal("120.00"), gallery.airtable_id, "local")]  # fmt: skip
    for number, sentence in (
        (9, "in the art tables already"),
        (11, "editions 1 to 10, not 11"),
        (0, "not 0"),
    ):
        with pytest.raises(Refused, match=sentence):
            bookkeeping.add_edition(stocked.engine, "Work 1", number, who="ann")
    # An export that does not know them leaves them alone, also a full one.
    assert stocked.sync("full", editions=[edition_row(n) for n in range(1, 9)]).table("editions").closed == []


def test_a_closed_record_comes_back_as_it_stood_unless_its_number_was_given_away(stocked: ArtTables) -> None:
    before = stocked.state()
    with pytest.raises(Refused, match="3 active editions belong to Amber Room; move them first"):
        bookkeeping.close(stocked.engine, "distributors", "Amber Room", who="ann", reason="gone")
    with pytest.raises(BadInput, match="needs a reason"):
        bookkeeping.close(stocked.engine, "editions", "Work 1 - 8", who="ann", reason=" ")
    bookkeeping.close(stocked.engine, "editions", "Work 1 - 8", who="ann", reason="torn")
    assert stocked.rows("select is_active, close_reason from art.editions where airtable_id = :i", i=rid("E", 8)) == [
        (False, "torn")]  # fmt: skip
    with pytest.raises(Refused, match=r"is closed \(torn\); reopen it first: `crown art reopen "):
        local.move(stocked.engine, rid("E", 8), "Blue Door", who="ann", on=PAID)
    bookkeeping.reopen(stocked.engine, "editions", "work 1 - 8", who="ann")
    assert stocked.state() == before
    bookkeeping.close(stocked.engine, "editions", rid("E", 8), who="ann", reason="torn")
    other = bookkeeping.add_edition(stocked.engine, "Work 1", 8, who="ann")
    with pytest.raises(Refused, match=f"exists as {other.airtable_id} now"):
        bookkeeping.reopen(stocked.engine, "editions", rid("E", 8), who="ann")
    with pytest.raises(Refused, match="is not closed"):
        bookkeeping.reopen(stocked.engine, "prints", "Work 1", who="ann")


def test_days_are_iso_and_another_form_is_read_only_when_it_can_mean_one_day() -> None:
    feb = date(2026, 2, 3)
    assert [day("2026-02-03"), day("2026-2-3"), day("25/12/2025"), day("12/25/2025"), day("2.2.2026")] == [
        feb, feb, date(2025, 12, 25), date(2025, 12, 25), date(2026, 2, 2)]  # fmt: skip
    with pytest.raises(BadInput, match="may be 2026-02-03 or 2026-03-02; write the one you mean"):
        day("03/02/2026")
    for given in ("yesterday", "2026-02-30", "31/31/2026", "3/2/26", "", "20260203"):
        with pytest.raises(BadInput, match="write it as"):
            day(given)
    assert month("2026-01") == date(2026, 1, 1)
    for given in ("2026-13", "01/2026", "2026"):
        with pytest.raises(BadInput, match="write it as 2026-01"):
            month(given)


def test_an_edit_takes_days_as_people_write_them(stocked: ArtTables) -> None:
    local.edit(stocked.engine, "editions", rid("E", 5), {"date_in_gallery": "2026-02-03"}, who="ann")
    assert stocked.value(5, "date_in_gallery") == date(2026, 2, 3)
    with pytest.raises(BadInput, match="may be 2026-04-05 or 2026-05-04"):
        local.edit(stocked.engine, "editions", rid("E", 5), {"date_in_gallery": "5/4/2026"}, who="ann")
    local.edit(stocked.engine, "distributors", rid("D", 2), {"last_update_date": "2026-02-03"}, who="ann")
    assert stocked.one("select last_update_date from art.distributors where name = 'Amber Room'") == date(
        2026, 2, 3
    )


def test_people_read_money_with_its_sign_and_records_by_name(stocked: ArtTables) -> None:
    assert [money(Decimal("1234.5")), money(-5), money(0.1), money(None)] == [
        "£1,234.50",
        "-£5.00",
        "£0.10",
        "unknown",
    ]
    assert [percent(40), percent(Decimal("37.50")), said("is_sold", True), said("notes", "Ann")] == [
        "40 %", "37.5 %", "yes", "(3 characters)"]  # fmt: skip
    local.edit(stocked.engine, "editions", rid("E", 5), {"is_printed": "checked"}, who="ann")
    moved = local.move(stocked.engine, rid("E", 5), "Blue Door", who="ann", on=PAID)
    assert f"move Work 1 - 5 ({rid('E', 5)}) as sync" in moved.text()
    assert f"Direct ({rid('D', 1)}) → Blue Door ({rid('D', 3)})" in moved.text()
    assert "commission_percentage: unknown → 50 %" in moved.text()
