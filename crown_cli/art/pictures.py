"""The pictures of prints on the command line: which there are, trying failed ones again, downloading now."""

from __future__ import annotations

from typing import Any

import click

from crown_cli.art.shared import workspace
from crown_cli.common.output import readable, rows_option, show_json, show_rows, size


@click.command(short_help="List the pictures of prints, or download them.")
@click.argument("pattern", default="*")
@click.option("--download", is_flag=True, help="Download what is due now, as the queue's runs do.")
@click.option("--retry", "again", is_flag=True, help="Make the failed ones of these due again.")
@rows_option
def pictures(pattern: str, download: bool, again: bool, as_json: bool) -> None:
    """The pictures that the newest export of prints names, of the works that match PATTERN.

    A picture whose address has died waits for the next export or fetch.

    \b
    crown art pictures
    crown art pictures --download
    crown art pictures "Quay*" --retry
    crown art pictures --json | jq '.[] | select(.state == "quarantined")'
    """  # noqa: D301
    from crown.art_records.attachments import listing
    from crown_cli.common.runs import dagster_instance, run_job
    from crown_cli.common.world import open_world
    from resources.queues import ART_ATTACHMENTS

    with workspace() as art_records:
        if again:
            keys = [str(row["picture"]) for row in listing.shown(art_records.engine, pattern)]
            click.echo(f"{listing.retry(art_records.engine, keys)} pictures are due again.", err=True)
    if download:
        with open_world() as world, dagster_instance(world) as instance:
            run_job(instance, ART_ATTACHMENTS)
    with workspace() as art_records:
        rows = listing.shown(art_records.engine, pattern)
    if as_json:
        show_json(rows)
        return
    show_rows(
        [_shown(row) for row in rows],
        empty="The newest export of prints names no picture.",
        width=100,
    )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "work": row["work"],
        "picture": row["file_name"],
        "state": row["state"],
        "pixels": f"{row['width']} x {row['height']}" if row["width"] else None,
        "size": size(row["bytes"]) if row["bytes"] else None,
        "why": readable(row["reason"]) if row["reason"] else None,
    }
