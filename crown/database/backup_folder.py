"""Backups: a folder with the database's dump, the list of originals and a manifest that holds them together.

The dump itself is crown.database.backup's work. A backup appears under its name only when it is complete;
the originals' copies, when asked for, are beside all backups and are shared by them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from crown.database.backup import Restored, SavedDatabase, check_dump, restore_database, save_database
from crown.database.engine import connect
from crown.errors import BadInput, ConfigurationError, Refused
from crown.settings.versions import version
from crown.store import store_lock
from crown.store.files import free_name, sha256, systemic_errors
from crown.store.objects import Objects

FORMAT = 1
MANIFEST = "manifest.json"
LIST = "originals.txt"
COPIES = "objects"
_HASH = re.compile(r"[0-9a-f]{64}")
_UNFINISHED = re.compile(r"\.crown-backup-(?P<host>.+)-(?P<pid>\d+)\.partial")


class SavedOriginals(BaseModel):
    """The originals at the time of the backup: how many, and the file that lists hash and size of each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int
    bytes: int
    list: str
    sha256: str
    copied: bool


class Manifest(BaseModel):
    """What a backup is: who made it when, its database, its originals."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    made_at: datetime
    crown: str
    database: SavedDatabase
    originals: SavedOriginals


@dataclass(frozen=True)
class Saved:
    """A finished backup: its folder, its manifest, and what copying originals did."""

    folder: Path
    manifest: Manifest
    copied: int
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """Originals that a backup lists: there, to be copied back from it, and nowhere to be found."""

    there: int
    from_backup: tuple[str, ...]
    missing: tuple[str, ...]
    #: Nowhere to be found either, and nothing needs them; see `restore`.
    passing: tuple[str, ...] = ()


def save(url: str, objects: Path, target: Path, *, with_dagster: bool = True, files: bool = False) -> Saved:
    """Make a backup in a new folder under `target`.

    Args:
        url: our database.
        objects: the folder of originals; nothing is written there.
        target: folder for backups; made if needed.
        with_dagster: also save Dagster's own history.
        files: also copy those originals that `target` does not hold yet, each compared with its name.

    Returns:
        The backup. `damaged` names originals whose bytes are not what their name says; they are not copied.

    Raises:
        ConfigurationError: `target` cannot be written, or is among the originals.
        CrownError: the dump failed; nothing is left under a backup's name.
    """
    target = target.expanduser().absolute()
    if target == objects or objects in target.parents:
        raise ConfigurationError(f"{target} is among the originals in {objects}; choose another folder.")
    made_at = datetime.now(UTC).replace(microsecond=0)
    try:
        target.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(target)
        unfinished = target / f".crown-backup-{socket.gethostname()}-{os.getpid()}.partial"
        unfinished.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written ({error.strerror}); choose another.") from None
    try:
        with systemic_errors(f"Writing the backup into {target}"), _nothing_removed(url):
            database = save_database(url, unfinished, with_dagster=with_dagster)
            # Listed after the snapshot: nothing is removed meanwhile, so it holds all that the rows speak of.
            listed = dict(_originals(objects))
            copied, damaged = _copy(objects, target / COPIES, listed) if files else (0, ())
            _write(unfinished / LIST, "".join(f"{name} {size}\n" for name, size in sorted(listed.items())))
            manifest = Manifest(
                format=FORMAT,
                made_at=made_at,
                crown=version(),
                database=database,
                originals=SavedOriginals(
                    count=len(listed),
                    bytes=sum(listed.values()),
                    list=LIST,
                    sha256=sha256(unfinished / LIST),
                    copied=files,
                ),
            )
            check_dump(unfinished, database)
            _write(unfinished / MANIFEST, manifest.model_dump_json(indent=2))
            final = free_name(target / f"crown-{made_at:%Y%m%dT%H%M%SZ}")
            _sync(unfinished)
            unfinished.rename(final)
            _sync(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Saved(final, manifest, copied, damaged)


@contextmanager
def _nothing_removed(url: str) -> Iterator[None]:
    engine = connect(url, pool_size=1)
    try:
        with store_lock.nothing_removed(engine):
            yield
    finally:
        engine.dispose()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup.

    Raises:
        BadInput: there is none, it is damaged, or of a newer form.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BadInput(
            f"{folder} is not a backup: it has no {MANIFEST}; name the folder crown-DATE."
        ) from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}); use another backup.") from None
    if isinstance(content, dict) and content.get("format") not in (None, FORMAT):
        raise BadInput(
            f"{path} has the form {content['format']}; this program reads form {FORMAT}, install a newer."
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{path} is not a manifest: {where}: {first['msg']}; use another backup.") from None


def backups_in(target: Path) -> list[tuple[Path, datetime]]:
    """The complete backups in a folder and when each was made, the newest first."""
    found = []
    for folder in target.glob("crown-*"):
        try:
            found.append((folder, read_manifest(folder).made_at))
        except BadInput:
            continue  # not ours, or of a newer Crown: left alone
    return sorted(found, key=lambda one: one[1], reverse=True)


def remove_old(
    target: Path, keep: timedelta, *, at_least: int = 3, now: datetime | None = None
) -> list[Path]:
    """Remove backups older than `keep`, never the newest `at_least`; copies of originals stay. Returns their names.

    Raises:
        SystemicFailure: the folder cannot be written.
    """
    oldest = (now or datetime.now(UTC)) - keep
    removed = []
    with systemic_errors(f"Removing old backups from {target}"):
        for folder, made_at in backups_in(target)[at_least:]:
            if made_at >= oldest:
                continue
            # Under this name it is no backup any more; what a crash leaves of it is removed by the next one.
            unfinished = target / f".crown-backup-{socket.gethostname()}-{os.getpid()}.partial"
            folder.rename(unfinished)
            shutil.rmtree(unfinished)
            removed.append(folder)
    return removed


def check_originals(folder: Path, manifest: Manifest, objects: Path) -> Checked:
    """Which of the listed originals are there, by size, and which can be copied back.

    Raises:
        BadInput: the list is damaged.
    """
    path = folder / manifest.originals.list
    if path.parent != folder or not path.is_file() or sha256(path) != manifest.originals.sha256:
        raise BadInput(f"{path} is missing or damaged; use another backup.")
    present, copies = dict(_originals(objects)), dict(_originals(folder.parent / COPIES))
    there, from_backup, missing = 0, [], []
    for line in path.read_text("utf-8").splitlines():
        name, size = line.split(" ")
        if present.get(name) == int(size):
            there += 1
        elif copies.get(name) == int(size):
            from_backup.append(name)
        else:
            missing.append(name)
    return Checked(there, tuple(from_backup), tuple(missing))


def restore(
    url: str,
    objects: Path,
    folder: Path,
    *,
    dry_run: bool = False,
    accept_missing: bool = False,
    with_grants: bool = True,
    passing: Callable[[str], Collection[str]] = lambda _: (),
) -> tuple[Restored, Checked]:
    """Bring a backup back: everything is compared before anything is replaced.

    Originals that are gone are copied back from the backup first; those that are there are never touched.

    Args:
        url: the database to replace.
        objects: the folder of originals.
        folder: a backup, `.../crown-DATE`.
        dry_run: restore into a scratch database, compare, and replace nothing.
        accept_missing: go on although originals are nowhere to be found.
        with_grants: also restore grants to other roles.
        passing: given the address of the restored database, the originals in it that may be removed at any time,
            so that none of them is missed.

    Raises:
        BadInput: the backup is damaged or not what its manifest says.
        Refused: originals are missing, or others are connected to the database.
    """
    folder = folder.expanduser().absolute()
    manifest = read_manifest(folder)
    checked = check_originals(folder, manifest, objects)

    def look(restored_url: str) -> None:
        nonlocal checked
        if checked.missing:
            needless = passing(restored_url)
            checked = replace(
                checked,
                missing=tuple(name for name in checked.missing if name not in needless),
                passing=tuple(name for name in checked.missing if name in needless),
            )
        if checked.missing and not (accept_missing or dry_run):
            raise Refused(
                f"{len(checked.missing)} originals of this backup are neither in {objects} nor beside the backup "
                f"(the first is {checked.missing[0]}); bring them back, or accept it with --accept-missing. "
                "Nothing was replaced."
            )

    def copy_back() -> None:
        for name in checked.from_backup:
            _put(folder.parent / COPIES / name, Objects(objects))

    restored = restore_database(
        url,
        folder,
        manifest.database,
        dry_run=dry_run,
        with_grants=with_grants,
        look=look,
        before_exchange=copy_back,
    )
    return restored, checked


def _originals(folder: Path) -> Iterator[tuple[str, int]]:
    """Name (a sha256) and size of every original; nothing when the folder is not there yet."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if _HASH.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                yield entry.name, entry.stat(follow_symlinks=False).st_size


def _copy(objects: Path, target: Path, listed: dict[str, int]) -> tuple[int, tuple[str, ...]]:
    held, store = dict(_originals(target)), Objects(target)
    copied, damaged = 0, []
    for name, size in sorted(listed.items()):
        if held.get(name) == size:
            continue
        try:
            _put(objects / name, store)
            copied += 1
        except BadInput:
            damaged.append(name)
    return copied, tuple(damaged)


def _put(source: Path, store: Objects) -> None:
    if sha256(source) != source.name:
        raise BadInput(f"{source} is damaged: its bytes do not match the hash in its name.")
    store.put(source)


def _remove_unfinished(target: Path) -> None:
    """Remove what a killed backup of this machine left."""
    for path in target.glob(".crown-backup-*.partial"):
        found = _UNFINISHED.fullmatch(path.name)
        if found and found["host"] == socket.gethostname() and not psutil.pid_exists(int(found["pid"])):
            shutil.rmtree(path)


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
