"""The database and settings as a Dagster resource: hands out plain objects. No SQL belongs here."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field
from sqlalchemy import Engine

from crown.database.opening import open_engine
from crown.journal.logs import set_up_once
from crown.settings import Settings, load_settings


class DatabaseResource(dg.ConfigurableResource):
    """`with database.engine() as engine:` gives an engine on the platform's database.

    The process's settings decide where that is; `environment` adds variables to them, for tests.
    """

    environment: dict[str, str] = Field(default_factory=dict)

    def settings(self) -> Settings:
        """The settings.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
        return load_settings({**os.environ, **self.environment})

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """An engine that is disposed of at the end; what this process logs goes to the journal from now on.

        Raises:
            ConfigurationError: the database cannot be reached.
        """
        settings = self.settings()
        with open_engine(settings) as engine:
            # Where Dagster runs our code there is no other beginning: every run and sensor comes by here.
            set_up_once(settings, engine.url.render_as_string(hide_password=False))
            yield engine
