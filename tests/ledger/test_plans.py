"""Plans are decided by their hash and carried out once; cursors are committed with what they brought."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from crown.errors import ClaimLost
from crown.ledger import cursors, decisions, plans
from crown.ledger.verdicts import APPROVE_OR_REJECT, Gate, Ruling

STAGE = "product_images/production"


def _propose(engine: Engine, keys: list[str], subject: str = "removal:production") -> plans.Plan:
    with engine.begin() as connection:
        return plans.propose(
            connection, stage=STAGE, subject=subject, body={"keys": keys}, sentence=f"{len(keys)} files"
        )


def _say(engine: Engine, plan: plans.Plan, verdict: decisions.Verdict) -> None:
    with engine.begin() as connection:
        decisions.decide(
            connection,
            Gate(plan.stage, APPROVE_OR_REJECT),
            plan.subject,
            plan.plan_hash,
            Ruling(verdict, "eva", "cli"),
        )


def _verdict(engine: Engine, plan: plans.Plan) -> str | None:
    with engine.connect() as connection:
        return plans.verdict(connection, plan)


def test_the_same_plan_proposed_again_stays_one_and_another_takes_its_place(engine: Engine) -> None:
    first = _propose(engine, ["a", "b"])
    assert _propose(engine, ["a", "b"]) == first
    other = _propose(engine, ["a", "b", "c"])
    with engine.connect() as connection:
        assert [plan.plan_id for plan in plans.open_plans(connection, STAGE)] == [other.plan_id]
        found = plans.find(connection, STAGE, first.plan_hash[:12])
    assert found is not None
    assert (found.plan_id, found.state) == (first.plan_id, "superseded")


def test_the_hash_says_what_is_in_the_plan_and_not_how_it_is_written() -> None:
    assert plans.hash_of({"b": 1, "a": [2]}) == plans.hash_of({"a": [2], "b": 1})
    assert plans.hash_of({"a": [2, 1]}) != plans.hash_of({"a": [1, 2]})


def test_an_approval_covers_exactly_this_plan(engine: Engine) -> None:
    plan = _propose(engine, ["a"])
    assert _verdict(engine, plan) is None
    _say(engine, plan, "approve")
    assert _verdict(engine, plan) == "approve"
    assert _verdict(engine, _propose(engine, ["a", "b"])) is None


def test_a_withdrawn_approval_is_none(engine: Engine) -> None:
    plan = _propose(engine, ["a"])
    _say(engine, plan, "approve")
    _say(engine, plan, "withdraw")
    assert _verdict(engine, plan) is None


def test_an_approval_is_used_up_when_its_plan_was_carried_out(engine: Engine) -> None:
    plan = _propose(engine, ["a"])
    _say(engine, plan, "approve")
    with engine.begin() as connection:
        plans.end(connection, plan, "applied")
    again = _propose(engine, ["a"])
    assert again.plan_hash == plan.plan_hash
    assert again.plan_id != plan.plan_id
    assert _verdict(engine, again) is None


def test_plans_that_are_no_longer_due_are_closed(engine: Engine) -> None:
    stays = _propose(engine, ["a"])
    goes = _propose(engine, ["b"], "removal:partner")
    with engine.begin() as connection:
        closed = plans.end_others(connection, STAGE, {stays.subject: stays.plan_hash})
        assert [(plan.plan_id, plan.state) for plan in closed] == [(goes.plan_id, "superseded")]
        assert plans.open_plans(connection) == [stays]


def test_a_cursor_stands_exactly_when_what_it_brought_does(engine: Engine) -> None:
    with engine.begin() as connection:
        before = cursors.read(connection, "art_records/airtable:app1")
        assert (dict(before.position), before.version) == ({}, 0)
        cursors.advance(connection, before, {"since": "2026-01-01"}, run_id="r1")
    with engine.connect() as connection:
        now = cursors.read(connection, "art_records/airtable:app1")
        cursors.advance(connection, now, {"since": "2026-02-01"})
        connection.rollback()
        assert dict(cursors.read(connection, now.source).position) == {"since": "2026-01-01"}


@pytest.mark.parametrize("first", [True, False])
def test_two_runs_that_read_the_same_stretch_cannot_both_commit_it(engine: Engine, first: bool) -> None:
    if not first:
        with engine.begin() as connection:
            cursors.advance(connection, cursors.read(connection, "s"), {"page": 0})
    with engine.connect() as connection:
        seen = cursors.read(connection, "s")
    with engine.begin() as connection:
        cursors.advance(connection, seen, {"page": 1})
    with engine.begin() as connection, pytest.raises(ClaimLost, match="advanced by another run"):
        cursors.advance(connection, seen, {"page": 1})
    with engine.connect() as connection:
        assert connection.execute(text("select version from ledger.cursors")).scalar_one() == seen.version + 1
        assert [cursor.source for cursor in cursors.all_cursors(connection)] == ["s"]


def test_a_plan_that_comes_back_has_to_be_approved_again(engine: Engine) -> None:
    plan = _propose(engine, ["a"])
    for _ in range(2):
        assert _verdict(engine, plan) is None
        with engine.begin() as connection:
            said = plans.decide(connection, plan, Ruling("approve", "eva", "cli", "the series ended"))
            assert plans.decide(connection, plan, Ruling("approve", "eva", "cli", "the series ended")) == said
        assert _verdict(engine, plan) == "approve"
        with engine.begin() as connection:
            plans.end(connection, plan, "applied")
        plan = _propose(engine, ["a"])


def test_facts_of_a_plan_are_renewed_and_are_no_part_of_its_hash(engine: Engine) -> None:
    with engine.begin() as connection:
        given = {"stage": STAGE, "subject": "removal:shop", "body": ["a"]}
        first = plans.propose(connection, **given, sentence="1 of 3", facts={"of": 3})
        again = plans.propose(connection, **given, sentence="1 of 4", facts={"of": 4})
    assert (again.plan_id, again.plan_hash) == (first.plan_id, first.plan_hash)
    assert (again.sentence, again.facts) == ("1 of 4", {"of": 4})
