"""Takes over an existing CrownPipe tree: its originals, masters and approvals, and every rendition that is right.

A rendition that is what its spec makes of its master becomes the output of that item, by a recipe named `adopted`,
and is not made again. One that differs is listed, kept by its hash, and made anew by the next run. Nothing is deleted
here, and no file of the old tree is written.
Reading the tree's names is adopt_tree.py, measuring a rendition adopt_measure.py, entering it adopt_ledger.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from crown.errors import CrownError
from crown.product_images.adopt import entries as adopt_ledger
from crown.product_images.adopt.entries import Batch
from crown.product_images.adopt.measure import Difference, Measured, measure
from crown.product_images.adopt.tree import (
    OldFile,
    OldOutput,
    OldPhoto,
    read_tree,
)
from crown.product_images.share.intake import probe_file
from crown.product_images.workspace import RENDITIONS, Workspace
from crown.store import files

#: What does not speak against a rendition: texts are written when it is published, without touching its pixels.
_HARMLESS = frozenset({"texts"})
_AT_ONCE = 100


@dataclass(frozen=True)
class Change:
    """A file that the next run would replace: path in the tree, photo, spec, and why."""

    path: str
    photo: str
    spec: str
    differences: list[Difference]


@dataclass
class Adoption:
    """What an adoption found and took over; a dry run fills the same with what it would."""

    products: int = 0
    photos: int = 0
    originals: int = 0
    masters: int = 0
    approvals: int = 0
    bytes_stored: int = 0
    #: Renditions taken over as they are, by path.
    adopted: list[str] = field(default_factory=list)
    #: Renditions that are in the ledger already, from a run or an earlier adoption.
    known: int = 0
    changes: list[Change] = field(default_factory=list)
    #: Files in production whose bytes the next run would change.
    published_changes: list[str] = field(default_factory=list)
    #: Renditions that masters have not and the next run makes.
    missing: int = 0
    #: Photos with an original and no master: they will be cut out and wait for a person.
    to_cut_out: list[str] = field(default_factory=list)
    #: Photos whose newest original came after their master: a new cut-out will wait for a person.
    newer_originals: list[str] = field(default_factory=list)
    #: Photos with a master whose original is lost: the master is taken as its own original.
    without_original: list[str] = field(default_factory=list)
    #: Folders of products that came of a file name's collision.
    unknown_products: list[str] = field(default_factory=list)
    #: Files that are not taken over, each with a sentence why.
    left: dict[str, str] = field(default_factory=dict)
    #: Pictures that CrownPipe had not finished, by folder.
    waiting: dict[str, int] = field(default_factory=dict)

    def reasons(self) -> dict[str, int]:
        """How many files differ in what, the most frequent first."""
        return dict(Counter(d.kind for change in self.changes for d in change.differences).most_common())


def adopt(
    workspace: Workspace,
    folder: Path,
    *,
    who: str,
    products: str = "*",
    untagged: bool = False,
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Adoption:
    """Take over the tree, or say what would be; doing it again takes over only what is new.

    Args:
        workspace: the department's workspace; `folder` may be its own media folder or another.
        folder: CrownPipe's media folder.
        who: the person who does it, for the trail.
        products: only product numbers that match this shell pattern, to move over step by step.
        untagged: also take a rendition as right that lacks nothing but an embedded profile. Pixels without one
            are read as sRGB everywhere, but a partner may ask for it.
        dry_run: measure and say, and change nothing.
        on_progress: called with (photos done, photos in all).

    Raises:
        BadInput: `folder` is no CrownPipe tree.
        SystemicFailure: the disk or the database failed; running it again goes on from there.
    """
    tree = read_tree(folder.absolute(), workspace.specs, products)
    done = Adoption(
        products=len({photo.name.number for photo in tree.photos.values()}),
        photos=len(tree.photos),
        unknown_products=sorted(tree.unknown_products),
        left=tree.left,
        waiting=tree.waiting,
    )
    if not dry_run:
        for file in tree.kept_only:
            done.bytes_stored += adopt_ledger.keep(workspace, file.relative, file.path)
    harmless = _HARMLESS | ({"untagged"} if untagged else frozenset())
    photos, count = list(tree.photos.values()), 0
    for start in range(0, len(photos), _AT_ONCE):
        batch: list[Measured] = []
        right: dict[str, tuple[Measured, OldOutput]] = {}
        for measured in _measured(workspace, photos[start : start + _AT_ONCE], done):
            batch.append(measured)
            right |= _judge(workspace, measured, done, harmless)
            count += 1
            if on_progress is not None:
                on_progress(count, len(photos))
        if dry_run:
            _count(workspace, batch, done)
            continue
        entered = Batch(workspace, batch, right, {change.path for change in done.changes}, who).take_over()
        done.originals += entered.originals
        done.masters += entered.masters
        done.approvals += entered.approvals
        done.bytes_stored += entered.bytes_stored
    return done


def _measured(workspace: Workspace, photos: Sequence[OldPhoto], done: Adoption) -> Iterator[Measured]:
    """Decode and compare, each photo in processes that may be killed; unreadable files are said in `left`."""
    from crown.flow.worker_processes import process_pool

    pool, limit = process_pool(workspace.limits.workers), workspace.settings.item_timeout_seconds
    current = _current_renditions(workspace, [photo.name.key for photo in photos])
    work: list[tuple[OldPhoto, list[str], Future[Any] | None, list[Future[Any]]]] = []
    for photo in photos:
        wanted = [spec for spec in photo.renditions if f"{photo.name.key}/{spec}" not in current]
        done.known += len(photo.renditions) - len(wanted)
        outputs = [(workspace.specs[name], photo.renditions[name].path) for name in wanted]
        master: Future[Any] | None = None
        if photo.master is not None:
            arguments = (photo.master.path, photo.name.key, outputs, workspace.max_pixels)
            master = pool.schedule(measure, args=arguments, timeout=limit * (1 + len(outputs)))
        originals = [
            pool.schedule(probe_file, args=(str(file.path), workspace.max_pixels), timeout=limit)
            for file in photo.originals
        ]
        work.append((photo, wanted, master, originals))
    for photo, wanted, master, futures in work:
        facts, found = _outcome(master, photo.master, done) or (None, [])
        if photo.master is not None and facts is None:
            for output in (*photo.renditions.values(), *photo.published.values()):
                done.left[output.relative] = (
                    f"{output.relative}: its master cannot be read; nothing replaces it."
                )
        differences = {
            name: _with_age(differing, photo.master, photo.renditions[name])
            for name, differing in zip(wanted, found, strict=False)
        }
        known = [_outcome(one, file, done) for one, file in zip(futures, photo.originals, strict=True)]
        yield Measured(photo, facts, known, differences)


def _outcome(future: Future[Any] | None, file: OldFile | None, done: Adoption) -> Any:
    from pebble import ProcessExpired

    if future is None or file is None:
        return None
    try:
        return future.result()
    except CrownError as error:
        done.left[file.relative] = f"{file.relative}: {error}"
    except (TimeoutError, ProcessExpired, OSError) as error:
        done.left[file.relative] = f"{file.relative} cannot be decoded ({type(error).__name__})."
    return None


def _with_age(found: list[Difference], master: OldFile | None, output: OldOutput) -> list[Difference]:
    older = master is not None and output.status.st_mtime < master.status.st_mtime
    if older and not any(difference.kind == "outdated" for difference in found):
        return [*found, Difference("outdated", "it is older than its master")]
    return found


def _current_renditions(workspace: Workspace, photos: Sequence[str]) -> set[str]:
    with workspace.engine.connect() as connection:
        return set(
            connection.execute(
                text(
                    "select key from ledger.items where asset = any(:assets) and state = 'current'"
                    " and split_part(key, '/', 1) = any(:photos)"
                ),
                {"assets": list(RENDITIONS.values()), "photos": list(photos)},
            ).scalars()
        )


def _judge(
    workspace: Workspace, measured: Measured, done: Adoption, harmless: frozenset[str]
) -> dict[str, tuple[Measured, OldOutput]]:
    """Say what would change of a photo; returns its renditions that are right, by item key."""
    photo, key = measured.photo, measured.photo.name.key
    if photo.master is None or measured.master_facts is None:
        if measured.originals():
            done.to_cut_out.append(key)
        return {}
    if not photo.originals:
        done.without_original.append(key)
    if measured.newer_originals():
        done.newer_originals.append(key)
    right = {}
    for spec, found in measured.differences.items():
        output, published = photo.renditions[spec], photo.published.get(spec)
        if {difference.kind for difference in found} <= harmless:
            right[f"{key}/{spec}"] = (measured, output)
            done.adopted.append(output.relative)
            if published is not None and files.sha256(published.path) != files.sha256(output.path):
                differing = Difference("not deployed", "it is not the file that formats/ holds")
                done.changes.append(Change(published.relative, key, spec, [differing]))
                done.published_changes.append(published.relative)
        else:
            done.changes.append(Change(output.relative, key, spec, found))
            done.published_changes += [published.relative] if published is not None else []
    for spec in photo.published.keys() - photo.renditions.keys():
        alone = photo.published[spec]
        done.changes.append(
            Change(alone.relative, key, spec, [Difference("alone", "formats/ holds no such file")])
        )
        done.published_changes.append(alone.relative)
    done.missing += len(workspace.specs) - len(photo.renditions)
    return right


def _count(workspace: Workspace, batch: Sequence[Measured], done: Adoption) -> None:
    """What a real adoption would store and record of uploads."""
    with workspace.engine.connect() as connection:
        recorded = adopt_ledger.in_crown(connection, [m.photo.name.key for m in batch])
    for measured in batch:
        known = recorded.get(measured.photo.name.key, set())
        for file in measured.usable():
            content_hash = files.sha256(file.path)
            if not workspace.objects.path(content_hash).is_file():
                done.bytes_stored += file.status.st_size
            master = file is measured.photo.master
            if known is not None and f"{'retouch' if master else 'original'}:{content_hash}" not in known:
                done.masters += master
                done.approvals += master
                done.originals += not master
