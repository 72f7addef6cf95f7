"""One collector at a time: the leader holds an advisory lock, which ends with its connection; the others wait for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from crown.database.engine import our_url

#: Any number that no one else takes.
_LOCK = 7_263_170


class Leadership:
    """The lock, held through a connection of its own.

    Args:
        connection: that holds the lock.
    """

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def is_kept(self) -> bool:
        """Whether the lock is still ours; False when its connection ended, as when the database went away."""
        try:
            await self._connection.execute("select 1")
        except psycopg.Error:
            return False
        return True


@asynccontextmanager
async def leadership(url: str) -> AsyncIterator[Leadership]:
    """Wait until nobody else leads, and lead.

    Raises:
        psycopg.OperationalError: the database is away.
    """
    address = our_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await psycopg.AsyncConnection.connect(
        address, autocommit=True, fallback_application_name="crown devices collect"
    )
    try:
        await connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        yield Leadership(connection)
    finally:
        await connection.close()
