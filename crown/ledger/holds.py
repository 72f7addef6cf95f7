"""Items that a person holds: they are neither made nor claimed until they are released.

The decisions are `hold` and `release`, on the item whatever its bytes are. What waits downstream is the departments'
planning.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from crown.ledger import decisions
from crown.ledger.locks import lock_assets
from crown.ledger.verdicts import HOLD_OR_RELEASE, DeclaredVerdict

#: Stands for the content hash in decisions on an item, whatever its bytes are.
ANY_BYTES = "*"


def hold(
    connection: Connection,
    asset: str,
    keys: Sequence[str],
    *,
    who: str,
    via: str,
    reason: str,
    verdicts: Sequence[DeclaredVerdict] = HOLD_OR_RELEASE,
) -> list[str]:
    """Hold items; a worker that is at one drops its result. Returns the keys of those that were not held yet.

    Raises:
        BadInput: the reason is too short.
    """
    lock_assets(connection, [asset])
    held = _changed(
        connection,
        "update ledger.items set state = 'held', claim_id = null, attempts = 0, next_try = null, error_class = null,"
        " error = null, changed_at = clock_timestamp() where asset = :asset and key = any(:keys)"
        " and state not in ('held', 'retired') returning key",
        asset,
        keys,
    )
    _decide(connection, asset, held, "hold", who, via, reason, verdicts)
    return held


def release(
    connection: Connection,
    asset: str,
    keys: Sequence[str],
    *,
    who: str,
    via: str,
    reason: str | None = None,
    verdicts: Sequence[DeclaredVerdict] = HOLD_OR_RELEASE,
) -> list[str]:
    """Release held items into the state that they would have; returns the keys of those that were held.

    Raises:
        BadInput: the reason is too short.
    """
    lock_assets(connection, [asset])
    released = _changed(
        connection,
        "update ledger.items set state = case when waiting_for is not null then 'waiting'"
        "  when made = wanted then 'current' else 'pending' end, changed_at = clock_timestamp()"
        " where asset = :asset and key = any(:keys) and state = 'held' returning key",
        asset,
        keys,
    )
    _decide(connection, asset, released, "release", who, via, reason, verdicts)
    return released


def _changed(connection: Connection, statement: str, asset: str, keys: Sequence[str]) -> list[str]:
    found = connection.execute(text(statement), {"asset": asset, "keys": list(keys)}).scalars()
    return sorted(found)


def _decide(
    connection: Connection,
    asset: str,
    keys: Sequence[str],
    verdict: str,
    who: str,
    via: str,
    reason: str | None,
    verdicts: Sequence[DeclaredVerdict],
) -> None:
    decisions.decide_all(
        connection,
        stage=asset,
        seen=[(key, ANY_BYTES) for key in keys],
        verdict=verdict,
        who=who,
        via=via,
        reason=reason,
        verdicts=verdicts,
    )
