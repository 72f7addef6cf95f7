"""Batches and jobs from the command line. What they do is in crown/motion_jobs."""

from __future__ import annotations

import click


@click.command(name="sample-csv", short_help="A CSV to start from.")
def sample_csv() -> None:
    """Print a CSV with all columns and two example rows.

    \b
    crown motion sample-csv > batch.csv
    """  # noqa: D301
    from crown.motion_jobs.csv_batches import sample

    click.echo(sample(), nl=False)


COMMANDS = (sample_csv,)
