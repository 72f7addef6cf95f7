"""The layout of a document: one page of headings, tables and sums, as HTML and as PDF.

Both are rendered from the same facts. Reads nothing, writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crown.art_records.wording import money, percent
from crown.errors import BadInput

if TYPE_CHECKING:
    from fpdf import FPDF

_TITLES = {"invoice": "Invoice", "statement": "Statement", "certificate": "Certificate of authenticity"}
_INK, _FAINT, _RULE = (51, 58, 64), (110, 118, 125), (205, 211, 216)


@dataclass(frozen=True)
class Column:
    """A column of a table: heading, share of the width, and whether it holds numbers."""

    heading: str
    share: int
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under headings; `sums` are below, each a label and an amount, the last one in bold."""

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[tuple[str, ...]]
    sums: tuple[tuple[str, str], ...] = ()
    empty: str = "None."


@dataclass(frozen=True)
class Page:
    """A document for a renderer."""

    kind: str
    title: str
    label: str
    issued_on: str
    seller: str
    seller_lines: tuple[str, ...]
    receiver: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    heading: str = ""
    statement: str = ""


def page(stated: dict[str, Any]) -> Page:
    """The page of what a document states."""
    return {"invoice": _invoice, "statement": _statement, "certificate": _certificate}[stated["kind"]](stated)


def _shared(stated: dict[str, Any]) -> dict[str, Any]:
    by = stated["seller"]
    lines = [*by["address"], *([f"VAT number {by['vat_number']}"] if by["vat_number"] else [])]
    return {
        "kind": stated["kind"], "title": _TITLES[stated["kind"]], "label": stated["label"],
        "issued_on": stated["issued_on"], "seller": by["name"], "seller_lines": tuple(lines),
    }  # fmt: skip


def _receiver(stated: dict[str, Any]) -> tuple[str, ...]:
    return (stated["gallery"]["name"], *stated["gallery"]["address"])


def _replacing(stated: dict[str, Any]) -> tuple[str, ...]:
    if "replaces" not in stated:
        return ()
    return (f"This {stated['kind']} replaces {stated['replaces']}: {stated['reason']}",)


_SALE_COLUMNS = (
    Column("Edition", 34), Column("Sold", 14), Column("Retail price", 15, number=True),
    Column("Commission", 23, number=True), Column("Net", 14, number=True),
)  # fmt: skip


def _sale(line: dict[str, Any]) -> tuple[str, ...]:
    kept = "unknown" if line["commission"] is None else money(line["commission"])
    share = "none" if line["commission_percentage"] is None else percent(line["commission_percentage"])
    return (
        line["edition"],
        line["date_sold"] or "unknown",
        money(line["price"]),
        f"{share} = {kept}",
        money(line["net"]),
    )


def _invoice(stated: dict[str, Any]) -> Page:
    totals = stated["totals"]
    sums = (
        ("Retail price", money(totals["price"])),
        ("Less commission", money(totals["commission"])),
        *_due(totals),
    )
    terms = f"Please pay {money(totals['total'])} by {stated['due_on']}."
    notes = [f"{terms} {stated['payment_details']}".strip()] if float(totals["total"]) else []
    return Page(
        **_shared(stated), receiver=_receiver(stated),
        facts=(("Invoice number", stated["label"]), ("Date", stated["issued_on"]), ("Sales of", stated["month"]),
               ("Due", stated["due_on"])),
        tables=(Table("Sales", _SALE_COLUMNS, [_sale(line) for line in stated["lines"]], sums, "No sales."),),
        notes=(*_replacing(stated), *notes),
    )  # fmt: skip


def _due(totals: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The lines that end in what is to be paid; statements of before VAT was on them have the net alone."""
    total = ("Total due", money(totals.get("total", totals["net"])))
    if "vat" not in totals:
        return (total,)
    return (
        ("Net before VAT", money(totals["before_vat"])),
        (f"VAT {percent(totals['vat_percent'])}", money(totals["vat"])),
        total,
    )


def _statement(stated: dict[str, Any]) -> Page:
    due = Table(
        "Sold and not yet paid", (*_SALE_COLUMNS[:1], Column("Sold", 13), Column("Invoice", 17),
                                  Column("Retail price", 14, number=True), Column("Net", 14, number=True)),
        [(line["edition"], line["date_sold"] or "unknown", line["invoice"] or "", money(line["price"]), money(line["net"]))
         for line in stated["lines"]],
        _due(stated["totals"]), "Nothing is due.",
    )  # fmt: skip
    before_vat = ", before VAT" if stated["totals"].get("vat_added") else ""
    ages = Table(f"Due by age of the sale{before_vat}", tuple(Column(name, 20, number=True) for name in stated["ageing"]),
                 [tuple(money(value) for value in stated["ageing"].values())])  # fmt: skip
    held = Table(
        "On consignment", (Column("Work", 40), Column("Numbers", 32), Column("Copies", 10, number=True),
                           Column("Retail value", 18, number=True)),
        [(row["work"], row["numbers"], str(row["copies"]),
          money(row["value"]) + (f", {row['without_price']} without price" if row["without_price"] and row["value"] else ""))
         for row in stated["held"]],
        empty="No copies are with you.",
    )  # fmt: skip
    missing = stated["without_price"]
    counted = (f"Not in the total, because their price is unknown: {missing} of these sales.",)
    return Page(
        **_shared(stated), receiver=_receiver(stated),
        facts=(("Statement number", stated["label"]), ("As of", stated["issued_on"])),
        tables=(due, *((ages,) if stated["lines"] else ()), held),
        notes=(*_replacing(stated), *(counted if missing else ())),
    )  # fmt: skip


def _certificate(stated: dict[str, Any]) -> Page:
    edition = stated["edition"]
    facts = [("Work", edition["work"]), ("Edition", f"{edition['number']} of {edition['total']}")]
    facts += [(word, edition[name]) for word, name in (("Size", "size"), ("Frame", "frame"), ("Variation", "variation"))
              if edition[name] and edition[name] != "Unknown"]  # fmt: skip
    facts += [("Certificate number", stated["label"]), ("Date", stated["issued_on"])]
    return Page(
        **_shared(stated), facts=tuple(facts), heading=edition["work"],
        statement=f"This print is number {edition['number']} of a limited edition of {edition['total']}. "
                  f"{stated['seller']['name']} certifies that it is an authentic print of this edition.",
        notes=_replacing(stated),
    )  # fmt: skip


# ---- HTML -------------------------------------------------------------------------------------------------


@cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("document.html.j2")


def html(shown: Page) -> str:
    """The page as one HTML file that needs nothing beside it."""
    return _template().render(page=shown)


# ---- PDF --------------------------------------------------------------------------------------------------


def pdf(shown: Page) -> bytes:
    """The page as PDF, A4.

    Raises:
        BadInput: a character that the font lacks.
    """
    sheet = _sheet(shown)
    try:
        _check_characters(sheet, shown)
        if shown.kind == "certificate":
            _draw_certificate(sheet, shown)
        else:
            _draw_letter(sheet, shown)
        return bytes(sheet.output())
    finally:
        for font in sheet.fonts.values():
            font.ttfont.close()  # type: ignore[union-attr] # fpdf2 leaves the files open


def _sheet(shown: Page) -> FPDF:
    from fpdf import FPDF
    from matplotlib import get_data_path

    class Sheet(FPDF):
        def footer(self) -> None:
            if shown.kind == "certificate":
                return
            self.set_y(-14)
            self.set_font("body", size=8)
            self.set_text_color(*_FAINT)
            self.cell(0, 5, f"{shown.label}, page {self.page_no()} of {{nb}}", align="C")

    fonts = Path(get_data_path()) / "fonts" / "ttf"
    sheet = Sheet(orientation="landscape" if shown.kind == "certificate" else "portrait", format="A4")
    sheet.add_font("body", "", fonts / "DejaVuSans.ttf")
    sheet.add_font("body", "B", fonts / "DejaVuSans-Bold.ttf")
    sheet.set_title(f"{shown.title} {shown.label}")
    sheet.set_author(shown.seller)
    sheet.set_lang("en-GB")
    day = datetime.fromisoformat(shown.issued_on).replace(tzinfo=UTC)
    sheet.set_creation_date(day)
    sheet.set_margin(20)
    sheet.set_auto_page_break(True, margin=20)
    sheet.add_page()
    return sheet


def _check_characters(sheet: FPDF, shown: Page) -> None:
    known = sheet.fonts["body"].cmap  # type: ignore[union-attr]
    missing = sorted({c for c in _texts(shown) if c.isprintable() and ord(c) not in known})
    if missing:
        raise BadInput(
            f"The PDF's font has no {' '.join(missing[:5])}; write the name in {shown.label} without it."
        )


def _texts(shown: Page) -> str:
    parts = [
        shown.title,
        shown.seller,
        *shown.seller_lines,
        *shown.receiver,
        *shown.notes,
        shown.heading,
        shown.statement,
    ]
    parts += [part for fact in shown.facts for part in fact]
    parts += [cell for table in shown.tables for row in table.rows for cell in row]
    return "".join(parts)


def _draw_letter(sheet: FPDF, shown: Page) -> None:
    _write(sheet, shown.seller, bold=True, size=13)
    for line in shown.seller_lines:
        _write(sheet, line, color=_FAINT)
    sheet.ln(10)
    top = sheet.get_y()
    for i, line in enumerate(shown.receiver):
        _write(sheet, line, bold=not i, size=10, width=85)
    below = sheet.get_y()
    sheet.set_y(top)
    for word, value in shown.facts:
        sheet.set_x(115)
        _write(sheet, word, color=_FAINT, width=38, line=False)
        _write(sheet, value, width=37)
    sheet.set_y(max(below, sheet.get_y()) + 10)
    _write(sheet, f"{shown.title} {shown.label}", bold=True, size=16)
    for table in shown.tables:
        _draw_table(sheet, table)
    sheet.ln(6)
    for note in shown.notes:
        _write(sheet, note)


def _draw_table(sheet: FPDF, table: Table) -> None:
    from fpdf.enums import TableBordersLayout
    from fpdf.fonts import FontFace

    sheet.ln(5)
    _write(sheet, table.title, bold=True, size=10)
    sheet.ln(1)
    if not table.rows and table.empty:
        _write(sheet, table.empty, color=_FAINT)
    else:
        sheet.set_font("body", size=8)
        sheet.set_draw_color(*_RULE)
        sheet.set_text_color(*_INK)
        with sheet.table(
            col_widths=tuple(c.share for c in table.columns),
            text_align=tuple("RIGHT" if c.number else "LEFT" for c in table.columns),
            borders_layout=TableBordersLayout.HORIZONTAL_LINES, line_height=5, padding=1,
            headings_style=FontFace(emphasis="BOLD", color=_FAINT),
        ) as drawn:  # fmt: skip
            drawn.row([column.heading for column in table.columns])
            for row in table.rows:
                drawn.row(list(row))
    sheet.ln(2)
    if sheet.get_y() + 6 * len(table.sums) > sheet.h - 20:
        sheet.add_page()  # sums stay together
    for i, (word, amount) in enumerate(table.sums):
        last = i == len(table.sums) - 1
        sheet.set_x(100)
        _write(sheet, word, bold=last, width=55, line=False, align="R")
        _write(sheet, amount, bold=last, width=35, align="R")


def _draw_certificate(sheet: FPDF, shown: Page) -> None:
    sheet.set_draw_color(*_RULE)
    sheet.rect(10, 10, sheet.w - 20, sheet.h - 20)
    sheet.set_y(26)
    _write(sheet, shown.seller, size=12, align="C", color=_FAINT)
    sheet.ln(4)
    _write(sheet, shown.title, bold=True, size=24, align="C")
    sheet.ln(9)
    _write(sheet, shown.heading, bold=True, size=18, align="C")
    sheet.ln(3)
    sheet.set_x(50)
    _write(sheet, shown.statement, size=11, align="C", width=sheet.w - 100)
    sheet.ln(7)
    for word, value in shown.facts[1:]:
        sheet.set_x(75)
        _write(sheet, word, color=_FAINT, width=70, line=False, align="R", size=10)
        sheet.set_x(150)
        _write(sheet, value, width=80, size=10)
    for note in shown.notes:
        sheet.ln(2)
        _write(sheet, note, align="C", size=8, color=_FAINT)
    sheet.set_y(max(sheet.get_y() + 12, sheet.h - 42))
    sheet.line(sheet.w / 2 - 40, sheet.get_y(), sheet.w / 2 + 40, sheet.get_y())
    sheet.ln(1)
    _write(sheet, f"for {shown.seller}", size=8, color=_FAINT, align="C")


def _write(
    sheet: FPDF, words: str, *, size: int = 9, bold: bool = False, color: tuple[int, int, int] = _INK,
    width: float = 0, align: str = "L", line: bool = True,
) -> None:  # fmt: skip
    sheet.set_font("body", "B" if bold else "", size)
    sheet.set_text_color(*color)
    # Points to millimetres, with half a line between.
    sheet.multi_cell(width, size * 0.53, words, align=align, new_x="LMARGIN" if line else "RIGHT",
                     new_y="NEXT" if line else "TOP")  # fmt: skip
