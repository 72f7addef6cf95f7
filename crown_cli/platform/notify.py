"""`crown notify`: posts one notice and sends what is pending, for service managers."""

from __future__ import annotations

import click

from crown_cli.common.output import json_option, show_json


@click.command()
@json_option
@click.argument("subject")
@click.argument("sentence")
def notify(as_json: bool, subject: str, sentence: str) -> None:
    """Send a notice that something failed.

    The notice about SUBJECT goes to the addresses of CROWN_NOTIFY_FILE with
    all others that wait; in quiet hours it waits with them.

    \b
    crown notify crown-backup.service "The backup failed."
    crown notify disk "Replace the disk in bay 2." --json
    """  # noqa: D301
    from crown.journal import notices
    from crown_cli.common.world import open_world

    with open_world() as world:
        with world.engine.begin() as connection:
            notices.post(
                connection, kind="failure", department="platform", subject=subject, sentence=sentence
            )
        sent = notices.deliver(world.engine, world.settings.notify_file, world.settings.quiet_hours)
    if as_json:
        show_json({"sent": sent.notices, "reason": sent.reason})
    elif sent.notices:
        click.echo(f"Notices sent: {sent.notices}.")
    else:
        click.echo(f"The notice is kept; nothing was sent: {sent.reason}.")
