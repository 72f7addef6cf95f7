"""Plans that change or remove much: proposed, decided by their hash, carried out once.

One form for all departments. What a plan holds, when it must wait and how it is carried out is the department's affair;
a decision is a row of ledger.decisions on the plan's hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from crown.ledger import decisions
from crown.ledger.decisions import Decision
from crown.ledger.verdicts import APPROVE_OR_REJECT, Gate, Ruling

State = Literal["open", "applied", "superseded", "rejected"]


@dataclass(frozen=True)
class Plan:
    """A plan as it was proposed.

    Attributes:
        plan_id: number of the row.
        stage: what it belongs to, as decisions name it (`product_images/production`).
        subject: what it is about, unique among the open plans of its stage (`removal:production`).
        plan_hash: sha256 of the body in canonical JSON; a decision refers to it.
        body: what would be done, for whoever carries it out.
        sentence: what would be done, for people.
        facts: what its readers need beside it; no part of the hash.
        state: `open` until it is applied, rejected, or another plan for the subject takes its place.
        proposed_at: when it was first proposed.
        ended_at: when it ceased to be open.
    """

    plan_id: int
    stage: str
    subject: str
    plan_hash: str
    body: Any
    sentence: str
    facts: Mapping[str, Any]
    state: State
    proposed_at: datetime
    ended_at: datetime | None


_COLUMNS = "plan_id, stage, subject, plan_hash, body, sentence, facts, state, proposed_at, ended_at"


def hash_of(body: object) -> str:
    """Hash of a plan's body: sha256 of its JSON with sorted keys and no spaces."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def propose(
    connection: Connection,
    *,
    stage: str,
    subject: str,
    body: object,
    sentence: str,
    facts: Mapping[str, Any] | None = None,
) -> Plan:
    """Propose a plan; the same plan stays as it is, a different one takes the place of the open one.

    Args:
        connection: an open transaction; the caller holds the planning lock of the stage.
        stage: see `Plan`.
        subject: see `Plan`.
        body: JSON-able; its hash is what a person approves.
        sentence: for people.
        facts: see `Plan`; those of the last proposal hold.
    """
    plan_hash = hash_of(body)
    connection.execute(
        text(
            "update ledger.plans set state = 'superseded', ended_at = clock_timestamp()"
            " where stage = :stage and subject = :subject and state = 'open' and plan_hash <> :hash"
        ),
        {"stage": stage, "subject": subject, "hash": plan_hash},
    )
    row = connection.execute(
        text(
            "insert into ledger.plans as p (stage, subject, plan_hash, body, sentence, facts)"
            " values (:stage, :subject, :hash, cast(:body as jsonb), :sentence, cast(:facts as jsonb))"
            " on conflict (stage, subject) where state = 'open' do update set sentence = excluded.sentence,"
            f" facts = excluded.facts returning {_COLUMNS}"
        ),
        {
            "stage": stage,
            "subject": subject,
            "hash": plan_hash,
            "body": json.dumps(body),
            "sentence": sentence,
            "facts": json.dumps(dict(facts or {})),
        },
    ).one()
    return Plan(**row._mapping)


def open_plans(connection: Connection, stage: str | None = None) -> list[Plan]:
    """Plans that wait for a decision or for the run that carries them out; of one stage when it is given."""
    rows = connection.execute(
        text(
            f"select {_COLUMNS} from ledger.plans where state = 'open'"
            " and (cast(:stage as text) is null or stage = :stage) order by stage, subject"
        ),
        {"stage": stage},
    )
    return [Plan(**row._mapping) for row in rows]


def find(connection: Connection, stage: str, plan_hash: str) -> Plan | None:
    """The newest plan of a stage whose hash begins like this; None when there is none."""
    row = connection.execute(
        text(
            f"select {_COLUMNS} from ledger.plans where stage = :stage and starts_with(plan_hash, :hash)"
            " order by plan_id desc limit 1"
        ),
        {"stage": stage, "hash": plan_hash},
    ).one_or_none()
    return None if row is None else Plan(**row._mapping)


def decide(connection: Connection, plan: Plan, ruling: Ruling) -> Decision:
    """Decide on exactly this plan; what was said of an earlier plan with the same hash does not count as said.

    Raises:
        BadInput: see `decisions.decide`.
    """
    seen = [(plan.subject, plan.plan_hash)]
    gate = Gate(plan.stage, APPROVE_OR_REJECT)
    return decisions.decide_all(connection, gate, seen, ruling, since=plan.proposed_at)[0].decision


def verdict(connection: Connection, plan: Plan) -> str | None:
    """What a person last said of exactly this plan since it was proposed: `approve`, `reject` or nothing.

    A decision on an earlier plan with the same hash, carried out or overtaken since, says nothing of this one.
    """
    return connection.execute(
        text(
            "select nullif(verdict, 'withdraw') from ledger.decisions where stage = :stage and subject = :subject"
            " and content_hash = :hash and decided_at >= :since order by decision_id desc limit 1"
        ),
        {"stage": plan.stage, "subject": plan.subject, "hash": plan.plan_hash, "since": plan.proposed_at},
    ).scalar_one_or_none()


def end(connection: Connection, plan: Plan, state: Literal["applied", "superseded", "rejected"]) -> None:
    """Close a plan: carried out, no longer what would be done, or rejected."""
    connection.execute(
        text(
            "update ledger.plans set state = :state, ended_at = clock_timestamp()"
            " where plan_id = :id and state = 'open'"
        ),
        {"id": plan.plan_id, "state": state},
    )


def end_others(connection: Connection, stage: str, still: Mapping[str, str]) -> list[Plan]:
    """Close the open plans of a stage that are not among `still` (subject -> hash); returns the closed ones."""
    rows = connection.execute(
        text(
            "update ledger.plans p set state = 'superseded', ended_at = clock_timestamp()"
            " where p.stage = :stage and p.state = 'open' and not exists ("
            " select from unnest(cast(:subjects as text[]), cast(:hashes as text[])) as s(subject, hash)"
            f" where s.subject = p.subject and s.hash = p.plan_hash) returning {_COLUMNS}"
        ),
        {"stage": stage, "subjects": list(still), "hashes": list(still.values())},
    )
    return [Plan(**row._mapping) for row in rows]
