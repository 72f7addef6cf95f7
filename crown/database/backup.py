"""Saves the database into a folder, and brings it back only when every figure agrees.

A dump by pg_dump, and its figures of the same snapshot. The originals and the manifest that holds it all
together are in crown/database/backup_folder.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, text

from crown.database.contents import Contents, differences, read_contents
from crown.database.engine import check_server, connect
from crown.database.migrations import known_revisions, migrate
from crown.database.programs import find_program, major_of, run_program
from crown.database.swap import (
    beside,
    database_name,
    drop,
    exchange,
    maintenance,
    make_scratch,
    own_settings,
    refuse_users,
)
from crown.errors import BadInput, ConfigurationError

DUMP = "database.dump"
#: Dagster's own history, which may be left out: our lineage does not need it.
DAGSTER = "dagster"


class SavedDatabase(BaseModel):
    """What a dump is and holds: the part of a manifest that speaks of the database."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dump: str
    bytes: int
    sha256: str
    server: str
    pg_dump: int
    with_dagster: bool
    contents: Contents


@dataclass(frozen=True)
class Restored:
    """What a restore did: rows compared, revision reached, name of the database kept, what was not carried."""

    rows: int
    tables: int
    revision: str
    kept: str | None
    not_carried: tuple[str, ...]


def save_database(url: str, folder: Path, *, with_dagster: bool = True) -> SavedDatabase:
    """Dump the database at `url` into `folder`, with the figures of the very same snapshot.

    Others may go on writing; they wait for nothing.

    Raises:
        CrownError: pg_dump failed.
        ConfigurationError: no pg_dump is new enough for this server.
    """
    without = () if with_dagster else (DAGSTER,)
    path = folder / DUMP
    engine = connect(url, pool_size=1)
    try:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            server = str(connection.execute(text("show server_version")).scalar_one())
            program = find_program("pg_dump", int(server.partition(".")[0]))
            snapshot = connection.execute(text("select pg_export_snapshot()")).scalar_one()
            contents = read_contents(connection, without)
            run_program(
                program,
                [
                    "--format=custom", "--no-password", "--lock-wait-timeout=60000", f"--file={path}",
                    f"--snapshot={snapshot}", *(f"--exclude-schema={schema}" for schema in without),
                ],
                url,
                "Saving the database",
            )  # fmt: skip
            connection.rollback()
    finally:
        engine.dispose()
    return SavedDatabase(
        dump=DUMP,
        bytes=path.stat().st_size,
        sha256=_sha256(path),
        server=server,
        pg_dump=major_of(program),
        with_dagster=with_dagster,
        contents=contents,
    )


def check_dump(folder: Path, saved: SavedDatabase) -> Path:
    """The dump's path, after comparing its bytes and reading its table of contents.

    Raises:
        BadInput: it is missing, damaged, or made by a newer Crown.
    """
    path = folder / saved.dump
    if path.parent != folder or not path.is_file():
        raise BadInput(f"{path} is missing; the backup is not complete.")
    if path.stat().st_size != saved.bytes or _sha256(path) != saved.sha256:
        raise BadInput(f"{path} is damaged: its bytes are not those that were saved; use another backup.")
    if saved.contents.revision is not None and saved.contents.revision not in known_revisions():
        raise BadInput(
            f"{path} is at revision {saved.contents.revision}, which this program does not know; "
            "install the newer Crown that made it."
        )
    return path


def restore_database(
    url: str,
    folder: Path,
    saved: SavedDatabase,
    *,
    dry_run: bool = False,
    with_grants: bool = True,
    look: Callable[[str], None] = lambda _: None,
    before_exchange: Callable[[], None] = lambda: None,
) -> Restored:
    """Restore into a scratch database, compare, migrate, and only then exchange it for the one at `url`.

    Args:
        url: the database to replace; it must exist, empty or not.
        folder: where the dump is.
        saved: what the manifest says of it.
        dry_run: stop before the exchange and drop the scratch database.
        with_grants: also restore grants to other roles, which must exist.
        look: called with the scratch database's address when it agrees and is at the newest revision.
        before_exchange: called when everything agrees and nothing has been replaced yet.

    Returns:
        The name under which the replaced database is kept; None after a dry run.

    Raises:
        BadInput: the dump is damaged, or the restored figures are not those of the manifest.
        Refused: others are connected to the database, or another restore is under way.
        CrownError: pg_restore failed.
    """
    path = check_dump(folder, saved)
    live = database_name(url)
    with maintenance(url) as connection:
        _refuse_older_server(connection, saved)
        if not dry_run:
            refuse_users(connection, live)
        scratch = make_scratch(connection, live)
        try:
            target = beside(url, scratch)
            _fill(target, path, saved, with_grants=with_grants)
            revision = _compare_and_migrate(target, saved)
            look(target)
            notes = tuple(own_settings(connection, live))
            kept = None
            if not dry_run:
                before_exchange()
                kept = exchange(url, scratch)
        finally:
            drop(connection, scratch)
    contents = saved.contents
    return Restored(contents.rows, len(contents.tables), revision, kept, notes)


def _refuse_older_server(connection: Connection, saved: SavedDatabase) -> None:
    """What a newer server wrote, an older one may not read."""
    major = int(connection.execute(text("show server_version_num")).scalar_one()) // 10000
    newer = int(saved.server.partition(".")[0])
    if newer > major:
        raise ConfigurationError(
            f"The backup comes from PostgreSQL {newer}, the server is PostgreSQL {major}; restore it into a server of"
            f" version {newer} or later."
        )


def _fill(target: str, path: Path, saved: SavedDatabase, *, with_grants: bool) -> None:
    program = find_program("pg_restore", saved.pg_dump)
    arguments = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-password"]
    if not with_grants:
        arguments.append("--no-privileges")
    run_program(
        program, [*arguments, f"--dbname={database_name(target)}", str(path)], target, f"Restoring {path}"
    )


def _compare_and_migrate(target: str, saved: SavedDatabase) -> str:
    engine = connect(target, pool_size=2)
    try:
        check_server(engine)
        with engine.connect() as connection:
            found = read_contents(connection, () if saved.with_dagster else (DAGSTER,))
            connection.rollback()
        if different := differences(saved.contents, found):
            more = f" and {len(different) - 3} more differences" if len(different) > 3 else ""
            raise BadInput(
                f"The restored database is not what the manifest says: {'; '.join(different[:3])}{more}. "
                "Nothing was replaced; use another backup."
            )
        return migrate(engine)
    finally:
        engine.dispose()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
