"""The transaction of an act by hand: the writers' lock, who acts, one update with its version and activity line.

Belongs here: what all acts of a person share, finding the record they mean and judging days and prices included.
Does not belong here: the acts (`local.py`, `bookkeeping.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, text

from crown.art_records.history.comparing import masked
from crown.art_records.history.erased_texts import refuse as refuse_erased
from crown.art_records.history.ledger_rows import enter_sync
from crown.art_records.history.states import find
from crown.art_records.tables import LOCK
from crown.art_records.wording import LINKS, named, names_of, said
from crown.errors import BadInput, Refused
from crown.journal import activity
from crown.journal.activity import Via

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
def act(
    engine: Engine, who: str, via: Via, reason: str | None, effective_on: date | None = None
) -> Iterator[Connection]:
    """A transaction that holds the writers' lock before it reads, so that what it judges is what it writes over.

    The views' triggers write in this person's name, and as of `effective_on` where the act has a day of its own. What
    was written is entered in the ledger as of every other act: the act, and the tables that it changed.
    """
    if not who.strip():
        raise BadInput("An act in the art tables needs a name: say who you are.")
    with engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        own_day = effective_on.isoformat() if effective_on else ""
        for name, value in (("who", who), ("via", via), ("reason", reason or ""), ("effective_on", own_day)):
            connection.execute(text("select set_config(:n, :v, true)"), {"n": f"crown.{name}", "v": value})
        yield connection
        written = connection.execute(
            text("select sync_number from art.syncs where transaction_id = pg_current_xact_id() order by 1")
        )
        for number in written.scalars().all():
            enter_sync(connection, number)


def update(
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
        via=via, old=jsonable(old), new=jsonable(new), details=details, context={"sync_number": number},
    )  # fmt: skip
    linked = {v for side in (old, new) for n, v in side.items() if n in LINKS and isinstance(v, str)}
    names = names_of(connection, {record["airtable_id"], *linked})
    return LocalReport(number, table, record["airtable_id"], what, [(n, old[n], new[n]) for n in changed],
                       name=names.get(record["airtable_id"]), names=names)  # fmt: skip


def jsonable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the activity trail; what JSON does not know becomes text."""
    return {k: v if isinstance(v, (str, int, bool, list, type(None))) else str(v) for k, v in values.items()}


# ---- judging ----------------------------------------------------------------------------------------------


def entered(connection: Connection, record: Mapping[str, Any], name: str) -> str:
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


def oversold(connection: Connection, print_id: str | None) -> str | None:
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


def check_not_future(day: date, of: str, today: date | None) -> None:
    """Refuse a day after today."""
    if day > (today or date.today()):  # noqa: DTZ011 - a book-keeper's day is the local one
        raise Refused(f"{day} is in the future; give the day of {of}.")


def check_price(price: Decimal) -> None:
    """A price is zero or more, and less than a hundred million.

    Raises:
        BadInput: it is not.
    """
    if not 0 <= price < 100_000_000:
        raise BadInput(f"{price} cannot be a price; give an amount from 0 to 99,999,999.99.")


def check_paid_on(paid_on: date, record: dict[str, Any] | None, today: date | None) -> None:
    """Refuse a payment in the future or before its sale."""
    if paid_on > (today or date.today()):  # noqa: DTZ011
        raise Refused(f"{paid_on} is in the future; give the day the money came in.")
    if record is not None and record["date_sold"] and paid_on < record["date_sold"]:
        raise Refused(
            f"{record['edition_display_name']} was sold on {record['date_sold']}, after {paid_on}; correct one."
        )


# ---- finding ----------------------------------------------------------------------------------------------


def active_edition(connection: Connection, key: str) -> dict[str, Any]:
    """An edition by record id or unique name.

    Raises:
        BadInput: none, or several.
        Refused: it is closed, or a blank record.
    """
    record = find(connection, "editions", key)
    if not record["is_active"]:
        raise Refused(
            f"{record['edition_display_name']} is closed ({record['close_reason']}); reopen it first: "
            f"`crown art reopen editions {record['airtable_id']}`."
        )
    if record["kind"] == "blank":
        raise Refused(f"{record['airtable_id']} is a blank record: it has neither print nor number.")
    return record


def active_distributor(connection: Connection, key: str) -> dict[str, Any]:
    """A distributor by record id or unique name.

    Raises:
        BadInput: none, or several.
        Refused: it is closed.
    """
    record = find(connection, "distributors", key)
    if not record["is_active"]:
        raise Refused(f"{record['name']} is closed ({record['close_reason']}).")
    return record


def by_id(connection: Connection, table: str, airtable_id: str | None) -> dict[str, Any] | None:
    """A record by its id; None when there is none."""
    if airtable_id is None:
        return None
    row = connection.execute(
        text(f"select * from art.{table} where airtable_id = :i"), {"i": airtable_id}
    ).one_or_none()  # fmt: skip
    return None if row is None else dict(row._mapping)
