"""Decisions: what people said of the bytes they saw. Append-only; withdrawing is another row.

A withdrawal takes back the verdict in force, repeated or not, and the one before it holds again: an approval
that was rejected by mistake is an approval once the rejection is withdrawn.

Which verdicts a gate knows is its own declaration (`verdicts`). What follows from a decision is each department's
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
from crown.ledger.recipes import canonical
from crown.ledger.verdicts import WITHDRAW, Gate, Ruling

#: The name of a verdict, one of those that the gate declares.
Verdict = str

#: The form of a transaction snapshot: xmin:xmax:list of those in progress.
_LOOK = re.compile(r"[0-9]+:[0-9]+:[0-9,]*")
_NOTHING_SEEN = "1:1:"
#: A shorter beginning of a hash may fit another by chance.
_SHORTEST_HASH = 8


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


def decide(connection: Connection, gate: Gate, subject: str, content_hash: str, ruling: Ruling) -> Decision:
    """Append a decision on exactly these bytes; saying the same again adds nothing, nor does withdrawing nothing.

    Args:
        connection: an open transaction.
        gate: where it is decided.
        subject: the item's key.
        content_hash: sha256 of the bytes the person saw.
        ruling: what the person says.

    Raises:
        BadInput: the gate does not know the verdict, the verdict asks for something else, or there is nothing to
            withdraw.
    """
    return decide_all(connection, gate, [(subject, content_hash)], ruling)[0].decision


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
    gate: Gate,
    seen: Sequence[tuple[str, str]],
    ruling: Ruling,
    *,
    batch: str | None = None,
    since: datetime | None = None,
) -> list[Said]:
    """`decide` on many subjects with one statement; `seen` are pairs of subject and content hash, each once.

    What was decided before `since` counts as said about something else. A withdrawal is about those of which something
    is in force, and of a `batch` about those where it is what was said of the batch; it leaves the others out.
    """
    given = gate.checked(ruling, batch=batch is not None)
    if not seen:
        return []
    before = {
        (d.subject, d.content_hash): d
        for d in _standing(connection, gate.stage, seen)
        if since is None or d.decided_at >= since
    }
    if given.verdict == WITHDRAW:
        seen = [pair for pair in seen if (now := before.get(pair)) and (batch is None or now.batch == batch)]
        if not seen:
            what = "the batch" if batch is not None else "them"
            raise BadInput(
                f"Nothing that was said of {what} is in force in {gate.stage}; there is nothing to withdraw."
            )
    said_now = (given.verdict, given.who, given.reason, given.payload, given.return_stage, batch)
    new = [pair for pair in seen if (now := before.get(pair)) is None or _said(now) != said_now]
    back = restored(connection, gate.stage, new) if given.verdict == WITHDRAW else {}
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
            **vars(given),
            **_pairs(gate.stage, new),
            "payload": None if given.payload is None else json.dumps(given.payload),
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
    """Current items of a batch: content hash by key, of the items that are current."""
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
    connection: Connection, gate: Gate, batch: str, seen_hash: str, ruling: Ruling
) -> list[Said]:
    """One decision on all current items of a batch; each item gets its row, so that changed bytes void it alone.

    Args:
        connection: an open transaction.
        gate: where it is decided; its stage is the asset of the items.
        batch: its name on the items.
        seen_hash: `batch_hash` of what the person saw, or at least the first eight characters of it.
        ruling: what the person says.

    Raises:
        BadInput: no item of the batch is current, or it is not what the person saw; see `decide` too.
    """
    seen = batch_seen(connection, gate.stage, batch)
    if not seen:
        raise BadInput(
            f"No item of the batch {batch} is current in {gate.stage}; there is nothing to decide."
        )
    now = batch_hash(seen)
    if len(seen_hash) < _SHORTEST_HASH or not now.startswith(seen_hash):
        raise BadInput(
            f"The batch {batch} of {gate.stage} is {now[:12]} now, not {seen_hash[:12] or 'empty'}; look at it again."
        )
    return decide_all(connection, gate, list(seen.items()), ruling, batch=batch)


def restored(
    connection: Connection, stage: str, seen: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Decision]:
    """The decisions that would hold again if the one in force on these bytes were withdrawn now, with one statement.

    `seen` are pairs of subject and content hash; those under whose standing decision there is none are left out.
    """
    rows = connection.execute(
        text(
            f"select {_COLUMNS} from ledger.decisions join unnest(cast(:subjects as text[]), cast(:hashes as text[]))"
            " as s(subject, content_hash) using (subject, content_hash) where stage = :stage order by decision_id"
        ),
        _pairs(stage, seen),
    )
    standing: dict[tuple[str, str], list[Decision]] = {}
    for row in rows:
        one = Decision(**row._mapping)
        below = standing.setdefault((one.subject, one.content_hash), [])
        if one.verdict == WITHDRAW:
            while below and below[-1].decision_id != one.restores:
                below.pop()
        elif below and below[-1].verdict == one.verdict:
            below[-1] = one  # said again: withdrawing takes both back
        else:
            below.append(one)
    return {pair: below[-2] for pair, below in standing.items() if len(below) > 1}


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
        _pairs(stage, seen),
    )
    return [Decision(**row._mapping) for row in rows]


def _pairs(stage: str, seen: Sequence[tuple[str, str]]) -> dict[str, object]:
    return {
        "stage": stage,
        "subjects": [subject for subject, _ in seen],
        "hashes": [content_hash for _, content_hash in seen],
    }


@dataclass(frozen=True)
class Newest:
    """The newest decision of one stage with one verdict."""

    stage: str
    verdict: Verdict
    decision_id: int


def since(connection: Connection, look: str | None) -> tuple[list[Newest], str]:
    """What was decided since an earlier look, by stage and verdict, and what marks this look.

    Numbers are given before a transaction commits, so one may appear below others that were seen long ago: a look is
    marked by the snapshot of its transaction, not by a number.

    Args:
        connection: a connection that is not in the middle of a serializable transaction.
        look: the mark of the earlier look; None, or one of another database server, makes every decision new.
    """
    top = connection.execute(
        text("select cast(cast(pg_snapshot_xmax(pg_current_snapshot()) as text) as bigint)")
    ).scalar_one()
    known = look is not None and _LOOK.fullmatch(look) and int(look.split(":")[1]) <= top
    rows = connection.execute(
        text(
            "select cast(pg_current_snapshot() as text) as look, stage, verdict, newest from (values (1)) as one"
            " left join (select stage, verdict, max(decision_id) as newest from ledger.decisions"
            "  where written_in >= pg_snapshot_xmin(cast(:look as pg_snapshot))"
            "  and not pg_visible_in_snapshot(written_in, cast(:look as pg_snapshot))"
            "  group by stage, verdict) as new on true order by stage, verdict"
        ),
        {"look": look if known else _NOTHING_SEEN},
    ).all()
    return [Newest(row.stage, row.verdict, row.newest) for row in rows if row.newest], rows[0].look
