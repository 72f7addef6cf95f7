"""Removals that are too large to be meant: held until a person confirms exactly this plan.

A retired approval, a mistyped setting or a lost table must not empty a target. Everything else of a plan goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import BadInput
from crown.journal import activity
from crown.ledger import decisions, planning
from crown.ledger.decisions import Decision
from crown.ledger.locks import lock_assets
from crown.ledger.planning import Plan
from crown.product_images.workspace import DEPARTMENT, PUBLISHED, Workspace

_log = logging.getLogger(__name__)

#: A plan that takes more than this share of a target's products, or more than this many, is held. One product
#: alone is never held: in a small catalogue every single retirement would be.
HELD_SHARE = 0.10
HELD_PRODUCTS = 20
CONFIRMATION = "the confirmation of a removal"


@dataclass(frozen=True)
class Held:
    """A removal that waits for a person. `plan_hash` is the sha256 of the sorted keys as JSON."""

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
    """What a decision on a removal refers to: sha256 of its sorted keys as JSON."""
    return hashlib.sha256(json.dumps(sorted(keys)).encode()).hexdigest()


def _too_large(removal: Held) -> bool:
    count = len(removal.products)
    return count > 1 and (count > HELD_PRODUCTS or count > HELD_SHARE * removal.of_products)


def _confirmed(connection: Connection, removal: Held) -> bool:
    seen = {subject(removal.target): removal.plan_hash}
    said = decisions.standing(connection, PUBLISHED, seen).get(subject(removal.target))
    return said is not None and said.verdict == "approve"


def _pause(connection: Connection, keys: Collection[str]) -> None:
    """What is not wanted any more is not made anew either while its removal is held."""
    connection.execute(
        text(
            "update ledger.items set state = 'waiting', waiting_for = :what, claim_id = null,"
            " changed_at = clock_timestamp() where asset = :asset and key = any(:keys)"
            " and state in ('pending', 'failed')"
        ),
        {"asset": PUBLISHED, "keys": list(keys), "what": CONFIRMATION},
    )


def _remember(connection: Connection, held: list[Held]) -> None:
    known = standing(connection)
    now = {removal.plan_hash for removal in held}
    for removal in known:
        if removal.plan_hash not in now:
            _forget(connection, removal)
    for removal in held:
        if any(removal.plan_hash == other.plan_hash for other in known):
            continue
        _log.warning("%s", removal.sentence)
        connection.execute(
            text(
                "insert into product_images.held_removals (target, plan_hash, keys, products, of_products)"
                " values (:target, :plan_hash, :keys, :products, :of_products)"
            ),
            {
                "target": removal.target,
                "plan_hash": removal.plan_hash,
                "keys": list(removal.keys),
                "products": list(removal.products),
                "of_products": removal.of_products,
            },
        )


def _forget(connection: Connection, removal: Held) -> None:
    """A confirmation holds for one removal: carried out or overtaken, it has to be asked for again."""
    if _confirmed(connection, removal):
        decisions.decide(
            connection,
            stage=PUBLISHED,
            subject=subject(removal.target),
            content_hash=removal.plan_hash,
            verdict="withdraw",
            who=DEPARTMENT,
            via="run",
            reason="carried out, or the plan has changed",
        )
    connection.execute(
        text("delete from product_images.held_removals where target = :target"), {"target": removal.target}
    )


def standing(connection: Connection) -> list[Held]:
    """Removals that were held when production was last planned."""
    rows = connection.execute(
        text(
            "select target, plan_hash, keys, products, of_products, held_at from product_images.held_removals"
            " order by target"
        )
    )
    return [
        Held(row.target, row.plan_hash, tuple(row.keys), tuple(row.products), row.of_products, row.held_at)
        for row in rows
    ]


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
        held = [removal for removal in standing(connection) if target in (None, removal.target)]
        if not held:
            raise BadInput(
                f"No removal{f' from {target}' if target else ''} is held; there is nothing to confirm."
            )
        for removal in held:
            if seen is not None and not removal.plan_hash.startswith(seen):
                raise BadInput(
                    f"The plan for {removal.target} is {removal.plan_hash[:12]} now, not {seen}; look at it again with"
                    " `crown images confirm`."
                )
            said.append(
                decisions.decide(
                    connection,
                    stage=PUBLISHED,
                    subject=subject(removal.target),
                    content_hash=removal.plan_hash,
                    verdict="approve",
                    who=who,
                    via=via,
                    reason=reason,
                )
            )
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
