"""What people do in the art tables themselves: add a print, sell, settle, move, edit, decide a conflict.

Every act is validated, becomes a version with its own sync, and is recorded in the activity trail in the same
transaction. Does not belong here: edits past Crown (the trigger of the migration turns them into versions too)
and exports (`syncing.py`).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, text

from crown.art_records.acts.transaction import (
    LocalReport,
    act,
    active_distributor,
    active_edition,
    by_id,
    check_not_future,
    check_paid_on,
    check_price,
    entered,
    oversold,
    update,
)
from crown.art_records.history.states import find
from crown.art_records.tables import ENTITIES, PERSONAL
from crown.art_records.wording import day
from crown.errors import BadInput, Refused
from crown.journal import activity
from crown.journal.activity import Via

if TYPE_CHECKING:
    from crown.art_records.exports.rules import Rulebook

_DEPARTMENT = "art_records"


# ---- editions ---------------------------------------------------------------------------------------------


def sell(
    engine: Engine, edition: str, *, who: str, sold_on: date, price: Decimal | None = None,
    distributor: str | None = None, commission: Decimal | None = None, payment: str | None = None,
    today: date | None = None, via: Via = "cli", reason: str | None = None,
) -> LocalReport:  # fmt: skip
    """Record a sale; the commission is fixed at that moment.

    Args:
        engine: The database.
        edition: Record id, or the display name when it is unique.
        who: The person.
        sold_on: Day of the sale.
        price: Retail price; default the one in the art tables.
        distributor: Id or name of the place of the sale; default where it is.
        commission: Percentage; default the edition's own, then the distributor's.
        payment: A note on the payment (personal).
        today: No sale is after it; default the real day.
        via: From where.
        reason: A sentence for the history.

    Raises:
        Refused: sold already, not printed, before it came to the gallery, or in the future.
        BadInput: no such edition or distributor, or price or commission unknown.
    """
    with act(engine, who, via, reason, sold_on) as connection:
        record = active_edition(connection, edition)
        name = record["edition_display_name"]
        if record["is_sold"]:
            raise Refused(
                f"{name} is sold already: on {record['date_sold'] or 'an unknown day'}, "
                f"{entered(connection, record, 'is_sold')}; edit it instead."
            )
        if record["is_printed"] is False:
            raise Refused(f"{name} is not printed yet; set is_printed first.")
        check_not_future(sold_on, "the sale", today)
        if record["date_in_gallery"] and sold_on < record["date_in_gallery"]:
            raise Refused(
                f"{name} came to its gallery on {record['date_in_gallery']}, after {sold_on}; correct one."
            )
        place = active_distributor(connection, distributor) if distributor else None
        at = place or (by_id(connection, "distributors", record["distributor_id"]))
        known = [commission, record["commission_percentage"] if place is None else None,
                 at["commission_percentage"] if at else None]  # fmt: skip
        share = next((c for c in known if c is not None), None)
        amount = price if price is not None else record["retail_price"]
        if amount is None:
            raise BadInput(f"The price of {name} is unknown; give it.")
        check_price(amount)
        if share is None or not 0 <= share <= 100:
            raise BadInput(f"The commission on {name} is unknown; give a percentage from 0 to 100.")
        values: dict[str, Any] = {"is_sold": True, "date_sold": sold_on, "retail_price": Decimal(amount),
                                  "commission_percentage": Decimal(share)}  # fmt: skip
        if place is not None:
            values["distributor_id"] = place["airtable_id"]
        if payment:
            values["payment_note"] = payment
        done = update(connection, "editions", record, values, what="sell", who=who, via=via)
        return replace(done, warning=oversold(connection, record["print_id"]))


def settle(
    engine: Engine,
    edition: str,
    *,
    who: str,
    paid_on: date,
    payment: str | None = None,
    via: Via = "cli",
    reason: str | None = None,
    today: date | None = None,
) -> LocalReport:
    """Record that a sale was paid on a day.

    Raises:
        Refused: not sold, settled already, or paid in the future or before the sale.
    """
    with act(engine, who, via, reason, paid_on) as connection:
        record = active_edition(connection, edition)
        if not record["is_sold"]:
            raise Refused(f"{record['edition_display_name']} is not sold; there is nothing to settle.")
        if record["is_settled"]:
            raise Refused(
                f"{record['edition_display_name']} is settled already, {entered(connection, record, 'is_settled')}."
            )
        check_paid_on(paid_on, record, today)
        values: dict[str, Any] = {"is_settled": True, "date_settled": paid_on}
        values |= {"payment_note": payment} if payment else {}
        return update(connection, "editions", record, values, what="settle", who=who, via=via)


def move(
    engine: Engine, edition: str, to: str, *, who: str, on: date, via: Via = "cli", reason: str | None = None,
    today: date | None = None,
) -> LocalReport:  # fmt: skip
    """Record that an edition went to another distributor on a day; its commission follows when known.

    Raises:
        Refused: sold, not printed, or in the future.
    """
    with act(engine, who, via, reason, on) as connection:
        record = active_edition(connection, edition)
        check_not_future(on, "the move", today)
        if record["is_sold"]:
            raise Refused(f"{record['edition_display_name']} is sold; it does not move.")
        if record["is_printed"] is False:
            raise Refused(f"{record['edition_display_name']} is not printed yet; set is_printed first.")
        place = active_distributor(connection, to)
        if place["kind"] == "placeholder":
            raise Refused(f"{place['name']} is a placeholder in the list of distributors, not a place.")
        values: dict[str, Any] = {"distributor_id": place["airtable_id"], "date_in_gallery": on}
        if place["commission_percentage"] is not None:
            values["commission_percentage"] = place["commission_percentage"]
        return update(connection, "editions", record, values, what="move", who=who, via=via,
                       details=f"to {place['name']}")  # fmt: skip


def edit(
    engine: Engine, table: str, record: str, values: Mapping[str, str], *, who: str, via: Via = "cli",
    reason: str | None = None, today: date | None = None,
    book: Rulebook | None = None,
) -> LocalReport:  # fmt: skip
    """Change fields by their names; each text goes through the same rule as a cell of an export.

    Raises:
        BadInput: no such record or field, or a value that its rule refuses.
        Refused: a date in the future.
    """
    from crown.art_records.exports.rules import judge, rulebook

    book = book or rulebook()
    layout = book.layouts[table]
    rules = {
        f: layout.rules[c]
        for c, f in layout.fields.items()
        if layout.rules[c] not in ("record_id", "edition_name")
    }
    rules |= {"print_id": "print_links", "date_settled": "date"} if table == "editions" else {}
    with act(engine, who, via, reason) as connection:
        found = find(connection, table, record)
        cleaned: dict[str, Any] = {}
        for name, given in values.items():
            if name not in rules:
                raise BadInput(
                    f"{name} is not a field of {table} that can be edited; choose {', '.join(sorted(rules))}."
                )
            verdict = judge(_cell(given, rules[name]), rules[name], book)
            if verdict.outcome == "withheld":
                shown = "the text" if name in PERSONAL else repr(given)
                raise BadInput(f"{table}.{name}: {shown} {verdict.problem}.")
            cleaned |= _fields_of(name, rules[name], verdict.value)
            if isinstance(verdict.value, date):
                check_not_future(verdict.value, name, today)
        for name, parent in (("print_id", "prints"), ("distributor_id", "distributors")):
            if cleaned.get(name) and by_id(connection, parent, cleaned[name]) is None:
                raise BadInput(f"{cleaned[name]} is not in {parent}; give the record id of an existing one.")
        return update(connection, table, found, cleaned, what="update", who=who, via=via)


def _cell(given: str, rule: str) -> str:
    """What a person writes as an export has it: a day such as 2026-02-03 is written there as 2/3/2026 or in words."""
    if not given.strip() or rule not in ("date", "long_date"):
        return given
    on = day(given)
    return f"{on.month}/{on.day}/{on.year}" if rule == "date" else f"{on:%B} {on.day}, {on.year}"


def _fields_of(name: str, rule: str, value: Any) -> dict[str, Any]:
    """A rule's value as columns: some rules fill two."""
    from crown.art_records.exports.rules import SECOND_FIELD

    second = SECOND_FIELD.get(rule)
    if second is None:
        return {name: value}
    first, other = value if value is not None else (None, None)
    parts = {name: first} if rule in ("print_name", "distributor_name") else {name: first, second: other}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in parts.items()}


# ---- prints -----------------------------------------------------------------------------------------------


def add_print(
    engine: Engine, name: str, total: int, *, who: str, short_name: str | None = None, price: Decimal | None = None,
    via: Via = "cli", reason: str | None = None, today: date | None = None,
) -> LocalReport:  # fmt: skip
    """Enter a new print with all its editions, numbered from 1, unprinted, with the distributor `direct`.

    Args:
        engine: The database.
        name: Display name; no other active print may bear it.
        total: How many editions, 1 to 10,000.
        who: The person.
        short_name: Default its initials.
        price: Retail price of every edition; default unknown.
        via: From where.
        reason: A sentence for the history.
        today: The day of the act; default the real one.

    Raises:
        BadInput: no name, a total out of range, or no distributor of the kind direct.
        Refused: the name is taken.
    """
    from crown.art_records.history.writing import (
        alone,
        as_writer,
        begin_sync,
        create_records,
        fail_sync,
        finish_sync,
        write_statistics,
    )

    name = " ".join(name.split())
    if not name or not who.strip():
        raise BadInput("A new print needs a name, and you one too.")
    if not 1 <= total <= 10_000:
        raise BadInput(f"A print has 1 to 10,000 editions, not {total}.")
    if price is not None:
        check_price(price)
    with alone(engine) as connection:
        taken = connection.execute(
            text("select airtable_id from art.prints where is_active and lower(name) = lower(:n)"), {"n": name}
        ).scalars().first()  # fmt: skip
        if taken:
            raise Refused(f"There is a print called {name} already ({taken}); choose another name.")
        direct = connection.execute(
            text("select airtable_id from art.distributors where is_active and kind = 'direct' order by 1")
        ).scalars().first()  # fmt: skip
        if direct is None:
            raise BadInput(
                "There is no distributor of the kind direct to hold the new editions; sync them first."
            )
        connection.rollback()
        print_id = f"WEB_{secrets.token_hex(6)}"
        number = begin_sync(
            connection, sync_type="manual", who=who, via=via, reason=reason or f"new print {name}",
            effective_on=today or date.today(),  # noqa: DTZ011
        )  # fmt: skip
        try:
            with as_writer(connection):
                short = short_name or "".join(word[0] for word in name.split()).upper()
                create_records(connection, number, ENTITIES["prints"], ("name", "short_name", "total_editions"),
                               [(print_id, name, short, total)])  # fmt: skip
                fields = ("print_id", "distributor_id", "edition_number", "is_printed", "is_sold", "is_settled",
                          "is_stock_checked", "to_check_in_detail", "retail_price")  # fmt: skip
                create_records(
                    connection, number, ENTITIES["editions"], fields,
                    [(f"WEB_{print_id}{n}{secrets.token_hex(3)}", print_id, direct, n, *[False] * 5, price)
                     for n in range(1, total + 1)],
                )  # fmt: skip
            for table, count in (("prints", 1), ("editions", total)):
                write_statistics(
                    connection, number, table, {"records_processed": count, "records_created": count}
                )
            activity.record(
                connection, who=who, what="create", subject=f"prints/{print_id}", department=_DEPARTMENT, via=via,
                new={"name": name, "total_editions": total}, context={"sync_number": number},
            )  # fmt: skip
            finish_sync(connection, number)
            connection.commit()
        except BaseException as error:
            fail_sync(connection, number, error)
            raise
    changes = [("name", None, name), ("total_editions", None, total)]
    return LocalReport(number, "prints", print_id, "create", changes, name=name)


# ---- conflicts --------------------------------------------------------------------------------------------


def resolve(
    engine: Engine, conflict_id: int, take: str, *, who: str, via: Via = "cli", reason: str | None = None
) -> str:
    """Decide an open conflict: `local` keeps the art records, `source` takes what the newest export said.

    Raises:
        BadInput: no such conflict.
        Refused: decided already.
    """
    if take not in ("local", "source"):
        raise BadInput(f"{take!r} is neither local nor source.")
    with act(engine, who, via, reason) as connection:
        conflict = connection.execute(
            text("select * from art.conflicts where conflict_id = :i for update"), {"i": conflict_id}
        ).one_or_none()
        if conflict is None:
            raise BadInput(f"There is no conflict {conflict_id}; `crown art conflicts` lists them.")
        if conflict.status != "open":
            by = f" by conflict {conflict.superseded_by}" if conflict.status == "superseded" else ""
            raise Refused(f"Conflict {conflict_id} is {conflict.status.replace('_', ' ')}{by} already.")
        if take == "source":
            record = find(connection, conflict.table_name, conflict.airtable_id)
            typed = connection.execute(
                text(
                    f"select r.{conflict.field} from jsonb_populate_record("
                    f"null::art.{ENTITIES[conflict.table_name].versions.name}, "
                    "jsonb_build_object(cast(:f as text), cast(:v as jsonb))) r"
                ),
                {"f": conflict.field, "v": json.dumps(_newest_source_value(connection, conflict))},
            ).scalar_one()
            if record[conflict.field] != typed:
                update(
                    connection,
                    conflict.table_name,
                    record,
                    {conflict.field: typed},
                    what="resolve",
                    who=who,
                    via=via,
                )
        status = "took_source" if take == "source" else "kept_local"
        connection.execute(
            text(
                "update art.conflicts set status = :s, decided_by = :w, decided_at = clock_timestamp() "
                "where conflict_id = :i"
            ),
            {"s": status, "w": who, "i": conflict_id},
        )
        return status


def _newest_source_value(connection: Connection, conflict: Any) -> Any:
    found = connection.execute(
        text("select value from art.source_values where table_name = :t and airtable_id = :i and field = :f"),
        {"t": conflict.table_name, "i": conflict.airtable_id, "f": conflict.field},
    ).one_or_none()
    return conflict.source_value if found is None else found.value
