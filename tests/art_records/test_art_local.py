"""What people do in the art tables: validated, in their name, in the trail and in the history."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import text

from crown.art_records.acts import local
from crown.art_records.checks import run_checks
from crown.art_records.history.rollback import rollback
from crown.art_records.history.states import as_of, history, open_conflicts
from crown.art_records.workspace import SYNCS, TABLES
from crown.errors import BadInput, Refused
from crown.ledger import lineage, versions

from .conftest import ArtTables, distributor_row, edition_row, print_row, rid

SALE = date(2025, 11, 3)
PAID = date(2025, 12, 1)


@pytest.fixture
def stocked(art_records: ArtTables) -> ArtTables:
    """Edition 1 for £90 in the Amber Room since March, 2 sold, 3 not printed, 4 without price or commission."""
    art_records.sync(
        prints=[print_row(1)],
        distributors=[distributor_row(1, "Direct", Commission="0%"), distributor_row(2, "Amber Room", Commission="40%"),
                      distributor_row(3, "Unknown")],
        editions=[
            edition_row(1, at=2, Printed="checked", Commission="35%",
                        **{"Retail Price": "£90.00", "Date in Gallery": "3/1/2025"}),
            edition_row(2, at=2, Printed="checked", Sold="checked", **{"Date Sold": "5/1/2025", "Retail Price": "£80.00"}),
            edition_row(3, at=2, **{"Retail Price": "£90.00"}),
            edition_row(4, at=3, Printed="checked"),
        ],
    )  # fmt: skip
    return art_records


def test_a_sale_fixes_price_commission_and_day_and_is_told_in_the_trail(stocked: ArtTables) -> None:
    report = local.sell(stocked.engine, rid("E", 1), who="ann", sold_on=SALE, payment="card, paid by someone")
    assert stocked.rows("select is_sold, date_sold, retail_price, commission_percentage, invoice_amount, is_settled "
                        "from art.editions where airtable_id = :i", i=rid("E", 1)) == [
        (True, SALE, Decimal("90.00"), Decimal("35.00"), Decimal("58.50"), False)]  # fmt: skip
    trail = "select who, subject, department, new_values ->> 'payment_note' from journal.activity where what = 'sell'"
    assert stocked.rows(trail) == [("ann", f"editions/{rid('E', 1)}", "art_records", "(21 characters)")]
    assert "someone" not in report.text() + str(report.as_dict())
    assert stocked.rows("select sync_type, who, via, status from art.syncs where sync_number = :n",
                        n=report.sync_number) == [("manual", "ann", "cli", "completed")]  # fmt: skip


def test_an_act_by_hand_is_in_the_ledger_as_a_sync_is(stocked: ArtTables) -> None:
    with stocked.engine.connect() as connection:
        before = versions.current(connection, TABLES["editions"])["editions"]
        places = versions.current(connection, TABLES["distributors"])
    sold = local.sell(stocked.engine, rid("E", 1), who="ann", sold_on=SALE)
    with pytest.raises(Refused):
        local.sell(stocked.engine, rid("E", 1), who="ann", sold_on=SALE)
    with stocked.engine.connect() as connection:
        acts = versions.current(connection, SYNCS)
        after = versions.current(connection, TABLES["editions"])["editions"]
        back = [
            (one["asset"], one["key"], one["recipe_name"])
            for one in lineage.back(connection, after.output_id)
        ]
        assert versions.current(connection, TABLES["distributors"]) == places
    assert list(acts) == ["1", str(sold.sync_number)], "a refused act is in no ledger"
    assert back == [(TABLES["editions"], "editions", "version"), (SYNCS, str(sold.sync_number), "manual")]
    assert after.content_hash != before.content_hash
    moved = local.edit(stocked.engine, "editions", rid("E", 4), {"retail_price": "70"}, who="ann")
    with stocked.engine.connect() as connection:
        assert versions.current(connection, TABLES["editions"])["editions"].facts == {
            "sync": moved.sync_number
        }


def test_a_sale_elsewhere_takes_that_places_commission(stocked: ArtTables) -> None:
    local.sell(stocked.engine, "Work 1 - 1", who="ann", sold_on=SALE, distributor="direct")
    assert (stocked.value(1, "distributor_id"), stocked.value(1, "commission_percentage")) == (
        rid("D", 1),
        Decimal(0),
    )


@pytest.mark.parametrize(
    ("edition", "more", "sentence"),
    [
        (2, {}, "sold already"), (3, {}, "not printed yet"), (1, {"sold_on": date(2031, 1, 1)}, "in the future"),
        (1, {"sold_on": date(2025, 2, 1)}, "came to its gallery on 2025-03-01"), (4, {}, "price of Work 1 - 4 is unknown"),
        (4, {"price": Decimal(50)}, "commission on Work 1 - 4 is unknown"), (1, {"price": Decimal(-1)}, "price"),
        (1, {"commission": Decimal(101)}, "commission"), (1, {"distributor": "Nowhere"}, "not in distributors"),
        (9, {}, "is not in editions"),
    ],
)  # fmt: skip
def test_a_sale_that_cannot_be_is_refused_and_nothing_changes(
    stocked: ArtTables, edition: int, more: dict[str, object], sentence: str
) -> None:
    before = stocked.state()
    with pytest.raises((Refused, BadInput), match=sentence):
        local.sell(
            stocked.engine, rid("E", edition), **({"who": "ann", "sold_on": SALE, "today": SALE} | more)
        )  # type: ignore[arg-type]
    assert stocked.state() == before
    assert stocked.one("select count(*) from journal.activity where what <> 'sync'") == 0


def test_only_sales_are_settled_and_only_once(stocked: ArtTables) -> None:
    with pytest.raises(Refused, match="not sold"):
        local.settle(stocked.engine, rid("E", 1), who="ann", paid_on=PAID)
    local.settle(stocked.engine, rid("E", 2), who="ann", paid_on=PAID)
    assert stocked.value(2, "is_settled") is True
    with pytest.raises(Refused, match="settled already"):
        local.settle(stocked.engine, rid("E", 2), who="ann", paid_on=PAID)


def test_a_move_changes_place_day_and_commission(stocked: ArtTables) -> None:
    local.move(stocked.engine, rid("E", 1), "Direct", who="ann", on=SALE)
    assert (stocked.value(1, "distributor_id"), stocked.value(1, "date_in_gallery")) == (rid("D", 1), SALE)
    assert stocked.value(1, "commission_percentage") == Decimal(0)
    for edition, to, sentence in (
        (2, "Direct", "is sold"),
        (3, "Direct", "not printed"),
        (1, "Unknown", "placeholder"),
    ):
        with pytest.raises(Refused, match=sentence):
            local.move(stocked.engine, rid("E", edition), to, who="ann", on=SALE)


def test_an_edit_goes_through_the_rules_of_the_exports(stocked: ArtTables) -> None:
    local.edit(stocked.engine, "editions", rid("E", 3), {"is_printed": "yes", "size": "LARGE", "retail_price": "£1,050"},
               who="ann")  # fmt: skip
    assert (stocked.value(3, "is_printed"), stocked.value(3, "size"), stocked.value(3, "retail_price")) == (
        True, "Large", Decimal(1050))  # fmt: skip
    local.edit(
        stocked.engine, "prints", "Work 1", {"total_editions": "50", "name": "harbour_view"}, who="ann"
    )
    assert stocked.rows("select name, total_editions from art.prints") == [("harbour_view", 50)]
    for values, sentence in (
        ({"size": "vast"}, "not a known word"),
        ({"invoice_amount": "1"}, "not a field"),
        ({"print_id": "recZZZZZZZZZZZZZZ"}, "not in prints"),
        ({"size": "large"}, "already"),
    ):
        with pytest.raises((BadInput, Refused), match=sentence):
            local.edit(stocked.engine, "editions", rid("E", 3), values, who="ann")


def test_a_sale_beyond_the_size_of_the_edition_is_entered_with_a_warning_and_a_check_tells_it(
    stocked: ArtTables,
) -> None:
    local.edit(stocked.engine, "prints", "Work 1", {"total_editions": "2"}, who="ann")
    first = local.sell(stocked.engine, rid("E", 1), who="ann", sold_on=SALE)
    assert (first.warning, run_checks(stocked.engine, ("oversold",))[0].passed) == (None, True)
    more = local.sell(
        stocked.engine, rid("E", 4), who="ann", sold_on=SALE, price=Decimal(50), commission=Decimal(40)
    )
    assert more.warning == "Work 1 is oversold: 3 of 2 copies are sold; correct its total or a sale."
    assert more.warning in more.text()
    (oversold,) = run_checks(stocked.engine, ("oversold",))
    assert (oversold.check.severity, oversold.examples) == ("warning", [(rid("P", 1), "Work 1: 3 of 2 sold")])


def test_no_act_lies_in_the_future(stocked: ArtTables) -> None:
    before, later = stocked.state(), date(2025, 11, 4)
    for act in (
        lambda: local.move(stocked.engine, rid("E", 1), "Direct", who="ann", on=later, today=SALE),
        lambda: local.sell(stocked.engine, rid("E", 1), who="ann", sold_on=later, today=SALE),
        lambda: local.settle(stocked.engine, rid("E", 2), who="ann", paid_on=later, today=SALE),
        lambda: local.edit(
            stocked.engine, "editions", rid("E", 1), {"date_in_gallery": str(later)}, who="ann", today=SALE
        ),
    ):
        with pytest.raises(Refused, match="2025-11-04 is in the future"):
            act()
    assert stocked.state() == before


def test_no_act_is_nameless(stocked: ArtTables) -> None:
    with pytest.raises(BadInput, match="say who you are"):
        local.settle(stocked.engine, rid("E", 2), who=" ", paid_on=PAID)


def test_a_negative_price_is_refused_in_one_sentence(stocked: ArtTables) -> None:
    with pytest.raises(BadInput, match="-5 cannot be a price"):
        local.sell(stocked.engine, rid("E", 1), who="ann", sold_on=SALE, price=Decimal(-5))
    with pytest.raises(BadInput, match="-5 cannot be a price"):
        local.add_print(stocked.engine, "New", 5, who="ann", price=Decimal(-5))
    with pytest.raises(BadInput, match="is outside 0 to"):
        local.edit(stocked.engine, "editions", rid("E", 3), {"retail_price": "£-5"}, who="ann")


def test_a_new_print_comes_with_all_its_editions_unprinted_and_direct(stocked: ArtTables) -> None:
    report = local.add_print(stocked.engine, "New  Harbour", 25, who="ann", price=Decimal(60))
    assert report.airtable_id.startswith("WEB_")
    assert stocked.rows(
        "select count(*), min(edition_number), max(edition_number), bool_or(is_printed), min(distributor_id), "
        "min(retail_price), min(kind), max(edition_display_name) from art.editions where print_id = :p", p=report.airtable_id
    ) == [(25, 1, 25, False, rid("D", 1), Decimal(60), "edition", "New Harbour - 9")]  # fmt: skip
    assert stocked.one("select what from journal.activity where what <> 'sync'") == "create"
    with pytest.raises(Refused, match="a print called new harbour already"):
        local.add_print(stocked.engine, "new harbour", 1, who="ann")
    for total in (0, 10_001):
        with pytest.raises(BadInput, match="1 to 10,000"):
            local.add_print(stocked.engine, "Another", total, who="ann")
    rollback(stocked.engine, report.sync_number, who="ann", apply=True)
    assert stocked.one("select count(*) from art.editions where print_id = :p", p=report.airtable_id) == 0


def test_ten_thousand_editions_are_entered_at_once(stocked: ArtTables) -> None:
    report = local.add_print(stocked.engine, "Large Run", 10_000, who="ann")
    assert (
        stocked.one("select count(*) from art.editions where print_id = :p", p=report.airtable_id) == 10_000
    )


@pytest.mark.parametrize(
    ("take", "price", "status"), [("local", 100, "kept_local"), ("source", 95, "took_source")]
)
def test_a_conflict_is_decided_by_a_person_once(
    stocked: ArtTables, take: str, price: int, status: str
) -> None:
    local.edit(stocked.engine, "editions", rid("E", 1), {"retail_price": "100"}, who="ann")
    row = edition_row(
        1,
        at=2,
        Printed="checked",
        **{"Retail Price": "£95.00", "Commission": "35%", "Date in Gallery": "3/1/2025"},
    )
    stocked.sync("merge", editions=[row])
    conflict = open_conflicts(stocked.engine)[0]
    assert local.resolve(stocked.engine, conflict["conflict_id"], take, who="ann") == status
    assert stocked.value(1, "retail_price") == Decimal(price)
    assert stocked.rows("select status, decided_by from art.conflicts") == [(status, "ann")]
    with pytest.raises(Refused, match="already"):
        local.resolve(stocked.engine, conflict["conflict_id"], take, who="ann")
    merged = stocked.sync("merge", editions=[row | {"Size": "Small"}])
    assert merged.table("editions").conflicts == []
    assert stocked.value(1, "retail_price") == Decimal(price)


def test_history_tells_every_act_and_masks_what_people_wrote(stocked: ArtTables) -> None:
    local.edit(stocked.engine, "editions", rid("E", 1), {"notes": "for a friend of the house"}, who="ann")
    sold = local.sell(stocked.engine, rid("E", 1), who="bob", sold_on=SALE)
    rollback(stocked.engine, sold.sync_number, who="eve", apply=True)
    story = history(stocked.engine, "Work 1 - 1")
    assert [(e.op, e.who, e.sync_type) for e in story] == [
        ("create", "tester", "incremental"), ("update", "ann", "manual"), ("update", "bob", "manual"),
        ("update", "eve", "rollback")]  # fmt: skip
    assert story[1].changes == (("notes", None, "(25 characters)"),)
    assert "friend" not in "".join(e.text() for e in story)


def test_a_record_is_shown_as_of_a_day_in_the_art_records_or_as_recorded(art_records: ArtTables) -> None:
    names = {"editions": "Editions 2025-10-29.csv"}
    art_records.sync(prints=[print_row(1)], names={"prints": "Prints 2025-10-01.csv"})
    art_records.sync(editions=[edition_row(1, Size="Small")], names=names)
    art_records.sync(editions=[edition_row(1, Size="Large")], names={"editions": "Editions 2026-01-01.csv"})
    key = rid("E", 1)
    assert as_of(art_records.engine, key, date(2025, 10, 28)) is None
    for day, size in (
        (date(2025, 10, 29), "Small"),
        (date(2025, 12, 31), "Small"),
        (date(2026, 1, 1), "Large"),
    ):
        state = as_of(art_records.engine, key, day)
        assert state is not None
        assert state["size"] == size
    assert as_of(art_records.engine, key, date(2000, 1, 1), recorded=True) is None
    today = as_of(art_records.engine, key, date.today(), recorded=True)  # noqa: DTZ011
    assert today is not None
    assert today["size"] == "Large"


def test_a_name_that_several_records_bear_asks_for_the_id(art_records: ArtTables) -> None:
    art_records.sync(prints=[print_row(1, "Regatta"), print_row(2, "Regatta")])
    with pytest.raises(BadInput, match="2 records of prints are called regatta; give the record id"):
        history(art_records.engine, "regatta")


def test_an_act_and_its_line_in_the_trail_stand_or_fall_together(stocked: ArtTables) -> None:
    with stocked.engine.begin() as connection:
        connection.execute(text("alter table journal.activity add constraint never check (what <> 'settle')"))
    with pytest.raises(Exception, match="never"):
        local.settle(stocked.engine, rid("E", 2), who="ann", paid_on=PAID)
    assert stocked.value(2, "is_settled") is False
    assert stocked.one("select count(*) from art.syncs where sync_type = 'manual'") == 0
