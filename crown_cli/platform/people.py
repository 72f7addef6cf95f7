"""`crown people`: users, roles and API tokens. What a role may do is in crown/people/permissions.yaml."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from crown_cli.common.output import json_option, rows_option, show_json, show_rows
from crown_cli.common.people import acting

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from crown.people.users import User

_role = click.Choice(["viewer", "operator", "admin"])
_name = click.argument("name")


@click.group()
def people() -> None:
    """Users of this installation, their roles, and API tokens.

    \b
    crown people list
    crown people add eva --role operator --password     asks for it
    crown people role eva admin
    crown people disable eva
    crown people token eva "stock feed" --role viewer   shown once
    """  # noqa: D301 - click's mark for lines that keep their breaks


@people.command(name="list")
@rows_option
def list_users(as_json: bool) -> None:
    """Every user, disabled ones too.

    \b
    crown people list
    """  # noqa: D301
    from crown.people.users import all_users
    from crown_cli.common.world import open_world

    with open_world() as world, world.engine.connect() as connection:
        rows = [_row(user) for user in all_users(connection)]
    show_rows(rows, as_json=as_json, empty="Nobody yet; the first command adds who runs it.")


@people.command()
@_name
@click.option("--role", type=_role, default="operator", show_default=True, help="What the user may do.")
@click.option("--display-name", help="As people are shown; default: the name.")
@click.option("--password", "asked", is_flag=True, help="Ask for a password, or read it from a pipe.")
@json_option
def add(name: str, role: str, display_name: str | None, asked: bool, as_json: bool) -> None:
    """Add a user. A password is needed to sign in to the console only.

    \b
    crown people add eva --role operator --password
    pass show crown/eva | crown people add eva --password
    """  # noqa: D301
    from crown.people import users

    password = _password() if asked else None
    _act(
        "user_added",
        lambda connection: users.add(
            connection,
            name,
            role,  # type: ignore[arg-type] # click has checked it
            display_name=display_name,
            password=password,
        ),
        as_json,
    )


@people.command()
@_name
@click.argument("role", type=_role)
@json_option
def role(name: str, role: str, as_json: bool) -> None:
    """Give a user another role.

    \b
    crown people role eva admin
    """  # noqa: D301
    from crown.people import users

    _act("role_changed", lambda connection: users.change(connection, name, role=role), as_json)  # type: ignore[arg-type]


@people.command()
@_name
@json_option
def password(name: str, as_json: bool) -> None:
    """Set a user's password; every open session of the user ends.

    \b
    crown people password eva
    """  # noqa: D301
    from crown.people import users

    given = _password()
    _act("password_changed", lambda connection: users.change(connection, name, password=given), as_json)


@people.command(short_help="Disable a user; the records keep the name.")
@_name
@json_option
def disable(name: str, as_json: bool) -> None:
    """Disable a user: sessions and tokens stop working, the records keep the name.

    \b
    crown people disable eva
    """  # noqa: D301
    from crown.people import users

    _act("user_disabled", lambda connection: users.change(connection, name, disabled=True), as_json)


@people.command()
@_name
@json_option
def enable(name: str, as_json: bool) -> None:
    """Enable a disabled user again.

    \b
    crown people enable eva
    """  # noqa: D301
    from crown.people import users

    _act("user_enabled", lambda connection: users.change(connection, name, disabled=False), as_json)


@people.command()
@click.argument("name", required=False)
@rows_option
def tokens(name: str | None, as_json: bool) -> None:
    """API tokens, the newest first; of one user when a name is given.

    \b
    crown people tokens eva
    """  # noqa: D301
    from dataclasses import asdict

    from crown.people import credentials, users
    from crown_cli.common.world import open_world

    with open_world() as world, world.engine.connect() as connection:
        of = users.get(connection, name).name if name else None
        rows = [asdict(token) for token in credentials.tokens(connection, of)]
    show_rows(rows, as_json=as_json, empty="No token.")


@people.command()
@_name
@click.argument("label")
@click.option("--role", type=_role, default="viewer", show_default=True, help="The most it may do.")
@click.option("--days", type=click.IntRange(1), help="Days until it expires; default: never.")
@json_option
def token(name: str, label: str, role: str, days: int | None, as_json: bool) -> None:
    """Make an API token; it is shown once and stored as a hash.

    \b
    crown people token eva "stock feed" --role viewer --days 365
    """  # noqa: D301
    from crown.people import credentials, users

    made: list[str] = []

    def make(connection: Connection) -> User:
        user = users.get(connection, name)
        lasts = timedelta(days=days) if days else None
        made.append(credentials.make_token(connection, user, label, role, lasts=lasts))  # type: ignore[arg-type]
        return user

    _act("token_made", make, as_json, answer=lambda: {"user": name, "label": label, "token": made[0]})


@people.command()
@click.argument("token_id", type=int)
@json_option
def revoke(token_id: int, as_json: bool) -> None:
    """Revoke an API token by its number in `crown people tokens`.

    \b
    crown people revoke 3
    """  # noqa: D301
    from crown.people import credentials, users

    _act(
        "token_revoked",
        lambda connection: users.get(connection, credentials.revoke_token(connection, token_id).user_name),
        as_json,
    )


def _act(
    what: str,
    act: Callable[[Connection], User],
    as_json: bool,
    answer: Callable[[], dict[str, object]] | None = None,
) -> None:
    """Carry out a change of users as the operating system's user, record it, and show the user as it is now."""
    from crown.journal import activity
    from crown_cli.common.world import open_world

    with open_world() as world:
        person = acting(world.engine, None, "administer")
        with world.engine.begin() as connection:
            user = act(connection)
            activity.record(
                connection,
                who=person,
                what=what,
                subject=user.name,
                department="people",
                via="cli",
                new={"role": user.role, "disabled": user.disabled_at is not None},
            )
    said = answer() if answer else _row(user)
    if as_json:
        show_json(said)
    else:
        show_rows([said])


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return given


def _row(user: User) -> dict[str, object]:
    return {
        "name": user.name,
        "display_name": user.display_name,
        "role": user.role,
        "password": user.has_password,
        "created_at": user.created_at,
        "disabled_at": user.disabled_at,
    }
