"""Work in the art tables from the command line: add a print, sell, move, edit, resolve, erase.

The book-keeper's other acts are in art_bookkeeping.py.
Every act is validated by crown/art_records/acts/local.py, is a version in the history and is recorded in the activity trail.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from crown_cli.art.shared import (
    AMOUNT,
    TABLES,
    on_option,
    payment_option,
    workspace,
)
from crown_cli.common.options import apply_option, reason_option
from crown_cli.common.output import json_option, show_json
from crown_cli.common.people import acting, who_option

if TYPE_CHECKING:
    from crown.art_records.acts.bookkeeping import BulkReport
    from crown.art_records.acts.transaction import LocalReport
    from crown.art_records.history.erasing import ErasureReport


def day_of(on: date | None) -> date:
    """The day that was given, else today."""
    return on or date.today()  # noqa: DTZ011 - a book-keeper's day is the local one


def say(report: LocalReport | BulkReport | ErasureReport, *, as_json: bool) -> None:
    """Answer with what an act did."""
    if as_json:
        show_json(report.as_dict())
    else:
        click.echo(report.text())


@click.command(name="add-print", short_help="Enter a print with all its editions.")
@click.argument("name")
@click.option("--total", type=int, required=True, help="How many editions, 1 to 10,000.")
@click.option("--short-name", help="Default: the initials.")
@click.option("--price", type=AMOUNT, help="Retail price of every edition.")
@reason_option()
@who_option
@json_option
def add_print(
    name: str, total: int, short_name: str | None, price: Decimal | None, reason: str | None, who: str | None, as_json: bool
) -> None:  # fmt: skip
    """Enter the print NAME with all its editions, unprinted, at Direct.

    \b
    crown art add-print "New Harbour" --total 250 --price 120
    """  # noqa: D301
    from crown.art_records.acts import local
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        done = local.add_print(
            art_records.engine, name, total, who=person, short_name=short_name, price=price, reason=reason
        )
    say(done, as_json=as_json)


@click.command(short_help="Record the sale of EDITION.")
@click.argument("edition")
@on_option
@click.option("--price", type=AMOUNT, help="Retail price; default: the one in the art tables.")
@click.option("--at", "place", help="Where it was sold (id or name); default: where it is.")
@click.option("--commission", type=AMOUNT, help="Percent; default: the edition's own, then the place's.")
@payment_option
@reason_option()
@who_option
@json_option
def sell(
    edition: str, on: date | None, price: Decimal | None, place: str | None, commission: Decimal | None,
    payment: str | None, reason: str | None, who: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Record the sale of EDITION (its record id, or its name when that is unique).

    \b
    crown art sell "Work - 12" --on 2026-02-03 --price 90
    crown art sell recAbCdEfGhIjKlMn --at "Amber Room" --commission 40
    """  # noqa: D301
    from crown.art_records.acts import local
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        done = local.sell(
            art_records.engine, edition, who=person, sold_on=day_of(on), price=price, distributor=place,
            commission=commission, payment=payment, reason=reason,
        )  # fmt: skip
    say(done, as_json=as_json)


@click.command(short_help="Record that EDITION went to another place.")
@click.argument("edition")
@click.option("--to", required=True, help="Where it goes: id or name of a distributor.")
@on_option
@reason_option()
@who_option
@json_option
def move(edition: str, to: str, on: date | None, reason: str | None, who: str | None, as_json: bool) -> None:
    """Record that EDITION went to another place, on the commission of that place.

    \b
    crown art move "Work - 13" --to "Amber Room" --on 2026-02-03
    """  # noqa: D301
    from crown.art_records.acts import local
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        done = local.move(art_records.engine, edition, to, who=person, on=day_of(on), reason=reason)
    say(done, as_json=as_json)


@click.command(short_help="Change fields of RECORD.")
@click.argument("table", type=click.Choice(TABLES))
@click.argument("record")
@click.argument("values", metavar="FIELD=TEXT...", nargs=-1, required=True)
@reason_option()
@who_option
@json_option
def edit(
    table: str, record: str, values: tuple[str, ...], reason: str | None, who: str | None, as_json: bool
) -> None:
    """Change fields of RECORD; each text goes through the rule of its column, an empty one makes it unknown.

    \b
    crown art edit editions recAbCdEfGhIjKlMn size=Large is_printed=checked
    crown art edit prints "Work" total_editions=250 --reason 'counted'
    """  # noqa: D301
    from crown.art_records.acts import local
    from crown.art_records.workspace import DEPARTMENT
    from crown.errors import BadInput

    given = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals:
            raise BadInput(f"{value!r} is not FIELD=TEXT; write for instance size=Large.")
        given[name] = text
    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        done = local.edit(
            art_records.engine, table, record, given, who=person, reason=reason, book=art_records.book
        )
    say(done, as_json=as_json)


@click.command(short_help="Decide a conflict between the tables and an export.")
@click.argument("conflict", type=int)
@click.argument("take", type=click.Choice(["local", "source"]))
@reason_option()
@who_option
@json_option
def resolve(conflict: int, take: str, reason: str | None, who: str | None, as_json: bool) -> None:
    """Decide CONFLICT: `local` keeps what the art tables say, `source` takes what the export said.

    \b
    crown art conflicts
    crown art resolve 12 source
    """  # noqa: D301
    from crown.art_records.acts import local
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        status = local.resolve(art_records.engine, conflict, take, who=person, reason=reason)
    if as_json:
        show_json({"conflict_id": conflict, "status": status})
    else:
        click.echo(f"Conflict {conflict}: {status.replace('_', ' ')}.")


@click.command(short_help="Accept what checks find now.")
@click.argument("check", required=False)
@click.option("--withdraw", is_flag=True, help="Warn again of what was accepted.")
@apply_option
@reason_option()
@who_option
@json_option
def accept(
    check: str | None, withdraw: bool, carry_out: bool, reason: str | None, who: str | None, as_json: bool
) -> None:
    """Accept what CHECK finds now, so that it warns of what is new only.

    Without CHECK it is the baseline: what all checks find now. What was accepted
    is counted and shown, with its date and who accepted it; a record with another
    finding later is new again. Errors cannot be accepted.

    \b
    crown art accept
    crown art accept --apply --reason 'as in the base before Crown'
    crown art accept double_linked --apply --reason 'old diptychs'
    crown art accept double_linked --withdraw --apply
    """  # noqa: D301
    from crown.art_records import checks
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records:
        person = acting(art_records.engine, who, "withdraw" if withdraw else "approve", DEPARTMENT)
        found = checks.accept(
            art_records.engine, check, who=person, via="cli", verdict="withdraw" if withdraw else "approve", apply=carry_out,
            reason=reason,
        )  # fmt: skip
    if as_json:
        total = sum(found.values())
        show_json({"findings": total, "by_check": found, "withdrawn": withdraw, "applied": carry_out})
        return
    verb = "are" if carry_out else "would be"
    for name, count in found.items():
        click.echo(f"{count:,} findings of {name} {verb} {'accepted no longer' if withdraw else 'accepted'}.")
    if not carry_out:
        click.echo("Nothing was written; --apply records it.", err=True)


@click.command(short_help="Sign an exception from a formula check.")
@click.argument("column", required=False)
@click.argument("text_hash", metavar="HASH", required=False)
@click.option("--withdraw", is_flag=True, help="Take the signature back.")
@reason_option()
@who_option
@json_option
def sign(
    column: str | None,
    text_hash: str | None,
    withdraw: bool,
    reason: str | None,
    who: str | None,
    as_json: bool,
) -> None:
    """Sign an exception from the comparison with the export's formulas.

    Without HASH the exceptions are shown, each with the hash of its text; an
    exception counts only while exactly that text is signed.

    \b
    crown art sign
    crown art sign Commissions 3f0c22ab90d1 --who ann
    crown art sign Commissions 3f0c22ab90d1 --withdraw
    """  # noqa: D301
    from crown.art_records.exports import signatures
    from crown.art_records.workspace import DEPARTMENT

    with workspace() as art_records, art_records.engine.begin() as connection:
        if column and text_hash:
            person = acting(art_records.engine, who, "withdraw" if withdraw else "approve", DEPARTMENT)
            found = [
                signatures.sign(
                    connection, column, text_hash, "withdraw" if withdraw else "approve", who=person, via="cli",
                    reason=reason,
                )
            ]  # fmt: skip
        else:
            found = [e for e in signatures.exemptions(connection).values() if column in (None, e.column)]
    if as_json:
        show_json(found)
        return
    for exemption in found:
        signed = (
            f"signed by {exemption.signed_by} on {exemption.signed_at:%Y-%m-%d}"
            if exemption.signed_by
            else "unsigned"
        )
        click.echo(f"{exemption.column} ({exemption.rows} rows), {exemption.text_hash[:12]}, {signed}")
        click.echo(f"  {exemption.reason}")


@click.command(short_help="Remove a person's TEXT everywhere.")
@click.argument("text", required=False)
@click.option("--reason", required=True, help="Why; it is kept, so it must not name the person.")
@apply_option
@who_option
@json_option
def erase(text: str | None, reason: str, carry_out: bool, who: str | None, as_json: bool) -> None:
    """Remove a person's TEXT from art tables, history, change sets, quarantine and raw files; cannot be taken back.

    Without TEXT it is asked for, so that the name does not stay in the shell's history.

    \b
    crown art erase --reason 'asked to be forgotten'
    crown art erase --reason 'asked to be forgotten' --apply
    """  # noqa: D301
    from crown.art_records.history import erasing
    from crown.art_records.workspace import DEPARTMENT

    named = text if text is not None else click.prompt("The person's text", err=True)
    with workspace() as art_records:
        person = acting(art_records.engine, who, "erase", DEPARTMENT)
        done = erasing.erase(
            art_records.engine,
            named,
            objects=art_records.objects,
            who=person,
            reason=reason,
            apply=carry_out,
        )
    say(done, as_json=as_json)
    if not carry_out and not as_json:
        click.echo("Nothing was changed; --apply does it.")


COMMANDS = (add_print, sell, move, edit, resolve, accept, sign, erase)
