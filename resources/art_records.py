"""The room of art records as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from crown.art_records.room import Room, open_room
from crown.settings import Settings
from resources.database import DatabaseResource


class ArtRecordsResource(dg.ConfigurableResource):
    """`with art.room() as room:` gives the exports folder, raw files, limits, settings and engine together."""

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
            SystemicFailure: the exports folder cannot be made.
        """
        with self.database.engine() as engine:
            yield open_room(engine, self.settings())
