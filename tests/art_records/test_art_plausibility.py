"""Damage that looks plausible cell by cell is seen over the column, and waits for a person."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from crown.art_records.acts import local
from crown.art_records.exports.files import discover
from crown.art_records.exports.rules import rulebook
from crown.art_records.history.comparing import Limits
from crown.art_records.history.syncing import rerun, sync
from crown.errors import ConfigurationError

from .conftest import (
    PLAIN_EDITION_COLUMNS,
    ArtTables,
    csv_bytes,
    distributor_row,
    edition_row,
    print_row,
    rid,
)

PRINTS = [print_row(1)]
PLACES = [distributor_row(2, "Amber Room", Commission="40%")]
KNOWN = {"Sold": "checked", "Printed": "checked", "Retail Price": "£90.00", "Commission": "40%"}


def day(n: int) -> date:
    return date(2024, 1 + n % 12, 1 + n % 28)


def rows(count: int = 60, **cells: Any) -> list[dict[str, str]]:
    """Sold editions with a date each; a cell given as a function is made of the edition's number."""
    made = []
    for n in range(1, count + 1):
        told = {"Date Sold": f"{day(n).month}/{day(n).day}/{day(n).year}", **KNOWN, **cells}
        made.append(edition_row(n, at=2, **{k: v(n) if callable(v) else v for k, v in told.items()}))
    return made


@pytest.fixture
def loaded(art_records: ArtTables) -> ArtTables:
    assert art_records.sync(limits=Limits(), prints=PRINTS, distributors=PLACES, editions=rows()).applied
    return art_records


def renamed(old: str, new: str | None, made: list[dict[str, str]] | None = None) -> bytes:
    """The same export with a column under another name, or without it."""
    columns = [new if c == old else c for c in PLAIN_EDITION_COLUMNS]
    told = [{new if k == old else k: v for k, v in row.items()} for row in made or rows()]
    return csv_bytes([c for c in columns if c], [{k: v for k, v in row.items() if k} for row in told])  # type: ignore[arg-type]


# ---- the format of a column -------------------------------------------------------------------------------


def test_a_day_first_column_is_read_day_first_after_a_decision(loaded: ArtTables) -> None:
    told = rows(**{"Date Sold": lambda n: f"{day(n).day}/{day(n).month}/{day(n).year}", "Size": "Small"})
    waiting = loaded.sync(limits=Limits(), editions=told)
    assert not waiting.applied
    assert waiting.blocks == [
        "editions: the column Date Sold is written day first (32 cells can only be read so)"
    ]
    assert waiting.table("editions").changed_fields == {"size": 60}  # not one date differs
    assert loaded.sync(limits=Limits(), editions=told, approved=waiting.diff_hash).applied
    assert [loaded.value(n, "date_sold") for n in (1, 13, 40)] == [day(1), day(13), day(40)]
    again = loaded.sync(limits=Limits(), editions=rows(
        **{"Date Sold": lambda n: f"{day(n).day}/{day(n).month}/{day(n).year}", "Size": "Large"}))  # fmt: skip
    assert [b for b in again.blocks if "day first" in b] == []  # decided once


def test_a_column_that_mixes_day_first_and_month_first_is_read_only_where_it_leaves_no_choice(
    art_records: ArtTables,
) -> None:
    report = art_records.sync(limits=Limits(), prints=PRINTS, distributors=PLACES, editions=rows(120, **{
        "Date Sold": lambda n: f"{day(n).day}/{day(n).month}/2024" if n % 2
        else f"{day(n).month}/{day(n).day}/2024"}))  # fmt: skip
    assert not report.applied
    assert "cells of Date Sold newly fail their rule" in report.blocks[0]
    problems = {f.problem for f in report.table("editions").findings}
    assert problems == {"may have its day or its month first: the column mixes both"}


def test_one_slip_among_many_dates_is_withheld_alone(art_records: ArtTables) -> None:
    report = art_records.sync(limits=Limits(), prints=PRINTS, distributors=PLACES, editions=[
        *rows(), edition_row(99, at=2, **KNOWN, **{"Date Sold": "14/3/2024"})])  # fmt: skip
    assert report.applied
    assert [(f.raw, f.outcome) for f in report.table("editions").findings] == [("14/3/2024", "withheld")]
    assert art_records.value(14, "date_sold") == day(14)


def test_a_decimal_comma_never_multiplies_prices_by_a_hundred(loaded: ArtTables) -> None:
    told = rows(**{"Retail Price": lambda n: "1.090,50" if n == 1 else "90,00"})
    waiting = loaded.sync(limits=Limits(), editions=told)
    assert waiting.blocks == [
        "editions: the column Retail Price is written with a decimal comma (60 cells can only be read so)"
    ]
    assert loaded.sync(limits=Limits(), editions=told, approved=waiting.diff_hash).applied
    assert (loaded.value(1, "retail_price"), loaded.value(2, "retail_price")) == (
        Decimal("1090.50"),
        Decimal(90),
    )


@pytest.mark.parametrize(
    ("cell", "problem"), [("$90.00", "is in $"), ("90,00 €", "is in €"), ("CHF 90", "is in CHF")]
)
def test_another_currency_is_withheld_and_a_column_of_it_waits(
    loaded: ArtTables, cell: str, problem: str
) -> None:
    report = loaded.sync(limits=Limits(), editions=rows(**{"Retail Price": cell, "Size": "Small"}))
    assert not report.applied
    assert any("60 of 60 cells of Retail Price newly fail" in block for block in report.blocks)
    assert all(f.problem.startswith(problem) for f in report.table("editions").findings)
    assert loaded.value(1, "retail_price") == Decimal(90)


def test_shares_of_one_are_never_read_as_percent(loaded: ArtTables) -> None:
    told = rows(**{"Commission": "0.4", "Size": "Small"})
    waiting = loaded.sync(limits=Limits(), editions=told)
    assert waiting.blocks == [
        "editions: the column Commission is written as shares of one (60 cells below 1, none above)"
    ]
    assert "commission_percentage" not in waiting.table("editions").changed_fields
    one = loaded.sync(limits=Limits(), editions=rows(**{"Commission": lambda n: "0.4" if n == 1 else "40%"}))
    assert [f.problem for f in one.table("editions").findings] == [
        "may be 0.4% or 40%; it needs its percent sign"
    ]


# ---- shares of a column -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["incremental", "merge", "full"])
@pytest.mark.parametrize(
    ("cells", "block"),
    [
        ({"Retail Price": "£91.00"}, "editions: 60 of 60 known values of retail_price would become other ones (limit 25%)"),
        ({"Retail Price": ""}, "editions: 60 of 60 known values of retail_price would become unknown (limit 5%)"),
        ({"Size": "Gigantic"}, "editions: 60 of 60 cells of Size newly fail their rule and would be withheld (limit 5%)"),
    ],
)  # fmt: skip
def test_much_of_a_column_changed_emptied_or_failing_waits_in_every_mode(
    loaded: ArtTables, mode: str, cells: dict[str, str], block: str
) -> None:
    report = loaded.sync(mode, limits=Limits(), editions=rows(**cells))
    assert (report.blocks, report.applied) == ([block], False)
    done = loaded.sync(mode, limits=Limits(), editions=rows(**cells), approved=report.diff_hash)
    assert done.applied


def test_filling_in_what_was_unknown_and_a_few_changes_need_no_decision(loaded: ArtTables) -> None:
    told = rows(**{"Size": "Small", "Retail Price": lambda n: "£91.00" if n < 12 else "£90.00"})
    assert loaded.sync(limits=Limits(), editions=told).applied


def test_what_failed_last_time_already_does_not_wait_again(loaded: ArtTables) -> None:
    first = loaded.sync(limits=Limits(), editions=rows(Size="Gigantic"))
    assert loaded.sync(limits=Limits(), editions=rows(Size="Gigantic"), approved=first.diff_hash).applied
    assert loaded.sync(limits=Limits(), editions=rows(Size="Gigantic", Notes="looked at")).applied


def test_rules_that_change_a_whole_column_wait_when_files_are_read_again(loaded: ArtTables) -> None:
    old = rulebook()
    price = old.rules["price"] | {"highest": 50}
    stricter = type(old)(old.rules | {"price": price}, old.names, "stricter", old.layouts)
    report = rerun(loaded.engine, "incremental", objects=loaded.objects, who="t", apply=True, book=stricter)
    assert not report.applied
    assert "cells of Retail Price newly fail their rule" in report.blocks[0]


# ---- the source's schema ----------------------------------------------------------------------------------


def test_a_renamed_column_waits_and_is_shown_with_the_likely_pair(loaded: ArtTables) -> None:
    told = renamed("Retail Price", "Price (GBP)", rows(Size="Small"))
    waiting = loaded.sync(limits=Limits(), editions=told)
    assert waiting.blocks == [
        "editions: the column Retail Price is missing and Price (GBP) is new: "
        "read as the same column under another name"
    ]
    assert waiting.table("editions").changed_fields == {"size": 60}
    assert loaded.sync(limits=Limits(), editions=told, approved=waiting.diff_hash).applied
    later = renamed("Retail Price", "Price (GBP)", rows(Size="Large", **{
        "Retail Price": lambda n: "£95.00" if n == 1 else "£90.00"}))  # fmt: skip
    report = loaded.sync(limits=Limits(), editions=later)
    assert not [b for b in report.blocks if "missing" in b]  # one decision is enough
    assert report.table("editions").changed_fields["retail_price"] == 1


def test_a_column_that_is_gone_waits_and_leaves_its_field_as_it_was(loaded: ArtTables) -> None:
    told = renamed("Retail Price", None, rows(Size="Small"))
    waiting = loaded.sync(limits=Limits(), editions=told)
    assert waiting.blocks == [
        "editions: the column Retail Price is missing: its field stays as it is in the art tables"
    ]
    assert loaded.sync(limits=Limits(), editions=told, approved=waiting.diff_hash).applied
    assert (loaded.value(1, "retail_price"), loaded.value(1, "size")) == (Decimal(90), "Small")


def test_a_new_column_stops_nothing_and_is_reported(loaded: ArtTables) -> None:
    columns = [*PLAIN_EDITION_COLUMNS, "Shelf"]
    told = csv_bytes(columns, [{**row, "Shelf": "B2"} for row in rows(Size="Small")])
    report = loaded.sync(limits=Limits(), editions=told)
    assert report.applied
    assert report.as_dict()["tables"][0]["unknown_columns"] == ["Shelf"]
    assert "columns that no layout knows, kept in the raw file: Shelf" in report.text()


def test_words_and_columns_of_ones_own_stand_in_the_settings_folder(
    art_records: ArtTables, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "rules.yaml").write_text(yaml.safe_dump({"rules": {"size": {"words": {"a3": "Large"}}}}))
    (own / "layouts.yaml").write_text(yaml.safe_dump({"editions": {"columns": {
        "Retail Price": {"also": ["Preis"]}, "Shelf": {"derived": "where it is"}}}}))  # fmt: skip
    book = rulebook(None, own)
    assert book.version != rulebook().version
    columns = ["Preis" if c == "Retail Price" else c for c in PLAIN_EDITION_COLUMNS] + ["Shelf"]
    told = [
        {"Preis" if k == "Retail Price" else k: v for k, v in row.items()}
        for row in rows(Size="A3", Shelf="B2")
    ]
    path = art_records.file("editions", csv_bytes(columns, told), "Any name.csv")
    assert discover(path.parent, book.layouts)["editions"] == path
    report = sync(
        art_records.engine,
        {"editions": path},
        "incremental",
        objects=art_records.objects,
        who="t",
        apply=True,
        book=book,
    )
    assert (report.blocks, report.applied) == ([], True)
    assert report.table("editions").unknown_columns == []
    assert (art_records.value(1, "retail_price"), art_records.value(1, "size")) == (Decimal(90), "Large")
    local.edit(art_records.engine, "editions", rid("E", 2), {"size": "Small"}, who="t", book=book)
    local.edit(art_records.engine, "editions", rid("E", 2), {"size": "a3"}, who="t", book=book)
    assert art_records.value(2, "size") == "Large"  # the gallery's words hold by hand as well


@pytest.mark.parametrize(
    ("name", "said", "sentence"),
    [
        ("rules.yaml", {"rules": {"colour": {}}}, "there is no rule colour"),
        ("layouts.yaml", {"editions": {"columns": {"Shelf": {"field": "shelf", "rule": "text"}}}},
         "there is no field shelf"),
        ("layouts.yaml", {"editions": {"columns": {"Shelf": {"field": "size", "rule": "shelf"}}}}, "there is no rule shelf"),
        ("layouts.yaml", {"editions": {"columns": {"Shelf": {"rule": "text"}}}}, "needs a field and a rule"),
        ("layouts.yaml", ["editions"], "is not a mapping"),
    ],
)  # fmt: skip
def test_a_settings_file_that_cannot_be_used_is_refused_in_one_sentence(
    tmp_path: Path, name: str, said: Any, sentence: str
) -> None:
    (tmp_path / name).write_text(yaml.safe_dump(said))
    with pytest.raises(ConfigurationError, match=sentence):
        rulebook(None, tmp_path)


def test_a_work_called_like_a_numbered_copy_is_not_numbered(art_records: ArtTables) -> None:
    art_records.sync(prints=[print_row(1, "Gate - 7")], editions=[
        edition_row(1, Print="Gate - 7", **{"Print Edition": "", "Print - Edition": "Gate - 7"}),
        edition_row(2, Print="Gate - 7", **{"Print Edition": "", "Print - Edition": "Gate - 7 - "}),
        edition_row(3, Print="Gate - 7", **{"Print Edition": "", "Print - Edition": "Gate - 7 - 12"})])  # fmt: skip
    assert [art_records.value(n, "edition_number") for n in (1, 2, 3)] == [None, None, 12]
