"""The ledger under everything that happens to it at once, against a small model of what must stay true.

Workers claim, finish, fail, stall past their lease and die; recipes are edited; inputs change; approvals are
given and withdrawn; items go and come back; bytes are lost. Time passes by moving a lease into the past.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, Engine, text

from crown.errors import BadInput, ClaimLost
from crown.ledger import claims, decisions, holds, lineage, planning
from crown.ledger.claims import Claim, Failed, Made, Placing
from crown.ledger.recipes import Recipe, register
from crown.ledger.verdicts import APPROVE_OR_REJECT, Gate, Ruling

GATE = Gate("gate", APPROVE_OR_REJECT)
ASSET = "machine/things"
KEYS = ("a", "b", "c")
WANTED = """
    select key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs, array[content] as input_hashes,
           case when v.verdict is distinct from 'approve' then 'approval' end as waiting_for, v.decision_id
    from unnest(cast(:keys as text[]), cast(:contents as text[])) as given(key, content)
    left join ledger.verdicts v on v.stage = 'gate' and v.subject = key and v.content_hash = content
"""


class LedgerMachine(RuleBasedStateMachine):
    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "truncate ledger.items, ledger.outputs, ledger.claims, ledger.decisions, "
                    "ledger.files, ledger.output_inputs cascade"
                )
            )
        self.inputs = dict.fromkeys(KEYS, "1")
        self.version = 1
        self.removed: set[str] = set()
        self.workers: dict[int, tuple[Connection, Claim | None]] = {}
        #: The share: path -> (fingerprint, claim) of the bytes that stand there.
        self.disk: dict[str, tuple[str, int]] = {}
        self.made: Counter[tuple[str, str]] = Counter()
        self.lost: Counter[tuple[str, str]] = Counter()
        # Everything approved and one batch in hand, or most sequences would never reach a result.
        with self.engine.begin() as connection:
            for key in KEYS:
                for content in "12":
                    decisions.decide(connection, GATE, key, content, Ruling("approve", "eva", "cli"))
        self._plan()
        self.worker_claims(1, 2)

    # What happens in the world

    @rule(key=st.sampled_from(KEYS), value=st.sampled_from("12"))
    def input_changes(self, key: str, value: str) -> None:
        self.inputs[key] = value
        self._plan()

    @rule(version=st.integers(1, 2))
    def recipe_is_edited(self, version: int) -> None:
        self.version = version
        self._plan()

    @rule(key=st.sampled_from(KEYS))
    def item_goes_or_comes_back(self, key: str) -> None:
        self.removed ^= {key}
        self._plan()

    @rule(key=st.sampled_from(KEYS), verdict=st.sampled_from(["approve", "reject", "withdraw"]))
    def person_decides(self, key: str, verdict: decisions.Verdict) -> None:
        with self.engine.begin() as connection:
            in_force = decisions.standing(connection, GATE.stage, {key: self.inputs[key]})
            # Nothing to withdraw: refused, and nothing is written.
            refused = nullcontext() if in_force or verdict != "withdraw" else pytest.raises(BadInput)
            with refused:
                decisions.decide(connection, GATE, key, self.inputs[key], Ruling(verdict, "eva", "cli"))
        self._plan()

    @rule(key=st.sampled_from(KEYS), release=st.booleans())
    def person_holds_or_releases(self, key: str, release: bool) -> None:
        with self.engine.begin() as connection:
            act = holds.release if release else holds.hold
            act(connection, ASSET, [key], who="eva", via="cli", reason="until the client answers")

    @rule(key=st.sampled_from(KEYS))
    def bytes_are_lost(self, key: str) -> None:
        standing = self.disk.pop(f"{key}.bin", None)
        if standing is not None:
            self.lost[(key, standing[0])] += 1
            with self.engine.begin() as connection:
                planning.mark_lost(connection, lineage.find(connection, root="r", path=f"{key}.bin"))

    # What workers do

    @rule(worker=st.integers(1, 2), limit=st.integers(1, 3))
    def worker_claims(self, worker: int, limit: int) -> None:
        connection, claim = self.workers.get(worker) or (self.engine.connect(), None)
        if claim is None:
            claim = claims.take(connection, [ASSET], limit)
        self.workers[worker] = (connection, claim)

    @precondition(lambda self: any(claim for _, claim in self.workers.values()))
    @rule(data=st.data(), fails=st.booleans(), part=st.booleans())
    def worker_finishes(self, data: st.DataObject, fails: bool, part: bool) -> None:
        worker = data.draw(st.sampled_from(sorted(w for w, (_, claim) in self.workers.items() if claim)))
        connection, claim = self.workers[worker]
        assert claim is not None
        jobs = claim.jobs[:1] if part else claim.jobs
        results: list[Made | Failed] = [
            Failed(job, "TemporaryFailure", "busy", permanent=False)
            if fails
            else Made(job, f"content-{job.fingerprint}", "r", f"{job.key}.bin", 1)
            for job in jobs
        ]

        def place(placing: Placing) -> None:
            job = placing.made.job
            before = self.disk.get(f"{job.key}.bin")
            assert before is None or before[1] < claim.claim_id, "old bytes over new"
            assert self._state(job.key) in ("pending", "failed"), "made while waiting"
            if before is not None and before[0] != job.fingerprint:
                self.lost[(job.key, before[0])] += 1
            self.disk[f"{job.key}.bin"] = (job.fingerprint, claim.claim_id)
            self.made[(job.key, job.fingerprint)] += 1

        try:
            claims.finish(connection, claim, results, place=place, back_off_seconds=0, max_attempts=3)
            claims.release(connection, claim)
        except ClaimLost:
            pass
        self.workers[worker] = (connection, None)

    @precondition(lambda self: any(claim for _, claim in self.workers.values()))
    @rule(data=st.data())
    def lease_runs_out(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(w for w, (_, claim) in self.workers.items() if claim)))
        _, claim = self.workers[worker]
        assert claim is not None
        with self.engine.begin() as connection:
            connection.execute(
                text("update ledger.claims set lease_until = now() - interval '1 s' where claim_id = :c"),
                {"c": claim.claim_id},
            )

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def worker_is_killed(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.workers)))
        connection, _ = self.workers.pop(worker)
        connection.invalidate()
        connection.close()

    @rule()
    def person_asks_for_a_retry(self) -> None:
        with self.engine.begin() as connection:
            planning.retry(connection, ASSET)

    # What must stay true

    @invariant()
    def no_item_is_made_twice_under_one_fingerprint_while_its_bytes_stand(self) -> None:
        for made, times in self.made.items():
            assert times <= 1 + self.lost[made], f"{made} was made {times} times"

    @invariant()
    def what_is_current_stands_on_the_share(self) -> None:
        with self.engine.connect() as connection:
            for key, wanted in connection.execute(
                text("select key, wanted from ledger.items where state='current'")
            ):
                assert self.disk[f"{key}.bin"][0] == wanted

    @invariant()
    def every_wanted_item_is_in_the_ledger_in_the_right_workspace(self) -> None:
        with self.engine.connect() as connection:
            rows = {row.key: row for row in connection.execute(text("select key, state from ledger.items"))}
            seen = decisions.standing(connection, "gate", self.inputs)
        for key in KEYS:
            if key in self.removed:
                assert key not in rows or rows[key].state == "retired"
            elif key in rows and rows[key].state != "held":
                approved = key in seen and seen[key].verdict == "approve"
                assert (rows[key].state == "waiting") == (not approved)

    def teardown(self) -> None:
        """Left alone, honest workers bring everything that is approved to its end: nothing is lost."""
        for connection, _ in self.workers.values():
            connection.close()
        self._plan()
        with self.engine.begin() as connection:
            connection.execute(text("update ledger.claims set lease_until = now() - interval '1 s'"))
            planning.retry(connection, ASSET)
            holds.release(connection, ASSET, KEYS, who="eva", via="cli")
        with self.engine.connect() as connection:
            claim = claims.take(connection, [ASSET], 100)
            if claim is not None:
                self.workers = {0: (connection, claim)}
                claims.finish(
                    connection,
                    claim,
                    [Made(j, "x" + j.fingerprint, "r", f"{j.key}.bin", 1) for j in claim.jobs],
                    place=lambda _: None,
                )
                claims.release(connection, claim)
        with self.engine.connect() as connection:
            left = connection.execute(
                text(
                    "select key, state from ledger.items where state in ('pending', 'failed', 'quarantined')"
                )
            ).all()
            assert left == []

    def _plan(self) -> None:
        keys = [key for key in KEYS if key not in self.removed]
        recipe = Recipe(ASSET, "copy", {"version": self.version})
        with self.engine.begin() as connection:
            register(connection, [recipe])
            planning.plan(
                connection,
                ASSET,
                WANTED,
                {"recipe": recipe.hash, "keys": keys, "contents": [self.inputs[key] for key in keys]},
            )

    def _state(self, key: str) -> str:
        with self.engine.connect() as connection:
            return connection.execute(
                text("select state from ledger.items where key = :key"), {"key": key}
            ).scalar_one()


@pytest.fixture
def machine(engine: Engine) -> Iterator[type[LedgerMachine]]:
    LedgerMachine.engine = engine
    yield LedgerMachine
    del LedgerMachine.engine


def test_nothing_is_lost_or_made_twice_whatever_happens_in_whatever_order(
    machine: type[LedgerMachine],
) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
