"""`crown motion`: the group of its commands, one line for each module that has some. No command is defined here."""

from __future__ import annotations

import click

from crown_cli.motion import changing, files, jobs, machines, plainly, renders, reviewing


@click.group()
def motion() -> None:
    """Motion jobs: CSV batches of After Effects work, from the batch folder to a checked package.

    \b
    crown motion sample-csv              a CSV to start from
    crown motion upload spring.csv       make a batch of it
    crown motion status                  batches, and what waits for people
    crown motion review spring_01        which layer fills which slot
    crown motion approve spring_01       approve matches or preview
    crown motion inspect promo.aepx      what a project or PSD holds
    """  # noqa: D301 - click's mark for lines that keep their breaks


_MODULES = (jobs, reviewing, changing, files, machines, plainly, renders)
for _command in (command for module in _MODULES for command in module.COMMANDS):
    motion.add_command(_command)
