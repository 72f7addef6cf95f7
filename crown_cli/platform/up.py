"""`crown up`: everything on this machine, one address, one Ctrl-C. Implemented in console/supervision/supervisor.py."""

from __future__ import annotations

import click


@click.command()
@click.option("--host", help="Address to listen on; other than this machine's own needs CROWN_WEB_TOKEN.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes any free one.")
@click.option("--open", "in_browser", is_flag=True, help="Open the address in a browser when it is ready.")
@click.option("--module", default="crown_assets.definitions", hidden=True)
@click.option("--folder", type=click.Path(file_okay=False, exists=True), hidden=True)
def up(host: str | None, port: int | None, in_browser: bool, module: str, folder: str | None) -> None:
    """Start everything: database, daemon, console.

    PostgreSQL is embedded unless CROWN_DATABASE_URL is set. When all of it answers, one web address is
    printed: the Dagster UI, and /console/ with what waits for people. Ctrl-C stops all, a second kills.

    \b
    crown up
    crown up --port 4000 --open
    CROWN_WEB_TOKEN=... crown up --host 0.0.0.0
    """  # noqa: D301 - click's mark for lines that keep their breaks
    from pathlib import Path

    from console.dagster_home import ROOT
    from console.supervision.supervisor import StoppedEarlyError, Supervisor
    from crown.settings.model import refuse_missing
    from crown_cli.common.world import current_settings

    given = {"web_host": host, "web_port": port}
    settings = current_settings().model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    refuse_missing(settings)

    def ready(address: str) -> None:
        click.echo(f"Crown is ready: {address}  (status: /console/; Ctrl-C stops all)")
        if in_browser:
            import webbrowser

            webbrowser.open(f"{address}/console/")

    supervisor = Supervisor(
        settings, say=lambda line: click.echo(line, err=True), module=module, folder=Path(folder or ROOT)
    )
    click.echo("Starting ...", err=True)
    try:
        supervisor.run(ready)
    except StoppedEarlyError as ended:
        click.echo(str(ended), err=True)
        raise click.exceptions.Exit(ended.exit_code) from None
    click.echo("All is stopped.", err=True)
