"""What we last wrote at which path, for files that are shown to people beside being made.

`intend` is committed before a file gets its name, `record` after: a crash between the two leaves no file of ours
that looks like a person's.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, text

from crown.ledger import planning


def intend(engine: Engine, root: str, path: str, content_hash: str) -> frozenset[str]:
    """Say what is about to be written at a path; returns the hashes that are ours there."""
    with engine.begin() as connection:
        row = connection.execute(
            text(
                "insert into ledger.files (root, path, intended) values (:root, :path, :hash)"
                " on conflict (root, path) do update set intended = excluded.intended"
                " returning content_hash, intended"
            ),
            {"root": root, "path": path, "hash": content_hash},
        ).one()
    return frozenset({row.content_hash, row.intended} - {None})


def record(engine: Engine, root: str, path: str, content_hash: str) -> None:
    """Say what was written at a path."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "update ledger.files set content_hash = :hash, intended = null, written_at = clock_timestamp()"
                " where root = :root and path = :path"
            ),
            {"root": root, "path": path, "hash": content_hash},
        )


def forget(engine: Engine, root: str, path: str) -> None:
    """Record that no file of ours is at a path any more."""
    with engine.begin() as connection:
        connection.execute(
            text("delete from ledger.files where root = :root and path = :path"), {"root": root, "path": path}
        )


def standing(engine: Engine, root: str, folder: str) -> set[str]:
    """Paths below a folder where something of ours was written, not only about to be."""
    with engine.connect() as connection:
        return set(
            connection.execute(
                text(
                    "select path from ledger.files where root = :root and starts_with(path, :folder)"
                    " and content_hash is not null"
                ),
                {"root": root, "folder": folder.rstrip("/") + "/"},
            ).scalars()
        )


def below(engine: Engine, root: str, folder: str) -> dict[str, frozenset[str]]:
    """Paths below a folder with a file of ours, with the hashes it may have."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select path, content_hash, intended from ledger.files"
                " where root = :root and starts_with(path, :folder)"
            ),
            {"root": root, "folder": folder.rstrip("/") + "/"},
        )
        return {row.path: frozenset({row.content_hash, row.intended} - {None}) for row in rows}


def mark_removed(connection: Connection, output_ids: Sequence[int]) -> None:
    """Say that the files of these outputs are not there any more, or are a person's now."""
    connection.execute(
        text(
            "with given as (select * from unnest(cast(:ids as bigint[])) as output_id),"
            " gone as (delete from ledger.files f using given g where f.output_id = g.output_id)"
            " update ledger.outputs m set present = false from given g where m.output_id = g.output_id"
        ),
        {"ids": list(output_ids)},
    )


def forget_root(connection: Connection, root: str) -> None:
    """Say that everything of ours under a root is gone; what is wanted of it is made again."""
    lost = connection.execute(
        text("select output_id from ledger.outputs where root = :root and present"), {"root": root}
    ).scalars()
    planning.mark_lost(connection, list(lost))
    connection.execute(text("delete from ledger.files where root = :root"), {"root": root})
