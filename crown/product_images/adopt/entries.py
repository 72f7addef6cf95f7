"""Enters what was found of an old CrownPipe tree: bytes into the store, uploads, approvals and outputs into the ledger.

What is found and judged is decided in adopt.py. In this order a stop at any place leaves nothing half: bytes are stored
before rows name them, files that will be replaced are kept before they count as ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from crown.flow.inbox import uploader
from crown.journal import activity
from crown.ledger import (
    claims,
    decisions,
    outputs,
    planning,
    recipes,
    written_files,
)
from crown.ledger.claims import Job, Made
from crown.ledger.outputs import Existing
from crown.ledger.recipes import Recipe
from crown.ledger.verdicts import Ruling
from crown.product_images import stages
from crown.product_images.adopt.measure import Measured
from crown.product_images.adopt.tree import PRODUCTION as OLD_PRODUCTION
from crown.product_images.adopt.tree import OldFile, OldOutput, OldPhoto
from crown.product_images.gates import CUTOUT_REVIEW
from crown.product_images.renditions.render import layout
from crown.product_images.workspace import (
    CUTOUTS,
    DEPARTMENT,
    INBOX_PHOTOS,
    MASTERS,
    MEDIA,
    OBJECTS,
    PHOTOS,
    PRODUCTS,
    RENDITIONS,
    Workspace,
)
from crown.store import files

WHO = "CrownPipe"
VIA = "import"
#: Bytes of the old tree that are kept and belong to nothing current; their keys are the paths they had.
OLD_FILES = f"{DEPARTMENT}/crownpipe_files"
#: CrownPipe cut out with a trained model (rembg's u2net), whatever a person retouched after.
_ORIGIN = {"digital_source_type": "compositeWithTrainedAlgorithmicMedia"}
_CLAIMED_AT_ONCE = 100


@dataclass
class Entered:
    """Uploads, approvals and bytes that were new."""

    originals: int = 0
    masters: int = 0
    approvals: int = 0
    bytes_stored: int = 0


def keep(workspace: Workspace, relative: str, path: Path) -> int:
    """Keep a file's bytes by their hash, with the path they had; returns bytes newly stored."""
    content_hash, stored = _put(workspace, path)
    kept = Recipe(OLD_FILES, "kept", {"version": 1})
    with workspace.engine.begin() as connection:
        recipes.register(connection, [kept])
        found = Existing(relative, content_hash, OBJECTS, content_hash, path.stat().st_size)
        outputs.enter(connection, OLD_FILES, [found], recipe=kept.hash)
    return stored


def _put(workspace: Workspace, path: Path) -> tuple[str, int]:
    content_hash = files.sha256(path)
    return (
        (content_hash, 0) if workspace.objects.path(content_hash).is_file() else workspace.objects.put(path)
    )


def in_crown(connection: Connection, photos: Collection[str]) -> dict[str, set[str] | None]:
    """Of photos with uploads: the hashes an adoption recorded, or None when others came to Crown itself.

    The newest upload is the photo, by the order they came in; one from an old archive must not go after them.
    """
    found: dict[str, set[str] | None] = {}
    for row in connection.execute(
        text(
            "select photo, kind, content_hash, facts ? 'crownpipe' as old from product_images.uploads"
            " where photo = any(:photos)"
        ),
        {"photos": list(photos)},
    ):
        known = found.setdefault(row.photo, set())
        if not row.old:
            found[row.photo] = None
        elif known is not None:
            known.add(f"{row.kind}:{row.content_hash}")
    return found


@dataclass
class Batch:
    """Some photos, measured, on their way into the ledger.

    Args:
        workspace: the department's workspace.
        photos: what was measured of them.
        right: renditions that are what their spec makes, by item key.
        changed: paths of renditions that the next run replaces.
        who: the person who takes them over.
    """

    workspace: Workspace
    photos: Sequence[Measured]
    right: Mapping[str, tuple[Measured, OldOutput]]
    changed: Collection[str]
    who: str
    entered: Entered = field(default_factory=Entered)
    #: Content hash of every original and master, by path relative to the tree.
    _hashes: dict[str, str] = field(default_factory=dict)
    _known: dict[str, set[str] | None] = field(default_factory=dict)

    def take_over(self) -> Entered:
        """Store, record and enter; doing it again adds nothing."""
        with self.workspace.engine.connect() as connection:
            self._known = in_crown(connection, [m.photo.name.key for m in self.photos])
        self._store()
        for measured in self.photos:
            self._own(measured)
        later: list[tuple[Measured, OldFile, Mapping[str, Any]]] = []
        with self.workspace.engine.begin() as connection:
            for measured in self.photos:
                later += self._record(connection, measured)
        self._enter_all()
        with self.workspace.engine.begin() as connection:
            for measured, file, facts in later:
                self._upload(connection, measured.photo, file, facts, "original", None)
        return self.entered

    def _store(self) -> None:
        for measured in self.photos:
            for file in measured.usable():
                if self._known.get(measured.photo.name.key, ()) is None:
                    self.entered.bytes_stored += keep(self.workspace, file.relative, file.path)
                    continue
                self._hashes[file.relative], stored = _put(self.workspace, file.path)
                self.entered.bytes_stored += stored

    def _own(self, measured: Measured) -> None:
        """Keep what the next run will replace, then let it count as ours, so that the run may."""
        if measured.master_facts is None:
            return
        for output in measured.photo.renditions.values():
            if output.relative in self.changed:
                self._own_one(MEDIA, output, output.relative)
        for output in measured.photo.published.values():
            for root in self.workspace.roots.folders.keys() - {MEDIA, OBJECTS}:
                self._own_one(root, output, output.relative.removeprefix(f"{OLD_PRODUCTION}/"))

    def _own_one(self, root: str, output: OldOutput, inside: str) -> None:
        if output.path != self.workspace.roots[root] / inside:
            return  # another tree than the one we write to: nothing there is ever replaced
        if inside in written_files.below(self.workspace.engine, root, str(Path(inside).parent)):
            return
        self.entered.bytes_stored += keep(self.workspace, output.relative, output.path)
        content_hash = files.sha256(output.path)
        written_files.intend(self.workspace.engine, root, inside, content_hash)
        written_files.record(self.workspace.engine, root, inside, content_hash)

    def _record(
        self, connection: Connection, measured: Measured
    ) -> list[tuple[Measured, OldFile, Mapping[str, Any]]]:
        """Record uploads and the approval; originals that came after the master are returned for later."""
        photo, later, source = measured.photo, [], None
        newer = measured.newer_originals()
        for file, facts in measured.originals():
            if file in newer:
                later.append((measured, file, facts))
            else:
                source = self._upload(connection, photo, file, facts, "original", None)
        master, master_facts = photo.master, measured.master_facts
        if master is None or master_facts is None:
            return later
        if source is None:
            # A finished picture whose original is lost is its own original, as one put into ready_for_formatting is.
            source = self._upload(connection, photo, master, master_facts, "original", None)
        content_hash = self._upload(connection, photo, master, master_facts, "retouch", source)
        if content_hash is not None:
            self._approve(connection, photo, master, content_hash)
        return later

    def _upload(
        self,
        connection: Connection,
        photo: OldPhoto,
        file: OldFile,
        facts: Mapping[str, Any],
        kind: str,
        of_hash: str | None,
    ) -> str | None:
        """Record an upload that is not recorded yet; its content hash, None when the photo is Crown's already."""
        known = self._known.setdefault(photo.name.key, set())
        if known is None:
            return None
        content_hash = self._hashes[file.relative]
        if f"{kind}:{content_hash}" in known:
            return content_hash
        known.add(f"{kind}:{content_hash}")
        connection.execute(
            text(
                "insert into product_images.uploads (kind, photo, product_number, view, file_name, content_hash,"
                " size_bytes, uploader, modified_at, uploaded_at, facts, of_hash) values (:kind, :photo, :number,"
                " :view, :file_name, :hash, :size, :uploader, to_timestamp(:modified), to_timestamp(:modified),"
                " cast(:facts as jsonb), :of_hash)"
            ),
            {
                "kind": kind,
                "photo": photo.name.key,
                "number": photo.name.number,
                "view": photo.name.view,
                "file_name": file.path.name,
                "hash": content_hash,
                "size": file.status.st_size,
                "uploader": uploader(file.status),
                "modified": file.status.st_mtime,
                "facts": json.dumps({**facts, "crownpipe": file.relative}),
                "of_hash": of_hash,
            },
        )
        if kind == "retouch":
            self.entered.masters += 1
        else:
            self.entered.originals += file is not photo.master
        return content_hash

    def _approve(self, connection: Connection, photo: OldPhoto, master: OldFile, content_hash: str) -> None:
        """CrownPipe's approval of the master; what a person said of these bytes since is never overruled."""
        key = photo.name.key
        said = connection.execute(
            text(
                "select exists (select from ledger.decisions where stage = :stage and subject = :photo"
                " and content_hash = :hash)"
            ),
            {"stage": CUTOUTS, "photo": key, "hash": content_hash},
        ).scalar_one()
        if said:
            return
        reason = f"was the master in {master.relative}"
        decision = decisions.decide(
            connection, CUTOUT_REVIEW, key, content_hash, Ruling("approve", WHO, VIA, reason)
        )
        self.entered.approvals += 1
        activity.record(
            connection,
            who=self.who,
            what="adopted",
            subject=key,
            department=DEPARTMENT,
            via="cli",
            entity=photo.name.number,
            source_file=master.path.name,
            details=f"taken over from {WHO}: {reason}",
            new={"content_hash": content_hash, "decision_id": decision.decision_id},
        )

    def _enter_all(self) -> None:
        masters = {
            m.photo.name.key: m.photo.master
            for m in self.photos
            if m.photo.master is not None and m.photo.master.relative in self._hashes
        }
        uploads = set()
        for measured in self.photos:
            for file in measured.usable():
                content_hash = self._hashes.get(file.relative)
                if content_hash is not None:
                    uploads |= {
                        f"{file.photo.key}@{content_hash}",
                        f"{file.photo.key}@retouch@{content_hash}",
                    }
        self._enter(INBOX_PHOTOS, uploads, lambda job: self._stored(job, job.key.rsplit("@", 1)[1]))
        photos = {m.photo.name.key for m in self.photos}
        self._enter(PHOTOS, photos, lambda job: self._stored(job, job.inputs[0].content_hash))
        self._enter(CUTOUTS, masters, lambda job: self._cutout(job, masters[job.key]))
        self._enter(MASTERS, masters, lambda job: self._master(job, masters[job.key]))
        for family, asset in RENDITIONS.items():
            adopted = Recipe(asset, "adopted", {"version": 1, "from": WHO})
            with self.workspace.engine.begin() as connection:
                recipes.register(connection, [adopted])
            specs = {name for name, spec in self.workspace.specs.items() if spec.category == family}
            keys = {key for key in self.right if key.split("/")[1] in specs}
            self._enter(asset, keys, self._rendition_by(adopted))

    def _enter(self, asset: str, keys: Collection[str], make: Callable[[Job], Made | None]) -> None:
        """Plan an asset and enter the results for these keys; what no longer fits is left to the next run."""
        workspace, left = self.workspace, set(keys)
        stages.plan(workspace, [asset])
        with workspace.engine.connect() as connection:
            with connection.begin():
                # A run that came between met the old file as a person's and gave its item up.
                for key in _quarantined(connection, asset, left):
                    planning.retry(connection, asset, _literally(key))
            while left:
                claim = claims.take(
                    connection,
                    (asset,),
                    _CLAIMED_AT_ONCE,
                    lease_seconds=workspace.limits.lease_seconds,
                    keys=sorted(left),
                )
                if claim is None:
                    return
                left -= {job.key for job in claim.jobs}
                try:
                    made = [result for job in claim.jobs if (result := make(job)) is not None]
                    claims.finish(
                        connection, claim, made, place=workspace.place, versions=stages.FLOW.versions()
                    )
                finally:
                    claims.release(connection, claim)

    def _stored(self, job: Job, content_hash: str) -> Made | None:
        stored = self.workspace.objects.path(content_hash)
        if not stored.is_file():
            return None
        return Made(job, content_hash, OBJECTS, content_hash, stored.stat().st_size)

    def _cutout(self, job: Job, master: OldFile) -> Made | None:
        content_hash = self._hashes[master.relative]
        if job.recipe_name != "retouch" or job.inputs[-1].content_hash != content_hash:
            return None  # a newer upload has overruled the old master
        made = self._stored(job, content_hash)
        return made and replace(made, facts={"retouch": True, "crownpipe": True, **_ORIGIN})

    def _master(self, job: Job, master: OldFile) -> Made | None:
        if job.inputs[0].content_hash != self._hashes[master.relative]:
            return None
        path = f"{PRODUCTS}/{master.photo.number}/source/{job.key}.png"
        return replace(self._present(job, master.path, path), facts=_ORIGIN)

    def _rendition_by(self, adopted: Recipe) -> Callable[[Job], Made | None]:
        def rendition(job: Job) -> Made | None:
            measured, output = self.right[job.key]
            master = measured.photo.master
            if master is None or job.inputs[0].content_hash != self._hashes.get(master.relative):
                return None
            made = self._present(job, output.path, output.relative)
            trimmed = (measured.master_facts or {})["trimmed"]
            # Being right, it has the size that its spec gives this master.
            width, height = layout(self.workspace.specs[output.spec], *trimmed).canvas
            known = {"width": width, "height": height, "source_longest_side": max(trimmed), **_ORIGIN}
            return replace(made, job=replace(job, recipe=adopted.hash), facts=known)

        return rendition

    def _present(self, job: Job, source: Path, path: str) -> Made:
        """A result that is there already, or is copied there when the old tree is not the share we write to."""
        target, size = self.workspace.roots.path(MEDIA, path), source.stat().st_size
        if target == source:
            return Made(job, files.sha256(source), MEDIA, path, size)
        files.make_folder(target.parent, self.workspace.ownership)
        unfinished = files.temporary(target)
        content_hash = files.copy(source, unfinished, self.workspace.ownership)
        return Made(job, content_hash, MEDIA, path, size, unfinished=str(unfinished))


def _literally(key: str) -> str:
    return key.replace("\\", r"\\").replace("_", r"\_").replace("%", r"\%")


def _quarantined(connection: Connection, asset: str, keys: Collection[str]) -> list[str]:
    found = connection.execute(
        text(
            "select key from ledger.items where asset = :asset and key = any(:keys) and state = 'quarantined'"
        ),
        {"asset": asset, "keys": list(keys)},
    )
    return list(found.scalars())
