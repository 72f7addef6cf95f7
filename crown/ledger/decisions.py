"""Decisions: what people said of the bytes they saw. Append-only; withdrawing is another row.

A withdrawal takes back the verdict that stands, repeated or not, and what stood before it holds again: an approval
that was rejected by mistake is an approval once the rejection is withdrawn.

What follows from a decision is each department's planning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, text

Verdict = Literal["approve", "reject", "withdraw"]


@dataclass(frozen=True)
class Decision:
    """One row of the decision ledger; a withdrawal `restores` an earlier one, or none."""

    decision_id: int
    stage: str
    subject: str
    content_hash: str
    verdict: Verdict
    reason: str | None
    who: str
    via: str
    decided_at: datetime
    restores: int | None = None


def decide(
    connection: Connection,
    *,
    stage: str,
    subject: str,
    content_hash: str,
    verdict: Verdict,
    who: str,
    via: str,
    reason: str | None = None,
) -> Decision:
    """Append a decision on exactly these bytes; saying the same again adds nothing.

    Args:
        connection: an open transaction.
        stage: what is decided, `product_images/cutouts`.
        subject: the item's key.
        content_hash: sha256 of the bytes the person saw.
        verdict: approve, reject, or withdraw what was said before.
        who: the person; `share` when a moved file cannot tell.
        via: `cli`, `console`, `share` or `demo`.
        reason: free text.
    """
    now = standing(connection, stage, {subject: content_hash}).get(subject)
    if now is not None and (now.verdict, now.who, now.reason) == (verdict, who, reason):
        return now
    before = restored(connection, stage, subject, content_hash) if verdict == "withdraw" else None
    row = connection.execute(
        text(
            "insert into ledger.decisions (stage, subject, content_hash, verdict, reason, who, via, restores)"
            " values (:stage, :subject, :content_hash, :verdict, :reason, :who, :via, :restores) returning *"
        ),
        {
            "stage": stage,
            "subject": subject,
            "content_hash": content_hash,
            "verdict": verdict,
            "reason": reason,
            "who": who,
            "via": via,
            "restores": None if before is None else before.decision_id,
        },
    ).one()
    return Decision(**row._mapping)


def restored(connection: Connection, stage: str, subject: str, content_hash: str) -> Decision | None:
    """The decision that would hold again if what stands on these bytes were withdrawn now; None when there is none."""
    standing: list[Decision] = []
    for one in history(connection, stage, subject, content_hash):
        if one.verdict == "withdraw":
            while standing and standing[-1].decision_id != one.restores:
                standing.pop()
        elif standing and standing[-1].verdict == one.verdict:
            standing[-1] = one  # said again: withdrawing takes both back
        else:
            standing.append(one)
    return standing[-2] if len(standing) > 1 else None


def history(
    connection: Connection, stage: str, subject: str, content_hash: str | None = None
) -> list[Decision]:
    """Everything that was said of a subject, oldest first; given a hash, of these bytes only."""
    rows = connection.execute(
        text(
            "select * from ledger.decisions where stage = :stage and subject = :subject"
            " and (cast(:hash as text) is null or content_hash = :hash) order by decision_id"
        ),
        {"stage": stage, "subject": subject, "hash": content_hash},
    )
    return [Decision(**row._mapping) for row in rows]


def standing(connection: Connection, stage: str, seen: Mapping[str, str]) -> dict[str, Decision]:
    """The verdicts in force on these bytes, by subject; `seen` maps subject to content hash."""
    rows = connection.execute(
        text(
            "select v.* from ledger.verdicts v join unnest(cast(:subjects as text[]), cast(:hashes as text[]))"
            " as s(subject, content_hash) using (subject, content_hash) where stage = :stage"
        ),
        {"stage": stage, "subjects": list(seen), "hashes": list(seen.values())},
    )
    return {row.subject: Decision(**row._mapping) for row in rows}
