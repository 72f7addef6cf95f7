"""Removals that are too large to be meant: held until a person confirms exactly this plan.

A retired approval, a mistyped setting or a lost table must not empty a target. Everything else of a plan goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import BadInput
from crown.journal import activity
from crown.ledger import planning, plans
from crown.ledger.decisions import Decision
from crown.ledger.locks import lock_assets
from crown.ledger.planning import Plan
from crown.ledger.verdicts import Ruling
from crown.product_images.workspace import DEPARTMENT, PUBLISHED, Workspace

_log = logging.getLogger(__name__)

#: A plan that takes more than this share of a target's products, or more than this many, is held. One product
#: alone is never held: in a small catalogue every single retirement would be.
HELD_SHARE = 0.10
HELD_PRODUCTS = 20
CONFIRMATION = "the confirmation of a removal"


@dataclass(frozen=True)
class Held:
    """A removal that waits for a person; its plan's body are the sorted keys (`crown.ledger.plans`)."""

    target: str
    plan_hash: str
    keys: tuple[str, ...]
    products: tuple[str, ...]
    of_products: int
    held_at: datetime | None = None

    @property
    def sentence(self) -> str:
        """What is held, for people."""
        return (
            f"{len(self.products)} of the {self.of_products} products in {self.target} would be removed"
            f" ({len(self.keys)} files); nothing is removed until `crown images confirm {self.target} --apply`."
        )


def subject(target: str) -> str:
    """The subject of decisions on removals from a target."""
    return f"removal:{target}"


_PRODUCTS = """
    select case when key like '%:%' then split_part(key, ':', 1) else 'production' end as target,
           split_part(regexp_replace(key, '^[^:]*:', ''), '/', 1) as product,
           bool_and(state = 'retired') as gone,
           coalesce(array_agg(key) filter (where state = 'retired'), '{{}}') as keys
    from {items}
    where asset = :asset and output_id is not null
      and (state <> 'retired' or changed_at > transaction_timestamp())
    group by 1, 2
"""


def plan(
    connection: Connection,
    wanted: str,
    parameters: Mapping[str, Any],
    looked_up: str | None = None,
    absent: Collection[str] = (),
) -> tuple[Plan, list[Held]]:
    """Plan production, but retire nothing of a target whose removal is held or whose folder is absent.

    Args:
        connection: an open transaction.
        wanted: see `planning.plan`.
        parameters: see `planning.plan`.
        looked_up: see `planning.plan`.
        absent: targets whose folder is not there.

    Returns:
        The plan as it was carried out, and what is held.
    """
    lock_assets(connection, [PUBLISHED])
    point = connection.begin_nested()
    carry_out = partial(
        planning.plan, connection, PUBLISHED, wanted, parameters, inputs_decide=True, looked_up=looked_up
    )
    planned = carry_out()
    held, keep = to_hold(connection, absent) if planned.retired else ([], [])
    if keep:
        point.rollback()
        planned = carry_out(keep=keep)
        _pause(connection, keep)
    else:
        point.commit()
    _remember(connection, held)
    return planned, held


def to_hold(
    connection: Connection, absent: Collection[str], items: str = "ledger.items"
) -> tuple[list[Held], list[str]]:
    """Of what the planning of this transaction retires: what is held, and the keys that stay.

    Args:
        connection: the open transaction.
        absent: targets whose folder is not there: all their keys stay.
        items: the relation in which they are retired.
    """
    going = _going(connection, items)
    held = [
        removal
        for removal in going
        if removal.target not in absent and _too_large(removal) and not _confirmed(connection, removal)
    ]
    stay = {removal.target for removal in held} | set(absent)
    return held, [key for removal in going if removal.target in stay for key in removal.keys]


def _going(connection: Connection, items: str) -> list[Held]:
    """What the planning of this transaction retires of what was published, by target."""
    targets: dict[str, tuple[list[str], list[str], int]] = {}
    for row in connection.execute(text(_PRODUCTS.format(items=items)), {"asset": PUBLISHED}):
        keys, products, count = targets.get(row.target, ([], [], 0))
        targets[row.target] = (
            keys + row.keys if row.keys else keys,
            [*products, row.product] if row.gone else products,
            count + 1,
        )
    return [
        Held(target, plan_hash(keys), tuple(sorted(keys)), tuple(sorted(products)), count)
        for target, (keys, products, count) in sorted(targets.items())
        if keys
    ]


def plan_hash(keys: Collection[str]) -> str:
    """What a decision on a removal refers to."""
    return plans.hash_of(sorted(keys))


def _too_large(removal: Held) -> bool:
    count = len(removal.products)
    return count > 1 and (count > HELD_PRODUCTS or count > HELD_SHARE * removal.of_products)


def _confirmed(connection: Connection, removal: Held) -> bool:
    plan = next((one for one in _open(connection) if one.plan_hash == removal.plan_hash), None)
    return plan is not None and plans.verdict(connection, plan) == "approve"


def _open(connection: Connection) -> list[plans.Plan]:
    return plans.open_plans(connection, PUBLISHED)


def _pause(connection: Connection, keys: Collection[str]) -> None:
    """What is not wanted any more is not made anew either while its removal is held."""
    planning.pause(connection, PUBLISHED, list(keys), CONFIRMATION, "plan")


def _remember(connection: Connection, held: list[Held]) -> None:
    known = _open(connection)
    for plan in known:
        if all(removal.plan_hash != plan.plan_hash for removal in held):
            plans.end(connection, plan, "applied" if _is_carried_out(connection, plan) else "superseded")
    for removal in held:
        if all(removal.plan_hash != plan.plan_hash for plan in known):
            _log.warning("%s", removal.sentence)
        plans.propose(
            connection,
            stage=PUBLISHED,
            subject=subject(removal.target),
            body=sorted(removal.keys),
            sentence=removal.sentence,
            facts={"products": list(removal.products), "of_products": removal.of_products},
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
        {"asset": PUBLISHED, "keys": plan.body},
    ).scalar_one()


def standing(connection: Connection) -> list[Held]:
    """Removals that were held when production was last planned."""
    return [_held(plan) for plan in _open(connection)]


def _held(plan: plans.Plan) -> Held:
    return Held(
        plan.subject.partition(":")[2],
        plan.plan_hash,
        tuple(plan.body),
        tuple(plan.facts["products"]),
        plan.facts["of_products"],
        plan.proposed_at,
    )


def confirm(
    workspace: Workspace,
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
        held = [plan for plan in _open(connection) if target in (None, _held(plan).target)]
        if not held:
            raise BadInput(
                f"No removal{f' from {target}' if target else ''} is held; there is nothing to confirm."
            )
        for plan in held:
            removal = _held(plan)
            if seen is not None and not removal.plan_hash.startswith(seen):
                raise BadInput(
                    f"The plan for {removal.target} is {removal.plan_hash[:12]} now, not {seen}; look at it again with"
                    " `crown images confirm`."
                )
            said.append(plans.decide(connection, plan, Ruling("approve", who, via, reason)))
            activity.record(
                connection,
                who=who,
                what="removal_confirmed",
                subject=subject(removal.target),
                department=DEPARTMENT,
                via=via,
                details=reason,
                new={
                    "products": list(removal.products),
                    "files": len(removal.keys),
                    "plan": removal.plan_hash,
                },
            )
    return said
