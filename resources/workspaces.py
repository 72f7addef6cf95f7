"""The workspaces of the departments as Dagster resources: one class for all, a few lines for each."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import dagster as dg
from sqlalchemy import Engine

from crown.art_records import workspace as art_records
from crown.devices import workspace as devices
from crown.motion_jobs import workspace as motion_jobs
from crown.product_images import workspace as product_images
from crown.settings.model import Settings
from resources.database import DatabaseResource

W = TypeVar("W")


class WorkspaceResource(dg.ConfigurableResource[Any], Generic[W]):
    """`with images.workspace() as workspace:` gives the department's folders, settings and engine together.

    A subclass says how its workspace is opened.
    """

    database: dg.ResourceDependency[DatabaseResource]

    def settings(self) -> Settings:
        """The settings, without the workspace.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
        return self.database.settings()

    @abstractmethod
    def opened(self, engine: Engine, settings: Settings) -> W:
        """The workspace on an open database."""

    @contextmanager
    def workspace(self) -> Iterator[W]:
        """The workspace.

        Raises:
            SystemicFailure: a folder of the department is gone or cannot be made.
        """
        with self.database.engine() as engine:
            yield self.opened(engine, self.settings())


class ProductImagesResource(WorkspaceResource[product_images.Workspace]):
    """The workspace of product images."""

    def opened(self, engine: Engine, settings: Settings) -> product_images.Workspace:
        """The workspace on an open database."""
        return product_images.open_workspace(engine, settings)


class ArtRecordsResource(WorkspaceResource[art_records.Workspace]):
    """The workspace of art records."""

    def opened(self, engine: Engine, settings: Settings) -> art_records.Workspace:
        """The workspace on an open database."""
        return art_records.open_workspace(engine, settings)


class MotionJobsResource(WorkspaceResource[motion_jobs.Workspace]):
    """The workspace of motion jobs."""

    def opened(self, engine: Engine, settings: Settings) -> motion_jobs.Workspace:
        """The workspace on an open database."""
        return motion_jobs.open_workspace(engine, settings)


class DevicesResource(WorkspaceResource[devices.Workspace]):
    """The workspace of devices."""

    def opened(self, engine: Engine, settings: Settings) -> devices.Workspace:
        """The workspace on an open database."""
        return devices.Workspace(engine, settings)
