"""The facts of an invoice, a statement and a certificate, read from the current art tables.

Every amount is the art tables' own: net is `invoice_amount` of art.editions. Money is kept as text with two decimals,
so that what is kept is what was printed. Does not belong here: numbers, issuing and files (`documents.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Connection, text

from crown.art_records.history.states import find
from crown.errors import ConfigurationError, Refused
from crown.settings.model import Settings

PENNY = Decimal("0.01")


@dataclass(frozen=True)
class Seller:
    """Who issues documents and on what terms, as the settings say."""

    name: str
    address: tuple[str, ...] = ()
    vat_percent: Decimal = Decimal(0)
    vat_number: str = ""
    vat_added: bool = False
    payment_days: int = 30
    payment_details: str = ""
    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Address lines of galleries by record id or name."""

    def as_dict(self) -> dict[str, Any]:
        """What a document states of the seller."""
        return {"name": self.name, "address": list(self.address), "vat_number": self.vat_number}


def seller(settings: Settings) -> Seller:
    """The seller that the settings name.

    Raises:
        ConfigurationError: no name, VAT without a number, or an address file that cannot be read.
    """
    if not settings.product_images.company_name.strip():
        raise ConfigurationError("A document must say who issues it; set CROWN_PRODUCT_IMAGES_COMPANY_NAME.")
    if settings.art_records.vat_percent and not settings.art_records.vat_number.strip():
        raise ConfigurationError(
            "CROWN_ART_RECORDS_VAT_PERCENT is set; a document with VAT needs CROWN_ART_RECORDS_VAT_NUMBER too."
        )
    return Seller(
        name=settings.product_images.company_name.strip(),
        address=_lines(settings.art_records.address),
        vat_percent=Decimal(str(settings.art_records.vat_percent)),
        vat_number=settings.art_records.vat_number.strip(),
        vat_added=settings.art_records.vat == "added",
        payment_days=settings.art_records.payment_days,
        payment_details=settings.art_records.payment_details.strip(),
        addresses=_addresses(settings.art_records.addresses),
    )


def _lines(given: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in given.replace("\n", ";").split(";") if part.strip())


def _addresses(path: Path | None) -> dict[str, tuple[str, ...]]:
    if path is None:
        return {}
    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return {str(key).casefold(): _lines(str(value)) for key, value in described.items()}
    except (OSError, yaml.YAMLError, AttributeError, UnicodeDecodeError):
        raise ConfigurationError(
            f"The addresses in {path} cannot be read; write `Amber Room: 1 High Street; Town` a line."
        ) from None


@dataclass(frozen=True)
class Draft:
    """A document without a number: whose it is and everything else that it states."""

    kind: str
    stated: dict[str, Any]
    distributor_id: str | None = None
    edition_id: str | None = None
    month: date | None = None


def pounds(value: Decimal | None) -> str:
    """An amount as a document keeps it."""
    return str((value or Decimal(0)).quantize(PENNY, ROUND_HALF_UP))


def invoice(
    connection: Connection, gallery: str, month: date, on: date, by: Seller, replaces: int | None
) -> Draft:
    """What a gallery owes for a month's sales that are on no other invoice.

    Raises:
        BadInput: no such gallery.
        Refused: not a gallery, nothing to invoice, or a price or commission is unknown.
    """
    place = _gallery(connection, gallery)
    month = month.replace(day=1)
    sales = _sales(connection, place["airtable_id"], on, month)
    others = {
        row["edition_id"]: row["label"] for row in _invoiced(connection) if row["document_id"] != replaces
    }
    open_sales = [row for row in sales if row["airtable_id"] not in others]
    if not open_sales and replaces is None:
        labels = sorted({others[row["airtable_id"]] for row in sales})
        raise Refused(
            f"All that {place['name']} sold in {month:%Y-%m} is on {', '.join(labels)}; a correction replaces it."
            if sales else f"{place['name']} sold nothing in {month:%Y-%m} up to {on}."
        )  # fmt: skip
    for row in open_sales:
        for name, word in (("retail_price", "price"), ("commission_percentage", "commission")):
            if row[name] is None:
                raise Refused(
                    f"The {word} of {row['edition_display_name']} is unknown; enter it with `crown art edit`."
                )
    lines = [_sale(row) for row in open_sales]
    stated = {
        **_common(place, on, by), "month": f"{month:%Y-%m}", "lines": lines, "totals": _totals(open_sales, by),
        "due_on": (on + timedelta(days=by.payment_days)).isoformat(), "payment_details": by.payment_details,
    }  # fmt: skip
    return Draft("invoice", stated, distributor_id=place["airtable_id"], month=month)


def statement(connection: Connection, gallery: str, on: date, by: Seller) -> Draft:
    """What a gallery owes on a day, by age, and what it holds.

    Raises:
        BadInput: no such gallery.
        Refused: not a gallery.
    """
    place = _gallery(connection, gallery)
    due = [row for row in _sales(connection, place["airtable_id"], on) if not row["is_settled"]]
    labels = {row["edition_id"]: row["label"] for row in _invoiced(connection)}
    ageing = {
        name: Decimal(0) for name in ("0-30 days", "31-60 days", "61-90 days", "over 90 days", "no date")
    }
    for row in due:
        ageing[_age(row["date_sold"], on)] += row["invoice_amount"] or 0
    lines = [{**_sale(row), "invoice": labels.get(row["airtable_id"])} for row in due]
    held = connection.execute(
        text("""
            select p.name as work, array_agg(e.edition_number order by e.edition_number) as numbers,
                   sum(e.retail_price) as value, count(*) filter (where e.retail_price is null) as without_price
            from art.editions e join art.prints p on p.airtable_id = e.print_id
            where e.is_active and e.distributor_id = :d and not coalesce(e.is_sold, false)
                  and coalesce(e.is_printed, false) and e.kind = 'edition'
                  and (e.date_in_gallery is null or e.date_in_gallery <= :on)
            group by p.airtable_id, p.name order by lower(p.name), p.airtable_id
        """),
        {"d": place["airtable_id"], "on": on},
    ).all()
    stated = {
        **_common(place, on, by), "lines": lines,
        "without_price": sum(row["retail_price"] is None for row in due),
        "ageing": {name: pounds(value) for name, value in ageing.items()},
        "totals": _totals([row for row in due if row["retail_price"] is not None], by),
        "held": [{"work": row.work, "copies": len(row.numbers), "numbers": compact(row.numbers),
                  "value": None if row.value is None else pounds(row.value), "without_price": row.without_price}
                 for row in held],
    }  # fmt: skip
    return Draft("statement", stated, distributor_id=place["airtable_id"])


def certificate(connection: Connection, edition: str, on: date, by: Seller) -> Draft:
    """That an edition is the one of its number and that its work has no more than so many.

    Raises:
        BadInput: no such edition.
        Refused: it is not one edition of one work: unprinted, unnumbered, doubly linked, or beyond the total.
    """
    row = find(connection, "editions", edition)
    name = row["edition_display_name"] or row["airtable_id"]
    of = None if row["print_id"] is None else find(connection, "prints", row["print_id"])
    twins = connection.execute(
        text("select count(*) from art.editions where is_active and print_id = :p and edition_number = :n"),
        {"p": row["print_id"], "n": row["edition_number"]},
    ).scalar_one()
    wrong = {
        "is closed": not row["is_active"],
        "is no numbered edition of a work": row["kind"] != "edition" or of is None,
        "is not printed yet": not row["is_printed"],
        "is linked to two works": row["is_double_linked"],
        "bears a number that another edition bears too": twins > 1,
    }
    for why, applies in wrong.items():
        if applies:
            raise Refused(f"{name} {why}; a certificate would not be true.")
    assert of is not None
    total = of["total_editions"]
    if total is None or row["edition_number"] > total:
        raise Refused(
            f"{name} is number {row['edition_number']} of {total or 'an unknown total'}; correct the total."
        )
    stated = {
        "issued_on": on.isoformat(), "seller": by.as_dict(),
        "edition": {"id": row["airtable_id"], "work": of["name"], "number": row["edition_number"], "total": total,
                    "size": row["size"], "frame": row["frame_type"], "variation": row["variation"],
                    "description": of["description"]},
    }  # fmt: skip
    return Draft("certificate", stated, edition_id=row["airtable_id"])


def compact(numbers: Sequence[int]) -> str:
    """`1-3, 7` of 1, 2, 3, 7."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def _common(place: dict[str, Any], on: date, by: Seller) -> dict[str, Any]:
    keys = (place["airtable_id"].casefold(), (place["name"] or "").casefold())
    address = next((by.addresses[key] for key in keys if key in by.addresses), ())
    return {
        "issued_on": on.isoformat(), "seller": by.as_dict(),
        "gallery": {"id": place["airtable_id"], "name": place["name"], "address": list(address)},
    }  # fmt: skip


def _gallery(connection: Connection, key: str) -> dict[str, Any]:
    place = find(connection, "distributors", key)
    if place["kind"] != "gallery":
        raise Refused(
            f"{place['name']} is of the kind {place['kind'] or 'unknown'}; only galleries get such a document."
        )
    return place


def _sales(
    connection: Connection, gallery_id: str, on: date, month: date | None = None
) -> list[dict[str, Any]]:
    """Sales of the editions that count, up to a day; the undated ones only without a month."""
    rows = connection.execute(
        text("""
            select e.*, p.name as work from art.editions e left join art.prints p on p.airtable_id = e.print_id
            where e.is_active and e.is_sold and e.kind <> 'blank' and e.distributor_id = :d
                  and (cast(:m as date) is null and e.date_sold is null or e.date_sold <= :on)
                  and (cast(:m as date) is null or date_trunc('month', e.date_sold) = cast(:m as date))
            order by e.date_sold, e.edition_display_name, e.airtable_id
        """),
        {"d": gallery_id, "on": on, "m": month},
    )  # fmt: skip
    return [dict(row._mapping) for row in rows]


def _invoiced(connection: Connection) -> Iterable[Any]:
    return connection.execute(
        text("select edition_id, document_id, label from art.invoiced_sales")
    ).mappings()


def _sale(row: dict[str, Any]) -> dict[str, Any]:
    known = row["retail_price"] is not None
    return {
        "edition_id": row["airtable_id"],
        "edition": row["edition_display_name"] or row["airtable_id"],
        "date_sold": row["date_sold"].isoformat() if row["date_sold"] else None,
        "price": pounds(row["retail_price"]) if known else None,
        "commission_percentage": None
        if row["commission_percentage"] is None
        else str(row["commission_percentage"]),
        "commission": pounds(row["commission_amount"]) if known else None,
        "net": pounds(row["invoice_amount"]) if known else None,
    }


def _totals(rows: list[dict[str, Any]], by: Seller) -> dict[str, Any]:
    """Sums of sales with known prices. VAT is a part of net or comes on top, as the setting says; it is rounded once."""
    zero = Decimal(0)
    net = sum((row["invoice_amount"] for row in rows), zero)
    totals = {
        "price": pounds(sum((row["retail_price"] for row in rows), zero)),
        "commission": pounds(sum((row["commission_amount"] for row in rows), zero)),
        "net": pounds(net),
    }
    rate = by.vat_percent
    if not rate:
        return {**totals, "total": pounds(net)}
    vat = (net * rate / (100 if by.vat_added else 100 + rate)).quantize(PENNY, ROUND_HALF_UP)
    total = net + vat if by.vat_added else net
    return {**totals, "vat_percent": str(rate.normalize()), "vat_added": by.vat_added, "vat": pounds(vat),
            "before_vat": pounds(total - vat), "total": pounds(total)}  # fmt: skip


def _age(sold: date | None, on: date) -> str:
    if sold is None:
        return "no date"
    days = (on - sold).days
    return next(
        (f"{low}-{high} days" for low, high in ((0, 30), (31, 60), (61, 90)) if days <= high), "over 90 days"
    )
