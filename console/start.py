"""`/console/`: the status of every department, failures and what waits for a person. Read-only."""

from __future__ import annotations

from fastapi import APIRouter, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import RedirectResponse, Response

from console.pages import page
from crown import departments
from crown.journal import attention
from crown.ledger.counts import troubles

router = APIRouter(include_in_schema=False)

_TROUBLES_SHOWN = 12
_REFUSED_SHOWN = 12
_WAITING_SHOWN = 30
#: The columns; what is most looked for first.
_SHOWN = ("current", "pending", "waiting", "failed", "quarantined")


@router.get("/console")
def without_slash() -> Response:
    """The page's own address ends with a slash."""
    return RedirectResponse("/console/", 308)


@router.get("/console/")
def start(request: Request) -> Response:
    """The page; when the database is away it says so, with 503."""
    try:
        with request.app.state.engine.connect() as connection:
            found = departments.summaries(connection, request.app.state.settings)
            trouble = troubles(connection, limit=_TROUBLES_SHOWN)
            failed_jobs = attention.failed_jobs(connection)
            refused = attention.refused_files(connection, limit=_REFUSED_SHOWN + 1)
    except SQLAlchemyError:
        return page(request, "no_database.html", {}, 503)
    held = sorted((one for summary in found for one in summary.held), key=lambda one: -one.items)
    waiting = sorted((one for summary in found for one in summary.waiting), key=lambda one: -one.items)
    return page(
        request,
        "start.html",
        {
            "broken": request.app.state.health.look(),
            "departments": found,
            "states": _SHOWN,
            "troubles": trouble,
            "more_troubles": max(0, sum(summary.broken for summary in found) - len(trouble)),
            "waiting": waiting[:_WAITING_SHOWN],
            "held": held[:_WAITING_SHOWN],
            "failed_jobs": failed_jobs,
            "refused": refused[:_REFUSED_SHOWN],
            "more_refused": len(refused) > _REFUSED_SHOWN,
            "days": attention.DAYS,
        },
    )
