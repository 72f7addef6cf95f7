"""Options that mean the same in every command: consent before what writes much, and a recorded reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: `@apply_option` gives a command the parameter `carry_out`: without it the command shows its plan.
apply_option: Callable[[_Command], _Command] = click.option(
    "--apply", "carry_out", is_flag=True, help="Do it; without this only the plan is shown."
)


def one_line(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """What is kept for the record and shown on other people's screens: text of one line."""
    if value is not None and not value.isprintable():
        raise click.BadParameter("it holds a line break or another control character", param=parameter)
    return value


def _reason(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if parameter.required and not (value or "").strip():
        raise click.BadParameter("it is empty; say why, for whoever asks later", param=parameter)
    return one_line(context, parameter, value)


def reason_option(
    *, required: bool = False, help: str = "Why, for the record."
) -> Callable[[_Command], _Command]:
    """`--reason`; a required one may not be empty."""
    return click.option("--reason", required=required, callback=_reason, help=help)
