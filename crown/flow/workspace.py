"""The base of a department's workspace: database, settings and folders together, opened once per step.

Departments define the folders and their contents.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import Engine

from crown.flow.worker_pool import Limits
from crown.ledger.claims import Placing
from crown.settings.model import Settings
from crown.store import files
from crown.store.files import Ownership
from crown.store.objects import ROOT as OBJECTS
from crown.store.objects import Objects
from crown.store.roots import Roots


@dataclass(frozen=True)
class Workspace(ABC):
    """What the stages of a department need; each department has a subclass.

    Attributes:
        engine: our database.
        settings: of this installation.
        department: in records, and first part of the asset keys.
        assets: slash-joined keys, in the order in which they follow from each other.
        command: what people type before the department's verbs (`crown images`).
    """

    engine: Engine
    settings: Settings
    department: ClassVar[str]
    assets: ClassVar[tuple[str, ...]]
    command: ClassVar[str]

    @property
    @abstractmethod
    def folders(self) -> Mapping[str, Path]:
        """The department's folders by root name; the store of objects is added."""

    @property
    def our_roots(self) -> tuple[str, ...]:
        """Roots in which only we write: any other file there is foreign. They may be absent for a while."""
        return ()

    def absent_roots(self) -> dict[str, str]:
        """Of `our_roots`, those whose folder is gone although files of ours were there, with a sentence each.

        Nothing is written to them, removed from them or counted as missing.
        """
        return {}

    @cached_property
    def roots(self) -> Roots:
        """The folders by name."""
        return Roots({**self.folders, OBJECTS: self.settings.objects})

    @cached_property
    def ownership(self) -> Ownership:
        """Mode and group of what we write on the share."""
        return Ownership(self.settings.file_mode, self.settings.folder_mode, self.settings.file_group)

    @cached_property
    def objects(self) -> Objects:
        """The content-addressed store."""
        return Objects(self.settings.objects)

    @property
    def limits(self) -> Limits:
        """What bounds a run."""
        settings = self.settings
        return Limits(
            settings.workers, settings.item_timeout_seconds, settings.lease_seconds, settings.max_attempts
        )

    @property
    def context(self) -> dict[str, Any]:
        """What tasks in other processes need to know (see `task.py`)."""
        return {
            "roots": {name: str(folder) for name, folder in self.roots.folders.items()},
            "ownership": self.ownership,
            "command": self.command,
        }

    def place(self, placing: Placing) -> None:
        """Give a made file its final name; a person's file under that name is left alone."""
        made = placing.made
        if made.unfinished is None or made.root is None or made.path is None:
            return
        unfinished, target = Path(made.unfinished), self.roots.path(made.root, made.path)
        if made.root == OBJECTS:
            self.objects.adopt(unfinished, made.content_hash)
        else:
            files.publish(unfinished, target, placing.ours)
