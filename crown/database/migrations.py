"""Migrates a database to the newest revision of our schemas with Alembic. Dagster migrates its own schema.

The revisions are in migrations/versions.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from crown.errors import ConfigurationError

_SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"
_LOCK = 7_263_201  # any number that no one else takes: two starters migrate one after the other


def migrate(engine: Engine, revision: str = "head") -> str:
    """Upgrade to `revision` (default: newest) and make the schema `dagster`; returns the revision reached.

    Raises:
        ConfigurationError: the database is newer than this program.
    """
    from alembic import command
    from alembic.runtime.migration import MigrationContext
    from alembic.util import CommandError

    config = _config()
    with engine.connect() as connection:
        if revision == "head" and _is_newest(connection):
            return newest_revision()
        connection.rollback()
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": _LOCK})
        connection.commit()
        try:
            connection.execute(text("create schema if not exists dagster"))
            connection.commit()
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, revision)
            except CommandError as error:
                raise ConfigurationError(
                    f"The database is at a revision this program does not know ({error}); install the newer Crown."
                ) from None
            connection.commit()
            return MigrationContext.configure(connection).get_current_revision() or ""
        finally:
            connection.rollback()
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()


def _is_newest(connection: Connection) -> bool:
    """Whether nothing is to be done: most of the time, and each step of a run asks."""
    there = connection.execute(
        text("select to_regclass('alembic_version') is not null and to_regnamespace('dagster') is not null")
    ).scalar_one()
    if not there:
        return False
    found = connection.execute(text("select version_num from alembic_version")).scalars().all()
    return list(found) == [newest_revision()]


@cache
def newest_revision() -> str:
    """The revision that `migrate` leads to."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def known_revisions() -> set[str]:
    """Every revision that this program can migrate from."""
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config():  # type: ignore[no-untyped-def]
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    return config
