"""The room of product images as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from crown.product_images.room import Room, open_room
from crown.settings import Settings
from resources.database import DatabaseResource


class ProductImagesResource(dg.ConfigurableResource):
    """`with images.room() as room:` gives folders, specs, settings and engine together."""

    database: dg.ResourceDependency[DatabaseResource]

    def settings(self) -> Settings:
        """The settings, without the room.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
        return self.database.settings()

    @contextmanager
    def room(self) -> Iterator[Room]:
        """The room.

        Raises:
            SystemicFailure: the share is not mounted.
        """
        with self.database.engine() as engine:
            yield open_room(engine, self.settings())
