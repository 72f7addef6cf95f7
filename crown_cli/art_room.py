"""What the commands of `crown art` share: the room, and options of one meaning everywhere."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from crown.art_records.room import Room

TABLES = ("prints", "distributors", "editions")

who_option = click.option("--who", default=getpass.getuser, help="The person; default: your user name.")
reason_option = click.option("--reason", help="Why, for the history.")


@contextmanager
def room() -> Iterator[Room]:
    """The room of art records in this invocation's world."""
    from crown.art_records.room import open_room
    from crown_cli.world import open_world

    with open_world() as world:
        yield open_room(world.engine, world.settings)
