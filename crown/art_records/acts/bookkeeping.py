"""The book-keeper's other acts: a gallery, an edition, closing, reopening, taking a sale back, many at once.

Belongs here: acts beside those of `local.py`. Those that touch
many editions make a plan first and write only with `apply`, as one sync. Does not belong here: documents.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, text

from crown.art_records.acts.transaction import (
    LocalReport,
    act,
    active_distributor,
    active_edition,
    check_paid_on,
    check_price,
    jsonable,
    update,
)
from crown.art_records.history.comparing import masked
from crown.art_records.history.states import find
from crown.art_records.tables import ENTITIES
from crown.art_records.wording import money
from crown.errors import BadInput, Refused
from crown.journal import activity
from crown.journal.activity import Via

_DEPARTMENT = "art_records"


@dataclass(frozen=True)
class BulkReport:
    """What an act on many editions changes, or changed: (record id, name, net) of each."""

    what: str
    editions: list[tuple[str, str, Decimal | None]]
    left: dict[str, int]
    sync_number: int | None = None
    with_money: bool = False

    @property
    def total(self) -> Decimal:
        """Net of all of them."""
        return sum((net for _, _, net in self.editions if net is not None), Decimal(0))

    def as_dict(self) -> dict[str, Any]:
        """JSON values; money as numbers."""
        rows = [{"airtable_id": i, "name": n} | ({"net": float(m) if m is not None else None} if self.with_money else {})
                for i, n, m in self.editions]  # fmt: skip
        shown = {"what": self.what, "applied": self.sync_number is not None, "sync_number": self.sync_number,
                "count": len(rows), "editions": rows, "left": self.left}  # fmt: skip
        return shown | ({"total_net": float(self.total)} if self.with_money else {})

    def text(self) -> str:
        """A line per edition, what was left alone, and the sum."""
        lines = [
            f"  {name}  {airtable_id}" + (f"  {money(net)}" if self.with_money else "")
            for airtable_id, name, net in self.editions
        ]
        lines += [f"  left alone: {count} {why}" for why, count in self.left.items()]
        done = f"as sync {self.sync_number}" if self.sync_number else "would be written"
        total = f", {money(self.total)} net" if self.with_money else ""
        noun = "edition" if len(self.editions) == 1 else "editions"
        return "\n".join([*lines, f"{self.what}: {len(self.editions)} {noun}{total}, {done}"])


# ---- new records ------------------------------------------------------------------------------------------


def add_gallery(
    engine: Engine, name: str, *, who: str, commission: Decimal | None = None, kind: str = "gallery",
    web_address: str | None = None, via: Via = "cli", reason: str | None = None,
) -> LocalReport:  # fmt: skip
    """Enter a new place of sale.

    Args:
        engine: The database.
        name: No other active place may bear it.
        who: The person.
        commission: Percent that the place keeps; None is unknown.
        kind: gallery, direct, legacy or placeholder.
        web_address: Its pages.
        via: From where.
        reason: A sentence for the history.

    Raises:
        BadInput: no name, or a commission out of range.
        Refused: the name is taken.
    """
    name = " ".join(name.split())
    if not name:
        raise BadInput("A new gallery needs a name.")
    if commission is not None and not 0 <= commission <= 100:
        raise BadInput(f"{commission} is no commission; give a percentage from 0 to 100.")
    with act(engine, who, via, reason) as connection:
        taken = connection.execute(
            text("select airtable_id from art.distributors where is_active and lower(name) = lower(:n)"), {"n": name}
        ).scalars().first()  # fmt: skip
        if taken:
            raise Refused(f"There is a gallery called {name} already ({taken}); choose another name.")
        values = {"name": name, "kind": kind, "commission_percentage": commission, "web_address": web_address}
        return _insert(connection, "distributors", values, who=who, via=via)


def add_edition(
    engine: Engine, work: str, number: int, *, who: str, price: Decimal | None = None, at: str | None = None,
    printed: bool = False, via: Via = "cli", reason: str | None = None,
) -> LocalReport:  # fmt: skip
    """Enter one more edition of a work; `at` is its place, by default the one of the kind direct.

    Raises:
        BadInput: no such work or place, or a number or price out of range.
        Refused: the number is taken or above the work's total.
    """
    if price is not None:
        check_price(price)
    with act(engine, who, via, reason) as connection:
        of = _active(connection, "prints", work)
        total = of["total_editions"]
        if number < 1 or (total is not None and number > total):
            raise Refused(f"{of['name']} has editions 1 to {total or 'an unknown total'}, not {number}.")
        taken = connection.execute(
            text("select airtable_id from art.editions where is_active and print_id = :p and edition_number = :n"),
            {"p": of["airtable_id"], "n": number},
        ).scalars().first()  # fmt: skip
        if taken:
            raise Refused(f"{of['name']} - {number} is in the art tables already ({taken}).")
        if at is not None:
            place = active_distributor(connection, at)["airtable_id"]
        else:
            place = connection.execute(
                text("select airtable_id from art.distributors where is_active and kind = 'direct' order by 1")
            ).scalars().first()  # fmt: skip
        values = {"print_id": of["airtable_id"], "edition_number": number, "distributor_id": place, "is_printed": printed,
                  "is_sold": False, "is_settled": False, "is_stock_checked": False, "to_check_in_detail": False,
                  "retail_price": price}  # fmt: skip
        return _insert(connection, "editions", values, who=who, via=via)


def _insert(connection: Connection, table: str, values: dict[str, Any], *, who: str, via: Via) -> LocalReport:
    airtable_id = f"WEB_{secrets.token_hex(6)}"
    known = {name: value for name, value in values.items() if value is not None}
    connection.execute(
        text(f"insert into art.{table} (airtable_id, {', '.join(known)}) "
             f"values (:airtable_id, {', '.join(':' + name for name in known)})"),
        {"airtable_id": airtable_id, **known},
    )  # fmt: skip
    number = _sync_number(connection)
    activity.record(
        connection, who=who, what="create", subject=f"{table}/{airtable_id}", department=_DEPARTMENT, via=via,
        new=jsonable({name: masked(name, value) for name, value in known.items()}), context={"sync_number": number},
    )  # fmt: skip
    changes = [(name, None, masked(name, value)) for name, value in known.items()]
    record = find(connection, table, airtable_id)
    return LocalReport(number, table, airtable_id, "create", changes, name=_name(table, record))


def _sync_number(connection: Connection) -> int:
    return connection.execute(
        text("select max(sync_number) from art.syncs where transaction_id = pg_current_xact_id()")
    ).scalar_one()


def _name(table: str, record: dict[str, Any]) -> str | None:
    return record["edition_display_name" if table == "editions" else "name"]


def _active(connection: Connection, table: str, key: str) -> dict[str, Any]:
    record = find(connection, table, key)
    if not record["is_active"]:
        raise Refused(
            f"{_name(table, record)} is closed ({record['close_reason']}); reopen it first: "
            f"`crown art reopen {table} {record['airtable_id']}`."
        )
    return record


# ---- closing and reopening --------------------------------------------------------------------------------


def close(
    engine: Engine, table: str, key: str, *, who: str, reason: str, via: Via = "cli"
) -> LocalReport:  # fmt: skip
    """Take a record out of the art tables of today; its history stays, and `reopen` brings it back.

    Raises:
        BadInput: no such record, or no reason.
        Refused: closed already, or active editions belong to it.
    """
    if not reason.strip():
        raise BadInput("Closing needs a reason; it is shown wherever the record is.")
    with act(engine, who, via, reason) as connection:
        record = find(connection, table, key)
        if not record["is_active"]:
            raise Refused(f"{_name(table, record)} is closed already ({record['close_reason']}).")
        link = {"prints": "print_id", "distributors": "distributor_id"}.get(table)
        if link is not None:
            count = connection.execute(
                text(f"select count(*) from art.editions where is_active and {link} = :i"),
                {"i": record["airtable_id"]},
            ).scalar_one()
            if count:
                verb = "move" if table == "distributors" else "close"
                raise Refused(f"{count} active editions belong to {_name(table, record)}; {verb} them first.")
        values = {"is_active": False, "close_reason": reason.strip()}
        return update(connection, table, record, values, what="close", who=who, via=via)


def reopen(
    engine: Engine, table: str, key: str, *, who: str, via: Via = "cli", reason: str | None = None
) -> LocalReport:
    """Reopen a closed record with its last values; closed ones are found by id, or by name when that is unique.

    Raises:
        BadInput: no such record.
        Refused: it is not closed, or its number was given to another edition meanwhile.
    """
    with act(engine, who, via, reason) as connection:
        record = find(connection, table, _closed_id(connection, table, key))
        if record["is_active"]:
            raise Refused(f"{_name(table, record)} is not closed; there is nothing to reopen.")
        if table == "editions" and record["kind"] == "edition":
            taken = connection.execute(
                text("select airtable_id from art.editions where is_active and print_id = :p and edition_number = :n"),
                {"p": record["print_id"], "n": record["edition_number"]},
            ).scalars().first()  # fmt: skip
            if taken:
                raise Refused(f"{_name(table, record)} exists as {taken} now; close that one first.")
        return update(connection, table, record, {"is_active": True, "close_reason": None}, what="reopen", who=who,
                       via=via)  # fmt: skip


def _closed_id(connection: Connection, table: str, key: str) -> str:
    """The id of a closed record that bears this name, else the key itself."""
    if table not in ENTITIES:
        raise BadInput(f"{table} is not a table of the art tables; choose {', '.join(ENTITIES)}.")
    column = "edition_display_name" if table == "editions" else "name"
    ids = connection.execute(
        text(f"select airtable_id from art.{table} where not is_active and lower({column}) = lower(:k)"),
        {"k": key},
    ).scalars().all()  # fmt: skip
    if len(ids) > 1:
        raise BadInput(
            f"{len(ids)} closed records are called {key}; give the record id: {', '.join(ids[:5])}."
        )
    return ids[0] if ids else key


# ---- sales ------------------------------------------------------------------------------------------------


def take_back_sale(
    engine: Engine, edition: str, *, who: str, reason: str, even_settled: bool = False, via: Via = "cli"
) -> LocalReport:
    """Make a sold edition unsold: the day and the payment go, price and commission stay. The history keeps all.

    Raises:
        BadInput: no reason.
        Refused: not sold, or settled and `even_settled` was not said.
    """
    if not reason.strip():
        raise BadInput("Taking a sale back needs a reason.")
    with act(engine, who, via, reason) as connection:
        record = active_edition(connection, edition)
        name = record["edition_display_name"]
        if not record["is_sold"]:
            raise Refused(f"{name} is not sold; there is no sale to take back.")
        if record["is_settled"] and not even_settled:
            raise Refused(f"{name} is settled; say --settled when the money goes back as well.")
        values = {
            "is_sold": False,
            "date_sold": None,
            "is_settled": False,
            "date_settled": None,
            "payment_note": None,
        }
        done = update(connection, "editions", record, values, what="take back", who=who, via=via)
        label = connection.execute(
            text("select label from art.invoiced_sales where edition_id = :i order by document_id desc limit 1"),
            {"i": record["airtable_id"]},
        ).scalar_one_or_none()  # fmt: skip
    if label is None:
        return done
    return LocalReport(done.sync_number, done.table, done.airtable_id, done.what, done.changes, name=done.name,
                       warning=f"The sale is on invoice {label}; issue one that replaces it.")  # fmt: skip


def settle_month(
    engine: Engine, gallery: str, month: date, *, who: str, paid_on: date, apply: bool = False,
    payment: str | None = None, via: Via = "cli", reason: str | None = None, today: date | None = None,
) -> BulkReport:  # fmt: skip
    """Record that everything a gallery sold in a month was paid on one day.

    Args:
        engine: The database.
        gallery: Id or name.
        month: Any day of the month of the sales.
        who: The person.
        paid_on: The day the money came in.
        apply: Write it; otherwise only say what would be settled.
        payment: A note for each (personal).
        via: From where.
        reason: A sentence for the history.
        today: No payment is after it; default the real day.

    Raises:
        Refused: nothing of that month is unsettled, a sale has no price, or the day cannot be.
    """
    check_paid_on(paid_on, None, today)
    with act(engine, who, via, reason, paid_on) as connection:
        place = _active(connection, "distributors", gallery)
        rows = _editions(
            connection,
            "distributor_id = :d and is_sold and date_trunc('month', date_sold) = date_trunc('month', cast(:m as date))",
            d=place["airtable_id"], m=month,
        )  # fmt: skip
        due = [row for row in rows if not row["is_settled"]]
        if not due:
            raise Refused(
                f"{place['name']} sold {len(rows) or 'nothing'} in {month:%Y-%m}"
                + (", all settled already." if rows else ".")
            )
        for row in due:
            if row["retail_price"] is None:
                raise Refused(
                    f"The price of {row['edition_display_name']} is unknown; enter it with `crown art edit` first."
                )
            check_paid_on(paid_on, row, today)
        left = {"settled already": len(rows) - len(due)} if len(rows) > len(due) else {}
        values = {"is_settled": True, "date_settled": paid_on} | (
            {"payment_note": payment} if payment else {}
        )
        number = _write_many(connection, due, values, what="settle", who=who, via=via) if apply else None
        listed = [(r["airtable_id"], r["edition_display_name"], r["invoice_amount"]) for r in due]
        return BulkReport(f"settle {place['name']} {month:%Y-%m}, paid {paid_on}", listed, left, number, True)


def mark_printed(
    engine: Engine, work: str, numbers: Sequence[int], *, who: str, apply: bool = False, via: Via = "cli",
    reason: str | None = None,
) -> BulkReport:  # fmt: skip
    """Record that editions of a work were printed: the numbers, or all of them when none is given.

    Raises:
        BadInput: no such work, or a number that is not in the art tables.
        Refused: all of them are printed already.
    """
    with act(engine, who, via, reason) as connection:
        of = _active(connection, "prints", work)
        rows = _editions(connection, "print_id = :p and kind = 'edition'", p=of["airtable_id"])
        if numbers:
            missing = sorted(set(numbers) - {row["edition_number"] for row in rows})
            if missing:
                shown = ", ".join(str(n) for n in missing[:10]) + (" ..." if len(missing) > 10 else "")
                raise BadInput(f"{of['name']} has no edition {shown} in the art tables.")
            rows = [row for row in rows if row["edition_number"] in set(numbers)]
        new = [row for row in rows if not row["is_printed"]]
        if not new:
            raise Refused(f"These editions of {of['name']} are printed already.")
        left = {"printed already": len(rows) - len(new)} if len(rows) > len(new) else {}
        values = {"is_printed": True}
        number = _write_many(connection, new, values, what="print", who=who, via=via) if apply else None
        listed: list[tuple[str, str, Decimal | None]] = [
            (r["airtable_id"], r["edition_display_name"], None) for r in new
        ]
        return BulkReport(f"printed {of['name']}", listed, left, number)


def ranges(given: str) -> list[int]:
    """Numbers such as `1-50,60` as a list.

    Raises:
        BadInput: not such a form.
    """
    found: list[int] = []
    for part in given.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise BadInput(f"{part!r} is no number or range; write for instance 1-50,60.")
        found += range(first, last + 1)
    return found


def _editions(connection: Connection, condition: str, **values: Any) -> list[dict[str, Any]]:
    rows = connection.execute(
        text(f"select * from art.editions where is_active and {condition} "
             "order by date_sold nulls last, edition_display_name, edition_number, airtable_id"), values
    )  # fmt: skip
    return [dict(row._mapping) for row in rows]


def _write_many(
    connection: Connection,
    rows: list[dict[str, Any]],
    values: dict[str, Any],
    *,
    what: str,
    who: str,
    via: Via,
) -> int:
    number = 0
    for row in rows:
        number = update(connection, "editions", row, values, what=what, who=who, via=via).sync_number
    return number
