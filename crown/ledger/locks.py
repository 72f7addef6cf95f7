"""Locks on assets, taken in one order everywhere, and retries after a deadlock or a lost connection.

Planning an asset or changing many of its items takes its lock exclusively; workers that enter results share it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from typing import TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from crown.errors import SystemicFailure

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

#: Serialization failure, deadlock, shutdown, crash, starting up.
_PASSING = frozenset({"40001", "40P01", "57P01", "57P02", "57P03"})
_TRIES = 6
_HELD = "crown/ledger/locks"


def lock_assets(connection: Connection, assets: Collection[str], *, shared: bool = False) -> None:
    """Wait for the locks of these assets, in the order of their names; they are held until the transaction ends.

    A transaction that needs several takes them in one call.

    Raises:
        RuntimeError: an asset before one that this transaction holds already: two such transactions could wait for
            each other.
    """
    transaction = connection.get_transaction()
    holder, held = connection.info.get(_HELD, (None, frozenset()))
    held = held if transaction is not None and holder is transaction else frozenset()
    new = sorted(set(assets) - held)
    if held and new and new[0] < max(held):
        raise RuntimeError(
            f"{new[0]} is locked after {max(held)}; lock all assets of a transaction in one call."
        )
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    connection.execute(
        text(f"select {function}(hashtextextended(asset, 0)) from unnest(cast(:assets as text[])) as asset"),
        {"assets": sorted(assets)},
    )
    # The first statement may have begun the transaction.
    connection.info[_HELD] = (connection.get_transaction(), held | set(new))


def is_passing(error: DBAPIError) -> bool:
    """Whether the same may succeed at the next try: a deadlock, a serialization failure, a lost connection."""
    state = getattr(error.orig, "sqlstate", None)
    unreachable = isinstance(error, OperationalError) and state is None
    return error.connection_invalidated or unreachable or state in _PASSING or str(state).startswith("08")


def again(act: Callable[[], _Result], *, before_retry: Callable[[], object] = lambda: None) -> _Result:
    """Call `act`, and once more while what it fails of is passing; for about 20 seconds.

    Args:
        act: a whole transaction; it may be called several times.
        before_retry: called before each further try, for what a lost connection takes along.

    Raises:
        SystemicFailure: it did not pass; the cause is the last error.
        DBAPIError: any other error of the database.
    """
    for attempt in range(_TRIES):
        try:
            if attempt:
                before_retry()
            return act()
        except DBAPIError as error:
            if not is_passing(error):
                raise
            said = (str(error.orig).strip().splitlines() or [type(error).__name__])[0]
            if attempt == _TRIES - 1:
                raise SystemicFailure(
                    f"The database did not finish a transaction in {_TRIES} tries ({said}); see that it runs, then"
                    " run again."
                ) from error
            _log.warning("The database did not finish a transaction (%s); it is tried again.", said)
            threading.Event().wait(min(8.0, 0.1 * 4**attempt))
    raise AssertionError("unreachable")


def in_transaction(engine: Engine, act: Callable[[Connection], _Result]) -> _Result:
    """Call `act` in a transaction of its own; see `again`."""

    def once() -> _Result:
        with engine.begin() as connection:
            return act(connection)

    return again(once)
