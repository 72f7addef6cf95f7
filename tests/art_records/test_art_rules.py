"""What a cell becomes, and that nothing becomes a default."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crown.art_records.exports.cleaning import Cleaned, clean, encode
from crown.art_records.exports.files import RawFile, layouts, parse
from crown.art_records.exports.rules import (
    Verdict,
    judge,
    rulebook,
    split_display_name,
)
from crown.art_records.sample_files import Export
from crown.errors import ConfigurationError

from .conftest import PLAIN_EDITION_COLUMNS, csv_bytes, edition_row, rid

BOOK = rulebook()


def cleaned(*rows: dict[str, str]) -> Cleaned:
    return clean(parse(RawFile("editions", "Editions.csv", csv_bytes(PLAIN_EDITION_COLUMNS, rows), "0")))


@pytest.mark.parametrize(
    ("rule", "text", "value"),
    [
        ("tick", "checked", True), ("tick", "", False), ("tick", "TRUE", True), ("tick", "no", False),
        ("price", "£90.00", Decimal("90.00")), ("price", "£1,090.5", Decimal("1090.50")), ("price", "", None),
        ("price", "#ERROR!", None), ("price", "NaN", None),
        ("percent", "40%", Decimal(40)), ("percent", "0%", Decimal(0)), ("percent", "", None),
        ("date", "3/14/2021", date(2021, 3, 14)), ("date", "12/1/2020", date(2020, 12, 1)), ("date", "", None),
        ("long_date", "October 5, 2025", date(2025, 10, 5)),
        ("size", "extra large", "Extra Large"), ("size", "Large", "Large"), ("size", "Unknown", None), ("size", "", None),
        ("frame", "None", "Unframed"), ("frame", "Unknown Frame", "Unknown"), ("frame", "Ikea", "Framed"),
        ("frame", "B&Q", "Framed"), ("frame", "Tube only", "Tube only"), ("frame", "", None),
        ("edition_number", "-3", -3), ("edition_number", "12.0", 12), ("edition_number", "0", 0),
        ("edition_total", "250", 250), ("text", " two  words ", "two  words"), ("text", "None", None),
        ("free_text", "None", "None"),
        ("print_links", "recAAAAAAAAAAAAAA, recBBBBBBBBBBBBBB", ("recAAAAAAAAAAAAAA", ("recBBBBBBBBBBBBBB",))),
        ("distributor_link", "recAAAAAAAAAAAAAA", "recAAAAAAAAAAAAAA"),
        ("attachments", "a b.jpg (https://x.invalid/1),c.png (https://x.invalid/2)",
         (("a b.jpg", "c.png"), ("https://x.invalid/1", "https://x.invalid/2"))),
        ("attachments", "Quay, at dusk (1).jpg (https://x.invalid/v5/1/(a)),[2], b.png (https://x.invalid/2)",
         (("Quay, at dusk (1).jpg", "[2], b.png"), ("https://x.invalid/v5/1/(a)", "https://x.invalid/2"))),
        ("date", "2021-03-14", date(2021, 3, 14)), ("price", "GBP 90", Decimal(90)),
        ("percent", "0.4%", Decimal("0.4")),
        ("print_name", "aspen_steps", ("aspen_steps", "AS")), ("print_name", "Gate - 7", ("Gate - 7", "G7")),
        ("print_name", "Dock AND ferry v2", ("Dock AND ferry V2", "DAFV")),
        ("print_name", "wrong flag\nrace day", ("Wrong Flag Race Day", "WFRD")), ("print_name", "TERN ", ("TERN", "TERN")),
        ("distributor_name", "DIRECT OLD", ("Direct Old", "legacy")),
        ("distributor_name", "blue door uk", ("blue door UK", "gallery")),
    ],
)  # fmt: skip
def test_a_cell_becomes_its_value(rule: str, text: str, value: object) -> None:
    verdict = judge(text, rule, BOOK)
    assert verdict.value == value
    assert verdict.outcome != "withheld"


@pytest.mark.parametrize(
    ("rule", "text", "problem"),
    [
        ("tick", "maybe", "neither ticked"), ("price", "£-5.00", "outside"), ("price", "ninety", "not a number"),
        ("price", "£1.005", "decimals"), ("price", "1e5", "not a number"), ("percent", "140%", "outside"),
        ("percent", "-1%", "outside"), ("date", "14/3/2021", "month comes first"), ("date", "2/30/2021", "calendar"),
        ("date", "3/14/1066", "impossible year"), ("date", "14 March 2021", "month/day/year"),
        ("price", "$90.00", "is in $, the base keeps £"), ("price", "90 EUR", "is in EUR"),
        ("price", "90,00", "decimal point"),
        ("percent", "0.4", "may be 0.4% or 40%"),
        ("long_date", "Brumaire 5, 2025", "month name"), ("size", "gigantic", "not a known word"),
        ("frame", "golden", "not a known word"), ("edition_number", "12b", "whole number"),
        ("edition_total", "0", "outside"), ("print_links", "recAAAAAAAAAAAAAA, oops", "no record id"),
        ("distributor_link", "recAAAAAAAAAAAAAA, recBBBBBBBBBBBBBB", "more than one"),
        ("attachments", "no address", "not a list"),
    ],
)  # fmt: skip
def test_a_value_that_fails_its_rule_is_withheld_with_a_reason(rule: str, text: str, problem: str) -> None:
    verdict = judge(text, rule, BOOK)
    assert (verdict.value, verdict.outcome) == (None, "withheld")
    assert problem in verdict.problem


def test_two_typing_slips_of_the_year_are_repaired_and_said() -> None:
    assert judge("4/2/1920", "date", BOOK) == Verdict(date(2020, 4, 2), "repaired", "year 1920 read as 2020")
    assert judge("3/14/0202", "date", BOOK) == Verdict(
        date(2020, 3, 14), "repaired", "year 0202 read as 2020"
    )


def test_unusual_prices_are_loaded_and_flagged() -> None:
    for text in ("£0.00", "£5.00", "£1200.00"):
        verdict = judge(text, "price", BOOK)
        assert verdict.outcome == "flagged"
        assert verdict.value is not None


@given(st.text(), st.sampled_from(sorted(set(BOOK.rules) - {"record_id", "edition_name"})))
def test_any_text_is_a_value_nothing_or_withheld_with_a_reason(text: str, rule: str) -> None:
    verdict = judge(text, rule, BOOK)
    assert verdict.outcome != "withheld" or (verdict.value is None and verdict.problem)


@given(st.one_of(st.none(), st.booleans(), st.text(), st.integers(), st.lists(st.text()).map(tuple)))
def test_an_encoded_value_is_one_cell_of_one_line(value: object) -> None:
    shown = encode(value)
    assert not any(mark in shown for mark in "\t\n\r")


def test_the_display_name_is_split_at_the_last_dash_before_a_number() -> None:
    assert split_display_name("Two - Parts - 12") == ("Two - Parts", 12)
    assert split_display_name("Work--3") == ("Work", -3)
    assert split_display_name("Work - -3") == ("Work", -3)
    assert split_display_name("Catch-22 blue") == ("Catch-22 blue", None)


def test_the_number_in_the_display_name_fills_an_empty_one_and_must_not_contradict_it() -> None:
    found = cleaned(
        edition_row(1),
        edition_row(2, **{"Print Edition": "", "Print - Edition": "Work 1 - 7"}),
        edition_row(3, **{"Print Edition": "3", "Print - Edition": "Work 1 - 4"}),
        edition_row(4, **{"Print Edition": "0", "Print - Edition": "Work 1 - 0"}),
        edition_row(5, **{"Print - Edition": "Other - 5"}),
    )
    assert found.frame()["edition_number"].tolist() == [1, 7, None, 0, 5]
    assert [(f.row, f.field, f.outcome) for f in found.findings] == [
        (3, "edition_number", "repaired"), (4, "edition_number", "withheld"), (6, "exported_name", "flagged"),
    ]  # fmt: skip


def test_a_faulty_field_leaves_the_rest_of_its_row_alone_and_names_the_money() -> None:
    found = cleaned(
        edition_row(1, at=3, **{"Retail Price": "£90.00", "Date Sold": "soon", "Sold": "checked"})
    )
    row = found.frame().iloc[0]
    assert (row["retail_price"], row["is_sold"], row["date_sold"], row["distributor_id"]) == (
        Decimal("90.00"), True, None, rid("D", 3))  # fmt: skip
    finding = found.findings[0]
    assert (finding.row, finding.column, finding.rule, finding.outcome, finding.raw, finding.money_at_stake) == (
        2, "Date Sold", "date", "withheld", "soon", Decimal("90.00"))  # fmt: skip


def test_cleaning_the_sample_finds_exactly_its_repairs(exports: tuple[Export, Export]) -> None:
    found = clean(parse(RawFile("editions", "e.csv", exports[0].editions, "0")))
    assert found.blank == 84
    assert Counter((f.rule, f.outcome) for f in found.findings) == {
        ("price", "flagged"): 205,
        ("date", "repaired"): 2,
    }


def test_equal_values_hash_alike_whatever_their_spelling_and_neighbours() -> None:
    one, two, other = (
        cleaned(edition_row(2), edition_row(1, **{"Retail Price": p, "Frame": f})).hashes()[1]
        for p, f in (("£90.00", "Ikea"), ("90", "framed"), ("£91.00", "Ikea"))
    )
    assert one == two
    assert one != other


def test_renamed_prints_do_not_change_the_hash_of_their_editions() -> None:
    old, new = edition_row(1), edition_row(1, **{"Print": "WORK 1", "Print - Edition": "WORK 1 - 1"})
    assert cleaned(old).hashes() == cleaned(new).hashes()


def test_every_rule_is_named_versioned_and_says_what_it_does() -> None:
    used = {rule for layout in layouts().values() for rule in layout.rules.values()}
    assert used == set(BOOK.rules)
    assert all(isinstance(rule["version"], int) and rule["says"] for rule in BOOK.rules.values())


def test_a_name_table_of_ones_own_replaces_the_one_that_comes_along(tmp_path: Path) -> None:
    mine = tmp_path / "names.yaml"
    table = {"owner": "me", "version": "9", "prints": {"aspensteps": {"name": "The Steps", "short": "STEPS"}},
             "distributors": {}, "upper_words": [], "lower_words": []}  # fmt: skip
    mine.write_text(yaml.safe_dump(table), encoding="utf-8")
    book = rulebook(mine)
    assert judge("aspen_steps", "print_name", book).value == ("The Steps", "STEPS")
    assert book.version != BOOK.version


def test_a_name_table_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "names.yaml"
    mine.write_text("owner: me", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"names.yaml cannot be used"):
        rulebook(mine)
