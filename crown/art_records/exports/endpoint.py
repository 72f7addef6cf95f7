"""Airtable as a source with a cursor: whether something was changed since the last fetch, and fetching with its time.

The cursor is the server's own time at the beginning of the last fetch, committed with the files that it brought. After
a failure the API is left alone for a while that grows; the ledger holds until when.
Does not belong here: requests (`live.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from crown.art_records.workspace import DEPARTMENT, Workspace
from crown.errors import SourceOutage
from crown.flow.endpoint import Asked
from crown.ledger import cursors, resources

_FIRST_PAUSE, _LONGEST_PAUSE = 60, 3600
"""Seconds; after a 429 Airtable wants 30 of silence."""


def source(workspace: Workspace) -> str:
    """The name of the base's cursor."""
    return f"{DEPARTMENT}/airtable:{workspace.settings.art_records.airtable_base}"


def ask(workspace: Workspace) -> Asked:
    """Ask for changes since the last fetch, unless the API is left alone for a while.

    Raises:
        SourceOutage: it is busy or fails; it is left alone from now on.
        SystemicFailure: the token is refused.
    """
    from crown.art_records.exports.live import SOURCE, TABLES, changed_since

    with workspace.engine.connect() as connection:
        left_alone = resources.closed(connection, [SOURCE])
        cursor = cursors.read(connection, source(workspace))
    if left_alone:
        return Asked((), cursor.version, left_alone[0].closed_until, left_alone[0].error)
    if not cursor.version:
        return Asked(tuple(TABLES))
    settings = workspace.settings.art_records
    try:
        changed = changed_since(
            workspace.token(),
            settings.airtable_base,
            cursor.position["asked_at"],
            endpoint_url=settings.airtable_url,
        )
    except SourceOutage as error:
        _leave_alone(workspace, error)
        raise
    _forget_failures(workspace)
    return Asked(tuple(changed), cursor.version)


def fetch(workspace: Workspace, run_id: str | None = None) -> tuple[int, Callable[[Connection], None]]:
    """Fetch the base into the exports folder: how many tables, and what advances the cursor.

    The second is called in the transaction that enters the fetched files. A fetch has the API left alone when it
    fails, as `ask` does.
    """
    if not workspace.settings.art_records.airtable_base:
        return 0, lambda _: None
    times: list[str] = []
    with workspace.engine.connect() as connection:
        before = cursors.read(connection, source(workspace))
    try:
        paths = workspace.fetch(times.append)
    except SourceOutage as error:
        _leave_alone(workspace, error)
        raise
    _forget_failures(workspace)

    def advance(connection: Connection) -> None:
        if times:
            cursors.advance(connection, before, {"asked_at": times[0]}, run_id=run_id)

    return len(paths), advance


def _failures(workspace: Workspace) -> str:
    return f"{source(workspace)}/failures"


def _leave_alone(workspace: Workspace, error: SourceOutage) -> None:
    with workspace.engine.begin() as connection:
        before = cursors.read(connection, _failures(workspace))
        count = before.position.get("in_a_row", 0)
        cursors.advance(connection, before, {"in_a_row": count + 1})
        pause = max(error.retry_after or 0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**count))
        resources.close(connection, error.source, pause, str(error))


def _forget_failures(workspace: Workspace) -> None:
    with workspace.engine.begin() as connection:
        before = cursors.read(connection, _failures(workspace))
        if before.position.get("in_a_row"):
            cursors.advance(connection, before, {"in_a_row": 0})
