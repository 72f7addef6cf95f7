"""Invoices, statements and certificates from the command line; they are made in crown/art_records/documents/issue.py.

A document is shown first and issued with --apply: its number is given then, and never again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from crown_cli.art.shared import (
    DAY,
    MONTH,
    workspace,
    write_private,
)
from crown_cli.art.work import day_of
from crown_cli.common.options import apply_option
from crown_cli.common.output import json_option, rows_option, show_json, show_rows
from crown_cli.common.people import acting, who_option

if TYPE_CHECKING:
    from crown.art_records.documents.issue import Document

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _issuing(command: _Command) -> _Command:
    """The options that every kind of document has."""
    for option in reversed((
        click.option("--on", type=DAY, metavar="DAY", help="The day on the document; default: today."),
        click.option("--replaces", metavar="LABEL", help="The document that this one corrects."),
        click.option("--reason", help="Why; needed with --replaces, and printed then."),
        apply_option,
        who_option,
        json_option,
    )):  # fmt: skip
        command = option(command)
    return command


def _issue(
    kind: str,
    *subject: Any,
    as_json: bool,
    on: date | None,
    carry_out: bool,
    who: str | None,
    **order: Any,
) -> None:
    from crown.art_records.documents import issue as documents
    from crown.art_records.documents.facts import seller
    from crown.art_records.workspace import DEPARTMENT

    make = getattr(documents, f"issue_{kind}")
    with workspace() as art_records:
        by = seller(art_records.settings)
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        ordered = documents.Order(on=day_of(on), apply=carry_out, who=person, **order)
        made = make(art_records.engine, art_records.objects, by, *subject, ordered)
    if as_json:
        show_json(made.as_dict())
        return
    _show(made)
    if carry_out:
        click.echo(
            f"{made.label} is issued; `crown art document {made.label} --output {made.label}.pdf` writes it."
        )
    else:
        click.echo(f"Nothing was issued; --apply issues it as {made.label}.")


def _show(made: Document) -> None:
    from crown.art_records.documents.pages import page

    shown = page(made.stated)
    click.echo("\n".join([f"{shown.title} {shown.label}", *(f"  {word}: {value}" for word, value in shown.facts),
                          *(f"  To: {line}" for line in shown.receiver[:1])]))  # fmt: skip
    for table in shown.tables:
        columns = [column.heading for column in table.columns]
        show_rows([dict(zip(columns, row, strict=True)) for row in table.rows], columns=columns, title=table.title,
                  empty=f"{table.title}: {table.empty}", width=100)  # fmt: skip
        for word, amount in table.sums:
            click.echo(f"  {word}: {amount}")
    for note in (*([shown.statement] if shown.statement else []), *shown.notes):
        click.echo(f"  {note}")


@click.command(short_help="Invoice what GALLERY sold in MONTH.")
@click.argument("gallery")
@click.argument("month", type=MONTH)
@_issuing
def invoice(gallery: str, month: date, as_json: bool, **order: Any) -> None:
    """Invoice what GALLERY sold in MONTH and no other invoice states.

    VAT, terms and addresses are settings (CROWN_ART_...).

    \b
    crown art invoice "Amber Room" 2026-01
    crown art invoice "Amber Room" 2026-01 --apply
    crown art invoice "Amber Room" 2026-01 --replaces INV-2026-0007 \\
        --reason "one print was returned" --apply
    """  # noqa: D301
    _issue("invoice", gallery, month, as_json=as_json, **order)


@click.command(short_help="State what GALLERY owes and which copies it holds.")
@click.argument("gallery")
@_issuing
def statement(gallery: str, as_json: bool, **order: Any) -> None:
    """State what GALLERY owes, by age, and which copies it holds.

    \b
    crown art statement "Amber Room"
    crown art statement "Amber Room" --on 2026-01-31 --apply
    """  # noqa: D301
    _issue("statement", gallery, as_json=as_json, **order)


@click.command(short_help="Certify that EDITION is the one of its number.")
@click.argument("edition")
@_issuing
def certificate(edition: str, as_json: bool, **order: Any) -> None:
    """Certify that EDITION is the one of its number; refused when the art tables cannot say so.

    \b
    crown art certificate "Work - 12"
    crown art certificate "Work - 12" --apply
    """  # noqa: D301
    _issue("certificate", edition, as_json=as_json, **order)


@click.command(short_help="List the documents that were issued.")
@click.option("--kind", type=click.Choice(["invoice", "statement", "certificate"]), help="Only these.")
@click.option("--unsent", is_flag=True, help="Only those in force that nobody has sent.")
@click.option("--limit", default=50, show_default=True, help="Rows to show.")
@rows_option
def documents(kind: str | None, unsent: bool, limit: int, as_json: bool) -> None:
    """The documents that were issued, the newest first.

    \b
    crown art documents --kind invoice
    crown art documents --unsent --json
    """  # noqa: D301
    from crown.art_records.documents.issue import listed
    from crown.art_records.wording import money

    with workspace() as art_records:
        rows = listed(art_records.engine, kind=kind, unsent=unsent, limit=limit)
    if as_json:
        show_json(rows)
        return
    shown = [{**row, "total": None if row["total"] is None else money(row["total"])} for row in rows]
    columns = ("label", "issued_on", "subject", "month", "total", "sent_on", "replaces", "replaced_by")
    show_rows(shown, columns=columns, empty="No document was issued yet.", width=100)


@click.command(short_help="Show one document, or write its file.")
@click.argument("label")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option("--form", type=click.Choice(["pdf", "html"]), help="Default: by the file's ending, else pdf.")
@json_option
def document(label: str, output: Path | None, form: str | None, as_json: bool) -> None:
    """Document LABEL: what it states, or with --output its file exactly as it was issued.

    \b
    crown art document INV-2026-0001
    crown art document INV-2026-0001 --output INV-2026-0001.pdf
    """  # noqa: D301
    from crown.art_records.documents import issue as issued

    with workspace() as art_records:
        found = issued.document(art_records.engine, label)
        form = form or (
            "html" if output is not None and output.suffix.lower() in (".html", ".htm") else "pdf"
        )
        content = issued.issued_bytes(found, art_records.objects, form) if output is not None else b""
    if output is not None:
        write_private(output, content)
    if as_json:
        show_json({**found.as_dict(), "written": output})
    elif output is None:
        _show(found)
    else:
        click.echo(str(output.absolute()))


@click.command(short_help="Record that document LABEL was sent.")
@click.argument("label")
@click.option("--how", required=True, help="Such as e-mail or post; name no person.")
@click.option("--on", type=DAY, metavar="DAY", help="The day, such as 2026-02-03; default: today.")
@who_option
@json_option
def sent(label: str, how: str, on: date | None, who: str | None, as_json: bool) -> None:
    """Record that document LABEL was sent.

    \b
    crown art sent INV-2026-0001 --how e-mail
    """  # noqa: D301
    from crown.art_records.documents.issue import mark_sent
    from crown.art_records.workspace import DEPARTMENT

    day = day_of(on)
    with workspace() as art_records:
        person = acting(art_records.engine, who, "edit", DEPARTMENT)
        found = mark_sent(art_records.engine, label, how, who=person, on=day)
    if as_json:
        show_json({"label": found.label, "sent_on": day, "how": how})
    else:
        click.echo(f"{found.label} was sent on {day} by {how}.")


COMMANDS = (invoice, statement, certificate, documents, document, sent)
