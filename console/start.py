"""`/console/`: where everything stands, what is in trouble and what waits for a person. Read-only."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import RedirectResponse, Response

from console.pages import page
from crown.ledger.counts import STATES, by_state, troubles

router = APIRouter(include_in_schema=False)

#: The departments in the order people read them, by the prefix of their asset keys.
DEPARTMENTS = {
    "product_images": "Product images",
    "product_data": "Product data",
    "photo_library": "Photo library",
    "motion_jobs": "Motion jobs",
    "art_records": "Art records",
    "devices": "Devices",
}
_TROUBLES_SHOWN = 12
#: The columns; what is most looked for first, since a phone shows no more.
_SHOWN = ("current", "pending", "waiting", "failed", "quarantined")


@dataclass
class Department:
    """One department's items by asset and state."""

    name: str
    title: str
    assets: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def totals(self) -> dict[str, int]:
        """Items by state over all assets."""
        return {state: sum(counts[state] for counts in self.assets.values()) for state in STATES}


@router.get("/console")
def without_slash() -> Response:
    """The page's own address ends with a slash."""
    return RedirectResponse("/console/", 308)


@router.get("/console/")
def start(request: Request) -> Response:
    """The page; when the database is away it says so, with 503."""
    try:
        with request.app.state.engine.connect() as connection:
            counts = by_state(connection)
            trouble = troubles(connection, limit=_TROUBLES_SHOWN)
            waiting = _waiting(connection)
    except SQLAlchemyError:
        return page(request, "no_database.html", {}, 503)
    departments = _departments(counts)
    broken = sum(
        department.totals[state] for department in departments for state in ("failed", "quarantined")
    )
    return page(
        request,
        "start.html",
        {
            "departments": departments,
            "states": _SHOWN,
            "troubles": trouble,
            "more_troubles": max(0, broken - len(trouble)),
            "waiting": waiting,
        },
    )


def _departments(counts: dict[str, dict[str, int]]) -> list[Department]:
    found: dict[str, Department] = {}
    for asset, states in counts.items():
        name, _, kind = asset.partition("/")
        title = DEPARTMENTS.get(name, name.replace("_", " ").capitalize())
        found.setdefault(name, Department(name, title)).assets[kind or name] = states
    order = list(DEPARTMENTS)
    return sorted(found.values(), key=lambda it: (order.index(it.name) if it.name in order else 99, it.name))


def _waiting(connection: Connection) -> list[dict[str, object]]:
    """What waits, by asset and for what, most first."""
    rows = connection.execute(
        text(
            "select asset, waiting_for, count(*) as items, min(changed_at) as since from ledger.items"
            " where state = 'waiting' group by asset, waiting_for order by items desc, asset limit 30"
        )
    )
    return [dict(row._mapping) for row in rows]
