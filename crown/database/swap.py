"""Whole databases on a server: a scratch one beside ours, the two exchanged in one step, one begun anew.

The contents of databases do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from crown.database.engine import check_server, connect, our_url
from crown.errors import ConfigurationError, Refused

_LOCK = 72_632  # first key of the advisory lock; the second is the database's name


def database_name(url: str) -> str:
    """The name of the database at `url`.

    Raises:
        ConfigurationError: the address names none, or one that the server itself needs.
    """
    name = our_url(url).database
    if not name or name in ("postgres", "template0", "template1"):
        raise ConfigurationError(
            f"The database is called {name or 'nothing'}; it needs a name of its own, as in "
            "postgresql://user@host/crown, to be exchanged."
        )
    return name


def kept_prefix(url: str) -> str:
    """How the names of databases begin that were exchanged for the one at `url`."""
    return f"{database_name(url)}_before_"


def beside(url: str, name: str) -> str:
    """The address of another database on the same server."""
    return our_url(url).set(database=name).render_as_string(hide_password=False)


@contextmanager
def maintenance(url: str) -> Iterator[Connection]:
    """A connection beside the database at `url`, alone in doing so; each statement is its own transaction.

    Raises:
        Refused: someone else is exchanging or restoring this database.
        ConfigurationError: the server's database `postgres` cannot be reached.
    """
    name = database_name(url)
    engine = connect(beside(url, "postgres"), pool_size=1)
    try:
        check_server(engine)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            _lock(connection, name)
            yield connection
    finally:
        engine.dispose()


def _lock(connection: Connection, name: str) -> None:
    connection.execute(text("set lock_timeout = '10s'"))
    try:
        connection.execute(
            text("select pg_advisory_lock(:key, hashtext(:name))"), {"key": _LOCK, "name": name}
        )
    except DBAPIError:
        raise Refused(f"Another restore or reset of the database {name} is under way; wait for it.") from None
    connection.execute(text("set lock_timeout = 0"))


def make_scratch(connection: Connection, live: str, purpose: str = "restore") -> str:
    """An empty database beside `live`; those that a killed predecessor left are removed first."""
    prefix = f"{live}_{purpose}_"
    left = connection.execute(
        text("select datname from pg_database where starts_with(datname, :prefix)"), {"prefix": prefix}
    ).scalars()
    for name in left.all():
        drop(connection, name)
    scratch = f"{prefix}{_stamp()}"
    connection.execute(text(f"create database {_quoted(scratch)} template template0 encoding 'UTF8'"))
    return scratch


def drop(connection: Connection, name: str) -> None:
    """Drop a database, whoever is connected to it."""
    connection.execute(text(f"drop database if exists {_quoted(name)} with (force)"))


def users_of(connection: Connection, name: str) -> list[str]:
    """Who is connected to a database, one entry each: the application's name, or the user's."""
    query = text(
        "select coalesce(nullif(application_name, ''), usename, 'someone') from pg_stat_activity"
        # An ordinary role does not see what kind another role's session is.
        " where datname = :name and pid <> pg_backend_pid()"
        " and coalesce(backend_type, 'client backend') = 'client backend' order by 1"
    )
    return list(connection.execute(query, {"name": name}).scalars())


def refuse_users(connection: Connection, name: str) -> None:
    """Make sure that nobody is connected to a database.

    Raises:
        Refused: somebody is.
    """
    if users := users_of(connection, name):
        raise Refused(
            f"{len(users)} connections to the database {name} are open ({', '.join(sorted(set(users)))}); "
            "stop `crown up` or the services, then repeat."
        )


def own_settings(connection: Connection, name: str) -> list[str]:
    """Grants and settings of the database itself, which do not move with its contents."""
    grants = text(
        "select 'grants ' || array_to_string(datacl, ', ') from pg_database"
        " where datname = :name and datacl is not null"
    )
    options = text(
        "select 'settings ' || array_to_string(setconfig, ', ') from pg_db_role_setting s"
        " join pg_database d on d.oid = s.setdatabase where d.datname = :name"
    )
    return [*connection.execute(grants, {"name": name}).scalars(),
            *connection.execute(options, {"name": name}).scalars()]  # fmt: skip


def exchange(url: str, scratch: str) -> str:
    """Let `scratch` take the place of the database at `url` in one step; returns the old one's name now.

    Raises:
        Refused: somebody is connected to one of them; nothing has changed.
    """
    live = database_name(url)
    kept = f"{kept_prefix(url)}{_stamp()}"
    engine: Engine = connect(beside(url, "postgres"), pool_size=1)
    try:
        with engine.begin() as connection:
            refuse_users(connection, live)
            connection.execute(text(f"alter database {_quoted(live)} rename to {_quoted(kept)}"))
            connection.execute(text(f"alter database {_quoted(scratch)} rename to {_quoted(live)}"))
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise Refused(f"The databases were not exchanged and nothing has changed: {reason}.") from None
    finally:
        engine.dispose()
    return kept


def recreate(url: str) -> None:
    """Drop the database at `url` and make an empty one of its name.

    Raises:
        Refused: somebody is connected to it.
    """
    live = database_name(url)
    with maintenance(url) as connection:
        refuse_users(connection, live)
        scratch = make_scratch(connection, live, "reset")
        kept = exchange(url, scratch)
        drop(connection, kept)


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dt%H%M%S%f")[:-3]


def _quoted(name: str) -> str:
    # Names go through text(), where a colon marks a parameter.
    return '"' + name.replace('"', '""').replace(":", r"\:") + '"'
