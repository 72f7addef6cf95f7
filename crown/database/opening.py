"""Opens the database that the settings name: reachable, new enough, migrated.

The command line, resources and supervisor open the database here. Engines, the
embedded server and the revisions have their own modules; no department's tables belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import Engine, text

from crown.database.embedded import embedded_server, running_server
from crown.database.engine import check_server, connect, our_url
from crown.database.migrations import migrate
from crown.settings.model import Settings

#: The name of our database in the embedded server; `postgres` stays free for maintenance.
EMBEDDED_DATABASE = "crown"


def embedded_folder(settings: Settings) -> Path:
    """The data folder of the embedded server."""
    return settings.home / "postgres"


@contextmanager
def serve_database(settings: Settings) -> Iterator[str]:
    """The URL of the database, checked but not migrated: CROWN_DATABASE_URL, or the embedded server.

    The embedded server is started when needed and lives until its last holder leaves.

    Raises:
        ConfigurationError: out of reach, too old, or its folder cannot be used.
    """
    with _served(settings) as engine:
        check_server(engine)
        engine.dispose()
        yield engine.url.render_as_string(hide_password=False)


@contextmanager
def open_database(settings: Settings) -> Iterator[str]:
    """As `serve_database`, and migrated to the newest revision; yields `postgresql+psycopg://...`.

    Raises:
        ConfigurationError: out of reach, too old, newer than this program, or its folder cannot be used.
    """
    with open_engine(settings) as engine:
        engine.dispose()
        yield engine.url.render_as_string(hide_password=False)


@contextmanager
def open_engine(settings: Settings) -> Iterator[Engine]:
    """As `open_database`, and yields the engine with the connection that the checks were made through.

    Raises:
        ConfigurationError: out of reach, too old, newer than this program, or its folder cannot be used.
    """
    with _served(settings) as engine:
        check_server(engine)
        migrate(engine)
        yield engine


@contextmanager
def _served(settings: Settings) -> Iterator[Engine]:
    given = settings.database_url
    server = embedded_server(embedded_folder(settings)) if given is None else nullcontext(None)
    with server as embedded:
        url = _embedded_database(embedded) if embedded else _spelt(given.get_secret_value() if given else "")
        engine = connect(url)
        try:
            yield engine
        finally:
            engine.dispose()


def running_database(settings: Settings) -> str | None:
    """The URL of the database without starting anything; None: the embedded server does not run."""
    if settings.database_url is not None:
        return _spelt(settings.database_url.get_secret_value())
    server = running_server(embedded_folder(settings))
    return server and _named(server)


def _embedded_database(server_url: str) -> str:
    engine = connect(server_url, pool_size=1)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Two starters may come at once: the lock is released with the connection.
            connection.execute(text("select pg_advisory_lock(7263202)"))
            known = text("select 1 from pg_database where datname = :name")
            if connection.execute(known, {"name": EMBEDDED_DATABASE}).first() is None:
                connection.execute(text(f"create database {EMBEDDED_DATABASE}"))
            connection.execute(text("select pg_advisory_unlock(7263202)"))
    finally:
        engine.dispose()
    return _named(server_url)


def _named(server_url: str) -> str:
    return our_url(server_url).set(database=EMBEDDED_DATABASE).render_as_string(hide_password=False)


def _spelt(url: str) -> str:
    return our_url(url).render_as_string(hide_password=False)
