"""Notes on the share for approved pictures whose output cannot be made; removed when it can.

Without a note the picture would have left the review and no output would appear. Why an output cannot be
made is decided in `tasks.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import text

from crown.errors import PermanentFailure
from crown.ledger import written_files
from crown.product_images.share.notes import UNRENDERED
from crown.product_images.workspace import (
    ERRORS,
    MASTERS,
    MEDIA,
    RENDITIONS,
    Workspace,
)
from crown.store import files

# A mistake in the settings concerns every picture alike: `crown images status` says it once, to the operator.
_FAILING = """
    select split_part(i.key, '/', 1) as photo, split_part(i.key, '/', 2) as spec, i.error, i.changed_at,
           coalesce(d.who, 'unknown') as who
    from ledger.items i left join ledger.decisions d using (decision_id)
    where i.asset = any(:assets) and i.state = 'quarantined'
      and i.error_class not in ('ConfigurationError', 'ChangedByHand')
    order by photo, i.error, spec
"""
_WRITTEN = """
    select path, content_hash, intended, written_at from ledger.files
    where root = :root and starts_with(path, :folder) and right(path, length(:ending)) = :ending
"""


def show(workspace: Workspace) -> list[str]:
    """Write `errors/PHOTO.not_rendered.error.txt` for each approved photo of which an output cannot be made, and remove
    ours for the others; returns the photos newly written of.

    A note that a person has removed comes again only when the photo fails anew.
    """
    with workspace.engine.connect() as connection:
        assets = [MASTERS, *RENDITIONS.values()]
        failing = connection.execute(text(_FAILING), {"assets": assets}).all()
        written = connection.execute(
            text(_WRITTEN), {"root": MEDIA, "folder": f"{ERRORS}/", "ending": UNRENDERED}
        ).all()
    since = {row.path: row.written_at for row in written}
    wanted = {_path(photo): list(items) for photo, items in groupby(failing, key=lambda row: row.photo)}
    for note in written:
        if note.path not in wanted:
            ours = frozenset({note.content_hash, note.intended} - {None})
            files.remove_ours(workspace.roots.path(MEDIA, note.path), ours)
            written_files.forget(workspace.engine, MEDIA, note.path)
    return [
        items[0].photo
        for path, items in wanted.items()
        if (path not in since or any(item.changed_at > since[path] for item in items))
        and _write(workspace, path, items)
    ]


def _path(photo: str) -> str:
    return f"{ERRORS}/{photo}{UNRENDERED}"


def _write(workspace: Workspace, path: str, items: Sequence[Any]) -> bool:
    """Write a note; False when a person's file is there."""
    content = _content(items)
    target = workspace.roots.path(MEDIA, path)
    content_hash = hashlib.sha256(content.encode()).hexdigest()
    ours = written_files.intend(workspace.engine, MEDIA, path, content_hash)
    unfinished = files.temporary(target)
    files.write_text(unfinished, content, workspace.ownership)
    try:
        files.publish(unfinished, target, ours)
    except PermanentFailure:
        written_files.forget(workspace.engine, MEDIA, path)
        return False
    written_files.record(workspace.engine, MEDIA, path, content_hash)
    return True


def _content(items: Sequence[Any]) -> str:
    """The note of one photo: a reason for each group of outputs that share it."""
    first = items[0]
    lines = [
        f"photo: {first.photo}",
        f"approved by: {first.who}",
        f"timestamp: {datetime.now().astimezone().isoformat(timespec='seconds')}",
    ]
    for error, group in groupby(items, key=lambda item: item.error):
        specs = ", ".join(item.spec for item in group if item.spec)
        lines += [f"not made: {specs or 'master'}", f"reason: {error}"]
    lines.append(
        f"what to do: put a mended picture called {first.photo} into ready_for_formatting/, in the folder with your"
        f" name; or when its cause is gone, run `crown images retry {first.photo}`."
    )
    return "\n".join(lines) + "\n"
