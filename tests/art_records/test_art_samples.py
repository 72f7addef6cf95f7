"""The invented exports have the counted shapes of the real ones."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from crown.art_records.exports.rules import judge, rulebook
from crown.art_records.sample_files import EDITION_COLUMNS, Export
from crown.art_records.samples import sample_exports


def table(data: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(data), dtype=object, na_filter=False, encoding="utf-8-sig")


@pytest.fixture(scope="module")
def both(exports: tuple[Export, Export]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return table(exports[0].editions), table(exports[1].editions)


def counts(editions: pd.DataFrame) -> dict[str, int]:
    e, sold = editions, editions["Sold"].eq("checked")
    number = pd.to_numeric(e["Print Edition"], errors="coerce")
    numbered = e[e["Print"].ne("") & number.notna()]
    groups = numbered.groupby([numbered["print_record_id"].str[:17], numbered["Print Edition"]])
    sizes, sold_copies = groups.size(), groups["Sold"].apply(lambda s: int(s.eq("checked").sum()))

    def day(text: str) -> tuple[int, ...] | None:
        parts = text.split("/")
        return (int(parts[2]), int(parts[0]), int(parts[1])) if text else None

    late = [(day(g), day(s)) for g, s in zip(e["Date in Gallery"], e["Date Sold"], strict=True)]
    return {
        "rows": len(e),
        "dash": int(e["Print - Edition"].eq("-").sum()),
        "dash and printed": int((e["Print - Edition"].eq("-") & e["Printed"].eq("checked")).sum()),
        "no number": int((e["Print"].ne("") & number.isna()).sum()),
        "no print": int((e["Print"].eq("") & number.notna()).sum()),
        "negative": int(number.lt(0).sum()),
        "lowest": int(number.min()),
        "zero": int(number.eq(0).sum()),
        "highest": int(number.max()),
        "double": int(e["print_record_id"].str.contains(",").sum()),
        "double and sold": int((e["print_record_id"].str.contains(",") & sold).sum()),
        "groups": int(sizes.gt(1).sum()),
        "in groups": int(sizes[sizes > 1].sum()),
        "groups sold twice": int(sold_copies[sizes > 1].gt(1).sum()),
        "sold": int(sold.sum()),
        "undated": int((sold & e["Date Sold"].eq("")).sum()),
        "unpriced": int((sold & e["Retail Price"].eq("")).sum()),
        "unprinted": int((sold & e["Printed"].eq("")).sum()),
        "unplaced": int((sold & e["Distributor"].eq("")).sum()),
        "unsettled": int((sold & e["Settled"].eq("")).sum()),
        "settled unsold": int((~sold & e["Settled"].eq("checked")).sum()),
        "dated unsold": int((~sold & e["Date Sold"].ne("")).sum()),
        "late": sum(1 for g, s in late if g and s and g > s),
        "price zero": int(e["Retail Price"].eq("£0.00").sum()),
        "no size": int(e["Size"].eq("").sum()),
        "no frame": int(e["Frame"].eq("").sum()),
        "long variation": int(e["Variation"].str.len().gt(20).sum()),
        **{f"frame {f}": int(e["Frame"].eq(f).sum()) for f in ("None", "Unknown Frame", "Ikea", "B&Q")},
        "size unknown": int(e["Size"].eq("Unknown").sum()),
        **{f"at {d}": int(e["Distributor"].eq(d).sum()) for d in ("Unknown", "P", "DIRECT OLD")},
    }


COMMON = {
    "dash": 84, "dash and printed": 1, "no number": 29, "no print": 1, "negative": 69, "lowest": -14, "zero": 5,
    "highest": 855, "dated unsold": 17, "late": 137, "frame Unknown Frame": 164, "frame Ikea": 30, "frame B&Q": 5,
    "size unknown": 219, "long variation": 2, "groups sold twice": 59, "at Unknown": 76, "at P": 5, "at DIRECT OLD": 52,
}  # fmt: skip


def test_the_first_export_has_the_counted_faults(both: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    assert list(both[0].columns) == EDITION_COLUMNS
    found = counts(both[0])
    assert {k: found[k] for k in COMMON} == COMMON
    expected = {
        "rows": 8410, "double": 353, "double and sold": 99, "groups": 75, "in groups": 151, "sold": 3820,
        "undated": 138, "unpriced": 75, "unprinted": 11, "unplaced": 5, "unsettled": 167, "settled unsold": 20,
        "price zero": 205, "frame None": 99,
    }  # fmt: skip
    assert {k: found[k] for k in expected} == expected


def test_the_second_export_has_the_counted_faults(both: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    assert both[1].shape == (8411, 22)
    found = counts(both[1])
    assert {k: found[k] for k in COMMON} == COMMON
    expected = {
        "double": 347, "double and sold": 106, "groups": 76, "in groups": 153, "sold": 3853, "undated": 142,
        "unpriced": 72, "unprinted": 12, "unplaced": 6, "unsettled": 157, "settled unsold": 19, "price zero": 202,
        "frame None": 101, "no size": 3847, "no frame": 3945,
    }  # fmt: skip
    assert {k: found[k] for k in expected} == expected


def test_members_of_duplicate_groups_disagree_as_counted(both: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    numbered = both[0][both[0]["Print"].ne("") & both[0]["Print Edition"].ne("")]
    groups = numbered.groupby([numbered["print_record_id"].str[:17], numbered["Print Edition"]])
    size = groups.size()
    differing = {c: int((groups[c].nunique()[size > 1] > 1).sum())
                 for c in ("Retail Price", "Date Sold", "Distributor", "Frame", "Size")}  # fmt: skip
    assert differing == {"Retail Price": 60, "Date Sold": 56, "Distributor": 48, "Frame": 44, "Size": 42}


def test_one_row_is_added_and_199_change_in_the_counted_fields(
    both: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    old, new = (frame.set_index("record_id") for frame in both)
    assert len(new.index.difference(old.index)) == 1
    assert not len(old.index.difference(new.index))
    new = new.loc[old.index]
    differs = {column: old[column] != new[column] for column in new.columns}
    assert {c: int(d.sum()) for c, d in differs.items() if d.any() and c != "Print copy"} == {
        "Print - Edition": 353, "Print": 353, "Retail Price": 141, "Distributor": 116, "distributor_record_id": 116,
        "Frame": 115, "Commission": 115, "Date in Gallery": 93, "Size": 61, "Stock Checked": 60, "Printed": 58,
        "Settled": 42, "Sold": 33, "Date Sold": 29, "Notes": 19, "print_record_id": 6, "Variation": 3,
    }  # fmt: skip
    assert int((differs["Retail Price"] & old["Retail Price"].eq("")).sum()) == 129
    really = pd.DataFrame(
        {c: d for c, d in differs.items() if c not in ("Print - Edition", "Print", "Print copy")}
    )
    assert int(really.any(axis=1).sum()) == 199
    assert int(pd.DataFrame(differs).any(axis=1).sum()) == 526


def test_prints_and_distributors_have_the_counted_faults(exports: tuple[Export, Export]) -> None:
    prints, distributors = table(exports[0].prints), table(exports[0].distributors)
    assert prints.shape == (45, 8)
    assert int(prints["Total Editions"].eq("").sum()) == 21
    assert prints["Print Name"].tolist().count("Regatta") == 2
    assert int(prints["Print Name"].str.contains("\n").sum()) == 1
    names = [judge(cell, "attachments", rulebook()).value[0] for cell in prints["Image"] if cell]
    assert sum("," in name[0] and "(" in name[0] for name in names) == 5
    assert {len(name) for name in names} == {1}
    assert distributors.shape == (23, 15)
    assert {"checked", "Unknown", "P", "DIRECT OLD"} <= set(distributors["Name"])
    editions = table(exports[0].editions)
    assert int(editions["Print"].str.endswith(" ").sum()) == 417
    assert sorted(editions["Print"].eq(n).sum() for n in ("Regatta",)) == [203]
    assert exports[0].editions.startswith(b"\xef\xbb\xbf")
    assert not exports[0].editions.endswith(b"\n")
    assert int(editions["Notes"].str.count("\ufffd").sum()) == 13
    assert 90 <= int(editions["Notes"].str.contains("\n").sum()) <= 110


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert sample_exports(7, 2000)[1] == sample_exports(7, 2000)[1]
    assert sample_exports(7, 2000)[0].editions != sample_exports(8, 2000)[0].editions
