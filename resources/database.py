"""The database as a Dagster resource: hands out a plain SQLAlchemy engine. No SQL belongs here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from sqlalchemy import Engine

from crown.database.engine import connect
from crown.database.opening import open_database
from crown.settings import load_settings


class DatabaseResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """`with database.engine() as engine:` gives an engine on the platform's database.

    Without `url` the settings decide: CROWN_DATABASE_URL, or the embedded server for as long as it is used.
    """

    url: str | None = None

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """An engine that is disposed of at the end.

        Raises:
            ConfigurationError: the database cannot be reached.
        """
        if self.url is not None:
            yield from self._engine(self.url)
            return
        with open_database(load_settings()) as url:
            yield from self._engine(url)

    @staticmethod
    def _engine(url: str) -> Iterator[Engine]:
        engine = connect(url)
        try:
            yield engine
        finally:
            engine.dispose()
