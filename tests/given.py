"""Resources of a test's own world, passed to `build_defs`: no run configuration reaches the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar

from sqlalchemy import Engine

from crown.people import users
from crown.settings.model import Settings, load_settings
from resources.database import DatabaseResource


class GivenDatabase(DatabaseResource):
    """The database resource with variables of a test; `given_database` makes one."""

    environment: ClassVar[Mapping[str, str]] = {}

    def settings(self) -> Settings:
        """The process's settings and the test's."""
        return load_settings({**os.environ, **self.environment})


def given_database(environment: Mapping[str, str]) -> GivenDatabase:
    """The database resource of these settings. Dagster makes instances anew: what is given stands in the class."""
    given: type[GivenDatabase] = type("GivenDatabase", (GivenDatabase,), {"environment": dict(environment)})
    return given()


def with_product_images(settings: Settings, changed: Mapping[str, object]) -> Settings:
    """The settings with other values for product images."""
    own = settings.product_images.model_copy(update=dict(changed))
    return settings.model_copy(update={"product_images": own})


def known_people(engine: Engine, *names: str) -> None:
    """Administrators of these names: whom `--who` may name."""
    with engine.begin() as connection:
        for name in names:
            users.add(connection, name, "admin")
