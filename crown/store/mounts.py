"""Which of our root folders are there: a share that is not mounted is not an empty share.

Each used root contains a mark file, and CROWN_HOME a record of it: a root whose mark is missing is lost,
whatever its mount point contains. A root that the settings name is never made here; the default ones are.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from crown.errors import SystemicFailure
from crown.settings.model import Settings, variable
from crown.store.files import Ownership, make_folder

#: In each root; hidden, so that nothing takes it for a file of people.
MARK = ".crownroot"
ROOTS = ("media_root", "production_root", "objects_root", "art_exports_root")
_PRIVATE = Ownership(0o640, 0o750)
_SAID = "Crown works in this folder. While this file is missing, the share counts as not mounted.\n"


def folder_of(settings: Settings, root: str) -> Path:
    """The folder of a root, named by its setting."""
    return {
        "media_root": settings.media,
        "production_root": settings.production,
        "objects_root": settings.objects,
        "art_exports_root": settings.art_exports,
    }[root]


def lost(settings: Settings, roots: Iterable[str] = ROOTS) -> dict[str, str]:
    """The roots that are not there, by the name of their setting, each with a sentence for people.

    Looks only; nothing is made. A root without a setting of its own is in another one and is there with it.
    """
    return {root: said for root in _apart(settings, roots) if (said := _missing(settings, root))}


def require(settings: Settings, roots: Iterable[str]) -> None:
    """Every one of these roots is there, and marked; the share in CROWN_HOME, for want of another, is made.

    Raises:
        SystemicFailure: a root is lost, or named by a setting and not there, or cannot be written.
    """
    chosen = tuple(roots)
    if missing := lost(settings, chosen):
        raise SystemicFailure(" ".join(missing.values()))
    for root in _apart(settings, chosen):
        folder, note = folder_of(settings, root), _note(settings, root)
        if _noted(note) == str(folder):
            continue
        try:
            make_folder(note.parent, _PRIVATE)
            make_folder(folder, Ownership(settings.file_mode, settings.folder_mode, settings.file_group))
            (folder / MARK).write_text(_SAID, encoding="utf-8")
            note.write_text(str(folder), encoding="utf-8")
        except OSError as error:
            raise SystemicFailure(
                f"{error.filename or folder} cannot be written ({error.strerror}); correct its owner, its mode, or"
                f" {variable(root)}."
            ) from None


def _apart(settings: Settings, roots: Iterable[str]) -> list[str]:
    return [root for root in roots if root == "media_root" or getattr(settings, root) is not None]


def _missing(settings: Settings, root: str) -> str | None:
    folder, note = folder_of(settings, root), _note(settings, root)
    if _noted(note) == str(folder):
        if _is_there(folder / MARK):
            return None
        return (
            f"The share {folder} is gone or another one: {MARK} is not in it any more. Mount it; if it was emptied on"
            f" purpose, remove {note}, then run again."
        )
    if getattr(settings, root) is not None and not _is_there(folder):
        return f"{folder} is not there; mount the share, make the folder, or correct {variable(root)}."
    return None


def _note(settings: Settings, root: str) -> Path:
    return settings.home / "roots" / root


def _noted(note: Path) -> str | None:
    return note.read_text("utf-8") if note.is_file() else None


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:  # a dead mount answers with errors of its own
        return False
    return True
