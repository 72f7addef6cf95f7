"""Verdicts of a stage, holds, the order of claims, limited resources, and failures that are nobody's fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Engine, text

from crown.errors import BadInput, SourceOutage, TemporaryFailure
from crown.flow.worker_processes import failed
from crown.ledger import claims, counts, decisions, holds, planning, resources
from crown.ledger.claims import Claim, Failed, Made
from crown.ledger.recipes import Recipe, register
from crown.ledger.verdicts import DeclaredVerdict, Gate, Ruling

ASSET = "test/packages"
OTHER = "test/sheets"
PACK = Recipe(ASSET, "pack", {"version": 1})
WANTED = """
    select key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs, array[key] as input_hashes,
           waiting_for, waiting_kind, priority, batch, cast(null as bigint) as decision_id
    from jsonb_to_recordset(cast(:rows as jsonb))
        as r(key text, waiting_for text, waiting_kind text, priority integer, batch text)
"""


class Correction(BaseModel):
    """What an override carries."""

    model_config = ConfigDict(extra="forbid")
    match: str
    place: float = 0


GATE = Gate(
    ASSET,
    (
        DeclaredVerdict("approve", batch=True),
        DeclaredVerdict("reject", min_reason=10),
        DeclaredVerdict("return", min_reason=10, return_stages=("test/jobs", "test/texts")),
        DeclaredVerdict("override", payload=Correction),
    ),
)


def want(connection: Connection, *rows: dict[str, Any], asset: str = ASSET) -> planning.Plan:
    register(connection, [PACK])
    return planning.plan(connection, asset, WANTED, {"recipe": PACK.hash, "rows": json.dumps(rows)})


def take(connection: Connection, limit: int = 10, **how: Any) -> list[str]:
    claim = claims.take(connection, how.pop("assets", [ASSET]), limit, **how)
    return [] if claim is None else [job.key for job in claim.jobs]


def make(engine: Engine, *keys: str) -> None:
    with engine.connect() as connection:
        claim = claims.take(connection, [ASSET], 100, keys=keys or None)
        assert claim is not None
        claims.finish(connection, claim, [Made(job, f"bytes of {job.key}") for job in claim.jobs])
        claims.release(connection, claim)


def row(engine: Engine, key: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(
            text(
                "select state, waiting_for, waiting_kind, priority, batch, attempts, error_class,"
                " round(extract(epoch from next_try - changed_at)) as seconds from ledger.items where key = :key"
            ),
            {"key": key},
        ).one()


def decide(connection: Connection, verdict: str, **more: Any) -> decisions.Decision:
    return decisions.decide(connection, GATE, "a", "h", Ruling(verdict, "eva", "cli", **more))


@pytest.mark.parametrize(
    ("verdict", "more", "sentence"),
    [
        (
            "hold",
            {},
            "hold is no verdict of test/packages; it knows approve, reject, return, override, withdraw.",
        ),
        ("reject", {"reason": "  blurred "}, "takes a reason of at least 10 characters; it has 7."),
        (
            "return",
            {"reason": "the wrong text"},
            "the stage to return to: test/jobs, test/texts; none was given.",
        ),
        ("return", {"reason": "the wrong text", "return_stage": "x"}, "test/texts; x was given."),
        (
            "override",
            {"payload": {"other": 1}},
            "takes match, place (match: Field required; other: Extra inputs are not permitted).",
        ),
        ("override", {}, "To override in test/packages takes match, place (match: Field required)."),
        ("approve", {"payload": {"match": "1"}}, "carries nothing; leave match out."),
        ("approve", {"return_stage": "test/jobs"}, "returns nothing to another stage; leave test/jobs out."),
    ],
)
def test_a_decision_is_held_to_what_its_stage_declares(
    engine: Engine, verdict: str, more: dict[str, Any], sentence: str
) -> None:
    with engine.begin() as connection, pytest.raises(BadInput) as refused:
        decide(connection, verdict, **more)
    assert sentence in str(refused.value)
    with engine.connect() as connection:
        assert decisions.history(connection, ASSET, "a") == []


def test_a_decision_keeps_its_payload_and_the_stage_to_return_to(engine: Engine) -> None:
    with engine.begin() as connection:
        decide(connection, "return", reason="the wrong text", return_stage="test/texts")
        standing = decisions.standing(connection, ASSET, {"a": "h"})["a"]
        assert (standing.verdict, standing.return_stage) == ("return", "test/texts")
        first = decide(connection, "override", payload={"match": "52000123"})
        assert decide(connection, "override", payload={"match": "52000123"}) == first, "said again"
        other = decide(connection, "override", payload={"match": "52000124"})
        standing = decisions.standing(connection, ASSET, {"a": "h"})["a"]
    assert (standing.decision_id, standing.payload) == (other.decision_id, {"match": "52000124", "place": 0})


@pytest.mark.parametrize(
    ("verdict", "more", "sentence"),
    [
        ("approve", {"reason": "fine\0"}, "The reason to approve in test/packages holds a character that is no text"),
        ("approve", {"reason": "\udcff"}, "The reason to approve in test/packages holds a character that is no text"),
        ("reject", {"reason": "\u200b" * 20}, "takes a reason of at least 10 characters; it has 0."),
        ("override", {"payload": {"match": "1\0"}}, "What is given to override in test/packages holds a character"),
        ("override", {"payload": {"match": "\ud800"}}, "What is given to override in test/packages holds a character"),
        ("override", {"payload": {"match": "1", "place": float("nan")}}, "a number in it is infinite or none."),
        ("override", {"payload": ["match"]}, "To override in test/packages takes match, place, by name."),
    ],
)  # fmt: skip
def test_what_the_database_cannot_hold_is_refused_in_a_sentence(
    engine: Engine, verdict: str, more: dict[str, Any], sentence: str
) -> None:
    with engine.begin() as connection:
        with pytest.raises(BadInput) as refused:
            decide(connection, verdict, **more)
        assert sentence in str(refused.value)
        assert decisions.history(connection, ASSET, "a") == []


def test_a_spelt_out_control_character_is_text(engine: Engine) -> None:
    with engine.begin() as connection:
        said = decide(connection, "override", payload={"match": "a \\u0000 spelt out"})
    assert said.payload == {"match": "a \\u0000 spelt out", "place": 0}


def test_withdrawing_where_nothing_is_in_force_is_refused_and_adds_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        with pytest.raises(BadInput, match="is in force in test/packages; there is nothing to withdraw"):
            decide(connection, "withdraw")
        decide(connection, "approve")
        decide(connection, "withdraw")
        with pytest.raises(BadInput, match="there is nothing to withdraw"):
            decide(connection, "withdraw")
        seen = [("a", "h"), ("b", "h")]
        decisions.decide(connection, GATE, "b", "h", Ruling("approve", "eva", "cli"))
        (said,) = decisions.decide_all(connection, GATE, seen, Ruling("withdraw", "eva", "cli"))
        assert (said.decision.subject, said.is_new) == ("b", True)
        verdicts = [one.verdict for one in decisions.history(connection, ASSET, "a")]
    assert verdicts == ["approve", "withdraw"]


def test_withdrawing_a_batch_takes_back_what_was_said_of_the_batch_and_nothing_else(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, *({"key": key, "batch": "b1"} for key in "abc"))
    make(engine, "a", "b")
    with engine.begin() as connection:
        seen = decisions.batch_seen(connection, ASSET, "b1")
        known = decisions.batch_hash(seen)
        withdraw = Ruling("withdraw", "eva", "console")
        with pytest.raises(BadInput, match="Nothing that was said of the batch is in force in test/packages"):
            decisions.decide_batch(connection, GATE, "b1", known, withdraw)
        decisions.decide_batch(connection, GATE, "b1", known, Ruling("approve", "eva", "console"))
        reject = Ruling("reject", "bob", "cli", "the label is wrong")
        decisions.decide(connection, GATE, "a", "bytes of a", reject)
        taken_back = decisions.decide_batch(connection, GATE, "b1", known, withdraw)
        assert [one.decision.subject for one in taken_back] == ["b"]
        standing = decisions.standing(connection, ASSET, seen)
    assert {key: (one.verdict, one.who) for key, one in standing.items()} == {"a": ("reject", "bob")}


def test_a_batch_is_not_named_by_a_beginning_of_its_hash_that_may_fit_by_chance(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, {"key": "a", "batch": "b1"})
    make(engine, "a")
    with engine.begin() as connection:
        known = decisions.batch_hash(decisions.batch_seen(connection, ASSET, "b1"))
        with pytest.raises(BadInput, match="look at it again"):
            decisions.decide_batch(connection, GATE, "b1", known[:7], Ruling("approve", "eva", "console"))


def test_one_decision_covers_a_batch_and_changed_bytes_void_it_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, *({"key": key, "batch": "b1"} for key in "abc"), {"key": "d", "batch": "b2"})
    make(engine, "a", "b", "d")
    approve = Ruling("approve", "eva", "console")
    with engine.begin() as connection:
        seen = decisions.batch_seen(connection, ASSET, "b1")
        assert seen == {"a": "bytes of a", "b": "bytes of b"}
        said = decisions.decide_batch(connection, GATE, "b1", decisions.batch_hash(seen)[:12], approve)
        assert [(one.decision.subject, one.decision.batch) for one in said] == [("a", "b1"), ("b", "b1")]
        standing = decisions.standing(
            connection, ASSET, {"a": "bytes of a", "b": "other bytes", "d": "bytes of d"}
        )
        assert {key: one.verdict for key, one in standing.items()} == {"a": "approve"}
    make(engine, "c")
    with engine.begin() as connection:
        with pytest.raises(BadInput, match=r"is [0-9a-f]{12} now, not [0-9a-f]{12}; look at it again"):
            decisions.decide_batch(connection, GATE, "b1", decisions.batch_hash(seen), approve)
        with pytest.raises(BadInput, match="No item of the batch b9 is current in test/packages"):
            decisions.decide_batch(connection, GATE, "b9", "0", approve)


def test_an_item_says_what_kind_of_thing_it_waits_for(engine: Engine) -> None:
    with engine.begin() as connection:
        want(
            connection,
            {"key": "a", "waiting_for": "approval", "waiting_kind": "gate"},
            {"key": "b", "waiting_for": "test/jobs"},
            {"key": "c", "waiting_kind": "gate"},
        )
    assert row(engine, "a")[:3] == ("waiting", "approval", "gate")
    assert row(engine, "b")[:3] == ("waiting", "test/jobs", "upstream")
    assert row(engine, "c")[:3] == ("pending", None, None)
    with engine.begin() as connection:
        assert [(one.asset, one.kind, one.items, one.names) for one in counts.waiting(connection)] == [
            (ASSET, "gate", 1, ("approval",)),
            (ASSET, "upstream", 1, ("test/jobs",)),
        ]
        planned = want(
            connection,
            {"key": "a", "waiting_for": "approval", "waiting_kind": "hold"},
            {"key": "b", "waiting_for": "test/jobs"},
            {"key": "c"},
        )
    assert (planned.waiting, planned.changed) == (1, 1)
    assert row(engine, "a").waiting_kind == "hold"


def test_a_held_item_is_not_made_and_its_release_passes_no_gate(engine: Engine) -> None:
    rows = [{"key": "a"}, {"key": "b"}, {"key": "c", "waiting_for": "approval", "waiting_kind": "gate"}]
    who = {"who": "eva", "via": "cli"}
    with engine.begin() as connection:
        want(connection, *rows)
    make(engine, "b")
    with engine.begin() as connection:
        assert holds.hold(connection, ASSET, ["a", "b", "c", "x"], **who, reason="the client asks to wait") == [
            "a", "b", "c",
        ]  # fmt: skip
        assert holds.hold(connection, ASSET, ["a"], **who, reason="the client asks to wait") == []
        assert want(connection, *rows).changed == 0, "a planning leaves what is held"
        assert counts.of_asset(connection, ASSET)["held"] == 3
    with engine.connect() as connection:
        assert take(connection) == []
        connection.rollback()
        with pytest.raises(BadInput, match="reason of at least 10 characters"), connection.begin():
            holds.hold(connection, ASSET, ["a"], **who, reason="wait")
    with engine.begin() as connection:
        assert holds.release(connection, ASSET, ["a", "b", "c"], **who) == ["a", "b", "c"]
    assert [row(engine, key).state for key in "abc"] == ["pending", "current", "waiting"]
    with engine.connect() as connection:
        said = decisions.history(connection, ASSET, "c")
    assert [(one.verdict, one.who, one.content_hash) for one in said] == [
        ("hold", "eva", "*"),
        ("release", "eva", "*"),
    ]


def test_an_item_that_goes_while_it_is_held_is_held_when_it_comes_back(engine: Engine) -> None:
    who = {"who": "eva", "via": "cli"}
    with engine.begin() as connection:
        want(connection, {"key": "a"}, {"key": "b"})
        holds.hold(connection, ASSET, ["a", "b"], **who, reason="the client asks to wait")
        want(connection)
        assert counts.of_asset(connection, ASSET)["retired"] == 2
        want(connection, {"key": "a"}, {"key": "b"})
        assert counts.of_asset(connection, ASSET)["held"] == 2
        holds.release(connection, ASSET, ["a"], **who)
        want(connection)
        want(connection, {"key": "a"}, {"key": "b"})
        assert counts.of_asset(connection, ASSET) == dict.fromkeys(counts.STATES, 0) | {
            "held": 1,
            "pending": 1,
        }
    assert [row(engine, key).state for key in "ab"] == ["pending", "held"]


def test_what_is_held_while_a_worker_is_at_it_is_dropped(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, {"key": "a"})
    with engine.connect() as worker:
        claim = claims.take(worker, [ASSET], 1)
        assert claim is not None
        with engine.begin() as connection:
            holds.hold(connection, ASSET, ["a"], who="eva", via="cli", reason="the client asks to wait")
        finished = claims.finish(worker, claim, [Made(claim.jobs[0], "bytes")])
    assert (len(finished.made), len(finished.dropped)) == (0, 1)
    assert row(engine, "a").state == "held"


def test_claims_follow_priority_then_batch_then_key(engine: Engine) -> None:
    rows = [
        {"key": "a"},
        {"key": "b", "batch": "b2"},
        {"key": "c", "batch": "b1"},
        {"key": "d", "priority": 5},
        {"key": "e", "priority": -1, "batch": "b1"},
    ]
    with engine.begin() as connection:
        want(connection, *rows)
        want(connection, {"key": "f", "priority": 5, "batch": "b1"}, asset=OTHER)
    with engine.connect() as connection:
        claim = claims.take(connection, [ASSET, OTHER], 4)
        assert claim is not None
        assert [job.key for job in claim.jobs] == ["f", "d", "c", "b"]
        with engine.begin() as other:
            rows[3]["priority"] = 0
            rows[0]["batch"] = "b3"
            assert want(other, *rows).changed == 0
        assert (row(engine, "d").priority, row(engine, "a").batch) == (0, "b3")
        finished = claims.finish(connection, claim, [Made(job, job.key) for job in claim.jobs])
        assert len(finished.made) == 4, "a new order takes nothing out of a worker's hands"
        assert take(connection, assets=[ASSET, OTHER]) == ["a", "e"]


def fail(engine: Engine, *results: tuple[str, Exception], tags: dict[str, int] | None = None) -> None:
    errors = dict(results)
    with engine.connect() as connection:
        claim = claims.take(connection, [ASSET], 10, keys=list(errors), resources=tags)
        assert claim is not None
        claims.finish(
            connection,
            claim,
            [failed(job, errors[job.key]) for job in claim.jobs],
            max_attempts=1 if tags is None else 4,
        )
        claims.release(connection, claim)


def test_a_failure_says_when_to_try_again_and_an_outage_counts_no_try(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, *({"key": key} for key in "abcd"))
    later = TemporaryFailure("The service asks to wait.", retry_after=1234)
    outage = SourceOutage("The photo service is out.", source="icloud", retry_after=900)
    fail(engine, ("a", later), ("b", outage), tags={"icloud": 10, "cpu": 10})
    a, b = row(engine, "a"), row(engine, "b")
    assert (a.state, a.attempts, a.error_class, a.seconds) == ("failed", 1, "TemporaryFailure", 1234)
    assert (b.state, b.attempts, b.error_class, b.seconds) == ("pending", 0, "SourceOutage", 900)
    with engine.connect() as connection:
        assert [(one.resource, one.error) for one in resources.closed(connection)] == [
            ("icloud", "The photo service is out.")
        ]
        assert counts.due(connection, [ASSET], ["icloud"]) == 0
        assert counts.due(connection, [ASSET], ["cpu"]) == 2
        connection.rollback()
        assert take(connection, resources={"icloud": 5}) == []
        with connection.begin():
            assert resources.reopen(connection, "icloud")
        assert take(connection, resources={"icloud": 5}) == ["c", "d"], "what was put off is not due yet"
    with engine.begin() as connection:
        planning.retry(connection, ASSET)
    assert row(engine, "b").seconds is None


def test_an_outage_never_quarantines_an_item(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, {"key": "a"})
    for _ in range(3):
        fail(engine, ("a", SourceOutage("It is out.", retry_after=0)))
        assert (row(engine, "a").state, row(engine, "a").attempts) == ("pending", 0)


def test_no_more_items_are_in_work_than_a_resource_has_seats(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, *({"key": f"k{n}"} for n in range(9)))
    seats = {"render": 3, "licence": 2}
    with engine.connect() as first, engine.connect() as second, engine.connect() as third:
        one = claims.take(first, [ASSET], 5, resources=seats)
        assert isinstance(one, Claim)
        assert len(one.jobs) == 2, "the licence has two seats"
        assert take(second, resources=seats) == []
        assert take(second, resources={"render": 3}) == ["k2"]
        assert take(third, resources={"other": 1}) == ["k3"]
        claims.finish(first, one, [Made(one.jobs[0], "x"), Failed(one.jobs[1], "E", "no", permanent=True)])
        assert take(third, limit=1, resources=seats) == ["k4"]
        claims.release(first, one)
        first.invalidate()
        assert take(third, limit=9, resources=seats) == ["k5"]


def test_the_seats_of_a_worker_that_died_are_free_again(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, {"key": "a"}, {"key": "b"})
    dead = engine.connect()
    assert take(dead, 1, resources={"licence": 1}) == ["a"]
    with engine.connect() as connection:
        assert take(connection, 1, resources={"licence": 1}) == []
        pid = dead.execute(text("select pg_backend_pid()")).scalar_one()
        ended = connection.execute(text("select pg_terminate_backend(:pid, 5000)"), {"pid": pid}).scalar_one()
        assert ended
        connection.rollback()
        assert take(connection, 1, resources={"licence": 1}) == ["a"]
    dead.invalidate()
    dead.close()
