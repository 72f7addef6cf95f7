"""Forecast: what the next runs would make and remove, with bytes and minutes, before anything is made.

The ledger's own comparison (`planning.compared`) is run over temporary tables that lie above the ledger's: what one stage
would make is supposed made, then the next is compared with it. So a forecast can never differ from the plan, and it
ends where a person decides. It reads one snapshot, takes no lock and writes nothing but its temporary tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal

from sqlalchemy import Connection, Engine, text

from crown.flow import held_removals
from crown.flow.held_removals import HeldRemoval
from crown.flow.stage import Flow, Stage, W
from crown.ledger import planning


@dataclass(frozen=True)
class AssetForecast:
    """What the next runs would do to one asset.

    `changed` items replace what was made before, the others of `to_make` are new; `subjects` counts what they are about.
    Bytes and minutes are judged by what the same items took before, or by the asset's newest ones; None when nothing was
    made yet.
    """

    asset: str
    to_make: int
    changed: int
    to_wait: int
    to_retire: int
    subjects: int
    megabytes: float | None
    minutes: float | None
    keys: tuple[str, ...]


@dataclass(frozen=True)
class FileChange:
    """A file that would be new, changed or removed, by the key of its item."""

    asset: str
    key: str
    what: Literal["new", "changed", "removed"]


@dataclass
class Forecast:
    """What the next runs would do; contents that are not made yet count as changed."""

    assets: list[AssetForecast] = field(default_factory=list)
    files: list[FileChange] = field(default_factory=list)
    held: list[HeldRemoval] = field(default_factory=list)


@dataclass(frozen=True)
class Supposed:
    """What is supposed to have happened before.

    Attributes:
        act: writes a person's act in the forecast's transaction, which is rolled back then; rows of a few decisions,
            never of items.
        due: items that are to be made again although they are made, or failed: keys by asset.
    """

    act: Callable[[Connection], object] | None = None
    due: Callable[[Connection], Mapping[str, Collection[str]]] | None = None


_OVERLAY = """
    create temp table supposed_items (like ledger.items including defaults);
    create unique index on supposed_items (asset, key);
    create temp table supposed_outputs (like ledger.outputs including defaults);
    create index on supposed_outputs (output_id);
    create index on supposed_outputs (asset, key);
    create temp view items as
        select * from ledger.items where (asset, key) not in (select asset, key from pg_temp.supposed_items)
        union all select * from pg_temp.supposed_items;
    create temp view outputs as select * from ledger.outputs union all select * from pg_temp.supposed_outputs;
    analyze supposed_items, supposed_outputs;  -- empty, as long as they are: unknown ones are taken for larger
"""
_TABLE = re.compile(r"\bledger\.(items|outputs)\b")
_ANALYZE = (
    "analyze pg_temp.supposed_items (asset, key, state), pg_temp.supposed_outputs (output_id, asset, key)"
)
_DUE = """
    insert into pg_temp.supposed_items
    select * from ledger.items where asset = :asset and key = any(:keys) and state <> 'retired'
"""
_MADE_DUE = "update pg_temp.supposed_items set state = 'pending', made = null, next_try = null"
_COMPARED = """
, written as (
    insert into pg_temp.supposed_items as i
        (asset, key, state, waiting_for, wanted, recipe, inputs, decision_id, output_id, made, changed_at)
    select :asset, j.key, j.new_state, j.waiting_for, coalesce(j.fingerprint, j.old_wanted),
           coalesce(j.recipe, j.old_recipe), coalesce(j.inputs, j.old_inputs), j.decision_id,
           case when j.new_state in ('current', 'held') then coalesce(j.kept_id, b.output_id) else b.output_id end,
           case when j.new_state in ('current', 'held') and j.kept_id is not null then j.fingerprint else b.made end,
           clock_timestamp()
    from judged j
    left join lateral (  -- limited, so that it is looked up for the few that changed
        select output_id, made from ledger.items i where i.asset = :asset and i.key = j.key limit 1) b on true
    on conflict (asset, key) do update set state = excluded.state, waiting_for = excluded.waiting_for,
        wanted = excluded.wanted, recipe = excluded.recipe, inputs = excluded.inputs,
        decision_id = excluded.decision_id, output_id = excluded.output_id, made = excluded.made,
        changed_at = excluded.changed_at
    returning state
)
select state, count(*) from written group by state
"""
_KEPT = """
    with stay as (
        delete from pg_temp.supposed_items where asset = :asset and key = any(:keys) and state = 'retired'
        returning key
    )
    select count(*) from stay
"""
_PAUSED = """
    insert into pg_temp.supposed_items
    select * from ledger.items where asset = :asset and key = any(:keys) and state in ('pending', 'failed')
"""
_WAITING = "update pg_temp.supposed_items set state = 'waiting' where asset = :asset and key = any(:keys)"
_SUMMARY = """
    with usual as materialized (  -- looked up once, and only when an item was never made
        select avg(size_bytes) as bytes, avg(seconds) as seconds from (
            select size_bytes, seconds from ledger.outputs where asset = :asset
            order by output_id desc limit 200) newest)
    select count(*) as to_make, count(i.output_id) as changed, count(distinct {subject}) as subjects,
           sum(coalesce(m.size_bytes, (select bytes from usual))) as bytes,
           sum(coalesce(m.seconds, (select seconds from usual))) as seconds,
           (array_agg(i.key order by i.key))[1:100] as keys
    from pg_temp.items i left join ledger.outputs m on m.output_id = i.output_id
    where i.asset = :asset and i.state in ('pending', 'failed')
"""
_FILES = """
    select i.key, case when i.state = 'retired' then 'removed' when f.path is null then 'new' else 'changed' end as what
    from pg_temp.items i left join ledger.outputs m on m.output_id = i.output_id
    left join ledger.files f on f.root = m.root and f.path = m.path
    where i.asset = :asset and (i.state in ('pending', 'failed')
        or (i.state = 'retired' and i.output_id is not null and i.changed_at > transaction_timestamp()))
    order by i.key
"""
_MADE = """
    insert into pg_temp.supposed_outputs (output_id, asset, key, fingerprint, content_hash, recipe, decision_id)
    select least(0, (select min(output_id) from pg_temp.supposed_outputs)) - row_number() over (),
           i.asset, i.key, i.wanted, coalesce(case when i.recipe = any(cast(:copying as text[])) then coalesce(
               (select m.content_hash from pg_temp.outputs m where m.output_id = i.inputs[cardinality(i.inputs)]),
               split_part(i.key, '@', -1)) end, 'to be made: ' || i.wanted), i.recipe, i.decision_id
    from pg_temp.items i where i.asset = :asset and i.state in ('pending', 'failed')
"""
_CURRENT = """
    insert into pg_temp.supposed_items as s
    select i.* from pg_temp.items i where i.asset = :asset and i.state in ('pending', 'failed')
    on conflict do nothing
"""
_POINTED = """
    update pg_temp.supposed_items s set state = 'current', output_id = m.output_id, made = m.fingerprint
    from pg_temp.supposed_outputs m where m.asset = :asset and s.asset = m.asset and s.key = m.key
"""


def forecast(
    flow: Flow[W],
    workspace: W,
    *,
    subject: Callable[[str], str],
    files_of: Collection[str] = (),
    supposed: Supposed | None = None,
) -> Forecast:
    """What the next runs would do; nothing is changed.

    Args:
        flow: the department's.
        workspace: the department's workspace.
        subject: what the items `i` of an asset are about, as an SQL expression.
        files_of: assets whose files are listed one by one.
        supposed: what is supposed to have happened before.
    """
    with _overlay(workspace.engine, act=supposed is not None and supposed.act is not None) as connection:
        one = _Forecast(flow, workspace, connection, subject, files_of)
        if supposed is not None and supposed.act is not None:
            supposed.act(connection)
        if supposed is not None and supposed.due is not None:
            one.suppose_due(supposed.due(connection))
        for asset in workspace.assets:
            one.look_at(flow.stage(workspace, asset, connection))
        return one.found


@contextmanager
def _overlay(engine: Engine, *, act: bool) -> Iterator[Connection]:
    """A connection of its own with the temporary tables, in a transaction that sees one snapshot of the ledger."""
    with engine.connect() as connection:
        connection.detach()  # whatever happens, the tables end with the connection
        connection.exec_driver_sql(_OVERLAY)
        connection.commit()
        mode = "read write" if act else "read only"
        connection.exec_driver_sql(f"set transaction isolation level repeatable read, {mode}")
        yield connection
        connection.rollback() if act else connection.commit()
        connection.exec_driver_sql("discard temp")
        connection.commit()


def _above(statement: str) -> str:
    """The statement over the views that lie above the ledger's tables."""
    return _TABLE.sub(r"pg_temp.\1", statement)


@dataclass
class _Forecast(Generic[W]):
    flow: Flow[W]
    workspace: W
    connection: Connection
    subject: Callable[[str], str]
    files_of: Collection[str]
    found: Forecast = field(default_factory=Forecast)
    #: Assets of which items are supposed other than they are.
    supposed: set[str] = field(default_factory=set)

    def suppose_due(self, due: Mapping[str, Collection[str]]) -> None:
        """Count items as to be made again."""
        for asset, keys in due.items():
            self._execute(_DUE, asset=asset, keys=list(keys))
            self.supposed.add(asset)
        self._execute(_MADE_DUE)

    def look_at(self, one: Stage) -> None:
        """Add what would become of a stage, and suppose it made."""
        counted = self._compare(one)
        kept = 0
        if one.removals is not None and counted.get("retired"):
            held, keys = held_removals.to_hold(self.connection, one.removals, "pg_temp.items")
            self.found.held += held
            kept = self._execute(_KEPT, asset=one.asset, keys=list(keys)).scalar_one()
            self._execute(_PAUSED, asset=one.asset, keys=list(keys))
            self._execute(_WAITING, asset=one.asset, keys=list(keys))
        row = self._summary(one, counted.get("waiting", 0), counted.get("retired", 0) - kept)
        if row.to_make or row.to_wait or row.to_retire:
            self.found.assets.append(row)
        if one.asset in self.files_of:
            files = self._execute(_FILES, asset=one.asset).tuples()
            self.found.files += [FileChange(one.asset, key, what) for key, what in files]
        if row.to_make and one.asset != self.workspace.assets[-1]:
            self._suppose_made(one)

    def _compare(self, one: Stage) -> dict[str, int]:
        # The ledger's own tables are read faster: only what is supposed other than it is goes through the views above.
        above = _above if self.supposed else str
        statement, bound, _ = planning.compared(
            self.connection,
            one.asset,
            above(one.wanted),
            one.parameters,
            inputs_decide=one.inputs_decide,
            looked_up=None if one.looked_up is None else above(one.looked_up),
        )
        statement += _COMPARED
        rows = self._execute(_above(statement) if one.asset in self.supposed else statement, **bound)
        counted: dict[str, int] = dict(rows.tuples().all())
        if counted:
            self.supposed.add(one.asset)
            self._execute(_ANALYZE)
        return counted

    def _summary(self, one: Stage, to_wait: int, to_retire: int) -> AssetForecast:
        due = self._execute(_SUMMARY.format(subject=self.subject(one.asset)), asset=one.asset).one()
        workers = 1 if one.pool.in_process else self.workspace.settings.workers
        return AssetForecast(
            one.asset,
            due.to_make,
            due.changed,
            to_wait,
            to_retire,
            due.subjects,
            None if due.bytes is None else round(float(due.bytes) / 1e6, 2),
            None if due.seconds is None else round(due.seconds / 60 / workers, 2),
            tuple(due.keys or ()),
        )

    def _suppose_made(self, one: Stage) -> None:
        self._execute(_MADE, asset=one.asset, copying=sorted(one.copying))
        self._execute(_CURRENT, asset=one.asset)
        self._execute(_POINTED, asset=one.asset)
        self.supposed.add(one.asset)
        self._execute(_ANALYZE)

    def _execute(self, statement: str, **bound: Any) -> Any:
        return self.connection.execute(text(statement), bound)


def beyond(with_it: AssetForecast | None, without: AssetForecast | None) -> AssetForecast | None:
    """What one forecast says of an asset beyond another; None when it is nothing. Less of something is negative."""
    names = ("megabytes", "minutes")
    counts = ("to_make", "changed", "to_wait", "to_retire", "subjects")
    if with_it is None:
        if without is None:
            return None
        less: dict[str, Any] = {name: getattr(without, name) for name in (*counts, *names)}
        return replace(without, **{name: value and -value for name, value in less.items()}, keys=())
    if without is None:
        return with_it
    rest: dict[str, Any] = {name: getattr(with_it, name) - getattr(without, name) for name in counts}
    if not any(rest.values()) and with_it.keys == without.keys:
        return None
    for name in names:
        value, before = getattr(with_it, name), getattr(without, name)
        rest[name] = None if value is None else round(value - (before or 0), 2)
    return replace(with_it, **rest, keys=tuple(key for key in with_it.keys if key not in without.keys))
