"""A department declares gates and verdicts; what a person decides there changes what its stages make."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text

from crown.departments import DEPARTMENTS
from crown.errors import BadInput
from crown.flow import make, review
from crown.ledger import counts, decisions
from crown.ledger.verdicts import Ruling
from crown.people.permissions import verbs
from crown.settings.model import load_settings
from tests.flow.letters import FLOW, LETTERS, REVIEW, SENT, Letters, word

ANN_AND_BOB = {"ann.txt": "Dear ann", "bob.txt": "Dear bob"}


@pytest.fixture
def letters(engine: Engine, tmp_path: Path) -> Letters:
    (tmp_path / "letters").mkdir()
    both = Letters(engine, load_settings({"CROWN_HOME": str(tmp_path)}, None), ("ann", "bob"))
    run(both)
    return both


def run(letters: Letters) -> list[int]:
    """How many letters were written and sent."""
    return [make.make(FLOW, letters, [asset]).pool.made for asset in (LETTERS, SENT)]


def there(letters: Letters) -> dict[str, str]:
    folder = letters.folders["letters"]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.txt")}


def current(letters: Letters, *keys: str) -> list[tuple[str, str]]:
    with letters.engine.connect() as connection:
        found = review.current(connection, LETTERS, subjects=keys)
    return [(one.subject, one.content_hash) for one in found]


def decide(letters: Letters, key: str, ruling: Ruling) -> decisions.Decision:
    return review.decide(letters, REVIEW, current(letters, key), ruling, word)[0]


def test_nothing_passes_a_gate_before_a_person_has_decided(letters: Letters) -> None:
    assert there(letters) == ANN_AND_BOB
    with letters.engine.connect() as connection:
        assert [(one.asset, one.kind, one.items) for one in counts.waiting(connection)] == [(SENT, "gate", 2)]
    decide(letters, "ann", Ruling("approve", "eva", "cli"))
    decide(letters, "bob", Ruling("override", "eva", "cli", "he asked for it by telephone"))
    assert run(letters) == [0, 2]
    assert there(letters) == ANN_AND_BOB | {"sent/ann.txt": "Dear ann", "sent/bob.txt": "Dear bob"}


def test_a_returned_item_is_made_again_with_what_the_decision_carries(letters: Letters) -> None:
    again = Ruling("return", "eva", "console", "he is a friend of ours", {"greeting": "Hello"})
    said = decide(letters, "bob", again)
    assert (said.return_stage, said.payload) == (LETTERS, {"greeting": "Hello"}), (
        "the only stage is filled in"
    )
    assert run(letters) == [1, 0]
    assert there(letters) == {"ann.txt": "Dear ann", "bob.txt": "Hello bob"}
    decide(letters, "bob", Ruling("approve", "eva", "cli"))
    assert run(letters) == [0, 1]
    assert run(letters) == [0, 0], "an approval of the new bytes does not bring the old ones back"
    assert there(letters)["sent/bob.txt"] == "Hello bob"
    with letters.engine.connect() as connection:
        made_by = connection.execute(
            text("select decision_id from ledger.items where asset = :asset and key = 'bob'"),
            {"asset": LETTERS},
        ).scalar_one()
        trail = connection.execute(
            text("select details, new_values from journal.activity where what = 'return'")
        ).one()
    assert made_by == said.decision_id
    assert trail.details == "he is a friend of ours"
    assert (trail.new_values["return_stage"], trail.new_values["payload"]) == (LETTERS, {"greeting": "Hello"})


def test_a_withdrawn_return_brings_the_earlier_bytes_back(letters: Letters) -> None:
    (seen,) = current(letters, "bob")
    decide(letters, "bob", Ruling("return", "eva", "cli", "he is a friend of ours", {"greeting": "Hello"}))
    run(letters)
    review.decide(letters, REVIEW, [seen], Ruling("withdraw", "eva", "cli"), word)
    assert run(letters) == [1, 0]
    assert there(letters) == ANN_AND_BOB


@pytest.mark.parametrize(
    ("ruling", "sentence"),
    [
        (
            Ruling("reject", "eva", "cli"),
            "reject is no verdict of letters/letters; it knows approve, override",
        ),
        (Ruling("override", "eva", "cli", "urgent"), "a reason of at least 10 characters; it has 6."),
        (
            Ruling("return", "eva", "cli", "he is a friend of ours"),
            "takes greeting (greeting: Field required).",
        ),
        (
            Ruling("return", "eva", "cli", "he is a friend", {"greeting": "Hello"}, "letters/sent"),
            "takes the stage to return to: letters/letters; letters/sent was given.",
        ),
    ],
)
def test_a_decision_that_a_gate_does_not_know_changes_nothing(
    letters: Letters, ruling: Ruling, sentence: str
) -> None:
    with pytest.raises(BadInput) as refused:
        decide(letters, "bob", ruling)
    assert sentence in str(refused.value)
    with letters.engine.connect() as connection:
        assert decisions.history(connection, LETTERS, "bob") == []
        assert (
            connection.execute(text("select count(*) from journal.activity where who = 'eva'")).scalar() == 0
        )


def test_a_whole_batch_is_decided_at_once_where_the_verdict_allows_it(letters: Letters) -> None:
    with letters.engine.connect() as connection:
        seen = decisions.batch_hash(decisions.batch_seen(connection, LETTERS, "b1"))
    override = Ruling("override", "eva", "cli", "all of them are urgent")
    with pytest.raises(
        BadInput, match="To override in letters/letters is decided one by one, not for a batch"
    ):
        review.decide_batch(letters, REVIEW, "b1", seen, override, word)
    said = review.decide_batch(letters, REVIEW, "b1", seen, Ruling("approve", "eva", "cli"), word)
    assert [one.subject for one in said] == ["ann", "bob"]
    assert run(letters) == [0, 2]


def test_every_declared_verdict_is_a_verb_that_some_role_has() -> None:
    gates = {gate.stage: gate for department in DEPARTMENTS for gate in department.gates}
    assert {"product_images/cutouts", "product_images/products", "art_records/checks"} <= set(gates)
    named = {f"{gate.stage}: {one.name}" for gate in gates.values() for one in gate.verdicts}
    assert {one for one in named if one.partition(": ")[2] not in verbs()} == set()


def test_a_withdrawal_asks_the_same_number_of_statements_however_many_rows_it_is_about(
    letters: Letters,
) -> None:
    statements: list[str] = []
    event.listen(
        letters.engine, "before_cursor_execute", lambda _, __, statement, *___: statements.append(statement)
    )

    def withdrawal(*keys: str) -> int:
        review.decide(letters, REVIEW, current(letters, *keys), Ruling("approve", "eva", "cli"), word)
        seen = current(letters, *keys)
        statements.clear()
        review.decide(letters, REVIEW, seen, Ruling("withdraw", "eva", "cli"), word)
        return len(statements)

    assert withdrawal("ann") == withdrawal("ann", "bob") <= 5
