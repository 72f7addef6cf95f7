"""What people do in the art tables themselves: add a print, sell, settle, move, edit, decide a conflict.

Every act is validated, becomes a version with its own sync, and stands in the activity trail in the same
transaction. Does not belong here: edits past Crown (the trigger of the migration turns them into versions too)
and exports (`syncing.py`).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, text

from crown.art_records.history.comparing import masked
from crown.art_records.history.erased_texts import refuse as refuse_erased
from crown.art_records.history.states import find
from crown.art_records.tables import ENTITIES, LOCK, PERSONAL
from crown.art_records.wording import LINKS, day, named, names_of, said
from crown.errors import BadInput, Refused
from crown.journal import activity
from crown.journal.activity import Via

if TYPE_CHECKING:
    from crown.art_records.exports.rules import Rulebook

_DEPARTMENT = "art_records"


@dataclass(frozen=True)
class LocalReport:
    """What an act changed: (field, old, new) with personal texts masked."""

    sync_number: int
    table: str
    airtable_id: str
    what: str
    changes: list[tuple[str, Any, Any]] = field(default_factory=list)
    name: str | None = None
    warning: str | None = None
    names: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        changes = [{"field": f, "old": old, "new": new} for f, old, new in self.changes]
        return {"sync_number": self.sync_number, "table": self.table, "airtable_id": self.airtable_id,
                "name": self.name, "what": self.what, "changes": changes, "warning": self.warning}  # fmt: skip

    def text(self) -> str:
        """One line for a terminal, and one more for a warning."""
        parts = ", ".join(
            f"{f}: {said(f, old, self.names)} → {said(f, new, self.names)}" for f, old, new in self.changes
        )
        subject = named(self.airtable_id, {self.airtable_id: self.name} if self.name else None)
        line = f"{self.what} {subject} as sync {self.sync_number}" + (f": {parts}" if parts else "")
        return f"{line}\n{self.warning}" if self.warning else line


@contextmanager
def _act(
    engine: Engine, who: str, via: Via, reason: str | None, effective_on: date | None = None
) -> Iterator[Connection]:
    """A transaction that holds the writers' lock before it reads, so that what it judges is what it writes over.

    The views' triggers write in this person's name, and as of `effective_on` where the act has a day of its own.
    """
    if not who.strip():
        raise BadInput("An act in the art tables needs a name: say who you are.")
    with engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        own_day = effective_on.isoformat() if effective_on else ""
        for name, value in (("who", who), ("via", via), ("reason", reason or ""), ("effective_on", own_day)):
            connection.execute(text("select set_config(:n, :v, true)"), {"n": f"crown.{name}", "v": value})
        yield connection


def _update(
    connection: Connection, table: str, record: Mapping[str, Any], values: Mapping[str, Any], *, what: str, who: str,
    via: Via, details: str | None = None,
) -> LocalReport:  # fmt: skip
    """Write some fields of one record and its line in the activity trail."""
    changed = {name: value for name, value in values.items() if record[name] != value}
    if not changed:
        raise Refused(f"{record['airtable_id']} has these values already; nothing to {what}.")
    refuse_erased(connection, changed)
    sets = ", ".join(f"{name} = :{name}" for name in changed)
    connection.execute(
        text(f"update art.{table} set {sets} where airtable_id = :id"),
        {**changed, "id": record["airtable_id"]},
    )
    number = connection.execute(
        text("select max(sync_number) from art.syncs where transaction_id = pg_current_xact_id()")
    ).scalar_one()
    old = {name: masked(name, record[name]) for name in changed}
    new = {name: masked(name, value) for name, value in changed.items()}
    activity.record(
        connection, who=who, what=what, subject=f"{table}/{record['airtable_id']}", department=_DEPARTMENT,
        via=via, old=_jsonable(old), new=_jsonable(new), details=details, context={"sync_number": number},
    )  # fmt: skip
    linked = {v for side in (old, new) for n, v in side.items() if n in LINKS and isinstance(v, str)}
    names = names_of(connection, {record["airtable_id"], *linked})
    return LocalReport(number, table, record["airtable_id"], what, [(n, old[n], new[n]) for n in changed],
                       name=names.get(record["airtable_id"]), names=names)  # fmt: skip


def _jsonable(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v if isinstance(v, (str, int, bool, list, type(None))) else str(v) for k, v in values.items()}


# ---- editions ---------------------------------------------------------------------------------------------


def check_price(price: Decimal) -> None:
    """A price is zero or more, and less than a hundred million.

    Raises:
        BadInput: it is not.
    """
    if not 0 <= price < 100_000_000:
        raise BadInput(f"{price} cannot be a price; give an amount from 0 to 99,999,999.99.")


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
        today: No sale lies after it; default the real day.
        via: From where.
        reason: A sentence for the history.

    Raises:
        Refused: sold already, not printed, before it came to the gallery, or in the future.
        BadInput: no such edition or distributor, or price or commission unknown.
    """
    with _act(engine, who, via, reason, sold_on) as connection:
        record = _active_edition(connection, edition)
        name = record["edition_display_name"]
        if record["is_sold"]:
            raise Refused(
                f"{name} is sold already: on {record['date_sold'] or 'an unknown day'}, "
                f"{_entered(connection, record, 'is_sold')}; edit it instead."
            )
        if record["is_printed"] is False:
            raise Refused(f"{name} is not printed yet; set is_printed first.")
        _check_not_future(sold_on, "the sale", today)
        if record["date_in_gallery"] and sold_on < record["date_in_gallery"]:
            raise Refused(
                f"{name} came to its gallery on {record['date_in_gallery']}, after {sold_on}; correct one."
            )
        place = _distributor(connection, distributor) if distributor else None
        at = place or (_by_id(connection, "distributors", record["distributor_id"]))
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
        done = _update(connection, "editions", record, values, what="sell", who=who, via=via)
        return replace(done, warning=_oversold(connection, record["print_id"]))


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
    from crown.art_records.acts.bookkeeping import check_paid_on

    with _act(engine, who, via, reason, paid_on) as connection:
        record = _active_edition(connection, edition)
        if not record["is_sold"]:
            raise Refused(f"{record['edition_display_name']} is not sold; there is nothing to settle.")
        if record["is_settled"]:
            raise Refused(
                f"{record['edition_display_name']} is settled already, {_entered(connection, record, 'is_settled')}."
            )
        check_paid_on(paid_on, record, today)
        values: dict[str, Any] = {"is_settled": True, "date_settled": paid_on}
        values |= {"payment_note": payment} if payment else {}
        return _update(connection, "editions", record, values, what="settle", who=who, via=via)


def move(
    engine: Engine, edition: str, to: str, *, who: str, on: date, via: Via = "cli", reason: str | None = None,
    today: date | None = None,
) -> LocalReport:  # fmt: skip
    """Record that an edition went to another distributor on a day; its commission follows when known.

    Raises:
        Refused: sold, not printed, or in the future.
    """
    with _act(engine, who, via, reason, on) as connection:
        record = _active_edition(connection, edition)
        _check_not_future(on, "the move", today)
        if record["is_sold"]:
            raise Refused(f"{record['edition_display_name']} is sold; it does not move.")
        if record["is_printed"] is False:
            raise Refused(f"{record['edition_display_name']} is not printed yet; set is_printed first.")
        place = _distributor(connection, to)
        if place["kind"] == "placeholder":
            raise Refused(f"{place['name']} is a placeholder in the list of distributors, not a place.")
        values: dict[str, Any] = {"distributor_id": place["airtable_id"], "date_in_gallery": on}
        if place["commission_percentage"] is not None:
            values["commission_percentage"] = place["commission_percentage"]
        return _update(connection, "editions", record, values, what="move", who=who, via=via,
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
    with _act(engine, who, via, reason) as connection:
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
                _check_not_future(verdict.value, name, today)
        for name, parent in (("print_id", "prints"), ("distributor_id", "distributors")):
            if cleaned.get(name) and _by_id(connection, parent, cleaned[name]) is None:
                raise BadInput(f"{cleaned[name]} is not in {parent}; give the record id of an existing one.")
        return _update(connection, table, found, cleaned, what="update", who=who, via=via)


def _cell(given: str, rule: str) -> str:
    """What a person writes as an export has it: a day such as 2026-02-03 stands there as 2/3/2026 or in words."""
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
    with _act(engine, who, via, reason) as connection:
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
                _update(
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


# ---- judging ----------------------------------------------------------------------------------------------


def _entered(connection: Connection, record: Mapping[str, Any], name: str) -> str:
    """Who gave a field of an edition its value, and when: a part of a sentence."""
    row = connection.execute(
        text("""
            select s.sync_number, s.sync_type, s.who, s.completed_at from art.syncs s
            where s.sync_number = coalesce(
                (select max(c.sync_number) from art.changes c
                 where c.table_name = 'editions' and c.airtable_id = :i and c.field = :f and c.op <> 'create'),
                (select v.created_sync from art.edition_versions v
                 where v.airtable_id = :i and v.valid_to_sync is null))
        """),
        {"i": record["airtable_id"], "f": name},
    ).one()
    act = {"manual": "entered", "rollback": "restored by a rollback"}.get(
        row.sync_type, "read from an export"
    )
    when = row.completed_at.astimezone()
    return f"{act} by {row.who} at {when:%Y-%m-%d %H:%M} (sync {row.sync_number})"


def _oversold(connection: Connection, print_id: str | None) -> str | None:
    """A warning when more copies of a print are sold than it has."""
    row = connection.execute(
        text("""
            select p.name, p.total_editions as total, count(*) as sold
            from art.prints p join art.editions e on e.print_id = p.airtable_id
            where p.airtable_id = :p and e.is_active and e.is_sold and e.kind = 'edition'
            group by p.name, p.total_editions having count(*) > p.total_editions
        """),
        {"p": print_id},
    ).one_or_none()
    if row is None:
        return None
    return f"{row.name} is oversold: {row.sold} of {row.total} copies are sold; correct its total or a sale."


def _check_not_future(day: date, of: str, today: date | None) -> None:
    if day > (today or date.today()):  # noqa: DTZ011 - a book-keeper's day is the local one
        raise Refused(f"{day} lies in the future; give the day of {of}.")


# ---- finding ----------------------------------------------------------------------------------------------


def _active_edition(connection: Connection, key: str) -> dict[str, Any]:
    record = find(connection, "editions", key)
    if not record["is_active"]:
        raise Refused(
            f"{record['edition_display_name']} is closed ({record['close_reason']}); reopen it first: "
            f"`crown art reopen editions {record['airtable_id']}`."
        )
    if record["kind"] == "blank":
        raise Refused(f"{record['airtable_id']} is a blank record: it has neither print nor number.")
    return record


def _distributor(connection: Connection, key: str) -> dict[str, Any]:
    record = find(connection, "distributors", key)
    if not record["is_active"]:
        raise Refused(f"{record['name']} is closed ({record['close_reason']}).")
    return record


def _by_id(connection: Connection, table: str, airtable_id: str | None) -> dict[str, Any] | None:
    if airtable_id is None:
        return None
    row = connection.execute(
        text(f"select * from art.{table} where airtable_id = :i"), {"i": airtable_id}
    ).one_or_none()  # fmt: skip
    return None if row is None else dict(row._mapping)
