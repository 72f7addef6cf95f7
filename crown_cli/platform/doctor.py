"""`crown doctor` and `crown env`: checks of this installation, and the environment of plain Dagster."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crown_cli.common.output import json_option, rows_option, show_json, show_rows

if TYPE_CHECKING:
    from crown.settings.model import Settings

_SIGNS = {"ok": "ok", "warn": "warning", "fail": "FAILED"}


@click.command()
@rows_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Find what is wrong, and what to do about it.

    Looks at settings, folders, disk, database, programs, web address and weights. Ends with 1 when
    something would stop the platform. With the embedded database it is started for a moment.

    \b
    crown doctor
    crown doctor --json | jq '.[] | select(.verdict != "ok")'
    """  # noqa: D301
    from console.doctor import examine
    from crown_cli.common.world import current_settings

    found = examine(current_settings)
    if as_json:
        show_json(found)
    else:
        show_rows(
            [{"check": f.check, "verdict": _SIGNS[f.verdict], "what": f.what, "to do": f.do} for f in found],
        )
    if any(finding.verdict == "fail" for finding in found):
        ctx.exit(1)


@click.command(context_settings={"allow_interspersed_args": False})
@json_option
@click.option("--show-secrets", is_flag=True, help="Print passwords wherever the output goes.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def env(as_json: bool, show_secrets: bool, command: tuple[str, ...]) -> None:
    """Print the variables with which plain Dagster commands work here, or run COMMAND with them.

    The embedded database must run: keep `crown db serve` open, or `crown up`, beside which `dagster dev`
    and a second daemon are refused. They find our definitions from any folder. A password in the
    database's address is printed into a pipe only; on a terminal or into a file it is starred out.

    \b
    crown env dagster dev
    crown env dagster instance info
    eval "$(crown env)"
    crown env --json
    """  # noqa: D301
    from crown_cli.common.world import current_settings

    settings = current_settings()
    _refuse_second_daemon(settings, command)
    variables = _variables(settings)
    if command:
        _become(_with_workspace(command), variables)
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


#: Dagster's programs that need to know where the definitions are, and the options that say so.
_SERVING = ({"dagster", "dev"}, {"dagster-webserver"}, {"dagster-daemon", "run"})
_TARGETS = ("-w", "--workspace", "-m", "--module-name", "-f", "--python-file", "--help", "-h")


def _serves(command: tuple[str, ...]) -> bool:
    words = {Path(command[0]).name, *command[1:2]} if command else set()
    return any(wanted <= words for wanted in _SERVING)


def _refuse_second_daemon(settings: Settings, command: tuple[str, ...]) -> None:
    """`dagster dev` brings a daemon of its own: beside the one of `crown up` every sensor would tick twice."""
    from console.supervision.supervisor import process_of
    from crown.errors import Refused

    if not _serves(command) or Path(command[0]).name == "dagster-webserver":
        return
    if (process := process_of(settings)) is not None:
        raise Refused(
            f"`crown up` (process {process}) runs in {settings.home} with a daemon of its own; a second one would "
            "start everything twice. Stop it and keep `crown db serve` open, or use `crown env dagster-webserver`."
        )


def _with_workspace(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command with our definitions, wherever it is called: Dagster itself looks in the current folder only."""
    from console.dagster_home import ROOT

    named = any(word.split("=")[0] in _TARGETS for word in command)
    return command if named or not _serves(command) else (*command, "-w", str(ROOT / "workspace.yaml"))


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
