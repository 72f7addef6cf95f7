"""Removals that are too large to be meant: held until a person confirms exactly this plan.

A withdrawn approval, a mistyped setting or a lost table must not empty a folder. A stage says with `RemovalRules` what is
counted and how much is too much; everything else of its plan goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from crown.errors import BadInput
from crown.flow.workspace import Workspace
from crown.journal import activity
from crown.ledger import planning, plans
from crown.ledger.decisions import Decision
from crown.ledger.locks import lock_assets
from crown.ledger.planning import Plan
from crown.ledger.verdicts import Ruling

_log = logging.getLogger(__name__)

CONFIRMATION = "the confirmation of a removal"


@dataclass(frozen=True)
class RemovalRules:
    """When the removal of files of an asset waits for a person's confirmation.

    Attributes:
        asset: whose files; the stage of the plans.
        confirm: the command that confirms; `{target}` stands for the target.
        target: SQL expression of the target of an item's `key`: each is looked at alone.
        subject: SQL expression of what is counted of a `key`, such as a product; it is gone when all its items are.
        called: what is counted, for people.
        share: more than this share of a target's subjects is held.
        most: more than this many are held. One subject alone never is: in a small target every removal would be.
        absent: targets whose folder is not there; nothing is removed of them.
    """

    asset: str
    confirm: str
    target: str = "'files'"
    subject: str = "key"
    called: str = "items"
    share: float = 0.10
    most: int = 20
    absent: frozenset[str] = frozenset()

    def are_too_many(self, subjects: int, of: int) -> bool:
        """Whether the removal of so many subjects is held."""
        return subjects > 1 and (subjects > self.most or subjects > self.share * of)


@dataclass(frozen=True)
class HeldRemoval:
    """A removal that waits for a person; its plan's body are the sorted keys (`crown.ledger.plans`)."""

    target: str
    plan_hash: str
    keys: tuple[str, ...]
    subjects: tuple[str, ...]
    of_subjects: int
    #: What is held, for people.
    sentence: str
    held_at: datetime | None = None


# Of what was made and is still wanted, or is retired by the planning of this transaction.
_SUBJECTS = """
    select {target} as target, {subject} as subject, bool_and(state = 'retired') as gone,
           coalesce(array_agg(key) filter (where state = 'retired'), '{{}}') as keys
    from {items}
    where asset = :asset and output_id is not null
      and (state <> 'retired' or changed_at > transaction_timestamp())
    group by 1, 2
"""


def subject_of(target: str) -> str:
    """The subject of plans and decisions on removals from a target."""
    return f"removal:{target}"


def plan(
    connection: Connection, rules: RemovalRules, carry_out: Callable[..., Plan]
) -> tuple[Plan, list[HeldRemoval]]:
    """Plan an asset, but retire nothing of a target whose removal is held or whose folder is absent.

    Args:
        connection: an open transaction.
        rules: of the stage.
        carry_out: `planning.plan` with everything but `keep`; it may be called twice.

    Returns:
        The plan as it was carried out, and what is held.
    """
    lock_assets(connection, [rules.asset])
    point = connection.begin_nested()
    planned = carry_out()
    held, keep = to_hold(connection, rules, "ledger.items") if planned.retired else ([], [])
    if keep:
        point.rollback()
        planned = carry_out(keep=keep)
        # What is not wanted any more is not made anew either while its removal is held.
        planning.pause(connection, rules.asset, keep, CONFIRMATION, "plan")
    else:
        point.commit()
    _propose(connection, rules, held)
    return planned, held


def to_hold(connection: Connection, rules: RemovalRules, items: str) -> tuple[list[HeldRemoval], list[str]]:
    """Of what the planning of this transaction retires: what is held, and the keys that stay.

    Args:
        connection: the open transaction.
        rules: of the stage.
        items: the relation in which they are retired: `ledger.items`, or the forecast's.
    """
    going = _going(connection, rules, items)
    confirmed = {
        plan.plan_hash
        for plan in plans.open_plans(connection, rules.asset)
        if plans.verdict(connection, plan) == "approve"
    }
    held = [
        removal
        for removal in going
        if removal.target not in rules.absent
        and rules.are_too_many(len(removal.subjects), removal.of_subjects)
        and removal.plan_hash not in confirmed
    ]
    stay = {removal.target for removal in held} | rules.absent
    return held, [key for removal in going if removal.target in stay for key in removal.keys]


def _going(connection: Connection, rules: RemovalRules, items: str) -> list[HeldRemoval]:
    """What the planning of this transaction retires of what was made, by target."""
    statement = _SUBJECTS.format(items=items, target=rules.target, subject=rules.subject)
    targets: dict[str, tuple[list[str], list[str], int]] = {}
    for row in connection.execute(text(statement), {"asset": rules.asset}):
        keys, gone, count = targets.get(row.target, ([], [], 0))
        targets[row.target] = keys + row.keys, [*gone, row.subject] if row.gone else gone, count + 1
    return [
        _removal(rules, target, sorted(keys), sorted(gone), count)
        for target, (keys, gone, count) in sorted(targets.items())
        if keys
    ]


def _removal(
    rules: RemovalRules, target: str, keys: list[str], subjects: list[str], of_subjects: int
) -> HeldRemoval:
    sentence = (
        f"{len(subjects)} of the {of_subjects} {rules.called} in {target} would be removed ({len(keys)} files);"
        f" nothing is removed until `{rules.confirm.format(target=target)}`."
    )
    return HeldRemoval(target, plans.hash_of(keys), tuple(keys), tuple(subjects), of_subjects, sentence)


def _propose(connection: Connection, rules: RemovalRules, held: list[HeldRemoval]) -> None:
    known = plans.open_plans(connection, rules.asset)
    for plan in known:
        if all(removal.plan_hash != plan.plan_hash for removal in held):
            plans.end(connection, plan, "applied" if _is_carried_out(connection, plan) else "superseded")
    for removal in held:
        if all(removal.plan_hash != plan.plan_hash for plan in known):
            _log.warning("%s", removal.sentence)
        plans.propose(
            connection,
            stage=rules.asset,
            subject=subject_of(removal.target),
            body=list(removal.keys),
            sentence=removal.sentence,
            facts={rules.called: list(removal.subjects), f"of_{rules.called}": removal.of_subjects},
        )


def _is_carried_out(connection: Connection, plan: plans.Plan) -> bool:
    """Whether it was confirmed and everything in it is retired; a confirmation holds for one removal."""
    if plans.verdict(connection, plan) != "approve":
        return False
    return connection.execute(
        text(
            "select not exists (select from ledger.items where asset = :asset and key = any(:keys)"
            " and state <> 'retired')"
        ),
        {"asset": plan.stage, "keys": plan.body},
    ).scalar_one()


def standing(connection: Connection, rules: RemovalRules) -> list[HeldRemoval]:
    """Removals that were held when the asset was last planned."""
    return [
        HeldRemoval(
            plan.subject.partition(":")[2],
            plan.plan_hash,
            tuple(plan.body),
            tuple(plan.facts[rules.called]),
            plan.facts[f"of_{rules.called}"],
            plan.sentence,
            plan.proposed_at,
        )
        for plan in plans.open_plans(connection, rules.asset)
    ]


def confirm(
    workspace: Workspace,
    rules: RemovalRules,
    *,
    who: str,
    via: activity.Via,
    target: str | None = None,
    seen: str | None = None,
    reason: str | None = None,
) -> list[Decision]:
    """Confirm the removals that are held now; the next run carries out exactly these.

    Args:
        workspace: the department's workspace.
        rules: of the stage.
        who: the person.
        via: from where.
        target: of this target only.
        seen: the beginning of the hash of the plan that the person saw.
        reason: for the record.

    Raises:
        BadInput: nothing is held there, or it is another plan than the one seen.
    """
    said = []
    with workspace.engine.begin() as connection:
        held = [
            plan
            for plan in plans.open_plans(connection, rules.asset)
            if target is None or plan.subject == subject_of(target)
        ]
        if not held:
            raise BadInput(
                f"No removal{f' from {target}' if target else ''} is held; there is nothing to confirm."
            )
        for plan in held:
            if seen is not None and not plan.plan_hash.startswith(seen):
                raise BadInput(
                    f"The plan for {plan.subject.partition(':')[2]} is {plan.plan_hash[:12]} now, not {seen}; look at it"
                    " again."
                )
            said.append(plans.decide(connection, plan, Ruling("approve", who, via, reason)))
            activity.record(
                connection,
                who=who,
                what="removal_confirmed",
                subject=plan.subject,
                department=workspace.department,
                via=via,
                details=reason,
                new={
                    rules.called: plan.facts[rules.called],
                    "files": len(plan.body),
                    "plan": plan.plan_hash,
                },
            )
    return said
