"""`crown images plan, retire, withdraw, rebuild, confirm, text`: what is published, and what no longer is.

The craft is in crown/product_images: preview, products, removals, texts.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from crown_cli.images_common import assets_named, decide_on, open_images, reason_option, who_option
from crown_cli.output import json_option, show_json, show_rows

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from crown.product_images.preview import Forecast

_dry_run = click.option("--dry-run", is_flag=True, help="Say what would follow, change nothing.")


@click.command()
@click.option(
    "--files", is_flag=True, help="List every published file that would change, not only the first."
)
@json_option
def plan(files: bool, as_json: bool) -> None:
    """What the next runs would make, publish and remove, before anything is made; changes nothing.

    \b
    crown images plan
    CROWN_SPECS=1000x1000_72dpi_jpeg crown images plan --json
    """  # noqa: D301
    from crown.product_images.preview import forecast

    with open_images() as room:
        told = forecast(room)
        absent = room.absent_targets()
    _show_forecast(told, as_json=as_json, all_files=files, notes=list(absent.values()))


def _show_forecast(
    told: Forecast, *, as_json: bool, all_files: bool = False, notes: Sequence[str] = ()
) -> None:
    shown = told.published if all_files else told.published[:20]
    counted = {what: told.counted(what) for what in ("new", "changed", "removed")}
    if as_json:
        show_json(
            {
                "assets": [row.as_dict() for row in told.assets],
                "published": counted,
                "files": shown,
                "held": told.held,
                "notes": notes,
            }
        )
        return
    show_rows(
        [row.as_dict() for row in told.assets],
        columns=["asset", "to_make", "changed", "to_wait", "to_retire", "products", "megabytes", "minutes"],
        empty="Nothing would be made.",
    )
    if told.published:
        click.echo(
            "Published files: " + ", ".join(f"{count:,} {what}" for what, count in counted.items()) + "."
        )
    for change in shown:
        click.echo(f"  {change.what} {change.target}: {change.path}")
    if len(shown) < len(told.published):
        click.echo(
            f"  and {len(told.published) - len(shown):,} more; `crown images plan --files` lists them."
        )
    for sentence in (*(removal.sentence for removal in told.held), *notes):
        click.echo(sentence)


@click.command()
@click.argument("pattern")
@reason_option(required=True)
@_dry_run
@who_option
@json_option
def withdraw(pattern: str, reason: str, dry_run: bool, who: str | None, as_json: bool) -> None:
    """Take back what was decided on the cut-outs whose photo matches PATTERN; their pictures are unpublished.

    \b
    crown images withdraw 52000123_1 --reason 'shows the old housing' --dry-run
    crown images withdraw '520001*' --reason 'wrong series'
    """  # noqa: D301
    from crown.product_images.preview import forecast
    from crown.product_images.review import withdrawing

    if not dry_run:
        decide_on(pattern, "withdraw", who, reason, as_json)
        return
    with open_images() as room:
        told = forecast(room, supposing=withdrawing(room, pattern, who or getpass.getuser()))
    _show_forecast(told, as_json=as_json)


def _act(act: Callable[[Connection], object], *, dry_run: bool, as_json: bool, done: str) -> None:
    """Carry out an act on products and say what will follow, or only say it."""
    from crown.product_images.preview import forecast

    with open_images() as room:
        if dry_run:
            told = forecast(room, supposing=act)
        else:
            with room.engine.begin() as connection:
                act(connection)
            told = forecast(room)
    if not as_json:
        click.echo(f"{'Nothing is changed. ' if dry_run else done}The next run:")
    _show_forecast(told, as_json=as_json)


@click.command()
@click.argument("number")
@reason_option(required=True)
@_dry_run
@who_option
@json_option
def retire(number: str, reason: str, dry_run: bool, who: str | None, as_json: bool) -> None:
    """No longer publish the product NUMBER: the next run removes its pictures, originals and approvals stay.

    \b
    crown images retire 52000123 --reason 'no longer sold' --dry-run
    crown images retire 52000123 --reason 'no longer sold'
    """  # noqa: D301
    from crown.product_images import products

    def act(connection: Connection) -> None:
        products.retire(connection, number, who=who or getpass.getuser(), via="cli", reason=reason)

    _act(act, dry_run=dry_run, as_json=as_json, done=f"{number} is retired. ")


@click.command()
@click.argument("number")
@reason_option(required=False)
@who_option
@json_option
def unretire(number: str, reason: str | None, who: str | None, as_json: bool) -> None:
    """Publish the product NUMBER again; nothing has to be approved anew.

    \b
    crown images unretire 52000123
    """  # noqa: D301
    from crown.product_images import products

    def act(connection: Connection) -> None:
        products.unretire(connection, number, who=who or getpass.getuser(), via="cli", reason=reason)

    _act(act, dry_run=False, as_json=as_json, done=f"{number} is no longer retired. ")


@click.command()
@click.argument("pattern")
@click.option(
    "--asset", help="Only what this asset made, for instance cutouts; default: all after the approval."
)
@reason_option(required=False)
@_dry_run
@who_option
@json_option
def rebuild(
    pattern: str, asset: str | None, reason: str | None, dry_run: bool, who: str | None, as_json: bool
) -> None:
    """Make again what was made of the photos that match PATTERN (* and ? as in file names), by force.

    \b
    crown images rebuild '52000123*'
    crown images rebuild 52000123 --asset cutouts --dry-run
    """  # noqa: D301
    from crown.product_images import products

    chosen = assets_named(asset) if asset else products.AFTER_APPROVAL

    def act(connection: Connection) -> None:
        products.rebuild(connection, pattern, chosen, who=who or getpass.getuser(), via="cli", reason=reason)

    _act(act, dry_run=dry_run, as_json=as_json, done="Asked for. ")


@click.command()
@click.argument("target", required=False)
@click.option(
    "--plan", "seen", help="The beginning of the hash of the plan that you saw; another one is refused."
)
@reason_option(required=False)
@_dry_run
@who_option
@json_option
def confirm(
    target: str | None, seen: str | None, reason: str | None, dry_run: bool, who: str | None, as_json: bool
) -> None:
    """Confirm the removal of many products that is held; the next run carries out exactly that plan.

    \b
    crown images confirm --dry-run
    crown images confirm production --reason 'the series ended'
    """  # noqa: D301
    from crown.product_images import removals

    with open_images() as room:
        with room.engine.connect() as connection:
            held = [one for one in removals.standing(connection) if target in (None, one.target)]
        if not dry_run:
            removals.confirm(
                room, who=who or getpass.getuser(), via="cli", target=target, seen=seen, reason=reason
            )
    if as_json:
        show_json({"confirmed": not dry_run, "plans": held})
        return
    show_rows(
        [
            {
                "target": one.target,
                "products": len(one.products),
                "of": one.of_products,
                "files": len(one.keys),
                "plan": one.plan_hash[:12],
                "which": ", ".join(one.products[:10]) + (" ..." if len(one.products) > 10 else ""),
            }
            for one in held
        ],
        title=None if dry_run else "Confirmed; the next run removes",
        empty="No removal is held.",
    )


@click.command("text")
@click.argument("number")
@click.option("--description", help="What the picture shows; empty goes back to the usual text.")
@click.option("--keywords", help="Comma separated; empty goes back to the usual ones.")
@click.option(
    "--tag", "tags", multiple=True, metavar="NAME=TEXT", help="Another text: artist, make, model ..."
)
@who_option
@json_option
def texts(
    number: str,
    description: str | None,
    keywords: str | None,
    tags: tuple[str, ...],
    who: str | None,
    as_json: bool,
) -> None:
    """Change the texts inside the pictures of the product NUMBER; the next run writes them, no pixel is touched.

    Without options, shows them.

    \b
    crown images text 52000123 --description 'Brake disc, vented' --keywords 'brake disc, front axle'
    crown images text 52000123 --tag 'copyright=(c) Example Parts Ltd'
    """  # noqa: D301
    from crown.errors import BadInput
    from crown.product_images import stages
    from crown.product_images import texts as texts_of
    from crown.product_images.room import TEXTS

    unclear = [tag for tag in tags if "=" not in tag]
    if unclear:
        raise BadInput(f"--tag {unclear[0]} has no `=`; write it as NAME=TEXT.")
    with open_images() as room:
        told = texts_of.say(
            room,
            number,
            who=who or getpass.getuser(),
            via="cli",
            description=description,
            keywords=None if keywords is None else [w.strip() for w in keywords.split(",") if w.strip()],
            free=dict(tag.split("=", 1) for tag in tags),
        )
        stages.plan(room, [TEXTS])  # what is due now is seen by the sensor
    if as_json:
        show_json(told.recipe())
        return
    for name, value in told.recipe().items():
        if value and name != "digital_source_type":
            click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


COMMANDS = (plan, withdraw, retire, unretire, rebuild, confirm, texts)
