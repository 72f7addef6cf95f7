"""Decisions of people on outputs: which bytes patterns mean, the verdicts in force on them, and
decisions over sets.

What people see of an output, and what follows from a decision, is the department's affair.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, text

from crown.flow.patterns import Patterns, condition
from crown.flow.workspace import Workspace
from crown.journal import activity
from crown.ledger import decisions
from crown.ledger.decisions import Decision, Said
from crown.ledger.verdicts import Gate, Ruling

_log = logging.getLogger(__name__)

_ACTIONS = {
    "approve": activity.HUMAN_APPROVED,
    "reject": activity.HUMAN_REJECTED,
    "withdraw": activity.APPROVAL_WITHDRAWN,
}
_WORDS = {"approve": "approved", "reject": "rejected", "withdraw": "taken back"}
_CURRENT = """
    select i.key as subject, m.content_hash, m.facts, v.verdict, v.who, v.reason from ledger.items i
    join ledger.outputs m using (output_id)
    left join ledger.verdicts v on v.stage = i.asset and v.subject = i.key and v.content_hash = m.content_hash
    where i.asset = :asset and i.state = 'current'
"""
_DECIDED = """
    select subject, content_hash, verdict, who from ledger.verdicts where stage = :asset and {matches}
    order by decision_id
"""


@dataclass(frozen=True)
class Reviewed:
    """A current output and the verdict in force on its bytes."""

    subject: str
    content_hash: str
    facts: dict[str, Any]
    verdict: str | None
    who: str | None
    reason: str | None


@dataclass(frozen=True)
class InForce:
    """A decision in force on some bytes, and the verdict `then` in force if it were withdrawn."""

    subject: str
    content_hash: str
    verdict: str
    who: str
    then: str | None


def current(
    connection: Connection,
    asset: str,
    *,
    patterns: Patterns | None = None,
    subjects: Iterable[str] | None = None,
    undecided: bool = False,
) -> list[Reviewed]:
    """Current outputs of an asset by key, with the verdict in force.

    Args:
        connection: to the database.
        asset: slash-joined key; the stage of the decisions.
        patterns: only keys that match.
        subjects: only these keys.
        undecided: only those without a verdict.
    """
    statement = _CURRENT
    bound: dict[str, object] = {"asset": asset}
    if patterns is not None:
        statement += f" and {condition('i.key')}"
        bound |= patterns.parameters
    if subjects is not None:
        statement += " and i.key = any(:subjects)"
        bound["subjects"] = list(subjects)
    if undecided:
        statement += " and v.verdict is null"
    return [
        Reviewed(**row._mapping) for row in connection.execute(text(f"{statement} order by i.key"), bound)
    ]


def decided(connection: Connection, asset: str, patterns: Patterns) -> list[InForce]:
    """Every decision in force on a matching subject, on earlier bytes of it too."""
    statement = text(_DECIDED.format(matches=condition("subject")))
    rows = connection.execute(statement, {"asset": asset, **patterns.parameters}).all()
    before = decisions.restored(connection, asset, [(row.subject, row.content_hash) for row in rows])
    then = {pair: decision.verdict for pair, decision in before.items()}
    return [InForce(**row._mapping, then=then.get((row.subject, row.content_hash))) for row in rows]


def decide(
    workspace: Workspace,
    gate: Gate,
    seen: Sequence[tuple[str, str]],
    ruling: Ruling,
    number_of: Callable[[str], str],
) -> list[Decision]:
    """Decide on subjects and their bytes in one transaction, with a row of the trail and a line of the log for each.

    Args:
        workspace: the department's workspace.
        gate: where it is decided.
        seen: pairs of subject and content hash, each once.
        ruling: what the person says.
        number_of: see `Messages`.

    Raises:
        BadInput: the gate does not know the verdict, or the verdict asks for something else.
    """
    with workspace.engine.begin() as connection:
        said = decisions.decide_all(connection, gate, seen, ruling)
        _record(connection, workspace.department, said, number_of)
    return _logged(workspace.department, said, number_of)


def decide_batch(
    workspace: Workspace,
    gate: Gate,
    batch: str,
    seen_hash: str,
    ruling: Ruling,
    number_of: Callable[[str], str],
) -> list[Decision]:
    """`decide` on all current items of a batch; `batch` and `seen_hash` as for `decisions.decide_batch`."""
    with workspace.engine.begin() as connection:
        said = decisions.decide_batch(connection, gate, batch, seen_hash, ruling)
        _record(connection, workspace.department, said, number_of)
    return _logged(workspace.department, said, number_of)


def _record(
    connection: Connection, department: str, said: Sequence[Said], number_of: Callable[[str], str]
) -> None:
    activity.record_all(
        connection,
        [
            activity.Entry(
                who=decision.who,
                what=_ACTIONS.get(decision.verdict, decision.verdict),
                subject=decision.subject,
                department=department,
                via=cast(activity.Via, decision.via),
                entity=number_of(decision.subject),
                details=decision.reason,
                old=one.before and {"verdict": one.before.verdict, "who": one.before.who},
                new={
                    "verdict": decision.verdict,
                    "content_hash": decision.content_hash,
                    "decision_id": decision.decision_id,
                    **({"return_stage": decision.return_stage} if decision.return_stage else {}),
                    **({"payload": decision.payload} if decision.payload else {}),
                },
            )
            for one in said
            if one.is_new
            for decision in [one.decision]
        ],
    )


def _logged(department: str, said: Sequence[Said], number_of: Callable[[str], str]) -> list[Decision]:
    for one in said:
        if one.is_new:
            _log_decision(department, one.decision, number_of(one.decision.subject))
    return [one.decision for one in said]


def _log_decision(department: str, said: Decision, number: str) -> None:
    _log.info(
        "%s %s by %s%s",
        said.subject,
        _WORDS.get(said.verdict, said.verdict),
        said.who,
        f": {said.reason}" if said.reason else "",
        extra={
            "department": department,
            "subject": number,
            "user_id": said.who,
            "context": {
                "via": said.via,
                "content_hash": said.content_hash,
                "decision_id": said.decision_id,
            },
        },
    )
