"""What people say of jobs: approve, reject, return, override. Each is a decision on exact bytes; `lifecycle` has the rest.

Every function reports what it would do, and does it with `apply`; whether the person may is asked by whoever calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import BadInput, Refused
from crown.ledger import decisions
from crown.ledger.verdicts import Gate, Ruling
from crown.motion_jobs.gates import MATCH_REVIEW, PREVIEW_REVIEW, VALIDATION
from crown.motion_jobs.jobs import acts, jobs
from crown.motion_jobs.jobs.acts import Acted, Person
from crown.motion_jobs.jobs.jobs import Chosen
from crown.motion_jobs.matches.pairs import Adjustment, Pair, check_pairs
from crown.motion_jobs.workspace import (
    MATCHES,
    PREVIEWS,
    VALIDATED,
    Workspace,
)

_SENT_BACK = """
    select max(decided_at) from ledger.decisions
    where subject = :job and stage = any(:stages) and verdict in ('reject', 'return')
"""
_REMEMBER = """
    insert into motion.remembered_matches (aepx_path, comp, slot, layer, decided_by)
    select :template, :comp, slot, layer, :who from unnest(cast(:slots as text[]), cast(:layers as text[])) g(slot, layer)
    on conflict (aepx_path, comp, slot) do update set layer = excluded.layer, decided_by = excluded.decided_by,
        decided_at = clock_timestamp()
"""


@dataclass(frozen=True)
class Corrections:
    """What a person changes of the proposed matches: by slot, a layer or nothing, and adjustments. Ids or unique names."""

    layers: Mapping[str, str | None]
    adjustments: Mapping[str, Adjustment]


NO_CORRECTIONS = Corrections({}, {})


def approve(
    workspace: Workspace,
    patterns: Sequence[str],
    person: Person,
    *,
    batch: str | None = None,
    corrections: Corrections = NO_CORRECTIONS,
    with_warnings: bool = False,
    seen: str | None = None,
    apply: bool = False,
) -> list[Acted]:
    """Approve what jobs wait for: their matches (stage 2) or their previews (stage 3).

    Args:
        workspace: the department's workspace.
        patterns: of job ids.
        person: who approves.
        batch: only jobs of this batch.
        corrections: of the matches, for a single job.
        with_warnings: approve a preview although it has warnings.
        seen: beginning of the hash of what the person saw, for a single job.
        apply: do it.

    Raises:
        BadInput: no such job, or nothing to approve, or a correction that does not fit.
        Refused: a preview has critical warnings and `with_warnings` was not said.
    """
    with workspace.engine.connect() as connection:
        chosen = jobs.choose(connection, patterns, ("awaiting_review", "awaiting_approval"), batch=batch)
        _refuse_other_bytes(chosen, seen)
        if (corrections.layers or corrections.adjustments) and (
            len(chosen) != 1 or chosen[0].status != "awaiting_review"
        ):
            raise BadInput(
                "Corrections are for the matches of one job that awaits review; name that job alone."
            )
        matched = {
            one.job_id: approved_pairs(workspace, connection, one.job_id, corrections)
            for one in chosen
            if one.status == "awaiting_review"
        }
        if not with_warnings:
            _refuse_critical(connection, [one for one in chosen if one.status == "awaiting_approval"])

    def act(connection: Connection) -> None:
        for one in chosen:
            if one.status == "awaiting_review":
                _approve_matches(workspace, connection, one, matched[one.job_id], person)
            else:
                verdict = "approve_with_warnings" if with_warnings else "approve"
                _decide(connection, one, PREVIEW_REVIEW, verdict, person)

    then = {"awaiting_review": "processing", "awaiting_approval": "ready_for_validation"}
    return acts.carry_out(workspace, chosen, "approve", then, act if apply else None, person)


def approve_remembered(
    workspace: Workspace, batch: str, person: Person, *, apply: bool = False
) -> tuple[list[Acted], list[str]]:
    """Approve the matches of a batch that are those which people decided on before; returns these jobs, and the others."""
    with workspace.engine.connect() as connection:
        chosen = jobs.choose(connection, (), ("awaiting_review",), batch=batch)
        equal = [one for one in chosen if _as_remembered(workspace, connection, one.job_id)]
    others = sorted({one.job_id for one in chosen} - {one.job_id for one in equal})
    if not equal:
        return [], others
    return approve(workspace, [one.job_id for one in equal], person, apply=apply), others


def reject(
    workspace: Workspace,
    patterns: Sequence[str],
    person: Person,
    *,
    seen: str | None = None,
    apply: bool = False,
) -> list[Acted]:
    """Reject previews: their jobs go back to matching (stage 2). The reason has 10 characters or more."""
    return _verdict(
        workspace,
        patterns,
        person,
        "awaiting_approval",
        PREVIEW_REVIEW,
        "reject",
        "awaiting_review",
        seen,
        apply,
    )


def send_back(
    workspace: Workspace,
    patterns: Sequence[str],
    person: Person,
    *,
    seen: str | None = None,
    apply: bool = False,
) -> list[Acted]:
    """Send jobs with a critical finding back to matching (stage 2)."""
    return _verdict(
        workspace, patterns, person, "validation_failed", VALIDATION, "return", "awaiting_review", seen, apply
    )


def override(
    workspace: Workspace,
    patterns: Sequence[str],
    person: Person,
    *,
    seen: str | None = None,
    apply: bool = False,
) -> list[Acted]:
    """Let jobs pass in spite of critical findings. The reason has 10 characters or more.

    Raises:
        Refused: a finding prevents a package, such as missing footage.
    """
    with workspace.engine.connect() as connection:
        for one in jobs.choose(connection, patterns, ("validation_failed",)):
            report = jobs.document(workspace, connection, one.job_id, VALIDATED) or {}
            blocking = [found["message"] for found in report.get("findings", ()) if found["blocks"]]
            if blocking:
                raise Refused(f"{one.job_id} cannot be overridden: {' '.join(blocking[:3])}")
    return _verdict(
        workspace, patterns, person, "validation_failed", VALIDATION, "override", "processing", seen, apply
    )


def approved_pairs(
    workspace: Workspace, connection: Connection, job_id: str, corrections: Corrections = NO_CORRECTIONS
) -> list[Pair]:
    """The proposed pairs of a job with a person's corrections.

    Raises:
        BadInput: a correction names nothing, or several things, or does not fit.
    """
    body = jobs.document(workspace, connection, job_id, MATCHES) or {}
    layers, slots = body.get("layers", []), body.get("slots", [])
    pairs = {
        one["slot_id"]: Pair(
            slot_id=one["slot_id"],
            layer_id=one["layer_id"],
            method=one["method"],
            confidence=one["confidence"],
        )
        for one in body.get("matches", [])
    }
    changed = {_one(slots, slot, "slot")["id"]: layer for slot, layer in corrections.layers.items()}
    taken = {_one(layers, layer, "layer")["id"] for layer in changed.values() if layer is not None}
    pairs = {slot: pair for slot, pair in pairs.items() if slot not in changed and pair.layer_id not in taken}
    for slot, layer in changed.items():
        if layer is None:
            pairs[slot] = Pair(slot_id=slot, layer_id=None, method="manual_skip")
        else:
            pairs[slot] = Pair(slot_id=slot, layer_id=_one(layers, layer, "layer")["id"], method="manual")
    for name, adjustment in corrections.adjustments.items():
        slot = _one(slots, name, "slot")["id"]
        if slot not in pairs or pairs[slot].layer_id is None:
            raise BadInput(f"No layer fills the slot {name}, so nothing of it can be adjusted.")
        pairs[slot] = pairs[slot].model_copy(update={"adjustment": adjustment})
    found = sorted(pairs.values(), key=lambda pair: pair.slot_id)
    check_pairs(
        found, {one["id"]: one["is_text"] for one in layers}, {one["id"]: one["is_text"] for one in slots}
    )
    return found


def _one(known: Sequence[Mapping[str, Any]], named: str, what: str) -> Mapping[str, Any]:
    """The layer or slot with this id, or with this name when only one has it."""
    by_id = [one for one in known if str(one["id"]) == named]
    found = by_id or [one for one in known if one["name"] == named]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(one["id"]) for one in found)
        raise BadInput(f"{len(found)} {what}s are named {named!r}; give one by its id: {ids}.")
    names = ", ".join(f"{one['id']} {one['name']!r}" for one in known[:20])
    raise BadInput(f"There is no {what} {named!r}; there are {names or 'none'}.")


def _approve_matches(
    workspace: Workspace, connection: Connection, one: Chosen, pairs: Sequence[Pair], person: Person
) -> None:
    sent_back = connection.execute(
        text(_SENT_BACK), {"job": one.job_id, "stages": [PREVIEWS, VALIDATED]}
    ).scalar()
    payload = {"matches": [pair.model_dump() for pair in pairs]}
    _decide(connection, one, MATCH_REVIEW, "approve", person, payload=payload, since=sent_back)
    body = jobs.document(workspace, connection, one.job_id, MATCHES) or {}
    remembered = _by_name(body, pairs)
    template = connection.execute(
        text("select aepx_path from motion.job_records where job_id = :job"), {"job": one.job_id}
    ).scalar_one()
    connection.execute(
        text(_REMEMBER),
        {
            "template": template,
            "comp": body["comp"][0],
            "who": person.who,
            "slots": list(remembered),
            "layers": list(remembered.values()),
        },
    )


def _by_name(body: Mapping[str, Any], pairs: Sequence[Pair]) -> dict[str, str | None]:
    """Layer name by slot name, where both names stand for one thing; None where the slot was left as it is."""
    layers, slots = ({one["id"]: one["name"] for one in body[side]} for side in ("layers", "slots"))
    many = Counter(slots.values()), Counter(layers.values())
    return {
        slots[pair.slot_id]: None if pair.layer_id is None else layers[pair.layer_id]
        for pair in pairs
        if many[0][slots[pair.slot_id]] == 1
        and (pair.layer_id is None or many[1][layers[pair.layer_id]] == 1)
    }


def _as_remembered(workspace: Workspace, connection: Connection, job_id: str) -> bool:
    """Whether a person decided on every slot before, and the proposal is what was decided."""
    body = jobs.document(workspace, connection, job_id, MATCHES) or {}
    known: dict[str, str | None] = dict(
        connection.execute(
            text(
                "select slot, layer from motion.remembered_matches r join motion.job_records j using (aepx_path)"
                " where j.job_id = :job and r.comp = :comp"
            ),
            {"job": job_id, "comp": body["comp"][0]},
        )
        .tuples()
        .all()
    )
    proposed = _by_name(body, approved_pairs(workspace, connection, job_id))
    slots = [one["name"] for one in body["slots"]]
    return bool(slots) and all(slot in known and known[slot] == proposed.get(slot) for slot in slots)


def _verdict(
    workspace: Workspace,
    patterns: Sequence[str],
    person: Person,
    status: str,
    gate: Gate,
    verdict: str,
    then: str,
    seen: str | None,
    apply: bool,
) -> list[Acted]:
    gate.checked(Ruling(verdict, person.who, person.via, person.reason))
    with workspace.engine.connect() as connection:
        chosen = jobs.choose(connection, patterns, (status,))
        _refuse_other_bytes(chosen, seen)

    def act(connection: Connection) -> None:
        for one in chosen:
            _decide(connection, one, gate, verdict, person)

    return acts.carry_out(workspace, chosen, verdict, {status: then}, act if apply else None, person)


def _refuse_other_bytes(chosen: Sequence[Chosen], seen: str | None) -> None:
    if seen is None:
        return
    if len(chosen) != 1:
        raise BadInput("What was seen is said for one job; name that job alone.")
    if not seen or not (chosen[0].content_hash or "").startswith(seen):
        raise BadInput(
            f"{chosen[0].job_id} is {(chosen[0].content_hash or 'nothing')[:12]} now, not {seen[:12]}; look at it again."
        )


def _refuse_critical(connection: Connection, chosen: Sequence[Chosen]) -> None:
    rows = connection.execute(
        text(
            "select m.job_id, count(*) as n from motion.made m cross join jsonb_array_elements(m.facts -> 'warnings') w"
            " where m.asset = :asset and m.job_id = any(:jobs) and w ->> 'severity' = 'critical'"
            " and not exists (select from motion.job_warnings r where r.job_id = m.job_id and r.resolved"
            "                 and r.warning_type = w ->> 'type' and r.message = w ->> 'message') group by m.job_id"
        ),
        {"asset": PREVIEWS, "jobs": [one.job_id for one in chosen]},
    ).all()
    if rows:
        raise Refused(
            f"{rows[0].job_id} has {rows[0].n} critical warnings; resolve them, reject it, or approve it with warnings."
        )


def _decide(
    connection: Connection,
    one: Chosen,
    gate: Gate,
    verdict: str,
    person: Person,
    *,
    payload: Mapping[str, Any] | None = None,
    since: Any = None,
) -> None:
    """Decide on the current bytes, when they still are what was looked at."""
    current = connection.execute(
        text("select content_hash from motion.made where job_id = :job and asset = :asset"),
        {"job": one.job_id, "asset": gate.stage},
    ).scalar()
    if current is None or current != one.content_hash:
        raise BadInput(f"{one.job_id} was made anew meanwhile; look at it again.")
    ruling = Ruling(verdict, person.who, person.via, person.reason, payload)
    said = decisions.decide_all(connection, gate, [(one.job_id, current)], ruling, since=since)[0]
    if said.is_new:
        decided = {"content_hash": current, "decision_id": said.decision.decision_id, "asset": gate.stage}
        acts.record(connection, [one], verdict, person, decided)
