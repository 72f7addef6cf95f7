"""Where everything stands, for the start page and `crown status`: departments, their assets in flow order, what waits.

Read-only. How it looks is the page's and the command's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

from crown.art_records import standing
from crown.ledger.counts import STATES, by_state

#: The departments in the order people read them, by the prefix of their asset keys.
DEPARTMENTS = {
    "product_images": "Product images",
    "product_data": "Product data",
    "photo_library": "Photo library",
    "motion_jobs": "Motion jobs",
    "art_records": "Art records",
    "devices": "Devices",
}
#: Departments that are shown before they have anything, with what to do then.
FIRST_STEPS = {
    "product_images": "Put a picture into the inbox; what becomes of it appears here.",
    "art_records": "Put the exports of the art base into their folder; the records appear here.",
}
#: Assets in the order in which work passes through them; others follow by name.
FLOW = (
    "product_images/inbox_photos",
    "product_images/photos",
    "product_images/texts",
    "product_images/cutouts",
    "product_images/masters",
    "product_images/renditions",
    "product_images/compliance",
    "product_images/production",
    "art_records/prints",
    "art_records/distributors",
    "art_records/editions",
)


@dataclass
class Department:
    """One department's items by asset and state.

    Attributes:
        name: prefix of its asset keys.
        title: for people.
        assets: counts of each state, by the rest of the asset's key, in flow order.
    """

    name: str
    title: str
    assets: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def totals(self) -> dict[str, int]:
        """Items by state over all assets."""
        return {state: sum(counts[state] for counts in self.assets.values()) for state in STATES}

    @property
    def first_step(self) -> str:
        """What to do when it has nothing yet."""
        return FIRST_STEPS.get(self.name, "")


@dataclass(frozen=True)
class Waiting:
    """What waits for one thing."""

    asset: str
    waiting_for: str
    items: int
    since: datetime


def departments(connection: Connection) -> list[Department]:
    """The departments in reading order: those that have items, and those one can begin with."""
    counts = by_state(connection)
    for asset, records in standing.records(connection).items():
        counts[asset] = dict.fromkeys(STATES, 0) | {"current": records}
    for one in standing.waiting(connection):
        counts.setdefault(one.asset, dict.fromkeys(STATES, 0))["waiting"] += one.items
    found = {name: Department(name, DEPARTMENTS[name]) for name in FIRST_STEPS}
    for asset in sorted(counts, key=_place):
        name, _, kind = asset.partition("/")
        title = DEPARTMENTS.get(name, name.replace("_", " ").capitalize())
        found.setdefault(name, Department(name, title)).assets[kind or name] = counts[asset]
    order = list(DEPARTMENTS)
    return sorted(found.values(), key=lambda it: (order.index(it.name) if it.name in order else 99, it.name))


def waiting(connection: Connection, limit: int = 30) -> Sequence[Waiting]:
    """What waits, by asset and for what, most first."""
    rows = connection.execute(
        text(
            "select asset, waiting_for, count(*) as items, min(changed_at) as since from ledger.items"
            " where state = 'waiting' group by asset, waiting_for"
        )
    )
    found = [Waiting(**row._mapping) for row in rows]
    found += [
        Waiting(one.asset, one.waiting_for, one.items, one.since) for one in standing.waiting(connection)
    ]
    return sorted(found, key=lambda one: (-one.items, one.asset))[:limit]


def _place(asset: str) -> tuple[int, str]:
    for place, known in enumerate(FLOW):
        if asset == known or asset.startswith(f"{known}/"):
            return place, asset
    return len(FLOW), asset
