"""One department's part of the database: its schema emptied, or written to a folder that other programs can read.

Which schema is whose, and which rows of shared tables, is said by the caller.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, text

from crown.database.engine import connect
from crown.database.programs import find_program, run_program
from crown.errors import ConfigurationError, Refused
from crown.store.files import systemic_errors

TABLES = "tables.dump"


def rows_of(connection: Connection, schema: str) -> dict[str, int]:
    """Rows by table of a schema; empty when there is no such schema."""
    names = connection.execute(
        text(
            "select quote_ident(n.nspname) || '.' || quote_ident(c.relname) from pg_class c"
            " join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p') and not c.relispartition"
            " and n.nspname = :schema order by 1"
        ),
        {"schema": schema},
    ).scalars()
    return {
        name: connection.execute(text(f"select count(*) from {name}")).scalar_one() for name in names.all()
    }


def without_triggers(connection: Connection) -> None:
    """Let this transaction remove what triggers and foreign keys keep; the caller removes both sides.

    Raises:
        Refused: the role is no superuser.
    """
    if connection.execute(text("select current_setting('is_superuser')")).scalar_one() != "on":
        raise Refused(
            "Emptying a department needs a superuser's role in PostgreSQL; `crown db reset --apply` empties all without."
        )
    connection.execute(text("set local session_replication_role = replica"))


def empty(connection: Connection, schema: str) -> None:
    """Empty every table of a schema in the caller's transaction; numbering begins anew."""
    if tables := rows_of(connection, schema):
        connection.execute(text(f"truncate {', '.join(tables)} restart identity"))


def dump(url: str, target: Path, department: str, schema: str, shared: Mapping[str, str]) -> Path:
    """Write one department into a new folder under `target`; all of it shows the same moment.

    Args:
        url: our database.
        target: made when missing.
        department: gives the folder its name, with the time.
        schema: dumped by pg_dump into tables.dump, when it is there.
        shared: rows of tables that departments share, as CSV: the condition by table, with its values written in.

    Raises:
        ConfigurationError: the folder is there already.
        CrownError: pg_dump failed; nothing is left under the folder's name.
    """
    final = target.expanduser().absolute() / f"{department}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if final.exists():
        raise ConfigurationError(f"{final} is there already; try again in a second.")
    unfinished = final.with_name(f".{final.name}-{os.getpid()}.partial")
    engine = connect(url, pool_size=1)
    try:
        with (
            systemic_errors(f"Writing into {target}"),
            closing(engine.connect().execution_options(isolation_level="REPEATABLE READ")) as connection,
        ):
            unfinished.mkdir(parents=True, mode=0o700)
            server = str(connection.execute(text("show server_version")).scalar_one())
            if rows_of(connection, schema):
                snapshot = connection.execute(text("select pg_export_snapshot()")).scalar_one()
                run_program(
                    find_program("pg_dump", int(server.partition(".")[0])),
                    ["--format=custom", "--no-password", "--lock-wait-timeout=60000", f"--schema={schema}",
                     f"--snapshot={snapshot}", f"--file={unfinished / TABLES}"],
                    url,
                    f"Saving {department}",
                )  # fmt: skip
            for table, condition in shared.items():
                _copy(connection, f"select * from {table} where {condition}", unfinished / f"{table}.csv")
            unfinished.rename(final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        engine.dispose()
    return final


def _copy(connection: Connection, query: str, path: Path) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None
    statement = f"copy ({query}) to stdout with (format csv, header true)"
    with path.open("wb") as stream, driver.cursor() as cursor, cursor.copy(statement) as rows:
        for block in rows:
            stream.write(block)
