"""Work on both sides: one conflict a field, decided on what both say now; local work is never lost without a word."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from crown.art_records.acts import local
from crown.art_records.exports import arriving
from crown.art_records.history.comparing import Limits
from crown.art_records.history.rollback import rollback
from crown.art_records.history.states import open_conflicts
from crown.art_records.reports import SyncReport
from crown.art_records.workspace import Workspace
from crown.errors import Refused
from crown.settings.model import Settings

from .conftest import ArtTables, distributor_row, edition_row, print_row, rid

ONE = rid("E", 1)


def row(pounds: int, number: int = 1, **cells: str) -> dict[str, str]:
    return edition_row(number, at=1, Printed="checked", **{"Retail Price": f"£{pounds}.00"}, **cells)


@pytest.fixture
def worked(art_records: ArtTables) -> ArtTables:
    """The export says £90, a person says £100."""
    art_records.sync(
        prints=[print_row(1)],
        distributors=[distributor_row(1, "Amber Room", Commission="40%")],
        editions=[row(90)],
    )
    say(art_records, 100)
    return art_records


def say(art_records: ArtTables, pounds: int) -> None:
    local.edit(art_records.engine, "editions", ONE, {"retail_price": str(pounds)}, who="ann")


def conflicts(art_records: ArtTables) -> list[tuple[Any, ...]]:
    return art_records.rows(
        "select conflict_id, status, base_value, local_value, source_value from art.conflicts order by 1"
    )


# ---- conflicts --------------------------------------------------------------------------------------------


def test_a_field_has_one_open_conflict_and_a_newer_one_supersedes_it(worked: ArtTables) -> None:
    worked.sync("merge", editions=[row(95)])
    worked.sync("merge", editions=[row(97)])
    assert conflicts(worked) == [(1, "superseded", 90, 100, 95), (2, "open", 90, 100, 97)]
    with pytest.raises(Refused, match="Conflict 1 is superseded by conflict 2 already"):
        local.resolve(worked.engine, 1, "source", who="ann")
    local.resolve(worked.engine, 2, "source", who="ann")
    assert worked.value(1, "retail_price") == Decimal(97)


def test_no_two_open_conflicts_on_a_field_can_be_written(worked: ArtTables) -> None:
    worked.sync("merge", editions=[row(95)])
    with pytest.raises(Exception, match="conflicts_one_open"), worked.engine.begin() as connection:
        connection.execute(
            text("""
                insert into art.conflicts (sync_number, table_name, airtable_id, field, base_value, local_value,
                                           source_value)
                select sync_number, table_name, airtable_id, field, base_value, local_value, source_value
                from art.conflicts
            """)
        )


@pytest.mark.parametrize(
    "agree",
    [
        lambda art_records: art_records.sync("merge", editions=[row(100)]),
        lambda art_records: say(art_records, 95),
        lambda art_records: art_records.sync("incremental", editions=[row(95, Size="Small")]),
        lambda art_records: art_records.sync("merge", editions=[row(90)]),
    ],
    ids=["export follows", "person follows", "export wins", "export returns"],
)
def test_a_conflict_closes_by_itself_when_nothing_is_disputed_any_more(
    worked: ArtTables, agree: Callable[[ArtTables], Any]
) -> None:
    worked.sync("merge", editions=[row(95)])
    agree(worked)
    assert open_conflicts(worked.engine) == []
    assert worked.rows("select status, decided_by from art.conflicts") == [("settled", None)]


def test_a_conflict_stays_open_while_the_art_records_say_a_third_thing_or_the_old_one(
    worked: ArtTables,
) -> None:
    worked.sync("merge", editions=[row(95)])
    rollback(worked.engine, 2, who="eve", apply=True)
    shown = open_conflicts(worked.engine)[0]
    assert (shown["local_value"], shown["source_value"]) == (90, 95)


def test_a_conflict_shows_and_takes_what_both_sides_say_now(worked: ArtTables) -> None:
    worked.sync("merge", editions=[row(95)])
    say(worked, 110)
    shown = open_conflicts(worked.engine)[0]
    assert (shown["base_value"], shown["local_value"], shown["source_value"]) == (90, 110, 95)
    local.resolve(worked.engine, 1, "local", who="ann")
    assert worked.value(1, "retail_price") == Decimal(110)


def test_a_superseded_conflict_is_open_again_when_the_newer_sync_is_taken_back(worked: ArtTables) -> None:
    worked.sync("merge", editions=[row(95)])
    newer = worked.sync("merge", editions=[row(97)])
    assert newer.sync_number is not None
    undone = rollback(worked.engine, newer.sync_number, who="eve", apply=True)
    assert [(c["conflict_id"], c["source_value"]) for c in open_conflicts(worked.engine)] == [(1, 95)]
    assert undone.sync_number is not None
    rollback(worked.engine, undone.sync_number, who="eve", apply=True)
    assert [(c["conflict_id"], c["source_value"]) for c in open_conflicts(worked.engine)] == [(2, 97)]
    worked.sync("merge", editions=[row(98)])
    assert [c["source_value"] for c in open_conflicts(worked.engine)] == [98]


# ---- local work -------------------------------------------------------------------------------------------


@pytest.fixture
def sold(art_records: ArtTables) -> ArtTables:
    """Edition 1 was sold here; the base does not know."""
    art_records.sync(
        prints=[print_row(1)],
        distributors=[distributor_row(1, "Amber Room", Commission="40%")],
        editions=[row(90, n) for n in (1, 2, 3)],
    )
    local.sell(art_records.engine, ONE, who="ann", sold_on=date(2025, 11, 3), commission=Decimal(40))
    return art_records


def _with_change(pounds: int = 90) -> list[dict[str, str]]:
    return [row(90), row(pounds, 2), row(90, 3, Size="Small")]


def test_by_default_an_export_keeps_a_local_sale_and_counts_it(sold: ArtTables, tmp_path: Path) -> None:
    assert Workspace(sold.engine, Settings(home=tmp_path)).mode == "merge"
    report = sold.sync("merge", limits=Limits(), editions=_with_change())
    assert report.applied
    assert (sold.value(1, "is_sold"), sold.value(3, "size")) == (True, "Small")
    kept = {name for _, name in report.table("editions").kept_local}
    assert {"is_sold", "date_sold"} <= kept
    assert (
        f"kept: {len(report.table('editions').kept_local)} × entered here, not in the export" in report.text()
    )


@pytest.mark.parametrize("mode", ["incremental", "full"])
def test_an_export_that_would_take_back_a_local_sale_waits_and_names_it(sold: ArtTables, mode: str) -> None:
    report = sold.sync(mode, limits=Limits(), editions=_with_change())
    assert (report.applied, report.waiting) == (False, True)
    [why] = report.blocks
    assert "entered here that the export does not say would be taken back" in why
    assert "is_sold" in why
    assert f"Work 1 - 1 ({ONE})" in why
    assert sold.value(1, "is_sold") is True
    confirmed = sold.sync(mode, limits=Limits(), editions=_with_change(), approved=report.diff_hash)
    assert confirmed.applied
    assert sold.value(1, "is_sold") is False


def test_a_full_sync_that_would_close_a_record_with_local_work_waits(sold: ArtTables) -> None:
    limits = Limits(close_rows=10, close_share=1.0)
    report = sold.sync("full", limits=limits, editions=[row(90, 2), row(90, 3)])
    assert report.waiting
    assert sold.sync("full", limits=limits, editions=[row(90), row(90, 2)]).waiting  # its sale would go


# ---- decisions --------------------------------------------------------------------------------------------


def _closing(art_records: ArtTables, *, approved: str | None = None) -> SyncReport:
    return art_records.sync(
        "full", limits=Limits(), editions=[row(90, n) for n in range(1, 28)], approved=approved
    )


def test_a_decision_covers_one_difference_once(art_records: ArtTables) -> None:
    art_records.sync(
        prints=[print_row(1)],
        distributors=[distributor_row(1, "Amber Room")],
        editions=[row(90, n) for n in range(1, 31)],
    )
    waiting = _closing(art_records)
    closed = _closing(art_records, approved=waiting.diff_hash)
    assert closed.applied
    assert closed.sync_number is not None
    rollback(art_records.engine, closed.sync_number, who="ann", apply=True)
    again = _closing(art_records)
    assert again.table("editions").closed == waiting.table("editions").closed
    assert (again.waiting, again.diff_hash != waiting.diff_hash) == (True, True)
    with pytest.raises(Refused, match="The decision was on the diff"):
        _closing(art_records, approved=waiting.diff_hash)
    assert art_records.one("select count(*) from art.editions where is_active") == 30


def test_an_approval_that_was_used_lets_no_second_run_through(art_records: ArtTables, tmp_path: Path) -> None:
    workspace = Workspace(art_records.engine, Settings(home=tmp_path, art_records={"mode": "full"}))
    workspace.exports.mkdir(parents=True)
    art_records.sync(prints=[print_row(1)], distributors=[distributor_row(1, "Amber Room")],
               editions=[row(90, n) for n in range(1, 31)])  # fmt: skip
    fewer = art_records.file("editions", [row(90, n) for n in range(1, 28)])
    (workspace.exports / "Editions.csv").write_bytes(fewer.read_bytes())

    def run() -> arriving.Outcome:
        from crown.art_records.history.syncing import receive

        raws = [
            e.raw
            for e in receive(
                workspace.engine, {"editions": workspace.exports / "Editions.csv"}, objects=workspace.objects
            )
        ]
        return arriving.bring_in(workspace, raws, who="job", via="run")

    arriving.decide(workspace, run().report.diff_hash, "approve", who="ann", via="cli")
    applied = run().report
    assert applied.applied
    assert applied.sync_number is not None
    rollback(art_records.engine, applied.sync_number, who="ann", apply=True)
    second = run()
    assert (second.report.applied, second.decision) == (False, None)
    assert second.waits is not None
    assert "3 of 30 records would be closed" in second.waits
