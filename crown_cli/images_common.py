"""What the commands of `crown images` share: the room, the person, a decision on photos, names of assets."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from crown_cli.output import show_rows

if TYPE_CHECKING:
    from crown.product_images.room import Room

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _one_line(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """What is kept for the record and shown on other people's screens: text of one line."""
    if value is not None and not value.isprintable():
        raise click.BadParameter("it holds a line break or another control character", param=parameter)
    return value


def _reason(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if parameter.required and not (value or "").strip():
        raise click.BadParameter("it is empty; say why, for whoever asks later", param=parameter)
    return _one_line(context, parameter, value)


who_option: Callable[[_Command], _Command] = click.option(
    "--who", callback=_one_line, help="The person who decides; default: your user name."
)


def reason_option(*, required: bool, help: str = "Why, for the record.") -> Callable[[_Command], _Command]:
    """`--reason`; a required one may not be empty."""
    return click.option("--reason", required=required, callback=_reason, help=help)


@contextmanager
def open_images() -> Iterator[Room]:
    """The room of product images in this invocation's world."""
    from crown.product_images.room import open_room
    from crown_cli.world import open_world

    with open_world() as world:
        yield open_room(world.engine, world.settings)


def decide_on(pattern: str, verdict: Any, who: str | None, reason: str | None, as_json: bool) -> None:
    """Decide on the cut-outs whose photo matches, and say what was decided."""
    from crown.product_images.review import decide, show

    with open_images() as room:
        said = decide(room, pattern, verdict, who=who or getpass.getuser(), via="cli", reason=reason)
        show(room)
    show_rows(
        [{"photo": d.subject, "verdict": d.verdict, "who": d.who, "decision": d.decision_id} for d in said],
        as_json=as_json,
    )


def assets_named(asset: str | None) -> list[str]:
    """The assets that an option names; all without one."""
    from crown.errors import BadInput
    from crown.product_images.room import ASSETS

    chosen = [a for a in ASSETS if asset is None or a in (asset, f"product_images/{asset}")]
    if not chosen:
        raise BadInput(f"{asset} is not an asset; the assets are {', '.join(ASSETS)}.")
    return chosen
