"""Lays pictures out for people: cut-outs that wait for a decision, photos that could not be cut out.

What people do with them is moves.py.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path, PurePosixPath

from sqlalchemy import text

from crown.errors import BadInput, PermanentFailure
from crown.ledger import written_files
from crown.product_images.share.review import Cutout, cutouts
from crown.product_images.workspace import CUTOUTS, MEDIA, OBJECTS, REVIEW, REVIEW_FAILED, Workspace
from crown.store import files, watch
from crown.store.roots import comparable


def show(workspace: Workspace, *, new: bool = True, photos: Collection[str] | None = None) -> list[str]:
    """Write undecided cut-outs into review/bg_removed and take away ours that are decided, outdated or retired; returns
    the photos newly shown. A person's file under such a name is left alone.

    Args:
        workspace: the department's workspace.
        new: False looks only at what is laid out already: a library of thousands is then not read.
        photos: look at these photos only.
    """
    shown: list[str] = []
    laid_out = {
        PurePosixPath(path).stem: (path, ours)
        for path, ours in written_files.below(workspace.engine, MEDIA, REVIEW).items()
        if photos is None or PurePosixPath(path).stem in photos
    }
    if not new and not laid_out:
        return shown
    # What another run, or one that was killed, was about to write is laid out anew.
    written = written_files.standing(workspace.engine, MEDIA, REVIEW)
    chosen = photos if photos is not None else None if new else laid_out
    current = {c.photo: c for c in cutouts(workspace, undecided=True, photos=chosen)}
    # A person may have changed the case of a name, or their desktop its form of Unicode: it is the same file.
    spelt = {comparable(name): name for name, _ in watch.listing(workspace.roots.path(MEDIA, REVIEW))}
    for photo in sorted(laid_out.keys() | current.keys()):
        cutout = current.get(photo)
        wanted = f"{REVIEW}/{photo}{_ending(cutout)}"
        path, ours = laid_out.get(photo, (wanted, frozenset()))
        name = PurePosixPath(path).name
        there = workspace.roots.path(MEDIA, f"{REVIEW}/{spelt.get(comparable(name), name)}")
        if cutout is None:
            if files.remove_ours(there, ours):
                written_files.forget(workspace.engine, MEDIA, path)
        elif cutout.content_hash not in ours or path not in written:
            if there != workspace.roots.path(MEDIA, wanted) and not files.remove_ours(there, ours):
                continue
            if path != wanted:
                written_files.forget(workspace.engine, MEDIA, path)
            if write_picture(workspace, wanted, cutout.path, cutout.content_hash):
                shown.append(photo)
    return shown


def _ending(cutout: Cutout | None) -> str:
    """Engines make PNG; a person's retouch is what it is."""
    from crown.pictures.formats import ending_of

    retouch = cutout is not None and cutout.facts.get("retouch") and cutout.path.is_file()
    return ending_of(cutout.path, cutout.photo) if cutout is not None and retouch else ".png"


def write_picture(workspace: Workspace, path: str, source: Path, content_hash: str) -> bool:
    """Copy a file to a path on the share, as ours; False when a person's file is there."""
    target = workspace.roots.path(MEDIA, path)
    ours = written_files.intend(workspace.engine, MEDIA, path, content_hash)
    files.make_folder(target.parent, workspace.ownership)
    unfinished = files.temporary(target)
    files.copy(source, unfinished, workspace.ownership)
    try:
        files.publish(unfinished, target, ours)
    except PermanentFailure:
        written_files.forget(workspace.engine, MEDIA, path)  # a person's file is there, nothing of ours
        return False
    written_files.record(workspace.engine, MEDIA, path, content_hash)
    return True


def show_failures(workspace: Workspace) -> list[str]:
    """Write the picture itself into review/bg_removal_failed for photos that could not be cut out, and take ours away when
    they were; returns the photos newly shown.
    """
    with workspace.engine.connect() as connection:
        failing = connection.execute(
            text(
                "select i.key, i.changed_at, m.content_hash from ledger.items i"
                " join ledger.outputs m on m.output_id = i.inputs[1]"
                " where i.asset = :asset and i.state = 'quarantined' order by i.key"
            ),
            {"asset": CUTOUTS},
        ).all()
        laid_out = connection.execute(
            text(
                "select path, content_hash, intended, written_at from ledger.files"
                " where root = :media and starts_with(path, :folder)"
            ),
            {"media": MEDIA, "folder": f"{REVIEW_FAILED}/"},
        ).all()
    since = {PurePosixPath(row.path).stem: row.written_at for row in laid_out}
    failed = {row.key: row.changed_at for row in failing}
    for row in laid_out:
        if PurePosixPath(row.path).stem not in failed:
            ours = frozenset({row.content_hash, row.intended} - {None})
            files.remove_ours(workspace.roots.path(MEDIA, row.path), ours)
            written_files.forget(workspace.engine, MEDIA, row.path)
    return [
        row.key
        for row in failing
        if (row.key not in since or since[row.key] <= row.changed_at)
        and _write_failure(workspace, row.key, row.content_hash)
    ]


def _write_failure(workspace: Workspace, photo: str, content_hash: str) -> bool:
    """Write a photo as PNG, upright and in sRGB; one that cannot be opened as it came."""
    from crown.pictures.decoding import open_picture
    from crown.pictures.formats import ending_of

    original = workspace.objects.path(content_hash)
    scratch = files.temporary(workspace.roots[OBJECTS] / "failed.png")
    try:
        picture = open_picture(original, workspace.max_pixels, name=photo)
        picture.pngsave(str(scratch), compression=3)
        return write_picture(workspace, f"{REVIEW_FAILED}/{photo}.png", scratch, files.sha256(scratch))
    except BadInput:
        with suppress(BadInput):  # gone from the store, which `crown images verify` says
            return write_picture(
                workspace, f"{REVIEW_FAILED}/{photo}{ending_of(original, photo)}", original, content_hash
            )
        return False
    finally:
        scratch.unlink(missing_ok=True)
