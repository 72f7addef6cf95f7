"""What holds for every story of syncs, edits and rollbacks, not only for the ones we thought of."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from crown.art_records.checks import run_checks
from crown.art_records.history.rollback import rollback

from .conftest import ArtTables, distributor_row, edition_row, print_row, rid

NUMBERS = (1, 2, 3, 4)
PRINTS = [print_row(1), print_row(2)]
PLACES = [distributor_row(1, "Direct"), distributor_row(2, "Amber Room")]
REPLAY = ("prints_replay", "distributors_replay", "editions_replay")
EXAMPLES = settings(
    max_examples=25, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip

cells = st.fixed_dictionaries(
    {},
    optional={
        "Retail Price": st.sampled_from(["£90.00", "£95.00", "", "ninety", "£0.00"]),
        "Size": st.sampled_from(["Small", "Large", "Unknown", "gigantic"]),
        "Sold": st.sampled_from(["checked", "", "perhaps"]),
        "Date Sold": st.sampled_from(["3/14/2021", "4/2/1920", "soon"]),
        "Notes": st.sampled_from(["a\nb", "=1+1", "\\N"]),
        "distributor_record_id": st.sampled_from([rid("D", 1), rid("D", 2), "nobody"]),
        "print_record_id": st.sampled_from([rid("P", 2), f"{rid('P', 1)}, {rid('P', 2)}"]),
    },
)
rows = st.dictionaries(st.sampled_from(NUMBERS), cells, min_size=1)
a_sync = st.tuples(st.just("sync"), st.sampled_from(["incremental", "merge", "full"]), rows)
an_edit = st.tuples(st.just("edit"), st.sampled_from(NUMBERS), st.sampled_from([
    ("retail_price", 77), ("retail_price", 90), ("size", "Large"), ("size", None), ("is_active", False),
]))  # fmt: skip
a_rollback = st.tuples(st.just("rollback"), st.integers(1, 8), st.sampled_from(["skip", "force"]))
stories = st.lists(st.one_of(a_sync, a_sync, an_edit, a_rollback), min_size=1, max_size=6)


def file_of(chosen: dict[int, dict[str, str]]) -> list[dict[str, str]]:
    return [edition_row(number, **more) for number, more in sorted(chosen.items())]


def tell(art_records: ArtTables, act: tuple[Any, ...]) -> None:
    """Do one act of a story; acts that find nothing to do leave no trace."""
    what, first, second = act
    if what == "sync":
        art_records.sync(first, editions=file_of(second))
    elif what == "edit":
        with art_records.engine.begin() as connection:
            connection.execute(
                text(f"update art.editions set {second[0]} = :v where airtable_id = :i"),
                {"v": second[1], "i": rid("E", first)},
            )
    else:
        standing = art_records.rows(
            "select sync_number from art.syncs where status in ('completed', 'partly_rolled_back')"
        )
        if standing:
            rollback(
                art_records.engine, standing[first % len(standing)][0], who="t", apply=True, choose=second
            )


def begin(art_records: ArtTables) -> None:
    """An empty base with two prints and two distributors."""
    with art_records.engine.begin() as connection:
        connection.execute(text("select set_config('crown.art_writer', 'on', true)"))
        connection.execute(text("truncate art.syncs, art.sync_tables, art.print_versions, art.distributor_versions, "
                                "art.edition_versions, art.changes, art.source_values, art.conflicts, art.quarantine "
                                "restart identity"))  # fmt: skip
    art_records.sync(prints=PRINTS, distributors=PLACES)


def newest(art_records: ArtTables) -> int:
    return art_records.one("select max(sync_number) from art.syncs")


@EXAMPLES
@given(story=stories, last=a_sync)
def test_apply_then_rollback_is_before_and_rolling_that_back_is_apply(
    art_records: ArtTables, story: list[tuple[Any, ...]], last: tuple[Any, ...]
) -> None:
    begin(art_records)
    for act in story:
        tell(art_records, act)
    before, at = art_records.state(), newest(art_records)
    tell(art_records, last)
    after = art_records.state()
    if newest(art_records) == at:
        assert after == before
        return
    back = rollback(art_records.engine, newest(art_records), who="t", apply=True)
    assert art_records.state() == before
    if back.applied:
        assert back.sync_number is not None
        rollback(art_records.engine, back.sync_number, who="t", apply=True)
        assert art_records.state() == after


@EXAMPLES
@given(story=stories)
def test_as_of_a_sync_is_the_state_stored_when_it_ended(
    art_records: ArtTables, story: list[tuple[Any, ...]]
) -> None:
    begin(art_records)
    stored = {newest(art_records): art_records.state()}
    for act in story:
        tell(art_records, act)
        stored[newest(art_records)] = art_records.state()
    for number, state in stored.items():
        assert art_records.state(at=number) == state


@EXAMPLES
@given(story=stories, which=st.integers(0, 20), choose=st.sampled_from(["skip", "force"]))
def test_taking_back_any_sync_leaves_the_fields_it_did_not_touch(
    art_records: ArtTables, story: list[tuple[Any, ...]], which: int, choose: str
) -> None:
    begin(art_records)
    for act in story:
        tell(art_records, act)
    standing = [
        n
        for (n,) in art_records.rows(
            "select sync_number from art.syncs where status = 'completed' order by 1"
        )
    ]
    target = standing[which % len(standing)]
    touched = set(
        art_records.rows(
            "select table_name, airtable_id, field from art.changes where sync_number = :n", n=target
        )
    )
    before = by_field(art_records)
    rollback(art_records.engine, target, who="t", apply=True, choose=choose)  # type: ignore[arg-type]
    after = by_field(art_records)
    for (table, airtable_id, name), value in before.items():
        if (table, airtable_id, name) not in touched and (table, airtable_id, None) not in touched:
            assert after[(table, airtable_id, name)] == value
    came = {(t, i) for t, i, _ in after} - {(t, i) for t, i, _ in before}
    assert came <= {(t, i) for t, i, name in touched if name is None}


def by_field(art_records: ArtTables) -> dict[tuple[str, str, str], Any]:
    found = {}
    for table in ("prints", "distributors", "editions"):
        singular = table[:-1]
        for airtable_id, state in art_records.rows(
            f"select airtable_id, to_jsonb(v) - 'valid_from_sync' - 'op' - 'source' - 'row_hash' - 'sync_version' "
            f"- 'exported_sync' - 'close_reason' - 'exported_name' - 'image_urls' - 'created_sync' "
            f"from art.{singular}_versions v where valid_to_sync is null"
        ):
            found |= {(table, airtable_id, name): value for name, value in state.items()}
    return found


@EXAMPLES
@given(story=st.lists(a_sync, min_size=1, max_size=4))
def test_every_row_of_every_file_is_accounted_for(
    art_records: ArtTables, story: list[tuple[Any, ...]]
) -> None:
    begin(art_records)
    for _, mode, chosen in story:
        report = art_records.sync(mode, editions=file_of(chosen))
        table = report.table("editions")
        if report.noop:
            assert "the same bytes" in (table.noop or "")
            continue
        counts = table.counts
        assert counts["records_processed"] == len(chosen)
        assert counts["records_created"] + counts["records_updated"] + counts["records_unchanged"] == len(
            chosen
        )
        known = {i for (i,) in art_records.rows("select airtable_id from art.editions where is_active")}
        assert {rid("E", n) for n in chosen} <= known
        withheld = {(f.airtable_id, f.field) for f in table.findings if f.outcome == "withheld"}
        expected = set()
        for number, more in chosen.items():
            faulty = {"Retail Price": ("ninety", "retail_price"), "Size": ("gigantic", "size"),
                      "Sold": ("perhaps", "is_sold"), "Date Sold": ("soon", "date_sold"),
                      "distributor_record_id": ("nobody", "distributor_id")}  # fmt: skip
            expected |= {
                (rid("E", number), faulty[c][1]) for c, v in more.items() if c in faulty and v == faulty[c][0]
            }
        assert withheld == expected
        stored = art_records.one("select count(*) from art.quarantine where outcome = 'withheld' and sync_number = :n",
                           n=report.sync_number or 0)  # fmt: skip
        assert stored == (len(withheld) if report.applied else 0)


@EXAMPLES
@given(story=stories)
def test_the_change_sets_explain_every_state(art_records: ArtTables, story: list[tuple[Any, ...]]) -> None:
    """Replaying the change set of a sync on the state before it gives the state after it, field by field."""
    begin(art_records)
    for act in story:
        tell(art_records, act)
    for number in range(2, newest(art_records) + 1):
        before = {row[0]: row for row in art_records.state(at=number - 1)["editions"]}
        after = {row[0]: row for row in art_records.state(at=number)["editions"]}
        told = art_records.rows(
            "select airtable_id, op, field from art.changes where sync_number = :n and table_name = 'editions'",
            n=number,
        )
        came = {i for i, op, f in told if op in ("create", "restore") and f is None}
        went = {i for i, op, f in told if op == "withdraw"}
        assert set(after) == (set(before) | came) - went
        changed = {i for i, _, f in told if f is not None}
        for airtable_id in set(before) & set(after):
            assert (before[airtable_id] != after[airtable_id]) == (airtable_id in changed)
    assert [result.examples for result in run_checks(art_records.engine, REPLAY) if not result.passed] == []
