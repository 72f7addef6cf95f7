"""The workspace in which product pictures are made: database, settings, folders and specs together.

The folder contract of the share belongs here; processing of the folders does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from crown.errors import SystemicFailure
from crown.flow import workspace as flow_workspace
from crown.product_images.publishing.targets import (
    DEFAULT,
    Target,
    load_targets,
    needed_specs,
)
from crown.product_images.renditions.specs import Spec
from crown.settings.model import Settings
from crown.store import files, mounts, objects, watch
from crown.store.files import Ownership

MEDIA = "media"
PRODUCTION = DEFAULT
OBJECTS = objects.ROOT

INBOX = "inbox"
REVIEW = "review/bg_removed"
REVIEW_FAILED = "review/bg_removal_failed"
NAME_CONFLICTS = "review/name_conflicts"
REJECTED = "review/rejected"
READY = "ready_for_formatting"
ERRORS = "errors"
PRODUCTS = "products"
FOLDERS = (INBOX, REVIEW, REVIEW_FAILED, NAME_CONFLICTS, REJECTED, READY, ERRORS, PRODUCTS)

DEPARTMENT = "product_images"
INBOX_PHOTOS = "product_images/inbox_photos"
PHOTOS = "product_images/photos"
CUTOUTS = "product_images/cutouts"
MASTERS = "product_images/masters"
TEXTS = "product_images/texts"
COMPLIANCE = "product_images/compliance"
PUBLISHED = "product_images/production"
FAMILIES = ("transparent", "print", "web", "thumbnail")
RENDITIONS = {family: f"product_images/renditions/{family}" for family in FAMILIES}
#: Assets in the order in which they follow from each other; those of one group are made together.
GROUPS = (
    (INBOX_PHOTOS,),
    (PHOTOS,),
    (TEXTS,),
    (CUTOUTS,),
    (MASTERS,),
    tuple(RENDITIONS.values()),
    (COMPLIANCE,),
    (PUBLISHED,),
)
ASSETS = tuple(asset for group in GROUPS for asset in group)


@dataclass(frozen=True)
class Workspace(flow_workspace.Workspace):
    """Everything the stages need; made by `open_workspace`."""

    department = DEPARTMENT
    assets = ASSETS
    command = "crown images"

    @property
    def folders(self) -> Mapping[str, Path]:
        """The share, and each target under its own name."""
        return {MEDIA: self.settings.media} | {t.name: t.folder for t in self.targets.values()}

    @property
    def our_roots(self) -> tuple[str, ...]:
        """The targets."""
        return tuple(self.targets)

    @cached_property
    def targets(self) -> Mapping[str, Target]:
        """The folders we publish to, by name."""
        return targets_of(self.settings)

    @cached_property
    def specs(self) -> Mapping[str, Spec]:
        """The output specs that any target publishes, by name."""
        return needed_specs(self.targets)

    def absent_roots(self) -> dict[str, str]:
        """Targets whose folder is gone or empty although pictures of ours were there, with a sentence each.

        A share that is not mounted looks like that: nothing is written to it or removed from it.
        """
        with self.engine.connect() as connection:
            used = connection.execute(
                text(
                    "select name from unnest(cast(:names as text[])) as name where exists"
                    " (select from ledger.files where root = name and content_hash is not null)"
                ),
                {"names": list(self.targets)},
            ).scalars()
            gone = [name for name in used if _is_empty(self.targets[name].folder)]
        return {
            name: f"{target.folder} is not there: mount it, or make the folder"
            for name, target in self.targets.items()
            if not self._may_make(target.folder) and not target.folder.is_dir()
        } | {
            name: f"{self.targets[name].folder} is gone or empty: mount it, or when it was emptied on purpose, "
            f"`crown images verify --emptied {name}`"
            for name in gone
        }

    def _may_make(self, folder: Path) -> bool:
        """Whether a folder is inside a root that is there: a root itself is never made."""
        return folder.is_relative_to(self.settings.media) or folder.is_relative_to(self.settings.home)

    @property
    def max_pixels(self) -> int:
        """Larger pictures are refused unopened."""
        return int(self.settings.product_images.max_megapixels * 1_000_000)

    @property
    def context(self) -> dict[str, Any]:
        """What tasks in other processes need to know."""
        weights = self.settings.product_images.weights_dir
        return {
            **super().context,
            "max_pixels": self.max_pixels,
            "weights_dir": str(weights) if weights else None,
            "specs": dict(self.specs),
        }

    def media(self, folder: str) -> Path:
        """A folder of the contract on the share."""
        return self.roots[MEDIA] / folder


def targets_of(settings: Settings) -> dict[str, Target]:
    """The folders that the settings publish to, by name.

    Raises:
        ConfigurationError: see `load_targets`.
    """
    ours = {f"the share's {folder}": settings.media / folder for folder in FOLDERS}
    return load_targets(settings, {"the store of originals": settings.objects, **ours})


def open_workspace(engine: Engine, settings: Settings) -> Workspace:
    """The workspace, with the folders of the contract made on a share that is there; the share itself is never made.

    Raises:
        SystemicFailure: the share is not mounted or cannot be written.
    """
    workspace = Workspace(engine, settings)
    mounts.require(settings, ("media_root", "objects_root"))
    try:
        for folder in FOLDERS:
            files.make_folder(workspace.media(folder), workspace.ownership)
        absent = workspace.absent_roots()
        for target in workspace.targets.values():
            if target.name not in absent:
                files.make_folder(target.folder, workspace.ownership)
        files.make_folder(settings.home, Ownership(0o640, 0o750))
    except OSError as error:
        raise SystemicFailure(
            f"{error.filename or settings.media} cannot be written ({error.strerror}); correct its owner, its mode, or the"
            " setting that names it."
        ) from None
    return workspace


def _is_empty(folder: Path) -> bool:
    """Whether nothing of ours can be in it: what a desktop or a new file system leaves behind is nothing."""
    return not folder.is_dir() or all(
        watch.is_dropping(one.name) or one.name == "lost+found" for one in folder.iterdir()
    )
