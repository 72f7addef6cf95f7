"""Cursors of outside sources: the position read so far, committed with the rows read.

The meaning of a position (a token, a time, a page) belongs to the source; it is stored as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import ClaimLost


@dataclass(frozen=True)
class Cursor:
    """How far a source was read. `version` counts the advances; it is 0 before the first one."""

    source: str
    position: Mapping[str, Any]
    version: int
    advanced_at: datetime | None = None
    run_id: str | None = None


def read(connection: Connection, source: str) -> Cursor:
    """The cursor of a source, such as `art_records/airtable:appXYZ`; an empty position before the first advance."""
    row = connection.execute(
        text(
            "select source, position, version, advanced_at, run_id from ledger.cursors where source = :source"
        ),
        {"source": source},
    ).one_or_none()
    return Cursor(source, {}, 0) if row is None else Cursor(**row._mapping)


def advance(
    connection: Connection, before: Cursor, position: Mapping[str, Any], *, run_id: str | None = None
) -> Cursor:
    """Advance a cursor in the transaction that stores what was read, so that both or neither are stored.

    Args:
        connection: the open transaction of what was brought.
        before: the cursor as it was read before asking the source.
        position: where the next read begins.
        run_id: the Dagster run.

    Raises:
        ClaimLost: another run has advanced it meanwhile; nothing of this transaction may be committed.
    """
    row = connection.execute(
        text(
            "insert into ledger.cursors as c (source, position, version, run_id)"
            " select :source, cast(:position as jsonb), 1, :run_id where :version = 0"
            " on conflict (source) do nothing returning source, position, version, advanced_at, run_id"
            if before.version == 0
            else "update ledger.cursors set position = cast(:position as jsonb), version = version + 1,"
            " advanced_at = clock_timestamp(), run_id = :run_id where source = :source and version = :version"
            " returning source, position, version, advanced_at, run_id"
        ),
        {
            "source": before.source,
            "position": json.dumps(dict(position)),
            "version": before.version,
            "run_id": run_id,
        },
    ).one_or_none()
    if row is None:
        raise ClaimLost(
            f"The cursor of {before.source} was advanced by another run; what this one read is dropped."
        )
    return Cursor(**row._mapping)


def all_cursors(connection: Connection) -> list[Cursor]:
    """Every cursor by source."""
    rows = connection.execute(
        text("select source, position, version, advanced_at, run_id from ledger.cursors order by source")
    )
    return [Cursor(**row._mapping) for row in rows]
