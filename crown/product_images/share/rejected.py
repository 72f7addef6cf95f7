"""Rejected photos: the list with the reasons, and their originals laid out for the photographer.

Rejecting is review.py; what is made of an original is not looked at here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from sqlalchemy import text

from crown.flow.inbox import REASON
from crown.flow.patterns import condition
from crown.ledger import written_files
from crown.product_images.names import patterns_of
from crown.product_images.share import review_folder
from crown.product_images.share.notes import refusals
from crown.product_images.workspace import (
    CUTOUTS,
    MEDIA,
    PHOTOS,
    REJECTED,
    Workspace,
)
from crown.store import files


@dataclass(frozen=True)
class Rejected:
    """A photo whose current cut-out is rejected. `original` is where its original is laid out, from the share's root."""

    photo: str
    reason: str | None
    who: str
    via: str
    decided_at: datetime
    original: str
    content_hash: str
    laid_out_at: datetime | None


_REJECTED = """
    select i.key as photo, v.reason, v.who, v.via, v.decided_at, m.content_hash, o.path, f.written_at
    from ledger.items i
    join ledger.outputs c on c.output_id = i.output_id
    join ledger.verdicts v on v.stage = i.asset and v.subject = i.key and v.content_hash = c.content_hash
                          and v.verdict = 'reject'
    join ledger.items p on p.asset = :photos and p.key = i.key
    join ledger.outputs m on m.output_id = p.output_id
    join lateral (
        select :folder || '/' || i.key || lower(coalesce(substring(u.file_name from '[.][^.]+$'), '')) as path
        from product_images.uploads u where u.photo = i.key and u.content_hash = m.content_hash
        order by upload_id desc limit 1) o on true
    left join ledger.files f on f.root = :media and f.path = o.path and f.content_hash = m.content_hash
    where i.asset = :cutouts and i.state = 'current' {only}
    order by v.decided_at desc, i.key
"""


def rejected(
    workspace: Workspace, patterns: Sequence[str] = (), *, photo: str | None = None
) -> list[Rejected]:
    """The photos whose current cut-out is rejected, the newest decision first.

    Args:
        workspace: the department's workspace.
        patterns: only photos that match one of these; none means all.
        photo: only this one.
    """
    bound: dict[str, object] = {"photos": PHOTOS, "cutouts": CUTOUTS, "media": MEDIA, "folder": REJECTED}
    only = ""
    if photo is not None:
        only, bound["photo"] = "and i.key = :photo", photo
    if patterns:
        only += f" and {condition('i.key')}"
        bound |= patterns_of(patterns).parameters
    with workspace.engine.connect() as connection:
        rows = connection.execute(text(_REJECTED.format(only=only)), bound).all()
    return [
        Rejected(
            row.photo,
            row.reason,
            row.who,
            row.via,
            row.decided_at,
            row.path,
            row.content_hash,
            row.written_at,
        )
        for row in rows
    ]


def show(workspace: Workspace) -> list[str]:
    """Write the originals of rejected photos into review/rejected, each with its reason in a note, and take ours away
    when the rejection is no longer in force; returns the photos newly laid out.

    What a person took away from there comes back only with a newer rejection.
    """
    now = rejected(workspace)
    wanted = {one.original for one in now}
    for path, ours in written_files.below(workspace.engine, MEDIA, REJECTED).items():
        if path not in wanted and not path.endswith(REASON):
            files.remove_ours(workspace.roots.path(MEDIA, path), ours)
            written_files.forget(workspace.engine, MEDIA, path)
    shown = []
    for one in now:
        if one.laid_out_at is not None and one.laid_out_at > one.decided_at:
            continue
        source = workspace.objects.path(one.content_hash)
        if source.is_file() and review_folder.write_picture(
            workspace, one.original, source, one.content_hash
        ):
            refusals(workspace).write_note(workspace.roots.path(MEDIA, one.original), _note(one))
            shown.append(one.photo)
    refusals(workspace).clear_notes()
    return shown


def _note(one: Rejected) -> str:
    name = PurePosixPath(one.original).name
    moment = one.decided_at.astimezone().isoformat(timespec="seconds")
    return (
        f"file: {name}\ntimestamp: {moment}\nreason: {one.reason or 'none was given'}\nrejected by: {one.who}\n"
        "what now: photograph it anew and put the picture into inbox/ under the same name\n"
    )
