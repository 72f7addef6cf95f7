"""Standing checks on the art tables, each with its rows.

Belongs here: questions in SQL on the current art tables and their words. Does not belong here: single cells
(`rules.py`) and the comparison with the export's formulas (`oracles.py`). Nothing is corrected.

Doubtful records that a person has looked at and accepted are a baseline: they are counted and shown, and a check
warns only of what is new. Accepting is a decision on exactly what the check said of the record: its subject is the check
and the record, its content hash that of what the check said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Connection, Engine, text

from crown.art_records.gates import CHECKED
from crown.art_records.history.replay import replay_sql
from crown.art_records.tables import ENTITIES
from crown.art_records.wording import names_of
from crown.errors import BadInput, Refused
from crown.journal.activity import Via
from crown.ledger import decisions
from crown.ledger.decisions import Verdict
from crown.ledger.verdicts import Ruling


@dataclass(frozen=True)
class Check:
    """A question: `sql` returns airtable_id, detail and money for every row that needs a look."""

    name: str
    says: str
    severity: Literal["error", "warning"]
    sql: str


@dataclass(frozen=True)
class CheckResult:
    """The answer: how many rows, the money in them, and up to 20 of them, what nobody has accepted first.

    Of what was accepted: how many rows, the first day (UTC) and by whom.
    """

    check: Check
    count: int
    money: Decimal
    examples: list[tuple[str, str]]
    accepted: int = 0
    since: date | None = None
    accepted_by: tuple[str, ...] = ()
    names: dict[str, str] = field(default_factory=dict)

    @property
    def new(self) -> int:
        """Rows that nobody has accepted."""
        return self.count - self.accepted

    @property
    def passed(self) -> bool:
        """Whether there is nothing new to look at."""
        return self.new == 0

    @property
    def known(self) -> str | None:
        """What is known since people accepted it: `3 known since 2026-02-03, accepted by ann`."""
        if not self.accepted:
            return None
        return f"{self.accepted:,} known since {self.since}, accepted by {', '.join(self.accepted_by)}"

    def as_dict(self) -> dict[str, Any]:
        """JSON values; money as a number."""
        rows = [
            {"airtable_id": i, "name": self.names.get(i), "detail": detail} for i, detail in self.examples
        ]
        return {"name": self.check.name, "says": self.check.says, "severity": self.check.severity,
                "count": self.count, "accepted": self.accepted, "new": self.new, "money": float(self.money),
                "known_since": self.since and self.since.isoformat(), "accepted_by": list(self.accepted_by),
                "examples": rows}  # fmt: skip


def _flag(name: str, says: str) -> Check:
    return Check(
        name, says, "warning",
        f"select e.airtable_id, f.detail, e.retail_price as money from art.edition_flags f "
        f"join art.editions e on e.airtable_id = f.edition_id where f.flag = '{name}'",
    )  # fmt: skip


def _replay(table: str) -> Check:
    says = f"Every current record of {table} is what its change sets make of the state it was created with."
    return Check(f"{table}_replay", says, "error", replay_sql(ENTITIES[table]))


def _withheld(table: str) -> Check:
    return Check(
        withheld(table), f"No value of the newest {table} in the art tables waits in quarantine.", "warning",
        # Without the row of the file: in the next export the same value is elsewhere.
        f"""select q.airtable_id, q.table_name || ' ' || q.column_name || ': ' || q.problem as detail,
                   q.money_at_stake as money
            from art.quarantine q
            where q.outcome = 'withheld' and q.table_name = '{table}' and q.sync_number = (
                select max(t.sync_number) from art.sync_tables t join art.syncs s using (sync_number)
                where t.table_name = q.table_name and t.source_hash is not null
                      and s.status not in ('running', 'failed', 'rolled_back'))""",
    )  # fmt: skip


def withheld(table: str) -> str:
    """The name of the check on the values of a table that did not pass their rules."""
    return f"withheld_{table}"


CHECKS = (
    *(_replay(table) for table in ENTITIES),
    Check(
        "orphan_links", "Editions are linked to prints and distributors that the art tables hold.", "error",
        """select e.airtable_id, 'linked to ' || l.target as detail, e.retail_price as money
           from art.editions e,
                lateral (select p.print_id from art.edition_prints p where p.edition_id = e.airtable_id
                         and not exists (select 1 from art.prints x where x.airtable_id = p.print_id and x.is_active)
                         union all
                         select e.distributor_id where e.distributor_id is not null and not exists
                             (select 1 from art.distributors x where x.airtable_id = e.distributor_id and x.is_active)
                ) l (target)
           where e.is_active""",
    ),
    Check(
        "impossible_years", "Dates lie between 1990 and next year.", "error",
        """select airtable_id, 'gallery ' || coalesce(date_in_gallery::text, '-') || ', sold '
                  || coalesce(date_sold::text, '-') as detail, retail_price as money
           from art.editions
           where is_active and (not date_in_gallery between date '1990-01-01' and current_date + 366
                                or not date_sold between date '1990-01-01' and current_date + 366)""",
    ),
    Check(
        "one_open_version", "Every change set belongs to a finished sync.", "error",
        """select c.airtable_id, 'sync ' || c.sync_number || ' is ' || s.status as detail, null::numeric as money
           from art.changes c join art.syncs s using (sync_number) where s.status in ('running', 'failed')""",
    ),
    _flag("duplicate_number", "No two active editions of a print bear one number."),
    _flag("double_linked", "An edition belongs to one print."),
    _flag("unlinked", "A numbered edition has a print."),
    _flag("unnumbered", "Copies have a positive number; negative ones and zero are no editions."),
    _flag("above_total", "Numbers do not exceed the print's total."),
    _flag("sold_without_date", "A sale has a date."),
    _flag("sold_without_price", "A sale has a price."),
    _flag("sold_at_zero", "A sale has a price above zero."),
    _flag("sold_not_printed", "What is sold was printed."),
    _flag("sold_without_distributor", "A sale has a place."),
    _flag("settled_not_sold", "Only sales are settled."),
    _flag("date_sold_not_sold", "Only sales have a sale date."),
    _flag("in_gallery_after_sale", "A copy comes to its gallery before it is sold there."),
    _flag("placed_not_printed", "What a distributor holds was printed."),
    Check(
        "sold_without_commission", "A sale has a commission; an empty one counts as none, as in the base.", "warning",
        """select airtable_id, 'sold, commission unknown' as detail, retail_price as money from art.editions
           where is_active and is_sold and commission_percentage is null""",
    ),
    Check(
        "placeholder_distributors", "Editions are with real distributors.", "warning",
        """select e.airtable_id, 'at ' || d.name as detail, e.retail_price as money
           from art.editions e join art.distributors d on d.airtable_id = e.distributor_id
           where e.is_active and d.kind = 'placeholder'""",
    ),
    Check(
        "oversold", "No more copies of a print are sold than it has.", "warning",
        """select p.airtable_id, p.name || ': ' || count(*) || ' of ' || p.total_editions || ' sold' as detail,
                  null::numeric as money
           from art.prints p join art.editions e on e.print_id = p.airtable_id
           where p.is_active and e.is_active and e.is_sold and e.kind = 'edition'
           group by p.airtable_id, p.name, p.total_editions having count(*) > p.total_editions""",
    ),
    Check(
        "same_print_name", "No two active prints share a name.", "warning",
        """select airtable_id, name as detail, null::numeric as money from (
               select airtable_id, name, count(*) over (partition by lower(name)) as n from art.prints where is_active
           ) p where n > 1""",
    ),
    *(_withheld(table) for table in ENTITIES),
    Check(
        "open_conflicts", "No conflict waits for a decision.", "warning",
        """select airtable_id, table_name || '.' || field as detail, null::numeric as money
           from art.conflicts where status = 'open'""",
    ),
)  # fmt: skip


_FOUND = """
    with found as ({sql}),
    judged as (
        select f.*, :name || '/' || coalesce(f.airtable_id, '-') as subject,
               encode(sha256(convert_to(f.detail, 'UTF8')), 'hex') as content_hash
        from found f
    ),
    rows as (
        select j.*, v.stage is not null as accepted, v.decided_at, v.who
        from judged j left join ledger.verdicts v on v.stage = :stage and v.subject = j.subject
             and v.content_hash = j.content_hash and v.verdict = 'approve'
    )
"""


def run_checks(engine: Engine, names: tuple[str, ...] = ()) -> list[CheckResult]:
    """Ask every check, or the named ones."""
    with engine.connect() as connection:
        return [_ask(connection, check) for check in CHECKS if not names or check.name in names]


def _ask(connection: Connection, check: Check) -> CheckResult:
    row = connection.execute(
        text(
            f"{_FOUND.format(sql=check.sql)} select count(*), coalesce(sum(money), 0), "
            "(select array_agg(array[airtable_id, detail]) "
            "from (select * from rows order by accepted, airtable_id limit 20) f), "
            "count(*) filter (where accepted), cast(min(decided_at) at time zone 'UTC' as date), "
            "coalesce(array_agg(distinct who) filter (where accepted), '{}') from rows"
        ),
        {"name": check.name, "stage": CHECKED.stage},
    ).one()
    examples = [(i, d) for i, d in row[2] or []]
    names = names_of(connection, {i for i, _ in examples if i})
    return CheckResult(check, row[0], row[1], examples, row[3], row[4], tuple(row[5]), names)


def accept(
    engine: Engine, name: str | None, *, who: str, via: Via, verdict: Verdict = "approve", apply: bool = False,
    reason: str | None = None,
) -> dict[str, int]:  # fmt: skip
    """Accept what checks find now, so that they warn of what is new only; returns how many rows that are by check.

    Args:
        engine: The database.
        name: The check; None: all that nobody has accepted of every check whose findings are no errors, a baseline.
        who: The person.
        via: From where.
        verdict: approve, or withdraw what was accepted before.
        apply: Record it; otherwise only count.
        reason: Why.

    Raises:
        BadInput: no such check, or no name.
        Refused: its findings are errors, which nobody can accept, or there is nothing to decide.
    """
    chosen = [check for check in CHECKS if check.name == name or (name is None and check.severity != "error")]
    if not chosen:
        raise BadInput(f"There is no check {name}; `crown art checks` lists those that found something.")
    if name is not None and chosen[0].severity == "error":
        raise Refused(f"What {name} finds is an error: correct the records, nobody can accept it.")
    if not who.strip():
        raise BadInput("A decision needs a name: say who you are.")
    with engine.begin() as connection:
        found = {check.name: _to_decide(connection, check, verdict) for check in chosen}
        if not any(found.values()):
            said = f"{name} finds" if name else "The checks find"
            raise Refused(f"{said} nothing that is {'accepted' if verdict == 'withdraw' else 'new'}.")
        if apply:
            seen = [pair for pairs in found.values() for pair in pairs]
            decisions.decide_all(connection, CHECKED, seen, Ruling(verdict, who, via, reason))
    return {check: len(pairs) for check, pairs in found.items() if pairs}


def _to_decide(connection: Connection, check: Check, verdict: Verdict) -> list[tuple[str, str]]:
    """Subject and content hash of what a check finds and nobody has accepted; with `withdraw`, of what was accepted."""
    rows = connection.execute(
        text(f"{_FOUND.format(sql=check.sql)} select distinct subject, content_hash from rows "
             "where accepted = :accepted order by 1, 2"),
        {"name": check.name, "stage": CHECKED.stage, "accepted": verdict == "withdraw"},
    )  # fmt: skip
    return [(subject, content_hash) for subject, content_hash in rows]
