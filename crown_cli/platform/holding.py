"""`crown hold` and `crown release`: take items of any department out of work, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from crown_cli.common.options import apply_option, reason_option
from crown_cli.common.output import json_option, show_json, show_rows
from crown_cli.common.people import acting, who_option

if TYPE_CHECKING:
    from crown.flow.holding import Act
    from crown.flow.summary import Department

#: How many items of an act are shown to people.
_SHOWN = 20
_department = click.argument("department")
_patterns = click.argument("patterns", nargs=-1, required=True, metavar="PATTERN...")
_asset = click.option("--asset", help="Only this asset of the department, such as cutouts.")


@click.command()
@_department
@_patterns
@_asset
@reason_option(required=True, help="Why, in 10 characters or more; shown until it is released.")
@apply_option
@who_option
@json_option
def hold(
    department: str,
    patterns: tuple[str, ...],
    asset: str | None,
    reason: str,
    carry_out: bool,
    who: str | None,
    as_json: bool,
) -> None:
    """Hold the items whose key matches a PATTERN: they are not made until they are released.

    What is made of them stays. Says what would be held, and changes nothing without --apply. `crown status` lists
    what is held, and why.

    \b
    crown hold product_images '520001*' --reason 'the client asks to wait'
    crown hold product_images 52000123 --reason 'wrong series' --apply
    """  # noqa: D301 - click's mark for lines that keep their breaks
    _act("hold", department, patterns, asset, reason, carry_out=carry_out, who=who, as_json=as_json)


@click.command()
@_department
@_patterns
@_asset
@reason_option()
@apply_option
@who_option
@json_option
def release(
    department: str,
    patterns: tuple[str, ...],
    asset: str | None,
    reason: str | None,
    carry_out: bool,
    who: str | None,
    as_json: bool,
) -> None:
    """Release the held items whose key matches a PATTERN; the next run makes what is due of them.

    A release passes no gate: what waited for a decision waits again. Changes nothing without --apply.

    \b
    crown release product_images '520001*'
    crown release product_images '*' --reason 'the client agrees' --apply
    """  # noqa: D301
    _act("release", department, patterns, asset, reason or "", carry_out=carry_out, who=who, as_json=as_json)


def _act(
    act: Act,
    name: str,
    patterns: tuple[str, ...],
    asset: str | None,
    reason: str,
    *,
    carry_out: bool,
    who: str | None,
    as_json: bool,
) -> None:
    from crown.errors import BadInput
    from crown.flow import holding
    from crown.flow.patterns import Patterns
    from crown.ledger.verdicts import Ruling
    from crown_cli.common.world import open_world

    department, done = _department_named(name), 0
    with open_world() as world:
        with world.engine.connect() as connection:
            items = holding.chosen(connection, act, department.name, Patterns.of(patterns), asset)
        if not items:
            what = "held item" if act == "release" else "item that could be held"
            raise BadInput(
                f"No {what} of {department.name}{f' ({asset})' if asset else ''} matches {', '.join(patterns)};"
                " `crown status` lists what is held."
            )
        for stage in sorted({one.asset for one in items}):
            person = acting(world.engine, who, act, stage)
        holding.check(items, Ruling(act, person, "cli", reason))
        if carry_out:
            with world.engine.begin() as connection:
                done = holding.carry_out(
                    connection,
                    act,
                    items,
                    department=department.name,
                    who=person,
                    via="cli",
                    reason=reason,
                    entity_of=department.entity_of,
                )
    if as_json:
        show_json({"act": act, "applied": carry_out, "changed": done, "items": items})
        return
    click.echo(
        f"{act.capitalize()} {len(items):,} {'item' if len(items) == 1 else 'items'} of {department.title}."
    )
    show_rows(
        [
            {"asset": one.asset, "key": one.key, "state": one.state, "held_because": one.reason}
            for one in items[:_SHOWN]
        ]
    )
    if len(items) > _SHOWN:
        click.echo(f"  and {len(items) - _SHOWN:,} more; --json lists them all.")
    click.echo(f"Done: {done:,} changed." if carry_out else "Nothing is changed; --apply does it.")


def _department_named(name: str) -> Department:
    from crown.departments import DEPARTMENTS
    from crown.errors import BadInput

    for one in DEPARTMENTS:
        if one.name == name.replace("-", "_"):
            return one
    raise BadInput(f"{name} is no department; choose {', '.join(one.name for one in DEPARTMENTS)}.")
