"""What the commands of `crown motion` share: the workspace, and how an act is shown before it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from crown_cli.common.output import show_json, show_rows

if TYPE_CHECKING:
    from crown.motion_jobs.jobs.acts import Acted
    from crown.motion_jobs.workspace import Workspace

#: How many rows of an act are shown to people.
_SHOWN = 30

batch_option = click.option("--batch", metavar="BATCH", help="Only jobs of this batch.")


@contextmanager
def open_motion() -> Iterator[Workspace]:
    """The workspace of motion jobs in this invocation's world."""
    from crown.motion_jobs.workspace import open_workspace
    from crown_cli.common.world import open_world

    with open_world() as world:
        yield open_workspace(world.engine, world.settings)


def show_act(acted: Sequence[Acted], *, applied: bool, as_json: bool) -> None:
    """Say what an act does, or would do, to each job."""
    if as_json:
        show_json({"applied": applied, "jobs": [asdict(one) for one in acted]})
        return
    rows = [
        {
            "job": one.job_id,
            "batch": one.batch_id,
            "act": one.act,
            "status": one.status,
            "then": one.then,
            "seen": (one.content_hash or "")[:12],
        }
        for one in acted
    ]
    show_rows(rows[:_SHOWN], empty="No job.")
    if len(rows) > _SHOWN:
        click.echo(f"  and {len(rows) - _SHOWN:,} more; --json lists them all.")
    click.echo("Done; the next run carries it out." if applied else "Nothing is changed; --apply does it.")
