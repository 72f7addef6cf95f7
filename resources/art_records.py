"""The workspace of art records as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from crown.art_records.workspace import Workspace, open_workspace
from crown.settings.model import Settings
from resources.database import DatabaseResource


class ArtRecordsResource(dg.ConfigurableResource):
    """`with art.workspace() as workspace:` gives the exports folder, raw files, limits, settings and engine together."""

    database: dg.ResourceDependency[DatabaseResource]

    def settings(self) -> Settings:
        """The settings, without the workspace.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
        return self.database.settings()

    @contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """The workspace.

        Raises:
            SystemicFailure: the exports folder cannot be made.
        """
        with self.database.engine() as engine:
            yield open_workspace(engine, self.settings())
