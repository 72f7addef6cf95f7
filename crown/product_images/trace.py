"""Lineage of any file, photo or product: original, uploader, recipe, decision and run, and everything downstream.

Read from the ledger; Dagster's history is not needed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import text

from crown.errors import BadInput
from crown.ledger import lineage
from crown.product_images import names
from crown.product_images.cutout import models as cutout_models
from crown.product_images.photo_status import PhotoStatus, photo_status
from crown.product_images.workspace import (
    CUTOUTS,
    DEPARTMENT,
    INBOX,
    INBOX_PHOTOS,
    MASTERS,
    PHOTOS,
    Workspace,
)
from crown.store import files, watch


def trace(workspace: Workspace, what: str) -> dict[str, Any]:
    """Everything the ledger knows of a file, a photo, a product or a name that a person gave a file.

    Args:
        workspace: the department's workspace.
        what: a path (absolute, or relative to this folder or to a root), a content hash, a product number, a photo's
            key, or the name of a file as it was put into the inbox or is in the review.

    Returns:
        `file`, `content_hash`, `unchanged` (the bytes there are the ones we made; None when given a hash),
        `made` (the output), `back` and `forward` (outputs with recipe and decision, nearest first),
        `uploads` (who gave us the originals), `chosen_model` (the model that a person chose for this photo, or for
        all, and that holds now; None when the setting does or it is no picture of one photo), `photos` (what has become
        of each photo that is meant, see `PhotoStatus`) and `refused` (files of that name that were not taken in). Of a
        name that is no file we made, what is about one file is None or empty.

    Raises:
        BadInput: nothing of it is known.
    """
    if not watch.storable(what):
        raise BadInput(
            f"{watch.spelt_out(what)!r} is not known here: no name of bytes that are no text is kept."
        )
    found, path = _find(workspace, what)
    if found:
        traced = _of_output(workspace, found[0], path)
        of = (_photo(made) for made in (traced["made"], *traced["back"]))
        photos = sorted({photo for photo in of if photo is not None})
        return {**traced, "photos": _statuses(workspace, photos), "refused": []}
    photos, refused = _named(workspace, what), _refused(workspace, what)
    if not photos and not refused:
        raise BadInput(
            f"{what!r} is not known here; give the path of a file that was made here, a hash, a product number, a"
            " photo, or the name of a file that was put into the inbox."
        )
    nothing = {"file": None, "content_hash": None, "unchanged": None, "made": None, "chosen_model": None}
    empty: dict[str, list[Any]] = {"back": [], "forward": [], "uploads": []}
    return {**nothing, **empty, "photos": _statuses(workspace, photos), "refused": refused}


def photos_named(workspace: Workspace, what: str) -> list[PhotoStatus]:
    """What has become of the photos that a photo's key, a product number or a file's name means.

    Raises:
        BadInput: no such photo was ever taken in.
    """
    photos = _named(workspace, what)
    if not photos:
        refused = _refused(workspace, what)
        raise BadInput(
            refused[0]["sentence"]
            if refused
            else f"No photo {what!r} was ever taken in; write its name as in review, such as 52000123_1."
        )
    return _statuses(workspace, photos)


def _statuses(workspace: Workspace, photos: Iterable[str]) -> list[PhotoStatus]:
    return [photo_status(workspace, photo) for photo in photos]


def _of_output(workspace: Workspace, output_id: int, path: Path | None) -> dict[str, Any]:
    with workspace.engine.connect() as connection:
        back = lineage.back(connection, output_id)
        forward = lineage.forward(connection, output_id)
        uploads = connection.execute(
            text(
                "select kind, photo, file_name, content_hash, size_bytes, uploader, uploaded_at, facts"
                " from product_images.uploads where content_hash = any(:hashes) and photo = any(:photos)"
                " order by upload_id"
            ),
            {
                "hashes": [m["content_hash"] for m in back if m["asset"] == INBOX_PHOTOS],
                "photos": [m["key"].split("@")[0] for m in back if m["asset"] == INBOX_PHOTOS],
            },
        ).all()
        photo = next((m["key"] for m in back if m["asset"] == CUTOUTS), None)
        chosen = cutout_models.choice_for(connection, photo) if photo else None
    made = back[0]
    return {
        "file": None if path is None else str(path),
        "content_hash": made["content_hash"],
        "unchanged": None if path is None else path.is_file() and files.sha256(path) == made["content_hash"],
        "made": made,
        "back": back[1:],
        "forward": forward[1:],
        "uploads": [dict(row._mapping) for row in uploads],
        "chosen_model": chosen and asdict(chosen),
    }


def _photo(made: Mapping[str, Any]) -> str | None:
    """The photo that an output is of; None for what has a product or a profile as its key."""
    if made["asset"] in (INBOX_PHOTOS, PHOTOS, CUTOUTS, MASTERS):
        photo: str = made["key"].split("@")[0]
        return photo
    return None


def _named(workspace: Workspace, what: str) -> list[str]:
    """The photos that were taken in under a name: a photo's, a product's, or that of a file or its path."""
    name = unicodedata.normalize("NFC", PurePosixPath(what).name)
    keys = {name.upper()}
    for given in (name, f"{name}.png"):  # a key may hold a dot, which is no ending then
        with suppress(BadInput):
            keys.add(names.parse(given).key)
    with workspace.engine.connect() as connection:
        return list(
            connection.execute(
                text(
                    "select photo from product_images.uploads where photo = any(:keys) or product_number = any(:keys)"
                    " or file_name = :name group by photo order by photo"
                ),
                {"keys": sorted(keys), "name": name},
            ).scalars()
        )


def _refused(workspace: Workspace, what: str) -> list[dict[str, Any]]:
    """Files of that name that were set aside, the newest first, and one that is in the inbox still."""
    name = PurePosixPath(what).name
    known = names.without_stamp(name)
    with workspace.engine.connect() as connection:
        rows = connection.execute(
            text(
                "select subject as file_name, at, new_values ->> 'folder' as folder, new_values ->> 'reason' as reason"
                " from journal.activity where department = :department and what = 'refused'"
                " and subject = any(:names) order by activity_id desc limit 10"
            ),
            {"department": DEPARTMENT, "names": [name, known]},
        ).all()
    refused = [
        {
            **row._mapping,
            "sentence": f"{row.file_name} was put into {row.folder}/ on {row.at.astimezone():%Y-%m-%d %H:%M}: {row.reason}",
        }
        for row in rows
    ]
    if name and workspace.media(INBOX).joinpath(name).is_file():
        sentence = f"{name} is in {INBOX}/ and is taken when it has come to rest."
        refused.insert(
            0, {"file_name": name, "at": None, "folder": INBOX, "reason": None, "sentence": sentence}
        )
    return refused


def _find(workspace: Workspace, what: str) -> tuple[list[int], Path | None]:
    with workspace.engine.connect() as connection:
        if len(what) == 64 and all(c in "0123456789abcdef" for c in what):
            return lineage.find(connection, content_hash=what), None
        for path in (Path(what).absolute(), *(folder / what for folder in workspace.roots.folders.values())):
            for root, folder in sorted(workspace.roots.folders.items(), key=lambda pair: -len(str(pair[1]))):
                if folder in path.parents:
                    found = lineage.find(connection, root=root, path=workspace.roots.relative(root, path))
                    if found:
                        return found, path
    return [], None
