"""What the ledger promises, one promise a test."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, Engine, text

from crown.errors import ClaimLost, PermanentFailure
from crown.ledger import claims, counts, decisions, lineage, planning
from crown.ledger.claims import Failed, Made
from crown.ledger.recipes import Recipe, canonical, register
from crown.ledger.verdicts import APPROVE_OR_REJECT, Gate, Ruling

ASSET = "test/things"
COPY = Recipe(ASSET, "copy", {"version": 1})
GATE = Gate("s", APPROVE_OR_REJECT)


def want(
    connection: Connection, rows: list[tuple[str, list[str], str | None]], recipe: Recipe = COPY
) -> planning.Plan:
    register(connection, [recipe])
    wanted = (
        "select key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs,"
        " string_to_array(hashes, ',') as input_hashes, waiting_for, cast(null as bigint) as decision_id"
        " from unnest(cast(:keys as text[]), cast(:hashes as text[]), cast(:waits as text[]))"
        " as given(key, hashes, waiting_for)"
    )
    return planning.plan(
        connection,
        ASSET,
        wanted,
        {
            "recipe": recipe.hash,
            "keys": [r[0] for r in rows],
            "hashes": [",".join(r[1]) for r in rows],
            "waits": [r[2] for r in rows],
        },
    )


def make_all(engine: Engine, place=None) -> claims.Finished:
    with engine.connect() as connection:
        claim = claims.take(connection, [ASSET], 100)
        assert claim is not None
        made = [Made(job, f"made-{job.fingerprint[:8]}", "root", f"{job.key}.bin", 1) for job in claim.jobs]
        finished = claims.finish(connection, claim, made, place=place)
        claims.release(connection, claim)
        return finished


def state(engine: Engine, key: str) -> str:
    with engine.connect() as connection:
        return connection.execute(
            text("select state from ledger.items where key = :key"), {"key": key}
        ).scalar_one()


def test_equal_recipes_have_equal_hashes_whatever_the_order_of_their_keys() -> None:
    assert Recipe("a", "r", {"x": 1, "y": [2]}).hash == Recipe("a", "r", {"y": [2], "x": 1}).hash
    assert Recipe("a", "r", {"x": 1}).hash != Recipe("a", "r", {"x": 2}).hash


def test_a_recipe_that_has_no_json_form_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": float("nan")})


def test_planning_again_changes_nothing_and_writes_no_log(engine: Engine) -> None:
    with engine.begin() as connection:
        assert want(connection, [("a", ["1"], None), ("b", ["2"], "approval")]) == planning.Plan(
            pending=1, waiting=1
        )
    with engine.begin() as connection:
        before = connection.execute(text("select pg_current_wal_insert_lsn()")).scalar_one()
        assert want(connection, [("a", ["1"], None), ("b", ["2"], "approval")]).changed == 0
        written = connection.execute(
            text("select pg_current_wal_insert_lsn() - cast(:b as pg_lsn)"), {"b": before}
        )
        assert written.scalar_one() < 1000


def test_a_changed_input_makes_exactly_that_item_again(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None), ("b", ["2"], None)])
    make_all(engine)
    with engine.begin() as connection:
        assert want(connection, [("a", ["1"], None), ("b", ["3"], None)]) == planning.Plan(pending=1)
    assert [m.job.key for m in make_all(engine).made] == ["b"]


def test_an_edited_recipe_that_is_edited_back_uses_the_bytes_that_still_stand(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None)])
    make_all(engine)
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None)], Recipe(ASSET, "copy", {"version": 2}))
        assert want(connection, [("a", ["1"], None)]) == planning.Plan(current=1)


def test_bytes_that_were_overwritten_are_made_again_when_the_recipe_is_edited_back(engine: Engine) -> None:
    for recipe in (COPY, Recipe(ASSET, "copy", {"version": 2}), COPY):
        with engine.begin() as connection:
            assert want(connection, [("a", ["1"], None)], recipe).pending == 1
        make_all(engine)
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from ledger.outputs where present")).scalar_one() == 1


def test_an_item_that_is_no_longer_wanted_is_retired_and_comes_back_without_work(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None)])
    make_all(engine)
    with engine.begin() as connection:
        assert want(connection, []) == planning.Plan(retired=1)
    assert state(engine, "a") == "retired"
    with engine.begin() as connection:
        assert want(connection, [("a", ["1"], None)]) == planning.Plan(current=1)


def test_a_waiting_item_is_never_claimed(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, [("a", ["1"], "approval")])
    with engine.connect() as connection:
        assert claims.take(connection, [ASSET], 10) is None


def test_two_workers_never_hold_the_same_item(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, [(f"k{n}", ["1"], None) for n in range(10)])
    with engine.connect() as first, engine.connect() as second:
        one, two = claims.take(first, [ASSET], 6), claims.take(second, [ASSET], 6)
        assert one is not None
        assert two is not None
        assert len(one.jobs) == 6
        assert {j.key for j in one.jobs}.isdisjoint(j.key for j in two.jobs)
        assert len(one.jobs) + len(two.jobs) == 10


def test_a_worker_whose_lease_ran_out_can_place_nothing(engine: Engine) -> None:
    placed: list[str] = []
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None)])
    with engine.connect() as slow, engine.connect() as other:
        claim = claims.take(slow, [ASSET], 1)
        assert claim is not None
        with other.begin():
            other.execute(text("update ledger.claims set lease_until = now() - interval '1 second'"))
        with pytest.raises(ClaimLost):
            claims.finish(
                slow,
                claim,
                [Made(claim.jobs[0], "old", "r", "a", 1)],
                place=lambda p: placed.append(p.made.path or ""),
            )
        with pytest.raises(ClaimLost):
            claims.renew(slow, claim)
        taken = claims.take(other, [ASSET], 1)
        assert taken is not None
        assert taken.jobs[0].key == "a"
    assert placed == []


def test_the_items_of_a_dead_worker_are_free_before_its_lease_ends(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None)])
    dead = engine.connect()
    assert claims.take(dead, [ASSET], 1, lease_seconds=3600) is not None
    dead.invalidate()  # closes the socket, as the kernel does for a killed process
    dead.close()
    with engine.connect() as connection:
        for _ in range(200):  # the server notices the closed socket when it next reads it
            claim = claims.take(connection, [ASSET], 1)
            if claim is not None:
                break
            connection.execute(text("select pg_sleep(0.01)"))
            connection.commit()
        assert claim is not None


def test_a_result_for_an_item_that_was_planned_anew_is_dropped(engine: Engine) -> None:
    placed: list[str] = []
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None)])
    with engine.connect() as worker:
        claim = claims.take(worker, [ASSET], 1)
        assert claim is not None
        with engine.begin() as connection:
            want(connection, [("a", ["2"], None)])
        finished = claims.finish(
            worker, claim, [Made(claim.jobs[0], "old", "r", "a", 1)], place=lambda p: placed.append("x")
        )
    assert [result.job.key for result in finished.dropped] == ["a"]
    assert placed == []
    assert state(engine, "a") == "pending"


def test_a_failure_is_tried_again_with_back_off_and_then_needs_a_person(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None)])
    for attempt in range(1, 4):
        with engine.connect() as connection:
            claim = claims.take(connection, [ASSET], 1)
            assert claim is not None
            claims.finish(
                connection, claim, [Failed(claim.jobs[0], "TemporaryFailure", "busy", False)], max_attempts=3
            )
            claims.release(connection, claim)
            assert claims.take(connection, [ASSET], 1) is None
            with connection.begin():
                connection.execute(
                    text("update ledger.items set next_try = now() where next_try is not null")
                )
        assert state(engine, "a") == ("failed" if attempt < 3 else "quarantined")
    with engine.begin() as connection:
        assert counts.troubles(connection)[0]["error"] == "busy"
        assert planning.retry(connection, ASSET) == 1
    assert state(engine, "a") == "pending"


def test_a_place_that_refuses_fails_its_item_and_no_other(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None), ("b", ["1"], None)])

    def place(placing: claims.Placing) -> None:
        if placing.made.job.key == "a":
            raise PermanentFailure("a person's file is there")

    finished = make_all(engine, place)
    assert [m.job.key for m in finished.made] == ["b"]
    assert state(engine, "a") == "quarantined"


def test_what_was_intended_before_a_crash_is_known_as_ours_afterwards(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None)])

    def crash(_: claims.Placing) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_all(engine, crash)
    seen: list[frozenset[str]] = []
    with engine.begin() as connection:
        connection.execute(text("update ledger.claims set lease_until = now() - interval '1 second'"))
    finished = make_all(engine, lambda placing: seen.append(placing.ours))
    assert seen == [frozenset({finished.made[0].content_hash})]


def test_lost_bytes_are_made_again(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None)])
    make_all(engine)
    with engine.begin() as connection:
        ids = lineage.find(connection, root="root", path="a.bin")
        assert planning.mark_lost(connection, ids) == 1
    assert [m.job.key for m in make_all(engine).made] == ["a"]


def test_lineage_names_the_role_in_which_each_output_was_used(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("insert into ledger.recipes values ('r', 'd/result', 'join', '{}')"))
        photo, words, result = connection.execute(
            text(
                "insert into ledger.outputs (asset, key, fingerprint, content_hash, recipe) values"
                " ('d/photos', 'a', 'f1', 'h1', 'r'), ('d/texts', 'a', 'f2', 'h2', 'r'),"
                " ('d/result', 'a', 'f3', 'h3', 'r') returning output_id"
            )
        ).scalars()
        connection.execute(
            text(
                "insert into ledger.output_inputs (output_id, input_id, position, role) values"
                " (:result, :photo, 1, 'photos'), (:result, :words, 2, 'texts')"
            ),
            {"result": result, "photo": photo, "words": words},
        )
        back = {row["asset"]: row["roles"] for row in lineage.back(connection, result)}
        forward = {row["asset"]: row["roles"] for row in lineage.forward(connection, photo)}
    assert back == {"d/result": [], "d/photos": ["photos"], "d/texts": ["texts"]}
    assert forward == {"d/photos": [], "d/result": ["photos"]}


def test_a_verdict_is_about_exactly_the_bytes_that_were_seen(engine: Engine) -> None:
    with engine.begin() as connection:
        approve = Ruling("approve", "eva", "cli")
        first = decisions.decide(connection, GATE, "a", "h1", approve)
        again = decisions.decide(connection, GATE, "a", "h1", approve)
        assert again.decision_id == first.decision_id
        assert decisions.standing(connection, "s", {"a": "h1"})["a"].verdict == "approve"
        assert decisions.standing(connection, "s", {"a": "h2"}) == {}
        decisions.decide(connection, GATE, "a", "h1", Ruling("withdraw", "eva", "cli"))
        assert decisions.standing(connection, "s", {"a": "h1"}) == {}
        assert connection.execute(text("select count(*) from ledger.decisions")).scalar_one() == 2


def test_a_withdrawal_gives_back_what_stood_before(engine: Engine) -> None:
    def say(verdict: decisions.Verdict, who: str) -> str | None:
        with engine.begin() as connection:
            decisions.decide(connection, GATE, "a", "h", Ruling(verdict, who, "cli"))
            stands = decisions.standing(connection, "s", {"a": "h"}).get("a")
        return stands and f"{stands.verdict} by {stands.who}"

    assert say("approve", "eva") == "approve by eva"
    assert say("reject", "ute") == "reject by ute"
    assert say("reject", "kai") == "reject by kai"
    assert say("withdraw", "kai") == "approve by eva", "a rejection said twice is taken back at once"
    assert say("reject", "ute") == "reject by ute"
    assert say("withdraw", "ute") == "approve by eva"
    assert say("withdraw", "eva") is None
    assert say("reject", "ute") == "reject by ute"
    assert say("withdraw", "ute") is None, "what was withdrawn before does not come back"


def test_counts_name_every_state(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None), ("b", ["1"], "approval")])
        assert counts.by_state(connection) == {
            ASSET: dict.fromkeys(counts.STATES, 0) | {"waiting": 1, "pending": 1},
        }
        assert set(counts.STATES) == {
            "waiting", "pending", "failed", "quarantined", "held", "current", "retired",
        }  # fmt: skip
        assert counts.due(connection, [ASSET]) == 1


def test_a_worker_in_the_middle_of_placing_cannot_be_overtaken(engine: Engine) -> None:
    with engine.begin() as connection:
        want(connection, [("a", ["1"], None)])
    with engine.connect() as slow, engine.connect() as other:
        claim = claims.take(slow, [ASSET], 1, lease_seconds=0.2)
        assert claim is not None
        overtaken: list[claims.Claim | None] = []

        def place(_: claims.Placing) -> None:
            other.execute(text("select pg_sleep(0.3)"))  # the lease runs out while the row lock is held
            other.commit()
            overtaken.append(claims.take(other, [ASSET], 1))

        finished = claims.finish(slow, claim, [Made(claim.jobs[0], "h", "r", "a", 1)], place=place)
    assert overtaken == [None]
    assert [m.job.key for m in finished.made] == ["a"]
