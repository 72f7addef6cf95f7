"""Lineage: from any output back to what it was made of, and forward to what was made of it.

Exact at the level of files and rows, and independent of Dagster's own history.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

_OUTPUT = """
    m.output_id, m.asset, m.key, m.content_hash, m.root, m.path, m.size_bytes, m.recipe, r.name as recipe_name,
    r.body as recipe_body, m.run_id, m.seconds, m.facts, m.versions, m.made_at, m.present, m.fingerprint,
    d.decision_id, d.verdict, d.reason, d.who, d.via, d.decided_at
"""
_JOINED = (
    "join ledger.outputs m using (output_id) join ledger.recipes r using (recipe) "
    "left join ledger.decisions d using (decision_id)"
)


def find(
    connection: Connection,
    *,
    root: str | None = None,
    path: str | None = None,
    content_hash: str | None = None,
) -> list[int]:
    """Outputs that are, or were, at a path, or have these bytes; newest first."""
    return list(
        connection.execute(
            text(
                "select output_id from ledger.outputs where (cast(:root as text) is null or root = :root)"
                " and (cast(:path as text) is null or path = :path)"
                " and (cast(:content_hash as text) is null or content_hash = :content_hash)"
                " order by output_id desc"
            ),
            {"root": root, "path": path, "content_hash": content_hash},
        ).scalars()
    )


def back(connection: Connection, output_id: int) -> list[dict[str, Any]]:
    """The output and everything it was made of, nearest first, each with recipe and decision.

    `roles` says as what each was an input of the others (`cutouts`, `masters`); empty for the output itself.
    """
    return _walk(connection, output_id, "input_id", "output_id")


def forward(connection: Connection, output_id: int) -> list[dict[str, Any]]:
    """The output and everything that was made of it, nearest first; `roles` are those of the inputs it took of these."""
    return _walk(connection, output_id, "output_id", "input_id")


def _walk(connection: Connection, output_id: int, to: str, origin: str) -> list[dict[str, Any]]:
    rows = connection.execute(
        text(
            "with recursive reached as (select cast(:start as bigint) as output_id, 0 as distance"
            f" union select e.{to}, reached.distance + 1 from reached"
            f" join ledger.output_inputs e on e.{origin} = reached.output_id),"
            " nearest as (select output_id, min(distance) as distance from reached group by output_id)"
            f" select n.distance, {_OUTPUT}, array(select distinct e.role from ledger.output_inputs e"
            f" join nearest o on o.output_id = e.{origin} where e.{to} = n.output_id and e.role is not null"
            f" order by e.role) as roles from nearest n {_JOINED} order by n.distance, m.asset, m.key"
        ),
        {"start": output_id},
    )
    return [dict(row._mapping) for row in rows]
