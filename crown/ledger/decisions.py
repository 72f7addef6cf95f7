"""Decisions: what people said of the bytes they saw. Append-only; withdrawing is another row.

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
    """One row of the decision ledger."""

    decision_id: int
    stage: str
    subject: str
    content_hash: str
    verdict: Verdict
    reason: str | None
    who: str
    via: str
    decided_at: datetime


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
    row = connection.execute(
        text(
            "insert into ledger.decisions (stage, subject, content_hash, verdict, reason, who, via)"
            " values (:stage, :subject, :content_hash, :verdict, :reason, :who, :via) returning *"
        ),
        {
            "stage": stage,
            "subject": subject,
            "content_hash": content_hash,
            "verdict": verdict,
            "reason": reason,
            "who": who,
            "via": via,
        },
    ).one()
    return Decision(**row._mapping)


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
