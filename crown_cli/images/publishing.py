"""`crown images plan, retire, withdraw, rebuild, confirm, text`: what is published, and what no longer is.

The domain code is in crown/product_images: forecast, products, removals, texts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import click

from crown_cli.common.options import apply_option, reason_option
from crown_cli.common.output import json_option, show_json, show_rows
from crown_cli.common.people import acting, who_option
from crown_cli.images.shared import (
    assets_named,
    decide_on,
    forecast_json,
    open_images,
    show_act,
    show_forecast,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection


@click.command(short_help="Forecast what the next runs make, publish and remove.")
@click.option(
    "--files", is_flag=True, help="List every published file that would change, not only the first."
)
@json_option
def plan(files: bool, as_json: bool) -> None:
    """What the next runs would make, publish and remove, before anything is made; changes nothing.

    \b
    crown images plan
    CROWN_PRODUCT_IMAGES_SPECS=1000x1000_72dpi_jpeg crown images plan --json
    """  # noqa: D301
    from crown.product_images.forecast import forecast

    with open_images() as workspace:
        expected = forecast(workspace)
        absent = workspace.absent_roots()
    if as_json:
        show_json({**forecast_json(expected, all_files=files), "notes": list(absent.values())})
        return
    show_forecast(expected, empty="Nothing would be made.", all_files=files)
    for sentence in absent.values():
        click.echo(sentence)


@click.command(short_help="Take back the last decision on cut-outs.")
@click.argument("patterns", metavar="PATTERN...", nargs=-1, required=True)
@reason_option(required=True)
@apply_option
@who_option
@json_option
def withdraw(patterns: tuple[str, ...], reason: str, carry_out: bool, who: str | None, as_json: bool) -> None:
    """Take back what was decided last on the cut-outs whose photo matches a PATTERN; the verdict before it holds again.

    Withdrawing a rejection restores an earlier approval; withdrawing an approval unpublishes its pictures.

    Shows what would change; --apply carries it out.

    \b
    crown images withdraw 52000123_1 --reason 'shows the old housing'
    crown images withdraw '520001*' --reason 'wrong series' --apply
    """  # noqa: D301
    decide_on(patterns, "withdraw", who=who, reason=reason, carry_out=carry_out, as_json=as_json)


def _act(
    act: Callable[[Connection, str], object],
    who: str | None,
    verb: str,
    *,
    carry_out: bool,
    as_json: bool,
    sentence: str,
    due: Callable[[Connection], Mapping[str, Collection[str]]] | None = None,
) -> None:
    """Show what follows from a person's act on products; with `carry_out`, do it. `due`: the items it makes due."""
    from crown.product_images.forecast import consequences
    from crown.product_images.workspace import PUBLISHED

    with open_images() as workspace:
        person = acting(workspace.engine, who, verb, PUBLISHED)
        follows = consequences(
            workspace, (lambda connection: act(connection, person)) if due is None else None, due=due
        )
        if carry_out:
            with workspace.engine.begin() as connection:
                act(connection, person)
    show_act(follows, applied=carry_out, as_json=as_json, sentence=sentence)


@click.command(short_help="Stop publishing the product NUMBER.")
@click.argument("number")
@reason_option(required=True)
@apply_option
@who_option
@json_option
def retire(number: str, reason: str, carry_out: bool, who: str | None, as_json: bool) -> None:
    """No longer publish the product NUMBER: the next run removes its pictures, originals and approvals stay.

    Shows what would change; --apply carries it out.

    \b
    crown images retire 52000123 --reason 'no longer sold'
    crown images retire 52000123 --reason 'no longer sold' --apply
    """  # noqa: D301
    from crown.product_images.publishing import products

    def act(connection: Connection, person: str) -> None:
        products.retire(connection, number, who=person, via="cli", reason=reason)

    _act(act, who, "retire", carry_out=carry_out, as_json=as_json, sentence=f"Retire the product {number}.")


@click.command(short_help="Publish the product NUMBER again.")
@click.argument("number")
@reason_option(required=False)
@apply_option
@who_option
@json_option
def unretire(number: str, reason: str | None, carry_out: bool, who: str | None, as_json: bool) -> None:
    """Publish the product NUMBER again; nothing has to be approved again.

    Shows what would change; --apply carries it out.

    \b
    crown images unretire 52000123 --apply
    """  # noqa: D301
    from crown.product_images.publishing import products

    def act(connection: Connection, person: str) -> None:
        products.unretire(connection, number, who=person, via="cli", reason=reason)

    _act(
        act,
        who,
        "retire",
        carry_out=carry_out,
        as_json=as_json,
        sentence=f"Publish the product {number} again.",
    )


@click.command(short_help="Make the outputs of photos again.")
@click.argument("pattern")
@click.option(
    "--asset", help="Only what this asset made, for instance cutouts; default: all after the approval."
)
@reason_option(required=False)
@apply_option
@who_option
@json_option
def rebuild(
    pattern: str, asset: str | None, reason: str | None, carry_out: bool, who: str | None, as_json: bool
) -> None:
    """Make the outputs of the photos that match PATTERN again (* and ? as in file names).

    Shows what would change; --apply carries it out.

    \b
    crown images rebuild '52000123*'
    crown images rebuild 52000123 --asset cutouts --apply
    """  # noqa: D301
    from crown.product_images.publishing import products

    chosen = assets_named(asset) if asset else products.AFTER_APPROVAL

    def act(connection: Connection, person: str) -> None:
        products.rebuild(connection, pattern, chosen, who=person, via="cli", reason=reason)

    _act(
        act,
        who,
        "retry",
        carry_out=carry_out,
        as_json=as_json,
        sentence=f"Make again what was made of {pattern}, by force.",
        due=lambda connection: products.to_rebuild(connection, pattern, chosen),
    )


@click.command(short_help="Confirm a removal that is held.")
@click.argument("target", required=False)
@click.option(
    "--plan", "seen", help="The beginning of the hash of the plan that you saw; another one is refused."
)
@reason_option(required=False)
@apply_option
@who_option
@json_option
def confirm(
    target: str | None, seen: str | None, reason: str | None, carry_out: bool, who: str | None, as_json: bool
) -> None:
    """Confirm the removal of many products that is held; the next run carries out exactly that plan.

    Shows what is held; --apply confirms it.

    \b
    crown images confirm
    crown images confirm production --reason 'the series ended' --apply
    """  # noqa: D301
    from crown.flow import held_removals
    from crown.product_images.publishing.removals import RULES
    from crown.product_images.workspace import PUBLISHED

    with open_images() as workspace:
        with workspace.engine.connect() as connection:
            held = [one for one in held_removals.standing(connection, RULES) if target in (None, one.target)]
        if carry_out:
            person = acting(workspace.engine, who, "apply_removal", PUBLISHED)
            held_removals.confirm(
                workspace, RULES, who=person, via="cli", target=target, seen=seen, reason=reason
            )
    if as_json:
        show_json({"applied": carry_out, "plans": held})
        return
    show_rows(
        [
            {
                "target": one.target,
                "products": len(one.subjects),
                "of": one.of_subjects,
                "files": len(one.keys),
                "plan": one.plan_hash[:12],
                "which": ", ".join(one.subjects[:10]) + (" ..." if len(one.subjects) > 10 else ""),
            }
            for one in held
        ],
        title="Confirmed; the next run removes" if carry_out else None,
        empty="No removal is held.",
    )
    if held and not carry_out:
        click.echo("Nothing is changed; --apply confirms it.")


@click.command("text", short_help="Show or change the texts inside a product's pictures.")
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
    crown images text 52000123 --description 'Brake disc, vented'
    crown images text 52000123 --keywords 'brake disc, front axle'
    crown images text 52000123 --tag 'copyright=(c) Example Parts Ltd'
    """  # noqa: D301
    from crown.errors import BadInput
    from crown.product_images import stages
    from crown.product_images.publishing import texts as texts_of
    from crown.product_images.workspace import TEXTS

    unclear = [tag for tag in tags if "=" not in tag]
    if unclear:
        raise BadInput(f"--tag {unclear[0]} has no `=`; write it as NAME=TEXT.")
    with open_images() as workspace:
        changed = texts_of.say(
            workspace,
            number,
            who=acting(workspace.engine, who, "edit", TEXTS),
            via="cli",
            description=description,
            keywords=None if keywords is None else [w.strip() for w in keywords.split(",") if w.strip()],
            free=dict(tag.split("=", 1) for tag in tags),
        )
        stages.plan(workspace, [TEXTS])  # what is due now is seen by the sensor
    if as_json:
        show_json(changed.recipe())
        return
    for name, value in changed.recipe().items():
        if value and name != "digital_source_type":
            click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


COMMANDS = (plan, withdraw, retire, unretire, rebuild, confirm, texts)
