"""Preview: what the next run would make, with products, bytes and minutes, before anything is made.

The ledger's own planning is run and rolled back, so that a preview can never differ from the plan.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text

from crown.ledger import planning, recipes
from crown.product_images import stages
from crown.product_images.room import ASSETS, Room


@dataclass(frozen=True)
class Preview:
    """What a run would do to one asset; sizes and times are judged by what was made before."""

    asset: str
    to_make: int
    to_wait: int
    to_retire: int
    products: int
    megabytes: float | None
    minutes: float | None
    keys: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


_SUMMARY = """
    select count(*) as to_make,
           count(distinct case when :asset = 'product_images/production' then split_part(key, '/', 1)
                 else regexp_replace(split_part(split_part(key, '@', 1), '/', 1), '_[0-9]+$', '') end) as products,
           (array_agg(key order by key))[1:100] as keys
    from ledger.items where asset = :asset and claim_id is null and state in ('pending', 'failed')
"""
_BEFORE = """
    select avg(size_bytes) as bytes, avg(seconds) as seconds from (
        select size_bytes, seconds from ledger.makings where asset = :asset order by making_id desc limit 500) newest
"""


def preview(room: Room) -> list[Preview]:
    """What a run would do now, asset by asset; nothing is changed.

    Items that will be wanted only after an earlier stage has run are not counted yet.
    """
    found = []
    with room.engine.connect() as connection:
        try:
            for asset in ASSETS:
                found.append(_one(connection, room, asset))
        finally:
            connection.rollback()
    return [row for row in found if row.to_make or row.to_wait or row.to_retire]


def _one(connection: Connection, room: Room, asset: str) -> Preview:
    stage = stages.stage(room, asset)
    recipes.register(connection, stage.recipes)
    plan = planning.plan(connection, asset, stage.wanted, stage.parameters)
    due = connection.execute(text(_SUMMARY), {"asset": asset}).one()
    before = connection.execute(text(_BEFORE), {"asset": asset}).one()
    return Preview(
        asset,
        due.to_make,
        plan.waiting,
        plan.retired,
        due.products,
        None if before.bytes is None else round(due.to_make * float(before.bytes) / 1e6, 2),
        None
        if before.seconds is None
        else round(due.to_make * float(before.seconds) / 60 / room.settings.workers, 2),
        tuple(due.keys or ()),
    )
