"""`crown doctor` and `crown env`: how this machine stands, and what plain Dagster needs here."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from typing import TYPE_CHECKING

import click

from crown_cli.output import json_option, show_json, show_rows

if TYPE_CHECKING:
    from crown.settings import Settings

_SIGNS = {"ok": "ok", "warn": "warning", "fail": "FAILED"}


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Say what is wrong here, and what to do about it.

    Looks at settings, folders, disk, database, programs, web address and weights. Ends with 1 when
    something would stop the platform. With the embedded database it is started for a moment.

    \b
    crown doctor
    crown doctor --json | jq '.[] | select(.verdict != "ok")'
    """  # noqa: D301
    from crown.doctor import examine
    from crown_cli.world import current_settings

    found = examine(current_settings)
    if as_json:
        show_json(found)
    else:
        show_rows(
            [{"check": f.check, "": _SIGNS[f.verdict], "what": f.what, "to do": f.do} for f in found],
        )
    if any(finding.verdict == "fail" for finding in found):
        ctx.exit(1)


@click.command(context_settings={"allow_interspersed_args": False})
@json_option
@click.option("--show-secrets", is_flag=True, help="Print passwords wherever the output goes.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def env(as_json: bool, show_secrets: bool, command: tuple[str, ...]) -> None:
    """Print the variables with which plain Dagster commands work here, or run COMMAND with them.

    The embedded database must run: keep `crown up` or `crown db serve` open. A password in the
    database's address is printed into a pipe only; on a terminal or into a file it is starred out.

    \b
    crown env dagster dev
    crown env dagster instance info
    eval "$(crown env)"
    crown env --json
    """  # noqa: D301
    from crown_cli.world import current_settings

    variables = _variables(current_settings())
    if command:
        _become(command, variables)
    if not show_secrets and not _into_a_pipe():
        starred = {name: _starred(value) for name, value in variables.items()}
        if starred != variables:
            click.echo(
                'crown: the password is starred out; use eval "$(crown env)" or --show-secrets.', err=True
            )
        variables = starred
    if as_json:
        show_json(variables)
    else:
        for name, value in variables.items():
            click.echo(f"export {name}={shlex.quote(value)}")


def _become(command: tuple[str, ...], variables: dict[str, str]) -> None:
    """Replace this process by a command, so that signals reach it."""
    try:
        os.execvpe(command[0], command, {**os.environ, **variables})  # noqa: S606
    except OSError as error:
        from crown.errors import ConfigurationError

        raise ConfigurationError(f"{command[0]} cannot be run ({error.strerror}); is it on PATH?") from None


def _variables(settings: Settings) -> dict[str, str]:
    from console.dagster_home import dagster_environment, write_dagster_home
    from crown.database.engine import our_url
    from crown.database.opening import running_database
    from crown.errors import ConfigurationError

    url = running_database(settings)
    if url is None:
        raise ConfigurationError(
            "The embedded database does not run; start `crown up` or `crown db serve` in another terminal, "
            "then repeat this."
        )
    write_dagster_home(settings)
    plain = our_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return {**dagster_environment(settings, url), "CROWN_DATABASE_URL": plain}


def _starred(value: str) -> str:
    if "://" not in value:
        return value
    from sqlalchemy import make_url

    url = make_url(value)
    if "password" in url.query:
        url = url.update_query_dict({"password": "***"})
    return url.render_as_string(hide_password=bool(url.password))


def _into_a_pipe() -> bool:
    """Whether standard output goes to another program, as in $(crown env), and not to a screen or file."""
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
