"""Who acts: `--who` names a known user, by default the operating system's, and each act asks whether that one may."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from sqlalchemy import Engine

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: `@who_option` gives a command the parameter `who`, for `acting`.
who_option: Callable[[_Command], _Command] = click.option(
    "--who", metavar="USER", help="The user who acts (crown people list); default: yours."
)


def acting(engine: Engine, who: str | None, verb: str, stage: str = "*") -> str:
    """The name of the user who acts, after asking whether this user may.

    Args:
        engine: our database.
        who: a user's name; None for the operating system's user, who becomes known with the first act.
        verb: what is done, as in crown/people/permissions.yaml.
        stage: what it is done on: an asset's key; `*` for all.

    Raises:
        BadInput: there is no such user.
        Refused: the user may not.
    """
    from crown.people import users

    with engine.begin() as connection:
        user = (
            users.operating_system_user(connection, getpass.getuser())
            if who is None
            else users.get(connection, who)
        )
        user.require(verb, stage)
        return user.name
