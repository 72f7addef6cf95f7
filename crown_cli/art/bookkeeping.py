"""The book-keeper's acts from the command line: settle, take a sale back, printed, new records, close, reopen.

What touches many editions shows its plan and writes with --apply. The acts are crown/art_records/acts/bookkeeping.py.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import click

from crown_cli.art.shared import (
    AMOUNT,
    DAY,
    MONTH,
    TABLES,
    payment_option,
    workspace,
)
from crown_cli.art.work import day_of, say
from crown_cli.common.options import apply_option, reason_option
from crown_cli.common.output import json_option
from crown_cli.common.people import acting, who_option

_why = click.option("--reason", required=True, help="Why, for the history.")


@click.command(short_help="Record that sales were paid.")
@click.argument("edition", required=False)
@click.option("--gallery", help="Instead of EDITION: all that this gallery (id or name) sold ...")
@click.option("--month", type=MONTH, metavar="MONTH", help="... in this month, such as 2026-01.")
@click.option("--on", type=DAY, metavar="DAY", help="The day it was paid; default: today.")
@payment_option
@apply_option
@reason_option()
@who_option
@json_option
def settle(
    edition: str | None, gallery: str | None, month: date | None, on: date | None, payment: str | None, carry_out: bool,
    reason: str | None, who: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Record that the sale of EDITION was paid, or all that a gallery sold in a month.

    A month is shown first and written with --apply; an EDITION is written at once.

    \b
    crown art settle "Work - 12" --on 2026-02-10
    crown art settle --gallery "Amber Room" --month 2026-01 --on 2026-02-10
    crown art settle --gallery "Amber Room" --month 2026-01 --apply
    """  # noqa: D301
    from crown.art_records.acts import bookkeeping, local
    from crown.art_records.workspace import DEPARTMENT

    whole = gallery is not None and month is not None and edition is None
    if not whole and (edition is None or gallery is not None or month is not None):
        raise click.UsageError("Give an EDITION, or --gallery and --month.")
    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        if edition is not None:
            say(local.settle(art_records.engine, edition, who=person, paid_on=day_of(on), payment=payment, reason=reason),
                as_json=as_json)  # fmt: skip
            return
        assert gallery is not None
        assert month is not None
        done = bookkeeping.settle_month(
            art_records.engine,
            gallery,
            month,
            who=person,
            paid_on=day_of(on),
            apply=carry_out,
            payment=payment,
            reason=reason,
        )
    say(done, as_json=as_json)
    _not_yet(carry_out, as_json)


def _not_yet(carry_out: bool, as_json: bool) -> None:
    if not carry_out and not as_json:
        click.echo("Nothing was written; --apply writes it.")


@click.command(name="take-back-sale", short_help="Make the sold EDITION unsold again.")
@click.argument("edition")
@click.option("--settled", is_flag=True, help="Also when it is settled: the money is refunded.")
@_why
@who_option
@json_option
def take_back_sale(edition: str, settled: bool, reason: str, who: str | None, as_json: bool) -> None:
    """Make the sold EDITION unsold again; the sale stays in its history.

    Says so when the sale is on an invoice, which then needs one that replaces it.

    \b
    crown art take-back-sale "Work - 12" --reason "the buyer returned it"
    """  # noqa: D301
    from crown.art_records.acts import bookkeeping
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        done = bookkeeping.take_back_sale(
            art_records.engine, edition, who=person, reason=reason, even_settled=settled
        )
    say(done, as_json=as_json)


@click.command(short_help="Record that editions of WORK were printed.")
@click.argument("work")
@click.option("--numbers", metavar="RANGES", help="Such as 1-50,60; default: all editions of WORK.")
@apply_option
@reason_option()
@who_option
@json_option
def printed(
    work: str, numbers: str | None, carry_out: bool, reason: str | None, who: str | None, as_json: bool
) -> None:
    """Record that editions of WORK were printed, many at once.

    \b
    crown art printed "New Harbour" --numbers 1-50
    crown art printed "New Harbour" --numbers 1-50 --apply
    """  # noqa: D301
    from crown.art_records.acts import bookkeeping
    from crown.art_records.workspace import DEPARTMENT

    chosen = bookkeeping.ranges(numbers) if numbers else []
    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        done = bookkeeping.mark_printed(
            art_records.engine, work, chosen, who=person, apply=carry_out, reason=reason
        )
    say(done, as_json=as_json)
    _not_yet(carry_out, as_json)


@click.command(name="add-gallery", short_help="Enter the gallery NAME.")
@click.argument("name")
@click.option("--commission", type=AMOUNT, help="Percent that it keeps; default: unknown.")
@click.option("--kind", type=click.Choice(["gallery", "direct", "legacy"]), default="gallery", show_default=True,
              help="What sort of place it is.")  # fmt: skip
@click.option("--web-address", help="Its pages.")
@reason_option()
@who_option
@json_option
def add_gallery(
    name: str, commission: Decimal | None, kind: str, web_address: str | None, reason: str | None, who: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Enter the gallery NAME.

    \b
    crown art add-gallery "Harbour Lights" --commission 40
    """  # noqa: D301
    from crown.art_records.acts import bookkeeping
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        done = bookkeeping.add_gallery(
            art_records.engine,
            name,
            who=person,
            commission=commission,
            kind=kind,
            web_address=web_address,
            reason=reason,
        )
    say(done, as_json=as_json)


@click.command(name="add-edition", short_help="Enter one edition that the art tables lack.")
@click.argument("work")
@click.argument("number", type=int)
@click.option("--price", type=AMOUNT, help="Retail price; default: unknown.")
@click.option("--at", "place", help="Where it is (id or name); default: Direct.")
@click.option("--printed", is_flag=True, help="It is printed already.")
@reason_option()
@who_option
@json_option
def add_edition(
    work: str, number: int, price: Decimal | None, place: str | None, printed: bool, reason: str | None, who: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Enter edition NUMBER of WORK, one that the art tables lack.

    \b
    crown art add-edition "Work" 12 --price 120 --at "Amber Room" --printed
    """  # noqa: D301
    from crown.art_records.acts import bookkeeping
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        done = bookkeeping.add_edition(
            art_records.engine,
            work,
            number,
            who=person,
            price=price,
            at=place,
            printed=printed,
            reason=reason,
        )
    say(done, as_json=as_json)


@click.command(short_help="Remove RECORD from today's art tables.")
@click.argument("table", type=click.Choice(TABLES))
@click.argument("record")
@_why
@who_option
@json_option
def close(table: str, record: str, reason: str, who: str | None, as_json: bool) -> None:
    """Remove RECORD from today's art tables; its history stays.

    A work or gallery to which active editions belong is refused.

    \b
    crown art close distributors "Harbour Lights" --reason "gone out of business"
    """  # noqa: D301
    from crown.art_records.acts import bookkeeping
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        done = bookkeeping.close(art_records.engine, table, record, who=person, reason=reason)
    say(done, as_json=as_json)


@click.command(short_help="Bring a closed RECORD back as it was.")
@click.argument("table", type=click.Choice(TABLES))
@click.argument("record")
@reason_option()
@who_option
@json_option
def reopen(table: str, record: str, reason: str | None, who: str | None, as_json: bool) -> None:
    """Bring a closed RECORD back as it was.

    \b
    crown art reopen editions "Work - 12"
    """  # noqa: D301
    from crown.art_records.acts import bookkeeping
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        done = bookkeeping.reopen(art_records.engine, table, record, who=person, reason=reason)
    say(done, as_json=as_json)


COMMANDS = (settle, take_back_sale, printed, add_gallery, add_edition, close, reopen)
