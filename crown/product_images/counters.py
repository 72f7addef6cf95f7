"""The counters of the old dashboard, from the folders and the ledger: how many pictures are where.

Counts by asset and state, for every department, are crown/ledger/counts.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from crown.flow.inbox import REASON
from crown.pictures.formats import is_sidecar
from crown.product_images.workspace import (
    CUTOUTS,
    ERRORS,
    INBOX,
    MEDIA,
    NAME_CONFLICTS,
    PHOTOS,
    PUBLISHED,
    READY,
    Workspace,
)
from crown.store import watch

_IN_LEDGER = """
    select
        (select count(*) from ledger.items i where i.asset = :cutouts and i.state in ('pending', 'failed')
             or i.asset = :photos and i.state in ('pending', 'failed')) as pending_cutout,
        (select count(*) from ledger.items i join ledger.outputs m using (output_id)
           left join ledger.verdicts v on v.stage = i.asset and v.subject = i.key and v.content_hash = m.content_hash
           where i.asset = :cutouts and i.state = 'current' and v.verdict is null) as cutouts_to_review,
        (select count(*) from ledger.items where asset = :cutouts and state = 'quarantined') as cutouts_failed,
        (select count(distinct product_number) from product_images.uploads u where not exists (
            select from product_images.retired_products r where r.product_number = u.product_number)) as products,
        (select count(distinct split_part(split_part(key, ':', -1), '/', 1)) from ledger.items
           where asset = :published and output_id is not null and state <> 'retired') as products_in_production
"""


@dataclass(frozen=True)
class Counters:
    """Pictures by where they are; files of the share are those that are there now.

    `products` counts numbers of which a photo was taken in and that are not retired, published or not.
    """

    inbox: int
    pending_cutout: int
    cutouts_to_review: int
    cutouts_failed: int
    name_conflicts: int
    errors: int
    ready_for_formatting: int
    products: int
    products_in_production: int


def counters(workspace: Workspace) -> Counters:
    """Count now."""
    with workspace.engine.connect() as connection:
        row = connection.execute(
            text(_IN_LEDGER), {"cutouts": CUTOUTS, "photos": PHOTOS, "published": PUBLISHED}
        ).one()
    return Counters(
        inbox=_files(workspace, INBOX),
        name_conflicts=_files(workspace, NAME_CONFLICTS),
        errors=_files(workspace, ERRORS),
        ready_for_formatting=_files(workspace, READY, depth=1),
        **row._mapping,
    )


def _files(workspace: Workspace, folder: str, *, depth: int = 0) -> int:
    found = watch.listing(workspace.roots.path(MEDIA, folder), depth=depth, closed=[])
    return sum(not name.endswith(REASON) and not is_sidecar(name) for name, _ in found)
