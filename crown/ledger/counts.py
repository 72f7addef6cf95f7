"""Counts of items by asset and state, and lists of what is in trouble. Read-only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from crown.ledger import resources as limited
from crown.ledger.holds import ANY_BYTES

STATES = ("waiting", "pending", "failed", "quarantined", "held", "current", "retired")


def by_state(connection: Connection, prefix: str = "") -> dict[str, dict[str, int]]:
    """`{asset: {state: items}}` of the assets whose key starts with `prefix`; every state is present."""
    counts: dict[str, dict[str, int]] = {}
    rows = connection.execute(
        text(
            "select asset, state, count(*) as n from ledger.items where starts_with(asset, :prefix)"
            " group by asset, state order by asset"
        ),
        {"prefix": prefix},
    )
    for asset, state, n in rows:
        counts.setdefault(asset, dict.fromkeys(STATES, 0))[state] = n
    return counts


def of_asset(connection: Connection, asset: str, batch: str | None = None) -> dict[str, int]:
    """`{state: items}` of one asset, or of one batch of it; every state is present. Reads no other asset's items."""
    rows = connection.execute(
        text(
            "select state, count(*) from ledger.items where asset = :asset"
            " and (cast(:batch as text) is null or batch = :batch) group by state"
        ),
        {"asset": asset, "batch": batch},
    )
    return dict.fromkeys(STATES, 0) | dict(rows.tuples().all())


@dataclass(frozen=True)
class Waiting:
    """What of one asset waits for one kind of thing, and since when.

    Attributes:
        asset: its key.
        kind: `upstream`, `gate`, `hold` or `plan`.
        items: how many.
        since: when the first of them began to wait.
        names: a few of the things that they wait for.
    """

    asset: str
    kind: str
    items: int
    since: datetime
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Held:
    """What of one asset a person holds for one reason, and since when."""

    asset: str
    items: int
    reason: str | None
    who: str | None
    since: datetime


def waiting(connection: Connection, prefix: str = "") -> list[Waiting]:
    """Waiting items by asset and kind, of the assets whose key starts with `prefix`."""
    rows = connection.execute(
        text(
            "select asset, waiting_kind, count(*), min(changed_at),"
            " (array_agg(distinct waiting_for order by waiting_for))[1:3] from ledger.items"
            " where state = 'waiting' and starts_with(asset, :prefix) group by asset, waiting_kind order by 1, 2"
        ),
        {"prefix": prefix},
    )
    return [
        Waiting(asset, kind, items, since, tuple(names)) for asset, kind, items, since, names in rows.tuples()
    ]


def held(connection: Connection, prefix: str = "") -> list[Held]:
    """Held items by asset and reason, most first, of the assets whose key starts with `prefix`."""
    rows = connection.execute(
        text(
            "select i.asset, count(*), v.reason, v.who, min(i.changed_at) from ledger.items i"
            " left join ledger.verdicts v on v.stage = i.asset and v.subject = i.key and v.content_hash = :any_bytes"
            " where i.state = 'held' and starts_with(i.asset, :prefix)"
            " group by i.asset, v.reason, v.who order by count(*) desc, i.asset"
        ),
        {"prefix": prefix, "any_bytes": ANY_BYTES},
    )
    return [Held(*row) for row in rows.tuples()]


def troubles(connection: Connection, prefix: str = "", limit: int = 100) -> list[dict[str, Any]]:
    """Failed and quarantined items with their error, newest first."""
    rows = connection.execute(
        text(
            "select asset, key, state, attempts, next_try, error_class, error, changed_at from ledger.items"
            " where state in ('failed', 'quarantined') and starts_with(asset, :prefix)"
            " order by changed_at desc limit :limit"
        ),
        {"prefix": prefix, "limit": limit},
    )
    return [dict(row._mapping) for row in rows]


_DUE = """
    from ledger.items where asset = any(:assets) and claim_id is null
    and state in ('pending', 'failed') and (next_try is null or next_try <= statement_timestamp())
"""


def due(connection: Connection, assets: Sequence[str], resources: Collection[str] = ()) -> int:
    """Items of these assets that a worker could take now: none while a resource that they need is closed."""
    if resources and limited.closed(connection, resources):
        return 0
    return connection.execute(text(f"select count(*) {_DUE}"), {"assets": list(assets)}).scalar_one()


def is_due(
    connection: Connection,
    assets: Sequence[str],
    resources: Collection[str] = (),
    keys: Sequence[str] | None = None,
) -> bool:
    """Whether `due` counts any; of these keys when they are given."""
    if resources and limited.closed(connection, resources):
        return False
    only = "" if keys is None else "and key = any(:keys)"
    bound = {"assets": list(assets), **({} if keys is None else {"keys": list(keys)})}
    return connection.execute(text(f"select exists (select {_DUE} {only})"), bound).scalar_one()


def due_keys(
    connection: Connection,
    asset: str,
    *,
    where: str = "true",
    bound: Mapping[str, object] | None = None,
    limit: int | None = None,
) -> list[str]:
    """Keys of an asset's items that a worker could take now, in the order in which they are claimed.

    Args:
        connection: of a transaction.
        asset: whose items.
        where: a further condition in SQL on `key`, `recipe` and the other columns of `ledger.items`.
        bound: its bind parameters.
        limit: at most so many.
    """
    order = "order by priority desc, batch, key limit :limit"
    return list(
        connection.execute(
            text(f"select key {_DUE} and ({where}) {order}"),
            {"assets": [asset], "limit": limit, **(bound or {})},
        ).scalars()
    )
