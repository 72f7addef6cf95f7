"""`crown motion`: the group of its commands, one line for each module that has some. No command is defined here."""

from __future__ import annotations

import click

from crown_cli.motion import files, jobs, machines, plainly


@click.group()
def motion() -> None:
    """Motion jobs: CSV batches of After Effects work, from the batch folder to a checked package.

    \b
    crown motion sample-csv              a CSV to start from
    crown motion inspect promo.aepx      what a project or PSD holds
    """  # noqa: D301 - click's mark for lines that keep their breaks


for _command in (*jobs.COMMANDS, *files.COMMANDS, *machines.COMMANDS, *plainly.COMMANDS):
    motion.add_command(_command)
