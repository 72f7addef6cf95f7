"""A lock between users of stored bytes that no row references yet, and removals of unreferenced bytes.

Departments decide what may be removed; see crown/product_images/orphans.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

_KEY = "hashtextextended('stored bytes are removed', 0)"


@contextmanager
def nothing_removed(engine: Engine) -> Iterator[None]:
    """For the block no stored bytes are removed; waits while somebody removes some. The holder's death ends it."""
    with engine.connect() as connection:
        connection.detach()  # closed for good at the end, and the lock with it
        connection.execute(text(f"select pg_advisory_lock_shared({_KEY})"))
        connection.commit()
        yield


def remove_nothing_meanwhile(connection: Connection) -> None:
    """The same until the end of the transaction."""
    connection.execute(text(f"select pg_advisory_xact_lock_shared({_KEY})"))


def may_remove(connection: Connection) -> bool:
    """Whether nobody counts on such bytes now; then nobody begins to before the end of the transaction."""
    return bool(connection.execute(text(f"select pg_try_advisory_xact_lock({_KEY})")).scalar_one())
