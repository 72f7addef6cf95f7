"""`crown db`: the database by hand. Saving and bringing back are in crown_cli/platform/backup.py."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crown.errors import Refused
from crown_cli.common.options import apply_option
from crown_cli.common.output import (
    csv_wanted,
    json_option,
    rows_option,
    show_json,
    show_rows,
    size,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection


@click.group()
def db() -> None:
    """The database: serve it, look at it, migrate it, empty it.

    \b
    crown db stats
    crown db upgrade
    crown db migrate
    CROWN_ENVIRONMENT=development crown db reset --apply
    """  # noqa: D301


@db.command(short_help="Run the embedded database in the foreground.")
def serve() -> None:
    """Run the embedded database in the foreground until Ctrl-C, migrated.

    For plain Dagster commands, psql or another tool, without the rest of the platform.

    \b
    crown db serve
    eval "$(crown env)" && dagster dev     # in another terminal
    """  # noqa: D301
    from crown_cli.common.world import current_settings, open_world

    if current_settings().database_url is not None:
        raise Refused("CROWN_DATABASE_URL names a server that runs by itself; there is nothing to serve.")
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    with open_world() as world:
        click.echo(f"The database runs at {world.engine.url.render_as_string()}; stop it with Ctrl-C.")
        over.wait()


@db.command(short_help="Show sizes of the database and its tables.")
@rows_option
def stats(as_json: bool) -> None:
    """Show the size of the database, and rows and bytes of its largest tables.

    \b
    crown db stats
    crown db stats --json | jq .tables[0]
    crown db stats --csv > tables.csv
    """  # noqa: D301
    from sqlalchemy import text

    from crown.database.engine import check_server
    from crown_cli.common.world import open_world

    with open_world() as world, world.engine.connect() as connection:
        whole = connection.execute(text("select pg_database_size(current_database())")).scalar_one()
        revision = connection.execute(text("select version_num from alembic_version")).scalar_one()
        rows = connection.execute(text(_SIZES)).mappings().all()
        answer = {
            "postgresql": check_server(world.engine),
            "revision": revision,
            "bytes": whole,
            "kept": _kept(connection, world.database_url),
            "tables": [dict(row) for row in rows],
        }
    if as_json:
        show_json(answer)
        return
    if csv_wanted():
        show_rows(answer["tables"])
        return
    click.echo(f"PostgreSQL {answer['postgresql']}, revision {revision}, {size(whole)}.")
    show_rows([{**row, "bytes": size(row["bytes"])} for row in rows[:25]])
    for name in answer["kept"]:
        click.echo(f"Kept by a restore: {name}; remove it with `crown db drop-kept {name}`.")


def _kept(connection: Connection, url: str) -> list[str]:
    from sqlalchemy import text

    from crown.database.swap import kept_prefix

    query = text("select datname from pg_database where starts_with(datname, :prefix) order by 1")
    return list(connection.execute(query, {"prefix": kept_prefix(url)}).scalars())


_SIZES = """
select n.nspname || '.' || c.relname as "table",
       greatest(c.reltuples, s.n_live_tup)::bigint as about_rows,
       pg_total_relation_size(c.oid) as bytes
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_stat_all_tables s on s.relid = c.oid
where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema')
order by 3 desc, 1
"""


@db.command(short_help="Bring the tables to the newest revision.")
@json_option
def migrate(as_json: bool) -> None:
    """Bring the tables to the newest revision; `crown up` does it too.

    Take a backup first: there is no way back but a restore.

    \b
    crown backup /srv/backups && crown db migrate
    """  # noqa: D301
    from crown.database.engine import connect
    from crown.database.migrations import migrate as to_newest
    from crown.database.opening import serve_database
    from crown_cli.common.world import current_settings

    with serve_database(current_settings()) as url:
        engine = connect(url, pool_size=1)
        try:
            revision = to_newest(engine)
        finally:
            engine.dispose()
    if as_json:
        show_json({"revision": revision})
    else:
        click.echo(f"The tables are at revision {revision}.")


#: Departments whose schema has another name than they.
_SCHEMAS = {"art_records": "art", "motion_jobs": "motion"}


def _department(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    from crown.departments import DEPARTMENTS

    names = [one.name for one in DEPARTMENTS]
    if value not in names:
        raise click.BadParameter(f"{value} is no department; there are {', '.join(names)}", param=parameter)
    return value


@db.command(short_help="Begin with an empty database; only in development.")
@click.argument("department", required=False, callback=_department)
@apply_option
@json_option
def reset(department: str | None, carry_out: bool, as_json: bool) -> None:
    """Empty the database, or one DEPARTMENT of it; only in development.

    Files are left alone: pictures and originals stay where they are, but nothing knows
    them any more. Of a department go its own tables and its rows of the ledger; the
    activity trail and the logs stay. What would go is shown; --apply does it.

    \b
    CROWN_ENVIRONMENT=development crown db reset --apply
    CROWN_ENVIRONMENT=development crown db reset art_records --apply
    """  # noqa: D301
    from crown.database.engine import connect
    from crown.database.migrations import migrate
    from crown.database.opening import serve_database
    from crown.database.swap import database_name, recreate
    from crown_cli.common.world import current_settings

    settings = current_settings()
    if settings.environment != "development":
        raise Refused(
            f"The environment is {settings.environment}; only with CROWN_ENVIRONMENT=development "
            "is a database thrown away."
        )
    if department is not None:
        _reset_department(department, carry_out=carry_out, as_json=as_json)
        return
    with serve_database(settings) as url:
        if carry_out:
            recreate(url)
            engine = connect(url)
            migrate(engine)
            engine.dispose()
    if as_json:
        show_json({"database": database_name(url), "applied": carry_out})
    elif carry_out:
        click.echo("The database is empty and migrated.")
    else:
        click.echo(
            f"Everything in {database_name(url)} would be removed. Nothing was changed; --apply does it."
        )


def _reset_department(department: str, *, carry_out: bool, as_json: bool) -> None:
    from crown.database import department as part
    from crown.ledger import of_department
    from crown_cli.common.world import open_world

    schema = _SCHEMAS.get(department, department)
    with open_world() as world, world.engine.begin() as connection:
        rows = part.rows_of(connection, schema) | of_department.count(connection, department)
        if carry_out:
            part.without_triggers(connection)
            of_department.remove(connection, department)
            part.empty(connection, schema)
    if as_json:
        show_json({"department": department, "applied": carry_out, "rows": rows})
        return
    show_rows(
        [{"table": table, "rows": count} for table, count in rows.items() if count], empty="It has no rows."
    )
    if not (carry_out or any(rows.values())):
        return
    click.echo(
        f"{department} is empty."
        if carry_out
        else "Nothing was changed; repeat with --apply to remove these rows."
    )


@db.command(short_help="Write one department's tables into a folder.")
@click.argument("department", callback=_department)
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@json_option
def dump(department: str, target: Path, as_json: bool) -> None:
    """Write one DEPARTMENT into a new folder under TARGET, for other programs.

    The folder holds its own tables as a dump of pg_dump (tables.dump, for pg_restore)
    and its rows of the ledger, the activity trail and the logs as CSV, all of one
    moment. It is no backup: `crown backup` saves everything, and can be restored.

    \b
    crown db dump art_records /srv/handover
    """  # noqa: D301
    from crown.database import department as part
    from crown.ledger import of_department
    from crown_cli.common.world import open_world

    shared = {
        table: condition.replace(":prefix", f"'{department}/'")
        for table, condition in of_department.ROWS.items()
    }
    shared |= dict.fromkeys(("journal.activity", "logs.records"), f"department = '{department}'")
    with open_world() as world:
        folder = part.dump(
            world.database_url, target, department, _SCHEMAS.get(department, department), shared
        )
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    if as_json:
        show_json({"folder": folder, "files": files})
        return
    show_rows([{"file": name, "size": size(count)} for name, count in files.items()])
    click.echo(f"Written to {folder}.")


@db.command("drop-kept", short_help="Drop a database that a restore kept.")
@click.argument("name")
@apply_option
@json_option
def drop_kept(name: str, carry_out: bool, as_json: bool) -> None:
    """Drop a database that a restore replaced and kept; `crown db stats` lists them.

    \b
    crown db drop-kept crown_before_20250301t020000123 --apply
    """  # noqa: D301
    from crown.database.opening import serve_database
    from crown.database.swap import drop, kept_prefix, maintenance, refuse_users
    from crown_cli.common.world import current_settings

    with serve_database(current_settings()) as url:
        if not name.startswith(kept_prefix(url)):
            raise Refused(f"{name} was not kept by a restore (such names begin with {kept_prefix(url)}).")
        with maintenance(url) as connection:
            refuse_users(connection, name)
            if carry_out:
                drop(connection, name)
    if as_json:
        show_json({"database": name, "applied": carry_out})
    else:
        click.echo(
            f"{name} is dropped."
            if carry_out
            else f"{name} would be dropped. Nothing was changed; --apply does it."
        )


@db.command(short_help="Explain the upgrade to a newer PostgreSQL.")
@json_option
def upgrade(as_json: bool) -> None:
    """Show which PostgreSQL is in use and how to upgrade to a newer major version; changes nothing.

    \b
    crown db upgrade
    crown db upgrade --json | jq .serves
    """  # noqa: D301
    from crown.database.embedded import program
    from crown.database.engine import MINIMUM_MAJOR, check_server, connect
    from crown.database.opening import embedded_folder
    from crown.database.programs import major_of
    from crown_cli.common.world import current_settings

    settings = current_settings()
    brings, folder, serves = major_of(program("pg_dump")), None, None
    if settings.database_url is None:
        folder = embedded_folder(settings)
        found = folder / "PG_VERSION"
        serves = int(found.read_text()) if found.exists() else None
        state = (
            f"There is no embedded database in {folder} yet."
            if serves is None
            else f"The embedded database in {folder} is PostgreSQL {serves}."
        )
        aside = f"Put the old database aside: mv {folder} {folder}.old"
    else:
        engine = connect(settings.database_url.get_secret_value(), pool_size=1)
        serves = check_server(engine)
        engine.dispose()
        state = f"The server of CROWN_DATABASE_URL is PostgreSQL {serves}."
        aside = "Point CROWN_DATABASE_URL to an empty database on the new server."
    steps = [
        "With the Crown that runs now: crown backup /srv/backups",
        "Stop `crown up` or the services.",
        "Install the newer Crown, or set up the newer server.",
        aside,
        "With the newer one: crown restore /srv/backups/crown-DATE --apply",
        "crown doctor, then start again. Remove the old one when all is well.",
    ]
    if as_json:
        show_json(
            {"brings": brings, "needs": MINIMUM_MAJOR, "serves": serves, "folder": folder, "steps": steps}
        )
        return
    click.echo(f"This Crown brings PostgreSQL {brings} and needs a server of {MINIMUM_MAJOR} or later.")
    click.echo(f"{state}\n\nTo change to a newer major version:")
    for number, step in enumerate(steps, 1):
        click.echo(f"  {number}. {step}")
