"""The context of a command: the settings of this invocation, and the open database.

Commands take both from here, so that settings are read once, late, and `--help` works with broken ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from crown.settings.model import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

_KEY = "crown.settings"


@dataclass(frozen=True)
class World:
    """Settings, and a reachable, migrated database with an engine on it."""

    settings: Settings
    database_url: str
    engine: Engine


def current_settings() -> Settings:
    """The settings of this invocation, read at the first call.

    Raises:
        ConfigurationError: a setting is wrong, old or unknown.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return load_settings()
    # `meta` is shared by all contexts of one invocation.
    if _KEY not in context.meta:
        context.meta[_KEY] = load_settings()
    settings: Settings = context.meta[_KEY]
    return settings


@contextmanager
def open_world(settings: Settings | None = None) -> Iterator[World]:
    """The world a command works in; without `settings`, those of this invocation.

    Raises:
        ConfigurationError: a setting or the database cannot be used.
    """
    from crown.database.engine import connect
    from crown.database.opening import open_database
    from crown.journal import logs

    settings = settings or current_settings()
    with open_database(settings) as url:
        # Commands say themselves what people are to see.
        logs.set_up(settings, url, console=False)
        engine = connect(url)
        try:
            yield World(settings, url, engine)
        finally:
            engine.dispose()
            logs.close()  # while there is a database
