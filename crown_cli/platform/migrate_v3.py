"""`crown migrate-v3`: CrownPipe v3's database, its audit trail and its logs, entered with their own times and users."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crown.errors import ConfigurationError
from crown_cli.common.output import json_option, show_json, show_rows

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


@click.command("migrate-v3")
@click.option("--from", "source", metavar="FILE", help="A file with the address, or CrownPipe's .env.")
@click.option("--from-env", "name", metavar="NAME", help="The environment variable with the address.")
@click.option("--apply", "carry_out", is_flag=True, help="Do it; without, only the plan is shown.")
@json_option
def migrate_v3(source: str | None, name: str | None, carry_out: bool, as_json: bool) -> None:
    """Take over the audit trail and the logs of CrownPipe v3's database.

    The old database is read in one snapshot and never changed; times and users stay
    the original ones, and the old table names answer as before. Running it again
    adds only what is new. The address may hold a password, so it is never an
    argument: it is in a file (chmod 600) or in the environment. Log records
    older than CROWN_LOG_RETENTION_DAYS are left out.

    \b
    crown migrate-v3 --from /opt/crownpipe/.env
    crown migrate-v3 --from old-database.url --apply
    OLD=postgresql://... crown migrate-v3 --from-env OLD --json
    """  # noqa: D301
    from crown.journal.old_database import migrate
    from crown_cli.common.world import open_world

    old = _address(source, name)
    shown = {"table": ""}

    def progress(table: str, rows: int) -> None:
        if sys.stderr.isatty():
            line = "\n" if shown["table"] not in ("", table) else "\r"
            shown["table"] = table
            click.echo(f"{line}{table}: {rows:,} rows read", nl=False, err=True)

    with open_world() as world:
        days = world.settings.log_retention_days
        tables = migrate(world.engine, old, carry_out=carry_out, log_days=days, progress=progress)
    if shown["table"]:
        click.echo(err=True)
    rows = [
        {
            "table": one.name,
            "rows": one.rows,
            "from": one.first,
            "to": one.last,
            "known": one.known if one.rows is not None else None,
            "entered" if carry_out else "would_enter": one.new,
            "left_out": one.too_old,
        }
        for one in tables
    ]
    if as_json:
        show_json({"applied": carry_out, "tables": rows})
        return
    show_rows(rows)
    if any(one.too_old for one in tables):
        click.echo(
            f"Left out are log records older than CROWN_LOG_RETENTION_DAYS ({days}), which the next housekeeping would"
            " remove; raise it first to keep them."
        )
    if not carry_out:
        click.echo("Nothing was changed; repeat with --apply.")


def _address(source: str | None, name: str | None) -> URL:
    from crown.journal import old_database

    if (source is None) == (name is None):
        raise click.UsageError(
            "Name the file with the address (--from FILE) or its variable (--from-env NAME)."
        )
    if name is not None:
        return old_database.from_environment(name)
    if source is None or "://" in source:
        raise ConfigurationError(
            "An address may hold a password, and everyone on the machine can read the arguments of a command; put it"
            " into a file (chmod 600) and name the file."
        )
    return old_database.read_address(Path(source))
