"""Roots: the named folders that contain all our files. Rows store (root, relative path).

Two hosts may mount a share at different paths; the settings hold them. No file is read here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from crown.errors import BadInput, SystemicFailure


@dataclass(frozen=True)
class Roots:
    """Root folders by name; `path` turns (root, relative) into a path that stays under its root."""

    folders: Mapping[str, Path]

    def __getitem__(self, root: str) -> Path:
        return self.folders[root]

    def path(self, root: str, relative: str) -> Path:
        """The absolute path of a file under a root.

        Raises:
            BadInput: the path is absolute, climbs out with `..`, or goes through a symbolic link.
        """
        pure = PurePosixPath(relative)
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\x00" in relative:
            raise BadInput(f"{relative!r} is not a path inside the folder {self.folders[root]}.")
        base = self.folders[root]
        path = base
        for part in pure.parts:
            path = path / part
            if path.is_symlink():
                raise BadInput(
                    f"{path} is a symbolic link; links are not followed, put the file itself there."
                )
        return path

    def relative(self, root: str, path: Path) -> str:
        """The POSIX path of `path` under its root."""
        return path.relative_to(self.folders[root]).as_posix()

    def require(self, root: str) -> Path:
        """The folder of a root that must exist already: a share that is not mounted is not an empty share.

        Raises:
            SystemicFailure: it is not there.
        """
        folder = self.folders[root]
        if not folder.is_dir():
            raise SystemicFailure(
                f"The folder {folder} is not there; mount the share or correct its setting."
            )
        return folder


def comparable(name: str) -> str:
    """A name in the form in which names are compared: NFC, without case."""
    return unicodedata.normalize("NFC", name).casefold()
