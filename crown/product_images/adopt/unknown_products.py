"""Unknown products: product numbers that only the old system knew, of which no photo ever came to Crown.

They result from a file name's collision (`52000123_1` as a product), or their pictures are gone and the history is left.
Listed here, and retired on request. Finding them in an old tree is adopt_tree.py.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from crown.errors import BadInput
from crown.journal import activity
from crown.product_images.adopt import entries as adopt_ledger
from crown.product_images.names import matches
from crown.product_images.workspace import (
    DEPARTMENT,
    MEDIA,
    PRODUCTS,
    Workspace,
)
from crown.store import files, watch

RETIRED = "unknown_product_retired"


@dataclass(frozen=True)
class UnknownProduct:
    """A number without a photo.

    Attributes:
        number: as the old system spelt it.
        acts: rows of the old history that name it.
        files: its files on the share, as `root:path`; none of it is ours.
        published: how many of these are in a production target.
    """

    number: str
    acts: int
    files: list[str] = field(default_factory=list)
    published: int = 0


_NUMBERS = """
    with old as (
        select split_part(key, '/', case when starts_with(key, 'archive/') then 3 else 2 end) as number, 0 as acts
        from ledger.outputs where asset = :old_files
        union all
        select entity, 1 from journal.activity
        where department = :department and via = 'import' and entity is not null
    )
    select number, sum(acts) as acts from old
    where not exists (select from product_images.uploads u where u.product_number = old.number)
      and not exists (select from journal.activity a where a.what = :retired and a.subject = old.number)
    group by number order by number
"""


def unknown_products(workspace: Workspace, pattern: str = "*") -> list[UnknownProduct]:
    """The unknown products whose number matches a shell pattern, by number."""
    with workspace.engine.connect() as connection:
        rows = connection.execute(
            text(_NUMBERS),
            {"old_files": adopt_ledger.OLD_FILES, "department": DEPARTMENT, "retired": RETIRED},
        ).all()
    return [
        _unknown_product(workspace, row.number, int(row.acts)) for row in rows if matches(row.number, pattern)
    ]


def retire(
    workspace: Workspace, pattern: str, *, who: str, via: activity.Via, reason: str
) -> list[UnknownProduct]:
    """Take the files of the matching unknown products from the share and forget them; returns them as they were.

    The bytes of every file are kept in the store first, with the path they had (`crown images trace HASH`).

    Args:
        workspace: the department's workspace.
        pattern: shell pattern of numbers.
        who: the person.
        via: from where.
        reason: for the record.

    Raises:
        BadInput: nothing matches.
    """
    found = unknown_products(workspace, pattern)
    if not found:
        raise BadInput(f"No unknown product matches {pattern!r}; `crown images unknown-products` lists them.")
    for one in found:
        for place in one.files:
            root, _, path = place.partition(":")
            _take_away(workspace, root, path)
        with workspace.engine.begin() as connection:
            activity.record(
                connection,
                who=who,
                what=RETIRED,
                subject=one.number,
                department=DEPARTMENT,
                via=via,
                entity=one.number,
                details=reason,
                old={"files": one.files[:100], "published": one.published},
            )
    return found


def _unknown_product(workspace: Workspace, number: str, acts: int) -> UnknownProduct:
    # The number is whatever an old file said; only one that is the name of a folder has files.
    if not number.strip() or "/" in number or number in (".", "..") or len(number.encode()) > 255:
        return UnknownProduct(number, acts)
    media = [f"{MEDIA}:{path}" for path in _standing(workspace.roots[MEDIA], f"{PRODUCTS}/{number}")]
    published = [
        f"{target}:{path}"
        for target in workspace.targets
        for path in _standing(workspace.roots[target], number)
    ]
    return UnknownProduct(number, acts, media + published, len(published))


def _standing(root: Path, folder: str) -> Iterator[str]:
    """Files of an unknown product below a root; links, and what may not be read or named, are nobody's to remove."""
    if not (root / folder).is_dir() or (root / folder).is_symlink():
        return
    for path, status in watch.listing(root / folder, depth=8, closed=[]):
        if stat.S_ISREG(status.st_mode) and watch.storable(path):
            yield f"{folder}/{path}"


def _take_away(workspace: Workspace, root: str, path: str) -> None:
    here = workspace.roots.path(root, path)
    content_hash = files.sha256(here)
    adopt_ledger.keep(workspace, path if root == MEDIA else f"{root}/{path}", here)
    if files.remove_ours(here, frozenset({content_hash})):  # written to meanwhile, it stays
        files.prune_empty(here.parent, workspace.roots[root])
