"""The console's process: `python -m console.serve`, started by `crown up` or by a service manager.

It needs a database that is there and migrated; it starts none.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from crown.errors import ConfigurationError, CrownError
from crown.settings.model import Settings, load_settings, refuse_missing


@click.command()
@click.option("--workspace", type=click.Path(path_type=Path), default="workspace.yaml", show_default=True)
@click.option("--fd", type=int, help="A listening socket handed over by the parent process.")
def main(workspace: Path, fd: int | None) -> None:
    """Serve the console until SIGINT or SIGTERM."""
    try:
        serve(load_settings(), workspace, fd)
    except CrownError as error:
        click.echo(f"crown: {error}", err=True)
        sys.exit(error.exit_code)


def serve(settings: Settings, workspace: Path, fd: int | None) -> None:
    """Run the console in this process.

    Raises:
        ConfigurationError: no database address, no workspace file, an unusable port, a missing token or file.
    """
    from console import address
    from console.dagster_home import dagster_environment, write_dagster_home

    if settings.database_url is None:
        raise ConfigurationError(
            "The console alone needs CROWN_DATABASE_URL; `crown up` starts it with the embedded database."
        )
    if not workspace.is_file():
        raise ConfigurationError(
            f"{workspace} is not there; name the file that leads to the code server with --workspace."
        )
    address.token(settings)
    refuse_missing(settings)
    listener = socket.socket(fileno=fd) if fd is not None else None
    listener = listener or address.listen(settings.web_host, settings.web_port)
    write_dagster_home(settings)
    os.environ.update(dagster_environment(settings, settings.database_url.get_secret_value()))
    _run(settings, workspace, listener)


def _run(settings: Settings, workspace: Path, listener: socket.socket) -> None:
    import uvicorn
    from dagster import DagsterInstance

    from console import limits
    from console.app import create_app
    from console.dagster_ui import dagster_ui
    from crown.database.engine import connect, our_url
    from crown.journal import logs

    assert settings.database_url is not None
    # A database that does not answer must not hold up the answer that it does not answer.
    url = our_url(settings.database_url.get_secret_value()).update_query_dict({"connect_timeout": "5"})
    with ExitStack() as stack:
        engine = connect(url.render_as_string(hide_password=False))
        stack.callback(engine.dispose)
        logs.set_up(settings, settings.database_url.get_secret_value())
        stack.callback(logs.close)
        instance = stack.enter_context(DagsterInstance.get())
        app = create_app(settings, engine, stack.enter_context(dagster_ui(instance, workspace)))
        config = uvicorn.Config(
            app,
            http=limits.protocol(limits.connections()),
            log_level="warning",
            timeout_graceful_shutdown=5,
            server_header=False,
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
