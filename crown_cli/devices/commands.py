"""`crown devices`: the group of its commands, one line for each module that has some. No command is defined here."""

from __future__ import annotations

import click

from crown_cli.devices import reading, services


@click.group()
def devices() -> None:
    """Wireless microphones: collected once a second, remembered, alerted.

    \b
    crown devices simulate               a rack to try, without hardware
    crown devices add 127.0.0.11         listen to a receiver
    crown devices collect                enter what receivers say
    crown devices status                 receivers and channels now
    crown devices alerts                 what is wrong; ack ID
    """  # noqa: D301 - click's mark for lines that keep their breaks


_MODULES = (services, reading)
for _command in (command for module in _MODULES for command in module.COMMANDS):
    devices.add_command(_command)
