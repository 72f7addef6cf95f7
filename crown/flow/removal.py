"""Removal of files that we wrote and that no item owns any more. A file that a person changed stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from crown.flow.stage_log import Messages
from crown.flow.workspace import OBJECTS, Workspace
from crown.ledger import written_files
from crown.ledger.locks import in_transaction, lock_assets
from crown.store import files

_AT_ONCE = 200
_UNWANTED = """
    select m.output_id, m.root, m.path, f.content_hash, f.intended
    from ledger.outputs m join ledger.files f on (f.root, f.path, f.output_id) = (m.root, m.path, m.output_id)
    where m.asset = any(:assets) and m.root = any(:roots)
      and not exists (select from ledger.items i where i.output_id = m.output_id and i.state <> 'retired')
"""


@dataclass
class Removed:
    """What became of files that are no longer wanted: how many are gone, and those kept because a person changed them."""

    count: int = 0
    kept: list[str] = field(default_factory=list)


def remove_unwanted(workspace: Workspace, assets: Sequence[str], messages: Messages) -> Removed:
    """Remove the files of these assets that no item owns, but for those in the store of objects.

    A folder that is gone or empty is not looked into: its files count as standing until it is back.
    """
    absent = workspace.absent_roots()
    roots = [root for root in workspace.roots.folders if root != OBJECTS and root not in absent]
    bound = {"assets": list(assets), "roots": roots}
    removed = Removed()
    with workspace.engine.connect() as connection:
        unwanted = list(connection.execute(text(_UNWANTED), bound).scalars())
    still = text(_UNWANTED + " and m.output_id = any(:ids)")
    for first in range(0, len(unwanted), _AT_ONCE):
        some = unwanted[first : first + _AT_ONCE]

        def remove_some(connection: Connection, some: Sequence[int] = some) -> None:
            lock_assets(connection, assets)  # no worker gives a file one of these names meanwhile
            rows = connection.execute(still, {**bound, "ids": list(some)}).all()
            for row in rows:
                ours = frozenset({row.content_hash, row.intended} - {None})
                _remove(workspace, row.root, row.path, ours, removed, messages)
            written_files.mark_removed(connection, [row.output_id for row in rows])

        in_transaction(workspace.engine, remove_some)
    return removed


def _remove(
    workspace: Workspace, root: str, relative: str, ours: frozenset[str], removed: Removed, messages: Messages
) -> None:
    path = workspace.roots.path(root, relative)
    if files.remove_ours(path, ours):
        removed.count += 1
        messages.removed(relative, kept=False)
        files.prune_empty(path.parent, workspace.roots[root])
    elif path.exists():
        removed.kept.append(relative)
        messages.removed(relative, kept=True)
