"""Holding and releasing items of any department by patterns of their keys: what an act is about, and the act itself.

A held item is neither made nor claimed until a person releases it; what waits downstream is the departments' planning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, text

from crown.flow.patterns import Patterns, condition
from crown.journal import activity
from crown.ledger import holds
from crown.ledger.locks import lock_assets
from crown.ledger.verdicts import HOLD_OR_RELEASE, Gate, Ruling

Act = Literal["hold", "release"]
_ACTS: dict[Act, Callable[..., list[str]]] = {"hold": holds.hold, "release": holds.release}


@dataclass(frozen=True)
class Item:
    """An item that an act is about, and why it is held now."""

    asset: str
    key: str
    state: str
    reason: str | None
    who: str | None


def chosen(
    connection: Connection, act: Act, department: str, patterns: Patterns, asset: str | None = None
) -> list[Item]:
    """The items of a department that an act on these patterns would change, in the order of assets and keys.

    Args:
        connection: to the database.
        act: `hold` is about items that are not held, `release` about those that are.
        department: prefix of its asset keys.
        patterns: of item keys.
        asset: only this one, by its key or the part after the department.
    """
    state = "i.state = 'held'" if act == "release" else "i.state not in ('held', 'retired')"
    rows = connection.execute(
        text(
            "select i.asset, i.key, i.state, v.reason, v.who from ledger.items i left join ledger.verdicts v"
            " on i.state = 'held' and v.stage = i.asset and v.subject = i.key and v.content_hash = :any_bytes"
            f" where starts_with(i.asset, :prefix) and {state} and {condition('i.key')}"
            " and (cast(:asset as text) is null or i.asset = :asset or i.asset = :prefix || :asset)"
            " order by i.asset, i.key"
        ),
        {
            "prefix": f"{department}/",
            "any_bytes": holds.ANY_BYTES,
            "asset": asset,
            **patterns.parameters,
        },
    )
    return [Item(**row._mapping) for row in rows]


def check(items: Sequence[Item], ruling: Ruling) -> None:
    """Refuse what `carry_out` would refuse.

    Raises:
        BadInput: the reason is too short.
    """
    for asset in sorted({one.asset for one in items}):
        Gate(asset, HOLD_OR_RELEASE).checked(ruling)


def carry_out(
    connection: Connection,
    act: Act,
    items: Sequence[Item],
    *,
    department: str,
    who: str,
    via: activity.Via,
    reason: str,
    entity_of: Callable[[str], str | None],
) -> int:
    """Hold or release items in the caller's transaction, with a row of the trail for each; returns how many.

    Raises:
        BadInput: the reason is too short.
    """
    keys: dict[str, list[str]] = {}
    for one in items:
        keys.setdefault(one.asset, []).append(one.key)
    lock_assets(connection, keys)
    changed = [
        (asset, key)
        for asset, some in keys.items()
        for key in _ACTS[act](connection, asset, some, who=who, via=via, reason=reason)
    ]
    activity.record_all(
        connection,
        [
            activity.Entry(
                who=who,
                what="held" if act == "hold" else "released",
                subject=key,
                department=department,
                via=via,
                entity=entity_of(key),
                details=reason or None,
                new={"asset": asset},
            )
            for asset, key in changed
        ],
    )
    return len(changed)
