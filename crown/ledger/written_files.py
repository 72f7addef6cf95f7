"""What we last wrote at which path, for files that are shown to people beside being made.

`intend` is committed before a file gets its name, `record` after: a crash between the two leaves no file of ours
that looks like a person's.
"""

from __future__ import annotations

from sqlalchemy import Engine, text


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
    """Say that nothing of ours stands at a path any more."""
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
    """Paths below a folder where something of ours stands, with the hashes it may have."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select path, content_hash, intended from ledger.files"
                " where root = :root and starts_with(path, :folder)"
            ),
            {"root": root, "folder": folder.rstrip("/") + "/"},
        )
        return {row.path: frozenset({row.content_hash, row.intended} - {None}) for row in rows}
