"""Values of the art tables as people read and write them: money, percentages, days, names beside record ids.

JSON carries plain numbers and ISO dates; this module is for terminals, pages and documents. Days are written
as 2026-02-03; another form is read only when it can mean one day. Does not belong here: cells of an export
(`rules.py`), whose columns have a form of their own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from crown.art_records.history.comparing import Change, Conflict, masked
from crown.errors import BadInput

MONEY = frozenset({
    "retail_price", "invoice_amount", "commission_amount", "net_revenue", "distributor_revenue", "retail_amount_sold",
    "net_revenue_unpaid", "net_revenue_unpaid_by_invoice_month", "money_at_stake", "money", "net", "gross", "due",
})  # fmt: skip
"""Fields in pounds."""

LINKS = frozenset({"print_id", "distributor_id", "other_print_ids"})
"""Fields that hold record ids."""


def money(value: Any) -> str:
    """`£1,234.50`, `-£5.00`, or `unknown`."""
    if value is None:
        return "unknown"
    amount = Decimal(str(value)).quantize(Decimal("0.01"))
    return f"{'-' if amount < 0 else ''}£{abs(amount):,.2f}"


def percent(value: Any) -> str:
    """`40 %`, `37.5 %`, or `unknown`."""
    return "unknown" if value is None else f"{Decimal(str(value)).normalize():f} %"


def said(name: str | None, value: Any, names: dict[str, str] | None = None) -> str:
    """A field's value for a terminal: personal texts masked, money and percentages with their signs, links named."""
    value = masked(name, value)
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in MONEY:
        return money(value)
    if name == "commission_percentage":
        return percent(value)
    if name in LINKS:
        ids = value if isinstance(value, list | tuple) else [value]
        return ", ".join(named(i, names) for i in ids)
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return str(value)


def named(airtable_id: str, names: dict[str, str] | None) -> str:
    """A record id with its name in front, where the name is known."""
    name = (names or {}).get(airtable_id)
    return f"{name} ({airtable_id})" if name else airtable_id


def names_of(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """The names that records bear today, also closed ones, by record id; withdrawn records have none."""
    if not ids:
        return {}
    rows = connection.execute(
        text("""
            select airtable_id, edition_display_name from art.editions where airtable_id = any(:ids)
            union all select airtable_id, name from art.prints where airtable_id = any(:ids)
            union all select airtable_id, name from art.distributors where airtable_id = any(:ids)
        """),
        {"ids": sorted(set(ids))},
    )
    return {airtable_id: name for airtable_id, name in rows if name}


def names_in(connection: Connection, record: Mapping[str, Any]) -> dict[str, str]:
    """Names of the records to which a record links."""
    linked = [record[field] for field in LINKS if record.get(field)]
    return names_of(
        connection, [i for value in linked for i in (value if isinstance(value, list) else [value])]
    )


def names_for(connection: Connection, changed: Collection[Change | Conflict]) -> dict[str, str]:
    """Names of the records of changes and conflicts, and of those that they link to."""
    ids = {c.airtable_id for c in changed}
    for c in changed:
        if c.field in LINKS:
            values = (c.old, c.new) if isinstance(c, Change) else (c.base, c.local, c.source)
            for value in values:
                ids.update(value if isinstance(value, list) else [value] if isinstance(value, str) else [])
    return names_of(connection, ids)


def day(given: str) -> date:
    """A day as people write it: 2026-02-03, or day and month with slashes where only one reading is possible.

    Raises:
        BadInput: not a day, or one that may be two.
    """
    given = given.strip()
    iso = re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", given)
    other = re.fullmatch(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})", given)
    if iso:
        readings = [(int(iso[1]), int(iso[2]), int(iso[3]))]
    elif other:
        first, second, year = int(other[1]), int(other[2]), int(other[3])
        readings = [(year, second, first), (year, first, second)]
    else:
        raise BadInput(f"{given!r} is not a day; write it as year-month-day, such as 2026-02-03.")
    found = []
    for reading in readings:
        try:
            found.append(date(*reading))
        except ValueError:
            continue
    if not found:
        raise BadInput(f"{given!r} is not a day of the calendar; write it as 2026-02-03.")
    if len(set(found)) > 1:
        a, b = found
        raise BadInput(f"{given!r} may be {a} or {b}; write the one you mean.")
    return found[0]


def month(given: str) -> date:
    """The first day of a month that is written as 2026-01.

    Raises:
        BadInput: not such a form.
    """
    found = re.fullmatch(r"(\d{4})-(\d{2})", given.strip())
    if found is None or not 1 <= int(found[2]) <= 12 or int(found[1]) == 0:
        raise BadInput(f"{given!r} is not a month; write it as 2026-01.")
    return date(int(found[1]), int(found[2]), 1)
