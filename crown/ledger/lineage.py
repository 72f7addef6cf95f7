"""Lineage: from any making back to what it was made of, and forward to what was made of it.

Exact at the level of files and rows, and independent of Dagster's own history.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

_MAKING = """
    m.making_id, m.asset, m.key, m.content_hash, m.root, m.path, m.size_bytes, m.recipe, r.name as recipe_name,
    r.body as recipe_body, m.run_id, m.seconds, m.facts, m.versions, m.made_at, m.present, m.fingerprint,
    d.decision_id, d.verdict, d.reason, d.who, d.via, d.decided_at
"""
_JOINED = (
    "join ledger.makings m using (making_id) join ledger.recipes r using (recipe) "
    "left join ledger.decisions d using (decision_id)"
)


def find(
    connection: Connection,
    *,
    root: str | None = None,
    path: str | None = None,
    content_hash: str | None = None,
) -> list[int]:
    """Makings that stand, or stood, at a path, or have these bytes; newest first."""
    return list(
        connection.execute(
            text(
                "select making_id from ledger.makings where (cast(:root as text) is null or root = :root)"
                " and (cast(:path as text) is null or path = :path)"
                " and (cast(:content_hash as text) is null or content_hash = :content_hash)"
                " order by making_id desc"
            ),
            {"root": root, "path": path, "content_hash": content_hash},
        ).scalars()
    )


def back(connection: Connection, making_id: int) -> list[dict[str, Any]]:
    """The making and everything it was made of, nearest first, each with recipe and decision."""
    return _walk(connection, making_id, "input_id", "making_id")


def forward(connection: Connection, making_id: int) -> list[dict[str, Any]]:
    """The making and everything that was made of it, nearest first."""
    return _walk(connection, making_id, "making_id", "input_id")


def _walk(connection: Connection, making_id: int, to: str, origin: str) -> list[dict[str, Any]]:
    rows = connection.execute(
        text(
            "with recursive reached as (select cast(:start as bigint) as making_id, 0 as distance"
            f" union select e.{to}, reached.distance + 1 from reached"
            f" join ledger.making_inputs e on e.{origin} = reached.making_id),"
            " nearest as (select making_id, min(distance) as distance from reached group by making_id)"
            f" select n.distance, {_MAKING} from nearest n {_JOINED} order by n.distance, m.asset, m.key"
        ),
        {"start": making_id},
    )
    return [dict(row._mapping) for row in rows]
