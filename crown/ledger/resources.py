"""Limited resources: seats of a licence, sources outside. How many items may be in work, and when a source is out.

How many seats there are is a setting of the department; the ledger counts those that are taken, over all processes and
hosts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import Connection, text


@dataclass(frozen=True)
class Closed:
    """A resource whose source is out; nothing that needs it is claimed before `closed_until`."""

    resource: str
    closed_until: datetime
    error: str


def free_seats(connection: Connection, seats: Mapping[str, int]) -> int:
    """How many items more may be taken that need all of these resources; nobody else takes any until the end of this
    transaction. 0 while one of them is closed.
    """
    connection.execute(
        text(
            "select pg_advisory_xact_lock(hashtextextended('resource ' || tag, 0))"
            " from unnest(cast(:tags as text[])) as tag"
        ),
        {"tags": sorted(seats)},
    )
    if closed(connection, seats):
        return 0
    taken = connection.execute(
        text(
            "select tag, coalesce(sum(c.seats), 0) from unnest(cast(:tags as text[])) as tag"
            " left join ledger.claims c on c.ended_at is null and tag = any(c.resources) group by tag"
        ),
        {"tags": sorted(seats)},
    )
    return max(0, min(seats[tag] - used for tag, used in taken.tuples()))


#: Whoever leaves a seat of any resource notifies this channel.
_CHANNEL = "crown_seats"


def notify(connection: Connection) -> None:
    """Say that a seat may be free, when this transaction commits."""
    connection.execute(text("select pg_notify(:channel, '')"), {"channel": _CHANNEL})


def listen(connection: Connection) -> None:
    """Have this connection notified of seats from now on."""
    with connection.begin():
        connection.execute(text(f"listen {_CHANNEL}"))


def unlisten(connection: Connection) -> None:
    """End `listen`."""
    with connection.begin():
        connection.execute(text(f"unlisten {_CHANNEL}"))


def wait_for_seat(connection: Connection, seconds: float) -> None:
    """Wait for a notification, at most so long. `connection` listens and is in no transaction."""
    driver: Any = connection.connection.driver_connection
    with suppress(psycopg.OperationalError):  # the next statement reports a lost connection
        list(driver.notifies(timeout=max(0.0, seconds), stop_after=1))


def close(connection: Connection, resource: str, seconds: float, error: str) -> None:
    """Say that a source is out; one that is closed already stays so until the later of both times."""
    connection.execute(
        text(
            "insert into ledger.closed_resources as c (resource, closed_until, error)"
            " values (:resource, clock_timestamp() + make_interval(secs => :seconds), :error)"
            " on conflict (resource) do update set error = excluded.error, closed_at = clock_timestamp(),"
            " closed_until = greatest(c.closed_until, excluded.closed_until)"
        ),
        {"resource": resource, "seconds": seconds, "error": error.replace("\x00", "")},
    )


def reopen(connection: Connection, resource: str) -> bool:
    """Let a closed resource be used again at once; whether it was closed."""
    notify(connection)
    return bool(
        connection.execute(
            text(
                "delete from ledger.closed_resources where resource = :resource"
                " returning closed_until > clock_timestamp()"
            ),
            {"resource": resource},
        ).scalar()
    )


def closed(connection: Connection, of: Collection[str] | None = None) -> list[Closed]:
    """Resources that are closed now, of these or of all."""
    rows = connection.execute(
        text(
            "select resource, closed_until, error from ledger.closed_resources"
            " where closed_until > clock_timestamp()"
            " and (cast(:tags as text[]) is null or resource = any(:tags)) order by resource"
        ),
        {"tags": None if of is None else sorted(of)},
    )
    return [Closed(**row._mapping) for row in rows]
