"""Items that a person holds: they are neither made nor claimed until they are released.

The decisions are `hold` and `release`, on the item whatever its bytes are. What waits downstream is the departments'
planning.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from crown.ledger import decisions
from crown.ledger.locks import lock_assets
from crown.ledger.verdicts import HOLD_OR_RELEASE, Gate, Ruling

#: In place of the content hash in decisions on an item, whatever its bytes are.
ANY_BYTES = "*"


def hold(
    connection: Connection, asset: str, keys: Sequence[str], *, who: str, via: str, reason: str
) -> list[str]:
    """Hold items; a worker that is at one drops its result. Returns the keys of those that were not held yet.

    Raises:
        BadInput: the reason is too short.
    """
    return _decide(connection, asset, keys, Ruling("hold", who, via, reason))


def release(
    connection: Connection, asset: str, keys: Sequence[str], *, who: str, via: str, reason: str | None = None
) -> list[str]:
    """Release held items into the state that they would have; returns the keys of those that were held."""
    return _decide(connection, asset, keys, Ruling("release", who, via, reason))


_CHANGES = {
    "hold": (
        "update ledger.items set state = 'held', claim_id = null, attempts = 0, next_try = null, error_class = null,"
        " error = null, changed_at = clock_timestamp() where asset = :asset and key = any(:keys)"
        " and state not in ('held', 'retired') returning key"
    ),
    "release": (
        "update ledger.items set state = case when waiting_for is not null then 'waiting'"
        "  when made = wanted then 'current' else 'pending' end, changed_at = clock_timestamp()"
        " where asset = :asset and key = any(:keys) and state = 'held' returning key"
    ),
}


def _decide(connection: Connection, asset: str, keys: Sequence[str], ruling: Ruling) -> list[str]:
    lock_assets(connection, [asset])
    changed = sorted(
        connection.execute(text(_CHANGES[ruling.verdict]), {"asset": asset, "keys": list(keys)}).scalars()
    )
    decisions.decide_all(
        connection, Gate(asset, HOLD_OR_RELEASE), [(key, ANY_BYTES) for key in changed], ruling
    )
    return changed
