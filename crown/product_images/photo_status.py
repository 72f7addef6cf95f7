"""The status of one photo: location, what it waits for, decisions, published files. Read-only.

Lineage is in trace.py; lists of many photos are in review.py and rejected.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from crown.ledger import decisions
from crown.ledger.decisions import Decision
from crown.product_images.names import photo_name
from crown.product_images.share.rejected import rejected
from crown.product_images.workspace import (
    CUTOUTS,
    MASTERS,
    PHOTOS,
    PUBLISHED,
    RENDITIONS,
    REVIEW,
    REVIEW_FAILED,
    Workspace,
)


@dataclass(frozen=True)
class PhotoStatus:
    """A photo now.

    Attributes:
        photo: its key.
        product_number: of the product.
        sentence: where it is and what it waits for, for people.
        items: asset, key, state, `waiting_for` and error of each of its items, in the order of the flow.
        uploads: what people gave us of it, the oldest first.
        decisions: everything that was said of its cut-outs, the oldest first.
        published: the published files, as `target:path`.
        original: where its original is laid out for the photographer; None when it is not rejected.
    """

    photo: str
    product_number: str
    sentence: str
    items: list[dict[str, Any]]
    uploads: list[dict[str, Any]]
    decisions: list[Decision]
    published: list[str]
    original: str | None


_ITEMS = """
    select asset, key, state, waiting_for, error, output_id from ledger.items
    where asset = any(array[:photos, :cutouts, :masters]) and key = :photo
    union all
    select asset, key, state, waiting_for, error, output_id from ledger.items
    where asset = any(cast(:renditions as text[])) and key >= :photo || '/' and key < :photo || '0'
"""
_PUBLISHED = """
    select i.asset, i.key, i.state, i.waiting_for, i.error, m.root, m.path
    from ledger.output_inputs e
    join ledger.outputs p on p.output_id = e.output_id and p.asset = :published
    join ledger.items i on i.asset = p.asset and i.key = p.key
    left join ledger.outputs m on m.output_id = i.output_id
    where e.input_id = any(:renditions)
    group by i.asset, i.key, i.state, i.waiting_for, i.error, m.root, m.path
    order by i.key
"""
_UPLOADS = """
    select kind, file_name, content_hash, size_bytes, uploader, uploaded_at from product_images.uploads
    where photo = :photo order by upload_id
"""
_ORDER = {asset: at for at, asset in enumerate((PHOTOS, CUTOUTS, MASTERS, *RENDITIONS.values(), PUBLISHED))}


def photo_status(workspace: Workspace, photo: str) -> PhotoStatus:
    """What has become of a photo that was taken in."""
    original = next((one.original for one in rejected(workspace, photo=photo)), None)
    with workspace.engine.connect() as connection:
        made = connection.execute(
            text(_ITEMS),
            {
                "photo": photo,
                "photos": PHOTOS,
                "cutouts": CUTOUTS,
                "masters": MASTERS,
                "renditions": list(RENDITIONS.values()),
            },
        ).all()
        renditions = [row.output_id for row in made if row.asset in RENDITIONS.values()]
        out = connection.execute(
            text(_PUBLISHED),
            {"published": PUBLISHED, "renditions": [one for one in renditions if one is not None]},
        ).all()
        items = sorted(
            ({name: row._mapping[name] for name in _SHOWN} for row in (*made, *out)),
            key=lambda item: (_ORDER[item["asset"]], item["key"]),
        )
        published = [f"{row.root}:{row.path}" for row in out if row.path and row.state != "retired"]
        return PhotoStatus(
            photo,
            photo_name(photo).number,
            _sentence(connection, photo, items, len(published), original),
            items,
            [dict(row._mapping) for row in connection.execute(text(_UPLOADS), {"photo": photo})],
            decisions.history(connection, CUTOUTS, photo),
            published,
            original,
        )


_SHOWN = ("asset", "key", "state", "waiting_for", "error")


def _sentence(
    connection: Connection, photo: str, items: list[dict[str, Any]], published: int, original: str | None
) -> str:
    retired = connection.execute(
        text("select who, reason from product_images.retired_products where product_number = :number"),
        {"number": photo_name(photo).number},
    ).first()
    stays = f"; {_files(published)} published" if published else ""
    if retired is not None:
        return f"{photo}: its product is retired by {retired.who}: {retired.reason}{stays}."
    cutout = next((item for item in items if item["asset"] == CUTOUTS), None)
    if cutout is None:
        return f"{photo} is taken in; the next run cuts it out{stays}."
    if cutout["state"] != "current":
        return f"{photo} {_NOT_CUT[cutout['state']].format(**cutout)}{stays}."
    said = connection.execute(
        text(
            "select v.verdict, v.who, v.reason, v.decided_at from ledger.items i join ledger.outputs m using (output_id)"
            " left join ledger.verdicts v on v.stage = i.asset and v.subject = i.key"
            " and v.content_hash = m.content_hash where i.asset = :asset and i.key = :photo"
        ),
        {"asset": CUTOUTS, "photo": photo},
    ).one()
    if said.verdict is None:
        return f"{photo} waits for an approval in {REVIEW}/{stays}."
    by = f"by {said.who} on {said.decided_at.astimezone():%Y-%m-%d %H:%M}"
    why = f": {said.reason}" if said.reason else ""
    if said.verdict == "reject":
        return f"{photo} is rejected {by}{why}; its original is in {original}{stays}."
    bad = [item for item in items if item["state"] in ("failed", "quarantined")]
    trouble = f"; {bad[0]['key']} is {bad[0]['state']}: {bad[0]['error']}" if bad else ""
    return f"{photo} is approved {by}{why}; {_files(published)} published{trouble}."


_NOT_CUT = {
    "waiting": "waits for {waiting_for}",
    "pending": "is taken in; the next run cuts it out",
    "failed": "could not be cut out and is tried again: {error}",
    "quarantined": f"could not be cut out and is in {REVIEW_FAILED}/: {{error}}",
    "retired": "is no longer wanted",
}


def _files(count: int) -> str:
    return {0: "no file is", 1: "1 file is"}.get(count, f"{count:,} files are")
