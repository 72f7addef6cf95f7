"""The workspace of product images as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from crown.product_images.workspace import Workspace, open_workspace
from crown.settings.model import Settings
from resources.database import DatabaseResource


class ProductImagesResource(dg.ConfigurableResource):
    """`with images.workspace() as workspace:` gives folders, specs, settings and engine together."""

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
            SystemicFailure: the share is not mounted.
        """
        with self.database.engine() as engine:
            yield open_workspace(engine, self.settings())
