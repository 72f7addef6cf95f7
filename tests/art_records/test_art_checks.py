"""Standing checks, formula oracles, and what leaves the art tables as files and pictures."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from PIL import Image
from sqlalchemy import Engine

from crown.art_records.checks import CHECKS, accept, run_checks
from crown.art_records.exports import signatures
from crown.art_records.exports.oracles import formula_oracles
from crown.art_records.history.rollback import rollback
from crown.art_records.outgoing import art_records_csv
from crown.art_records.previews import sales_by_month_png, sell_through_png
from crown.art_records.sample_files import EDITION_COLUMNS, Export
from crown.errors import BadInput, Refused

from .conftest import ArtTables, csv_bytes, distributor_row, edition_row, print_row, rid


@pytest.fixture
def loaded(art_records: ArtTables, exports: tuple[Export, Export]) -> ArtTables:
    art_records.sync_export(exports[0])
    return art_records


def sign_all(engine: Engine) -> None:
    """A person signs both exceptions."""
    with engine.begin() as connection:
        for column, exemption in signatures.exemptions(connection).items():
            signatures.sign(connection, column, exemption.text_hash, "approve", who="ann", via="cli")


def test_an_exception_excuses_nothing_until_a_person_signs_exactly_its_text(loaded: ArtTables) -> None:
    def judged() -> tuple[int, int, str | None]:
        by_column = {oracle.column: oracle for oracle in formula_oracles(loaded.engine, loaded.objects)}
        oracle = by_column["Commissions"]
        return len(oracle.wrong), oracle.excused, oracle.exemption.signed_by if oracle.exemption else None

    wrong, excused, signer = judged()
    assert (wrong > 1000, excused, signer) == (True, 0, None), "nobody has signed anything"
    with loaded.engine.begin() as connection:
        text_hash = signatures.exemptions(connection)["Commissions"].text_hash
        with pytest.raises(Refused, match="read it again"):
            signatures.sign(connection, "Commissions", "0" * 12, "approve", who="ann", via="cli")
        with pytest.raises(BadInput, match="no exception for Invoice Amount"):
            signatures.sign(connection, "Invoice Amount", text_hash, "approve", who="ann", via="cli")
        signatures.sign(connection, "Commissions", text_hash[:12], "approve", who="ann", via="cli")
    assert judged() == (0, wrong, "ann")
    with loaded.engine.begin() as connection:
        signatures.sign(connection, "Commissions", text_hash, "withdraw", who="ann", via="cli")
    assert judged() == (wrong, 0, None)


def test_what_a_person_accepted_is_counted_and_a_check_warns_of_what_is_new(loaded: ArtTables) -> None:
    def asked() -> tuple[int, int, bool]:
        (result,) = run_checks(loaded.engine, ("double_linked",))
        return result.count, result.new, result.passed

    count = asked()[0]
    assert count > 100
    assert asked() == (count, count, False)
    assert accept(loaded.engine, "double_linked", who="ann", via="cli") == {"double_linked": count}
    assert asked() == (count, count, False), "nothing is recorded without apply"
    accept(loaded.engine, "double_linked", who="ann", via="cli", apply=True)
    assert asked() == (count, 0, True)
    with loaded.engine.begin() as connection:
        connection.exec_driver_sql(
            "update art.editions set other_print_ids = array[(select max(airtable_id) from art.prints)] "
            "where airtable_id = (select min(airtable_id) from art.editions "
            "where is_active and kind = 'edition' and not is_double_linked)"
        )
    (result,) = run_checks(loaded.engine, ("double_linked",))
    assert (result.count, result.new, result.passed) == (count + 1, 1, False)
    newest = loaded.one(
        "select max(airtable_id) from art.changes where sync_number = (select max(sync_number) from art.syncs)"
    )
    assert result.examples[0][0] == newest, "what is new comes first"
    assert accept(loaded.engine, "double_linked", who="ann", via="cli", verdict="withdraw", apply=True) == {
        "double_linked": count
    }
    assert asked() == (count + 1, count + 1, False)
    with pytest.raises(Refused, match="is an error"):
        accept(loaded.engine, "orphan_links", who="ann", via="cli")
    with pytest.raises(Refused, match="nothing that is new"):
        accept(loaded.engine, "open_conflicts", who="ann", via="cli")


def test_a_baseline_is_all_that_is_doubtful_now_and_says_since_when_and_by_whom_it_is_known(
    loaded: ArtTables,
) -> None:
    before = {r.check.name: r.new for r in run_checks(loaded.engine) if r.new and r.check.severity != "error"}
    assert len(before) > 15
    assert accept(loaded.engine, None, who="ann", via="cli") == before, "the plan"
    assert accept(loaded.engine, None, who="ann", via="cli", apply=True, reason="as they were") == before
    results = run_checks(loaded.engine)
    assert [r.check.name for r in results if not r.passed] == []
    (linked,) = [r for r in results if r.check.name == "double_linked"]
    today = datetime.now(UTC).date()
    assert linked.known == f"{linked.count:,} known since {today}, accepted by ann"
    assert linked.as_dict()["known_since"] == today.isoformat()
    with pytest.raises(Refused, match="The checks find nothing that is new"):
        accept(loaded.engine, None, who="ann", via="cli")


def test_every_formula_of_the_export_is_reproduced_on_every_row(loaded: ArtTables) -> None:
    sign_all(loaded.engine)
    found = {oracle.column: oracle for oracle in formula_oracles(loaded.engine, loaded.objects)}
    assert set(found) == {"Invoice Amount", "Commissions", "Month Sold", "Year Sold", "Weeks in Gallery", "Net Revenue",
                          "Retail Amount Sold", "Distributor Revenue"}  # fmt: skip
    assert [o.column for o in found.values() if not o.passed] == []
    exact = ("Invoice Amount", "Month Sold", "Year Sold", "Net Revenue", "Distributor Revenue")
    assert all(found[c].equal == found[c].rows for c in exact)
    assert found["Weeks in Gallery"].excused == 2  # the two repaired years
    assert found["Commissions"].excused > 1000
    assert found["Retail Amount Sold"].excused > 10
    assert all(found[c].exception for c in ("Commissions", "Retail Amount Sold"))


def test_a_formula_that_disagrees_is_shown_with_its_row(art_records: ArtTables) -> None:
    row = edition_row(1, at=2, Sold="checked", **{
        "Retail Price": "£100.00", "Commission": "40%", "Invoice Amount": "£61.00", "Commissions": "£39.00",
        "Month Sold": "#ERROR!", "Year Sold": "#ERROR!", "Weeks in Gallery": "NaN"})  # fmt: skip
    sums = {"Net Revenue": "£60.00", "Distributor Revenue": "£41.00", "Retail Amount Sold": "£100.00"}
    art_records.sync(prints=[print_row(1)], distributors=[distributor_row(2, "Amber Room", **sums)],
               editions=csv_bytes(EDITION_COLUMNS, [row]))  # fmt: skip
    wrong = {o.column: o.wrong for o in formula_oracles(art_records.engine, art_records.objects) if o.wrong}
    assert wrong == {"Invoice Amount": [(rid("E", 1), Decimal("60.00"), "£61.00")],
                     "Commissions": [(rid("E", 1), Decimal("40.00"), "£39.00")],
                     "Distributor Revenue": [(rid("D", 2), Decimal("40.00"), "£41.00")]}  # fmt: skip


def test_oracles_read_the_art_records_as_they_stood_and_say_nothing_without_an_export(
    loaded: ArtTables,
) -> None:
    sign_all(loaded.engine)
    with loaded.engine.begin() as connection:
        connection.exec_driver_sql(
            "update art.editions set retail_price = 1 where is_sold and edition_number = 3"
        )
    assert all(o.passed for o in formula_oracles(loaded.engine, loaded.objects))
    rollback(loaded.engine, 1, who="t", apply=True, through_latest=True, choose="force")
    assert formula_oracles(loaded.engine, loaded.objects) == []


def test_checks_count_the_faults_of_the_art_records(loaded: ArtTables) -> None:
    found = {r.check.name: r for r in run_checks(loaded.engine)}
    assert set(found) == {check.name for check in CHECKS}
    counts = {name: result.count for name, result in found.items() if result.count}
    assert counts.pop("above_total") > 0
    assert counts.pop("sold_without_commission") > 0
    assert counts == {
        "duplicate_number": 151, "double_linked": 353, "unlinked": 1, "unnumbered": 103, "sold_without_date": 138,
        "sold_without_price": 75, "sold_at_zero": 30, "sold_not_printed": 11, "sold_without_distributor": 5,
        "settled_not_sold": 20, "date_sold_not_sold": 17, "in_gallery_after_sale": 137, "placed_not_printed": 44,
        "placeholder_distributors": 84, "same_print_name": 2, "oversold": 3,
    }  # fmt: skip
    assert all(r.passed for r in found.values() if r.check.severity == "error")
    assert len(found["double_linked"].examples) == 20
    assert found["sold_without_date"].money > 0


def test_a_link_to_nothing_an_impossible_year_and_a_withheld_value_are_found(art_records: ArtTables) -> None:
    art_records.sync(
        prints=[print_row(1)], editions=[edition_row(1, of=2), edition_row(2, **{"Date Sold": "someday"})]
    )
    with art_records.engine.begin() as connection:
        connection.exec_driver_sql(
            "update art.editions set date_sold = '1066-10-14' where edition_number = 2"
        )
    found = {
        r.check.name: r
        for r in run_checks(art_records.engine, ("orphan_links", "impossible_years", "withheld_editions"))
    }
    assert found["orphan_links"].examples == [(rid("E", 1), f"linked to {rid('P', 2)}")]
    assert found["impossible_years"].examples == [(rid("E", 2), "gallery -, sold 1066-10-14")]
    assert found["withheld_editions"].examples == [
        (rid("E", 2), "editions Date Sold: is not a date in month/day/year or year-month-day")]  # fmt: skip


def test_the_art_records_leave_as_csv_in_which_no_cell_is_a_formula(art_records: ArtTables) -> None:
    art_records.sync(
        prints=[print_row(1, "=cmd|' /C calc'!A0")],
        editions=[edition_row(1, Notes="@SUM(A1)", Variation="plain")],
    )
    rows = list(
        csv.DictReader(io.StringIO(art_records_csv(art_records.engine, "editions").decode("utf-8-sig")))
    )
    assert (rows[0]["notes"], rows[0]["variation"], rows[0]["edition_number"]) == ("'@SUM(A1)", "plain", "1")
    assert all(not cell.startswith(("=", "@", "+")) for row in rows for cell in row.values())
    with pytest.raises(BadInput, match="orders"):
        art_records_csv(art_records.engine, "orders")


def test_the_art_records_date_follows_the_newest_export_that_stands(
    loaded: ArtTables, exports: tuple[Export, Export]
) -> None:
    assert loaded.one("select art.records_date()") == date(2025, 10, 29)
    loaded.sync_export(exports[1])
    assert loaded.one("select art.records_date()") == date(2026, 1, 1)


def test_previews_are_pictures_of_the_art_records(loaded: ArtTables) -> None:
    for draw in (sell_through_png, sales_by_month_png):
        picture = Image.open(io.BytesIO(draw(loaded.engine)))
        picture.load()
        assert (picture.format, picture.width) == ("PNG", 990)
        colours = picture.convert("RGB").getcolors(maxcolors=2**24) or []
        assert (47, 111, 143) in {colour for _, colour in colours}


def test_previews_of_empty_art_records_are_empty_pictures(art_records: ArtTables) -> None:
    for draw in (sell_through_png, sales_by_month_png):
        assert Image.open(io.BytesIO(draw(art_records.engine))).format == "PNG"
