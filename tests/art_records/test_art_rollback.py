"""Taking a sync back: what is clean, what stands against it, and that nothing is lost either way."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from sqlalchemy import text

from crown.art_records.history.rollback import RollbackReport, rollback
from crown.art_records.history.writing import alone
from crown.art_records.sample_files import Export
from crown.errors import Refused

from .conftest import ArtTables, distributor_row, edition_row, print_row, rid

PLACES = [distributor_row(1, "Direct", Commission="0%"), distributor_row(2, "Amber Room", Commission="40%")]


def row(number: int, price: int, **cells: str) -> dict[str, str]:
    return edition_row(number, at=2, **{"Retail Price": f"£{price}.00"}, **cells)


@pytest.fixture
def three(art_records: ArtTables) -> ArtTables:
    """Sync 1 loads, sync 2 raises two prices and adds an edition, sync 3 changes one of them and a size."""
    art_records.sync(
        prints=[print_row(1)], distributors=PLACES, editions=[row(1, 90), row(2, 90), row(3, 90)]
    )
    art_records.sync(editions=[row(1, 95), row(2, 95), row(3, 90), row(4, 50)])
    art_records.sync(editions=[row(1, 99), row(2, 95, Size="Small"), row(3, 90), row(4, 50)])
    return art_records


def take_back(art_records: ArtTables, target: int, **more: object) -> RollbackReport:
    return rollback(art_records.engine, target, who="tester", apply=True, **more)  # type: ignore[arg-type]


def hand(art_records: ArtTables, statement: str) -> None:
    with art_records.engine.begin() as connection:
        connection.execute(text(statement))


def test_a_middle_sync_is_taken_back_and_later_work_stays(three: ArtTables) -> None:
    report = take_back(three, 2)
    assert report.counts == {"clean": 2, "superseded": 1}
    assert (three.value(1, "retail_price"), three.value(2, "retail_price")) == (Decimal(99), Decimal(90))
    assert three.value(2, "size") == "Small"
    assert three.one("select count(*) from art.editions") == 3
    acts = three.rows(
        "select sync_number, status, reverts, reverted_by from art.syncs where sync_number in (2, 4) order by 1"
    )
    assert acts == [(2, "partly_rolled_back", None, 4), (4, "completed", 2, None)]


def test_force_takes_back_what_a_later_sync_wrote_over(three: ArtTables) -> None:
    take_back(three, 2, choose="force")
    assert three.value(1, "retail_price") == Decimal(90)
    assert three.one("select status from art.syncs where sync_number = 2") == "rolled_back"


def test_one_field_can_be_chosen_besides_the_clean_ones(three: ArtTables) -> None:
    take_back(three, 2, fields=[(rid("E", 1), "retail_price")])
    assert three.value(1, "retail_price") == Decimal(90)


def test_a_persons_edit_stands_against_the_rollback_and_is_kept(three: ArtTables) -> None:
    hand(three, f"update art.editions set retail_price = 123 where airtable_id = '{rid('E', 2)}'")
    report = take_back(three, 2)
    edited = [s for s in report.steps if s.kind == "edited"]
    assert [(s.change.airtable_id, s.why) for s in edited] == [(rid("E", 2), "a person changed it in sync 4")]
    assert three.value(2, "retail_price") == Decimal(123)


def test_a_record_that_a_person_worked_on_does_not_go_with_its_sync(three: ArtTables) -> None:
    hand(three, f"update art.editions set variation = 'Blue' where airtable_id = '{rid('E', 4)}'")
    report = take_back(three, 2)
    assert Counter(s.kind for s in report.steps if s.change.op == "withdraw") == {"edited": 1}
    assert three.value(4, "variation") == "Blue"


def test_a_print_with_editions_of_a_later_sync_stays_whatever_is_chosen(art_records: ArtTables) -> None:
    art_records.sync(prints=[print_row(1)], distributors=PLACES)
    art_records.sync(editions=[row(1, 90)])
    report = take_back(art_records, 1, choose="force")
    blocked = {s.change.airtable_id for s in report.steps if s.kind == "blocked"}
    assert blocked == {rid("P", 1), rid("D", 2)}
    assert art_records.rows("select airtable_id from art.prints") == [(rid("P", 1),)]
    assert art_records.rows("select airtable_id from art.distributors") == [(rid("D", 2),)]


def test_a_first_load_goes_whole_and_comes_back_whole(three: ArtTables) -> None:
    before = three.state()
    report = take_back(three, 1, through_latest=True)
    assert three.state() == {"prints": [], "distributors": [], "editions": []}
    assert three.rows("select distinct status from art.syncs where sync_number <= 3") == [("rolled_back",)]
    assert report.sync_number is not None
    take_back(three, report.sync_number)
    assert three.state() == before
    assert three.rows("select distinct status from art.syncs where sync_number <= 3") == [("completed",)]


def test_rolling_back_to_before_a_sync_keeps_what_people_wrote_unless_forced(three: ArtTables) -> None:
    hand(three, f"update art.editions set retail_price = 123 where airtable_id = '{rid('E', 3)}'")
    report = take_back(three, 2, through_latest=True)
    assert report.counts["edited"] == 1
    assert [three.value(n, "retail_price") for n in (1, 2, 3)] == [Decimal(90), Decimal(90), Decimal(123)]
    assert three.value(2, "size") is None


def test_a_closing_is_taken_back_by_reopening(three: ArtTables) -> None:
    three.sync("full", editions=[row(1, 99), row(2, 95, Size="Small"), row(3, 90)])
    report = take_back(three, 4)
    assert [s.change.op for s in report.steps] == ["reopen"]
    assert (three.value(4, "is_active"), three.value(4, "close_reason")) == (True, None)


def test_a_preview_writes_nothing_and_waits_for_nobody(three: ArtTables) -> None:
    before, acts = three.state(), three.rows("select * from art.syncs order by sync_number")
    with alone(three.engine):
        report = rollback(three.engine, 2, who="tester")
    assert not report.applied
    assert "2 clean, 1 superseded" in report.text()
    assert three.state() == before
    assert three.rows("select * from art.syncs order by sync_number") == acts


def test_a_decision_counts_for_the_rollback_that_was_seen(three: ArtTables) -> None:
    seen = rollback(three.engine, 2, who="tester").diff_hash
    hand(three, f"update art.editions set retail_price = 123 where airtable_id = '{rid('E', 2)}'")
    with pytest.raises(Refused, match="look at it again"):
        take_back(three, 2, approved=seen)


def test_changed_rules_block_until_forced(three: ArtTables) -> None:
    report = rollback(three.engine, 2, who="tester", rule_version="another")
    assert report.counts == {"blocked": 2, "superseded": 1}
    assert take_back(three, 2, choose="force", rule_version="another").status == "rolled_back"


def test_what_is_not_in_the_art_records_is_not_taken_back(three: ArtTables) -> None:
    with pytest.raises(Refused, match="There is no sync 99"):
        take_back(three, 99)
    take_back(three, 3)
    with pytest.raises(Refused, match="Sync 3 is rolled back: it has nothing in the art tables"):
        take_back(three, 3)


def test_a_failed_rollback_leaves_its_state_and_no_change(three: ArtTables) -> None:
    before = three.state()
    hand(three, "alter table art.changes add constraint never check (sync_number < 4)")
    with pytest.raises(Exception, match="never"):
        take_back(three, 2)
    assert three.state() == before
    assert three.rows("select status from art.syncs where sync_number in (2, 4) order by sync_number") == [
        ("rollback_failed",), ("failed",)]  # fmt: skip
    hand(three, "alter table art.changes drop constraint never")
    assert take_back(three, 2).status == "partly_rolled_back"


def test_a_rollback_that_died_is_named_so_and_can_be_repeated(three: ArtTables) -> None:
    hand(three, "update art.syncs set status = 'rolling_back' where sync_number = 3")
    assert take_back(three, 3).status == "rolled_back"
    assert three.value(1, "retail_price") == Decimal(95)


def test_the_same_file_is_read_again_after_its_sync_was_taken_back(three: ArtTables) -> None:
    take_back(three, 3)
    again = three.sync(editions=[row(1, 99), row(2, 95, Size="Small"), row(3, 90), row(4, 50)])
    assert again.applied
    assert three.value(1, "retail_price") == Decimal(99)


def test_a_conflict_goes_with_its_sync_and_comes_back_with_it(art_records: ArtTables) -> None:
    art_records.sync(prints=[print_row(1)], distributors=PLACES, editions=[row(1, 90), row(2, 90)])
    hand(art_records, f"update art.editions set retail_price = 100 where airtable_id = '{rid('E', 1)}'")
    art_records.sync("merge", editions=[row(1, 95), row(2, 95)])
    report = take_back(art_records, 3)
    assert art_records.one("select status from art.conflicts") == "withdrawn"
    assert art_records.one("select value from art.source_values where field = 'retail_price' and airtable_id = :i",
                     i=rid("E", 1)) == 90  # fmt: skip
    assert report.sync_number is not None
    take_back(art_records, report.sync_number)
    assert art_records.one("select status from art.conflicts") == "open"


def test_a_sync_that_only_raised_conflicts_can_be_taken_back(art_records: ArtTables) -> None:
    art_records.sync(prints=[print_row(1)], distributors=PLACES, editions=[row(1, 90)])
    hand(art_records, "update art.editions set retail_price = 100")
    art_records.sync("merge", editions=[row(1, 95)])
    assert take_back(art_records, 3).status == "rolled_back"
    assert art_records.one("select status from art.conflicts") == "withdrawn"


def test_after_a_rollback_a_merge_respects_it(three: ArtTables) -> None:
    take_back(three, 3)
    three.sync(
        "merge", editions=[row(1, 99, Variation="Blue"), row(2, 95, Size="Small"), row(3, 90), row(4, 50)]
    )
    assert (three.value(1, "retail_price"), three.value(1, "variation")) == (Decimal(95), "Blue")


def test_the_second_sample_export_is_taken_back_and_restored(
    art_records: ArtTables, exports: tuple[Export, Export]
) -> None:
    art_records.sync_export(exports[0])
    first = art_records.state()
    art_records.sync_export(exports[1])
    second = art_records.state()
    report = take_back(art_records, 2)
    assert report.counts["clean"] == len(report.steps)
    assert art_records.state() == first
    assert report.sync_number is not None
    take_back(art_records, report.sync_number)
    assert art_records.state() == second
