"""Decisions: what people said of the bytes they saw. Append-only; withdrawing is another row.

A withdrawal takes back the verdict that stands, repeated or not, and what stood before it holds again: an approval
that was rejected by mistake is an approval once the rejection is withdrawn.

What follows from a decision is each department's planning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, text

Verdict = Literal["approve", "reject", "withdraw"]


#: The form of a transaction snapshot: xmin:xmax:list of those in progress.
_LOOK = re.compile(r"[0-9]+:[0-9]+:[0-9,]*")
_NOTHING_SEEN = "1:1:"


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


_COLUMNS = ", ".join(Decision.__annotations__)


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
    seen = [(subject, content_hash)]
    return decide_all(connection, stage=stage, seen=seen, verdict=verdict, who=who, via=via, reason=reason)[
        0
    ].decision


@dataclass(frozen=True)
class Said:
    """A decision, and the verdict that was in force before it; the same one when nothing new was said."""

    decision: Decision
    before: Decision | None

    @property
    def is_new(self) -> bool:
        """Whether a row was added."""
        return self.before is None or self.before.decision_id != self.decision.decision_id


def decide_all(
    connection: Connection,
    *,
    stage: str,
    seen: Sequence[tuple[str, str]],
    verdict: Verdict,
    who: str,
    via: str,
    reason: str | None = None,
) -> list[Said]:
    """`decide` on many subjects with one statement; `seen` are pairs of subject and content hash, each once."""
    before = {(d.subject, d.content_hash): d for d in _standing(connection, stage, seen)}
    new = [
        pair
        for pair in seen
        if (now := before.get(pair)) is None or (now.verdict, now.who, now.reason) != (verdict, who, reason)
    ]
    back = {pair: restored(connection, stage, *pair) for pair in new} if verdict == "withdraw" else {}
    rows = connection.execute(
        text(
            "insert into ledger.decisions (stage, subject, content_hash, verdict, reason, who, via, restores)"
            " select :stage, subject, content_hash, :verdict, cast(:reason as text), :who, :via, restores"
            " from unnest(cast(:subjects as text[]), cast(:hashes as text[]), cast(:restores as bigint[]))"
            f" with ordinality as s(subject, content_hash, restores, place) order by place returning {_COLUMNS}"
        ),
        {
            "stage": stage,
            "subjects": [subject for subject, _ in new],
            "hashes": [content_hash for _, content_hash in new],
            "verdict": verdict,
            "reason": reason,
            "who": who,
            "via": via,
            "restores": [None if (old := back.get(pair)) is None else old.decision_id for pair in new],
        },
    )
    said = before | {(row.subject, row.content_hash): Decision(**row._mapping) for row in rows}
    return [Said(said[pair], before.get(pair)) for pair in seen]


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
            f"select {_COLUMNS} from ledger.decisions where stage = :stage and subject = :subject"
            " and (cast(:hash as text) is null or content_hash = :hash) order by decision_id"
        ),
        {"stage": stage, "subject": subject, "hash": content_hash},
    )
    return [Decision(**row._mapping) for row in rows]


def standing(connection: Connection, stage: str, seen: Mapping[str, str]) -> dict[str, Decision]:
    """The verdicts in force on these bytes, by subject; `seen` maps subject to content hash."""
    return {found.subject: found for found in _standing(connection, stage, list(seen.items()))}


def _standing(connection: Connection, stage: str, seen: Sequence[tuple[str, str]]) -> list[Decision]:
    rows = connection.execute(
        text(
            "select v.* from ledger.verdicts v join unnest(cast(:subjects as text[]), cast(:hashes as text[]))"
            " as s(subject, content_hash) using (subject, content_hash) where stage = :stage"
        ),
        {
            "stage": stage,
            "subjects": [subject for subject, _ in seen],
            "hashes": [content_hash for _, content_hash in seen],
        },
    )
    return [Decision(**row._mapping) for row in rows]


def since(connection: Connection, prefix: str, look: str | None) -> tuple[int | None, str]:
    """What was decided since an earlier look: the newest decision that it could not see, and what marks this look.

    Numbers are given before a transaction commits, so one may appear below others that were seen long ago: a look is
    marked by the snapshot of its transaction, not by a number.

    Args:
        connection: a connection that is not in the middle of a serializable transaction.
        prefix: of the stages.
        look: the mark of the earlier look; None, or one of another database server, makes every decision new.
    """
    top = connection.execute(
        text("select cast(cast(pg_snapshot_xmax(pg_current_snapshot()) as text) as bigint)")
    ).scalar_one()
    known = look is not None and _LOOK.fullmatch(look) and int(look.split(":")[1]) <= top
    row = connection.execute(
        text(
            "select cast(pg_current_snapshot() as text) as look, (select max(decision_id) from ledger.decisions"
            "  where starts_with(stage, :prefix) and written_in >= pg_snapshot_xmin(cast(:look as pg_snapshot))"
            "  and not pg_visible_in_snapshot(written_in, cast(:look as pg_snapshot))) as newest"
        ),
        {"prefix": prefix, "look": look if known else _NOTHING_SEEN},
    ).one()
    return row.newest, row.look
