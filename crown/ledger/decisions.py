"""Decisions: what people said of the bytes they saw. Append-only; withdrawing is another row.

A withdrawal takes back the verdict that stands, repeated or not, and what stood before it holds again: an approval
that was rejected by mistake is an approval once the rejection is withdrawn.

Which verdicts a stage knows is its own declaration (`verdicts`). What follows from a decision is each department's
planning.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import BadInput
from crown.ledger import verdicts as declared_verdicts
from crown.ledger.recipes import canonical
from crown.ledger.verdicts import APPROVE_OR_REJECT, WITHDRAW, DeclaredVerdict

#: The name of a verdict, one of those that the stage declares.
Verdict = str

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
    payload: Mapping[str, Any] | None = None
    #: The stage to which the item was sent back.
    return_stage: str | None = None
    #: The batch that was decided on as a whole.
    batch: str | None = None
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
    payload: Mapping[str, Any] | None = None,
    return_stage: str | None = None,
    verdicts: Sequence[DeclaredVerdict] = APPROVE_OR_REJECT,
) -> Decision:
    """Append a decision on exactly these bytes; saying the same again adds nothing.

    Args:
        connection: an open transaction.
        stage: what is decided, `product_images/cutouts`.
        subject: the item's key.
        content_hash: sha256 of the bytes the person saw.
        verdict: one that the stage declares, or `withdraw`, which takes back what was said before.
        who: the person; `share` when a moved file cannot tell.
        via: `cli`, `console`, `share` or `demo`.
        reason: free text.
        payload: what the verdict carries, JSON-able.
        return_stage: the stage to which the item is sent back.
        verdicts: those that the stage declares.

    Raises:
        BadInput: the stage does not know the verdict, or the verdict asks for something else.
    """
    return decide_all(
        connection,
        stage=stage,
        seen=[(subject, content_hash)],
        verdict=verdict,
        who=who,
        via=via,
        reason=reason,
        payload=payload,
        return_stage=return_stage,
        verdicts=verdicts,
    )[0].decision


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
    payload: Mapping[str, Any] | None = None,
    return_stage: str | None = None,
    verdicts: Sequence[DeclaredVerdict] = APPROVE_OR_REJECT,
    batch: str | None = None,
    since: datetime | None = None,
) -> list[Said]:
    """`decide` on many subjects with one statement; `seen` are pairs of subject and content hash, each once.

    What was decided before `since` counts as said about something else.
    """
    declared_verdicts.check(
        verdicts, stage=stage, verdict=verdict, reason=reason, payload=payload, return_stage=return_stage
    )
    payload = None if payload is None else dict(payload)
    before = {
        (d.subject, d.content_hash): d
        for d in _standing(connection, stage, seen)
        if since is None or d.decided_at >= since
    }
    said_now = (verdict, who, reason, payload, return_stage, batch)
    new = [pair for pair in seen if (now := before.get(pair)) is None or _said(now) != said_now]
    back = {pair: restored(connection, stage, *pair) for pair in new} if verdict == WITHDRAW else {}
    rows = connection.execute(
        text(
            "insert into ledger.decisions (stage, subject, content_hash, verdict, reason, who, via, payload,"
            " return_stage, batch, batch_hash, restores)"
            " select :stage, subject, content_hash, :verdict, cast(:reason as text), :who, :via,"
            " cast(:payload as jsonb), cast(:return_stage as text), cast(:batch as text), cast(:batch_hash as text),"
            " restores from unnest(cast(:subjects as text[]), cast(:hashes as text[]), cast(:restores as bigint[]))"
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
            "payload": None if payload is None else json.dumps(payload),
            "return_stage": return_stage,
            "batch": batch,
            "batch_hash": None if batch is None else batch_hash(dict(seen)),
            "restores": [None if (old := back.get(pair)) is None else old.decision_id for pair in new],
        },
    )
    said = before | {(row.subject, row.content_hash): Decision(**row._mapping) for row in rows}
    return [Said(said[pair], before.get(pair)) for pair in seen]


def _said(one: Decision) -> tuple[object, ...]:
    return one.verdict, one.who, one.reason, one.payload, one.return_stage, one.batch


def batch_seen(connection: Connection, stage: str, batch: str) -> dict[str, str]:
    """What stands of a batch: content hash by key, of the items that are current."""
    rows = connection.execute(
        text(
            "select i.key, m.content_hash from ledger.items i join ledger.outputs m using (output_id)"
            " where i.asset = :stage and i.batch = :batch and i.state = 'current' order by i.key"
        ),
        {"stage": stage, "batch": batch},
    )
    return dict(rows.tuples().all())


def batch_hash(seen: Mapping[str, str]) -> str:
    """What a decision on a batch refers to: sha256 of its keys and content hashes."""
    return hashlib.sha256(canonical(dict(seen))).hexdigest()


def decide_batch(
    connection: Connection,
    *,
    stage: str,
    batch: str,
    seen_hash: str,
    verdict: Verdict,
    who: str,
    via: str,
    reason: str | None = None,
    payload: Mapping[str, Any] | None = None,
    return_stage: str | None = None,
    verdicts: Sequence[DeclaredVerdict] = APPROVE_OR_REJECT,
) -> list[Said]:
    """One decision on all of a batch that stands; each item gets its row, so that changed bytes void it alone.

    Args:
        connection: an open transaction.
        stage: the asset whose items are decided on.
        batch: its name on the items.
        seen_hash: `batch_hash` of what the person saw, or its beginning.
        verdict: see `decide`, as for all that follow.
        who: see `decide`.
        via: see `decide`.
        reason: see `decide`.
        payload: see `decide`.
        return_stage: see `decide`.
        verdicts: see `decide`.

    Raises:
        BadInput: nothing of the batch stands, or it is not what the person saw; see `decide` too.
    """
    seen = batch_seen(connection, stage, batch)
    if not seen:
        raise BadInput(f"Nothing of the batch {batch} stands in {stage}; there is nothing to decide.")
    now = batch_hash(seen)
    if not seen_hash or not now.startswith(seen_hash):
        raise BadInput(
            f"The batch {batch} of {stage} is {now[:12]} now, not {seen_hash[:12] or 'empty'}; look at it again."
        )
    return decide_all(
        connection,
        stage=stage,
        seen=list(seen.items()),
        verdict=verdict,
        who=who,
        via=via,
        reason=reason,
        payload=payload,
        return_stage=return_stage,
        verdicts=verdicts,
        batch=batch,
    )


def restored(connection: Connection, stage: str, subject: str, content_hash: str) -> Decision | None:
    """The decision that would hold again if what stands on these bytes were withdrawn now; None when there is none."""
    standing: list[Decision] = []
    for one in history(connection, stage, subject, content_hash):
        if one.verdict == WITHDRAW:
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
