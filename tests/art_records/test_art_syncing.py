"""From files to art tables: what is created, changed, closed, kept, refused, and what nobody has to do twice."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from crown.art_records.exports.rules import Rulebook, rulebook
from crown.art_records.history.comparing import Limits
from crown.art_records.history.rollback import rollback
from crown.art_records.history.syncing import compare, rerun, sync
from crown.art_records.sample_files import Export
from crown.errors import BadInput, ConfigurationError, Refused

from .conftest import ArtTables, distributor_row, edition_row, print_row, rid

PRINTS = [print_row(1), print_row(2)]
PLACES = [distributor_row(1, "Direct", Commission="0%"), distributor_row(2, "Amber Room", Commission="40%")]


def editions(*numbers: int, **cells: str) -> list[dict[str, str]]:
    return [edition_row(n, at=2, **cells) for n in numbers]


# ---- the two sample exports -------------------------------------------------------------------------------


@pytest.fixture
def loaded(art_records: ArtTables, exports: tuple[Export, Export]) -> ArtTables:
    assert art_records.sync_export(exports[0]).applied
    return art_records


def test_between_the_two_exports_lie_one_added_and_199_changed_editions(
    loaded: ArtTables, exports: tuple[Export, Export]
) -> None:
    report = loaded.sync_export(exports[1])
    table = report.table("editions")
    assert (table.counts["records_created"], table.counts["records_updated"], table.counts["records_unchanged"]) == (
        1, 199, 8211)  # fmt: skip
    fields = dict(table.changed_fields)
    assert fields.pop("other_print_ids") == 6  # the links of which the first went
    assert fields == {
        "retail_price": 141, "distributor_id": 116, "frame_type": 115, "commission_percentage": 115,
        "date_in_gallery": 93, "size": 61, "is_stock_checked": 60, "is_printed": 58, "is_settled": 42,
        "is_sold": 33, "date_sold": 29, "notes": 19, "print_id": 6, "variation": 3,
    }  # fmt: skip
    assert report.table("prints").nothing_new  # Priory became PRIORY, which is the same name


def test_every_row_of_the_art_records_comes_from_the_export_and_nothing_is_dropped(loaded: ArtTables) -> None:
    assert loaded.rows("select kind, count(*) from art.editions group by 1 order by 1") == [
        ("blank", 84), ("edition", 8222), ("unlinked", 1), ("unnumbered", 103),
    ]  # fmt: skip
    assert loaded.one("select count(*) from art.edition_prints") == 8410 - 85 + 353
    flags = dict(loaded.rows("select flag, count(*) from art.edition_flags group by 1"))
    expected = {
        "double_linked": 353, "duplicate_number": 151, "sold_without_date": 138, "sold_without_price": 75,
        "sold_not_printed": 11, "sold_without_distributor": 5, "settled_not_sold": 20, "date_sold_not_sold": 17,
        "in_gallery_after_sale": 137, "placed_not_printed": 44, "unlinked": 1, "unnumbered": 103,
    }  # fmt: skip
    assert {flag: flags[flag] for flag in expected} == expected


def test_the_log_holds_every_count_of_the_seed_and_ours(loaded: ArtTables) -> None:
    row = loaded.rows("""
        select sync_type, records_processed, records_created, records_updated, records_deleted, records_failed,
               status, error_message, source_file, length(source_hash), records_unchanged, records_blank,
               conflicts, values_quarantined, values_repaired, exported_on, completed_at >= started_at
        from art.sync_logs where table_name = 'editions'""")[0]
    assert row == ("incremental", 8410, 8410, 0, 0, 0, "completed", None, "Editions-2025-10-29 export.csv", 64,
                   0, 84, 0, 0, 2, date(2025, 10, 29), True)  # fmt: skip


def test_a_sync_and_its_rollback_stand_in_the_activity_trail(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, who="ann")
    rollback(art_records.engine, 1, who="bob", apply=True, reason="wrong base")
    assert art_records.rows(
        "select who, what, subject, source_file, details from journal.activity order by activity_id"
    ) == [
        ("ann", "sync", "syncs/1", "prints.csv", None), ("bob", "rollback", "syncs/1", None, "wrong base")]  # fmt: skip


def test_the_same_bytes_are_a_no_op_that_says_so(loaded: ArtTables, exports: tuple[Export, Export]) -> None:
    report = loaded.sync_export(exports[0])
    assert (report.noop, report.applied, report.sync_number) == (True, False, None)
    assert "the same bytes as last time" in report.text()
    assert loaded.one("select count(*) from art.syncs") == 1


def test_a_dry_run_shows_the_diff_and_writes_nothing(
    loaded: ArtTables, exports: tuple[Export, Export]
) -> None:
    before = loaded.state()
    report = loaded.sync_export(exports[1], apply=False)
    assert not report.applied
    assert "199 updated" in report.text()
    assert loaded.state() == before
    assert loaded.one("select count(*) from art.syncs") == 1
    assert loaded.sync_export(exports[1]).diff_hash == report.diff_hash


def test_no_personal_text_leaves_with_a_report(loaded: ArtTables, exports: tuple[Export, Export]) -> None:
    report = loaded.sync_export(exports[1])
    shown = report.text(rows=10_000) + str(report.as_dict())
    assert "notes" in shown
    assert "buyer" not in shown


# ---- modes ------------------------------------------------------------------------------------------------


def test_incremental_leaves_what_the_export_lacks_alone(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(1, 2, 3))
    report = art_records.sync(editions=editions(1, 3, 4))
    assert report.table("editions").counts["records_created"] == 1
    assert art_records.rows("select airtable_id from art.editions where is_active order by 1") == [
        (rid("E", n),) for n in (1, 2, 3, 4)
    ]


def test_full_closes_what_the_export_lacks_with_a_reason_and_reopens_what_returns(
    art_records: ArtTables,
) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(1, 2, 3))
    report = art_records.sync("full", editions=editions(1, 3))
    assert report.table("editions").closed == [rid("E", 2)]
    assert (art_records.value(2, "is_active"), art_records.value(2, "close_reason")) == (
        False,
        "missing in the export",
    )
    art_records.sync("full", editions=editions(1, 2, 3))
    assert (
        art_records.value(2, "is_active"),
        art_records.value(2, "close_reason"),
        art_records.value(2, "op"),
    ) == (
        True,
        None,
        "reopen",
    )
    assert art_records.value(2, "sync_version") == 3


def test_full_never_closes_records_that_no_export_can_hold(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(1))
    with art_records.engine.begin() as connection:
        connection.execute(text("insert into art.editions (airtable_id, print_id) values ('web_1700000000000ab', :p)"),
                           {"p": rid("P", 1)})  # fmt: skip
    report = art_records.sync("full", editions=editions(1, 2))
    assert report.table("editions").closed == []


def test_merge_keeps_our_edit_and_takes_what_only_the_export_changed(art_records: ArtTables) -> None:
    art_records.sync(
        prints=PRINTS, distributors=PLACES, editions=editions(1, 2, **{"Retail Price": "£90.00"})
    )
    with art_records.engine.begin() as connection:
        connection.execute(
            text("update art.editions set size = 'Large' where airtable_id = :i"), {"i": rid("E", 1)}
        )
    report = art_records.sync("merge", editions=editions(1, 2, **{"Retail Price": "£95.00"}))
    assert (art_records.value(1, "size"), art_records.value(1, "retail_price")) == ("Large", Decimal("95.00"))
    assert report.table("editions").conflicts == []


def test_merge_lets_a_conflict_wait_and_reports_it_once(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(1, **{"Retail Price": "£90.00"}))
    with art_records.engine.begin() as connection:
        connection.execute(text("update art.editions set retail_price = 100"))
    report = art_records.sync("merge", editions=editions(1, **{"Retail Price": "£95.00"}))
    conflict = report.table("editions").conflicts[0]
    assert (conflict.field, conflict.base, conflict.local, conflict.source) == ("retail_price", 90, 100, 95)
    assert art_records.value(1, "retail_price") == Decimal(100)
    again = art_records.sync("merge", editions=editions(1, **{"Retail Price": "£95.00", "Size": "Small"}))
    assert again.table("editions").conflicts == []
    assert art_records.one("select count(*) from art.conflicts where status = 'open'") == 1
    assert (art_records.value(1, "retail_price"), art_records.value(1, "size")) == (Decimal(100), "Small")


def test_incremental_lets_the_export_win_and_keeps_our_value_in_history(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(1, **{"Retail Price": "£90.00"}))
    with art_records.engine.begin() as connection:
        connection.execute(text("update art.editions set retail_price = 100"))
    art_records.sync(editions=editions(1, **{"Retail Price": "£90.00", "Size": "Small"}))
    assert art_records.value(1, "retail_price") == Decimal(90)
    assert art_records.rows(
        "select old_value, new_value from art.changes where field = 'retail_price' order by sync_number"
    ) == [
        (90.0, 100.0), (100.0, 90.0)]  # fmt: skip
    assert art_records.one("select count(*) from art.source_values") == 0


def test_a_full_sync_of_the_bytes_of_an_incremental_one_may_still_close(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(1, 2))
    art_records.sync(editions=editions(1))
    assert art_records.sync("incremental", editions=editions(1)).noop
    assert art_records.sync("full", editions=editions(1)).table("editions").closed == [rid("E", 2)]
    assert art_records.sync("full", editions=editions(1)).noop


# ---- what is not in the export ------------------------------------------------------------------------------


def test_a_column_that_the_export_does_not_carry_leaves_the_art_records_as_they_are(
    art_records: ArtTables,
) -> None:
    full = distributor_row(2, "Amber Room", **{"Net Revenue": "£100.00", "Date": "October 5, 2025"})
    art_records.sync(distributors=[full])
    clean = (
        b"Name,Image,Commission,Notes,Contact Number,Web address,Record_id\nAmber Room,,40%,,,,"
        + rid("D", 2).encode()
    )
    report = art_records.sync(distributors=clean)
    assert report.table("distributors").changed_fields == {"commission_percentage": 1}
    assert art_records.rows("select net_revenue, last_update_date from art.distributors") == [
        (Decimal("100.00"), date(2025, 10, 5))]  # fmt: skip


def test_a_withheld_value_leaves_the_field_as_it_was_and_waits_in_quarantine(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(1, **{"Retail Price": "£90.00"}))
    report = art_records.sync(editions=editions(1, **{"Retail Price": "ninety", "Size": "Small"}))
    assert (art_records.value(1, "retail_price"), art_records.value(1, "size")) == (Decimal("90.00"), "Small")
    counts = report.table("editions").counts
    assert (counts["records_failed"], counts["values_quarantined"]) == (1, 1)
    assert art_records.rows("select file_row, column_name, rule, outcome, raw_value, problem from art.quarantine") == [
        (2, "Retail Price", "price", "withheld", "ninety", "is not a number")]  # fmt: skip


def test_corrected_rules_read_the_kept_file_again_and_release_the_quarantine(art_records: ArtTables) -> None:
    with pytest.raises(Refused, match="No export was synced yet"):
        rerun(art_records.engine, "incremental", objects=art_records.objects, who="t")
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(1, Size="Giant"))
    assert art_records.value(1, "size") is None
    assert rerun(art_records.engine, "incremental", objects=art_records.objects, who="t", apply=True).noop
    old = rulebook()
    size = old.rules["size"] | {"words": old.rules["size"]["words"] | {"giant": "Extra Large"}}
    corrected = Rulebook(old.rules | {"size": size}, old.names, "new", old.layouts)
    report = rerun(
        art_records.engine, "incremental", objects=art_records.objects, who="t", apply=True, book=corrected
    )
    assert report.applied
    assert art_records.value(1, "size") == "Extra Large"
    assert art_records.one("select rule_version from art.syncs order by sync_number desc limit 1") == "new"


def test_a_duplicate_name_and_a_duplicate_number_both_load(art_records: ArtTables) -> None:
    art_records.sync(prints=[print_row(1, "Regatta"), print_row(2, "Regatta")], distributors=PLACES,
               editions=[edition_row(1), edition_row(2, **{"Print Edition": "1"})])  # fmt: skip
    assert art_records.one("select count(*) from art.prints where name = 'Regatta'") == 2
    assert art_records.rows("select flag, count(*) from art.edition_flags group by 1") == [
        ("duplicate_number", 2)
    ]


def test_an_edition_linked_to_two_prints_keeps_both_and_appears_once(art_records: ArtTables) -> None:
    both = edition_row(1, Print="Work 1,Work 2", print_record_id=f"{rid('P', 1)}, {rid('P', 2)}")
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=[both])
    assert art_records.rows("select print_id, position from art.edition_prints order by position") == [
        (rid("P", 1), 1), (rid("P", 2), 2)]  # fmt: skip
    assert art_records.rows("select print_id, is_double_linked from art.editions") == [(rid("P", 1), True)]


def test_a_renamed_print_renames_its_editions_without_changing_them(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(1))
    renamed = edition_row(
        1, at=2, **{"Print": "New Name", "Print - Edition": "New Name - 1", "Print copy": "New Name"}
    )
    report = art_records.sync(prints=[print_row(1, "New Name"), print_row(2)], editions=[renamed])
    assert report.table("editions").nothing_new
    assert art_records.value(1, "edition_display_name") == "New Name - 1"


# ---- decisions, phases, limits --------------------------------------------------------------------------


def test_closing_too_many_waits_for_a_decision_on_that_very_diff(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(*range(1, 31)))
    fewer = editions(*range(1, 29))
    waiting = art_records.sync("full", limits=Limits(), editions=fewer)
    assert (waiting.waiting, waiting.applied) == (True, False)
    assert "2 of 30 records would be closed" in waiting.text()
    assert art_records.one("select count(*) from art.editions where is_active") == 30
    with pytest.raises(Refused, match="The decision was on the diff"):
        art_records.sync(
            "full", limits=Limits(), editions=editions(*range(1, 28)), approved=waiting.diff_hash
        )
    done = art_records.sync("full", limits=Limits(), editions=fewer, approved=waiting.diff_hash)
    assert done.applied
    assert art_records.one("select count(*) from art.editions where is_active") == 28


def test_one_closing_in_a_large_table_needs_no_decision(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(*range(1, 31)))
    assert art_records.sync("full", limits=Limits(), editions=editions(*range(1, 30))).applied


def test_the_export_of_another_base_waits(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(*range(1, 31)))
    report = art_records.sync(limits=Limits(), editions=editions(*range(100, 130)))
    assert "the export of another base" in report.blocks[0]
    assert not report.applied


def test_an_older_export_waits(art_records: ArtTables, exports: tuple[Export, Export]) -> None:
    art_records.sync_export(exports[1])
    report = art_records.sync_export(exports[0])
    assert "this export is of 2025-10-29, the art tables hold one of 2026-01-01 already" in report.blocks[-1]
    assert not report.applied


@pytest.mark.parametrize(("phase", "mode", "allowed"), [
    ("parallel", "incremental", True), ("parallel", "full", True), ("postgres_primary", "merge", True),
    ("postgres_primary", "incremental", False), ("postgres_primary", "full", False), ("postgres_only", "merge", False),
])  # fmt: skip
def test_the_phase_says_which_exports_are_applied(
    art_records: ArtTables, phase: str, mode: str, allowed: bool
) -> None:
    def act() -> Any:
        return art_records.sync(mode, phase=phase, prints=PRINTS)

    if allowed:
        assert act().applied
    else:
        with pytest.raises(Refused, match="PostgreSQL"):
            act()
        assert art_records.one("select count(*) from art.prints") == 0


def test_the_comparison_report_needs_no_phase_and_writes_nothing(art_records: ArtTables) -> None:
    files = {
        "prints": art_records.file("prints", PRINTS),
        "distributors": art_records.file("distributors", PLACES),
    }
    sync(art_records.engine, files, "incremental", objects=art_records.objects, who="tester", apply=True)
    assert all(
        t.nothing_new and not t.closed
        for t in compare(art_records.engine, files, objects=art_records.objects).tables
    )
    files["prints"] = art_records.file("prints", PRINTS[:1])
    report = compare(art_records.engine, files, objects=art_records.objects)
    assert report.table("prints").closed == [rid("P", 2)]
    assert art_records.one("select count(*) from art.prints where is_active") == 2


def test_an_unknown_mode_or_table_is_named(art_records: ArtTables) -> None:
    with pytest.raises(ConfigurationError, match="'half' is not a mode"):
        art_records.sync("half", prints=PRINTS)
    with pytest.raises(ConfigurationError, match="orders"):
        sync(art_records.engine, {"orders": art_records.folder}, "full", objects=art_records.objects, who="t")


# ---- failures ---------------------------------------------------------------------------------------------


def test_one_faulty_file_of_three_leaves_the_art_records_as_they_were(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES, editions=editions(1))
    before = art_records.state()
    broken = [*editions(1, 2), edition_row(2)]
    with pytest.raises(BadInput, match=r"editions.csv, row 4, column record_id"):
        art_records.sync(prints=[*PRINTS, print_row(3)], distributors=PLACES, editions=broken)
    assert art_records.state() == before
    assert art_records.one("select count(*) from art.raw_files where row_count is null") == 1


def test_a_failure_while_writing_leaves_a_failed_sync_and_nothing_else(art_records: ArtTables) -> None:
    art_records.sync(prints=PRINTS, distributors=PLACES)
    with art_records.engine.begin() as connection:
        connection.execute(
            text("alter table art.edition_versions add constraint never check (edition_number < 5)")
        )
    with pytest.raises(Exception, match="never"):
        art_records.sync(prints=[*PRINTS, print_row(3)], editions=editions(4, 5))
    assert art_records.one("select count(*) from art.prints") == 2
    assert art_records.one("select count(*) from art.editions") == 0
    assert art_records.rows("select sync_number, status from art.syncs order by 1") == [
        (1, "completed"),
        (2, "failed"),
    ]
    assert art_records.one("select count(*) from art.changes where sync_number = 2") == 0


def test_a_sync_that_died_is_named_failed_by_the_next_one(art_records: ArtTables) -> None:
    with art_records.engine.begin() as connection:
        connection.execute(text("insert into art.syncs (sync_type, status, who, via, effective_on) "
                                "values ('full', 'running', 'x', 'cli', current_date)"))  # fmt: skip
    art_records.sync(prints=PRINTS)
    assert art_records.rows("select status, error_message from art.syncs order by sync_number") == [
        ("failed", "the process ended before it was done"), ("completed", None)]  # fmt: skip


def test_text_that_looks_like_a_formula_or_like_sql_is_only_text(art_records: ArtTables) -> None:
    odd = '=HYPERLINK("x")\t\'; drop table art.syncs; --\\N\n\u202e'
    art_records.sync(
        prints=PRINTS, distributors=PLACES, editions=editions(1, Notes=odd, Variation='{a,"b\\}')
    )
    assert (art_records.value(1, "notes"), art_records.value(1, "variation")) == (odd.strip(), '{a,"b\\}')
