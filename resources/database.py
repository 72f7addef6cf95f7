"""The database and settings as a Dagster resource: hands out plain objects. No SQL belongs here."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from sqlalchemy import Engine

from crown.database.opening import open_engine
from crown.journal.logs import set_up_once
from crown.settings.model import Settings, load_settings


class DatabaseResource(dg.ConfigurableResource):
    """`with database.engine() as engine:` gives an engine on the platform's database.

    The process's settings alone decide where that is: a field here would be run configuration, which whoever may start
    a run can write. Tests pass a resource of their own to `build_defs`.
    """

    def settings(self) -> Settings:
        """The settings.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
        return load_settings()

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
