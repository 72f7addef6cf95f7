"""What an export would change: the comparison of cleaned rows with the art tables, table by table.

Belongs here: the three modes (incremental, merge, full), the diff as an object with its hash, and what blocks
it. Reads the art tables, writes nothing. Does not belong here: writing (`writing.py`), files (`exports.py`).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import Connection, text

from crown.art_records.tables import APPLIED, PERSONAL, Entity, entity
from crown.database.engine import full_disk

if TYPE_CHECKING:
    import numpy as np

    from crown.art_records.exports.cleaning import Cleaned
    from crown.art_records.exports.files import Export

Mode = Literal["incremental", "merge", "full"]


class Change(NamedTuple):
    """One field of one record, old and new as JSON values; `field` is None when a record comes or goes whole."""

    table: str
    airtable_id: str
    op: str
    field: str | None
    old: Any
    new: Any


class Conflict(NamedTuple):
    """A field that both sides changed since the last export: base, ours, theirs."""

    table: str
    airtable_id: str
    field: str
    base: Any
    local: Any
    source: Any


@dataclass(frozen=True)
class Limits:
    """What a sync may do without a person's decision on that very diff.

    Attributes:
        close_rows: Most records per table that a full sync may close.
        close_share: Largest share of a table's active records that it may close.
        new_share: Largest share of unknown records in a file when the table is not empty: more looks like the
            export of another base.
        taken_back: Most values entered here that an export which does not say them may take back.
        column_cells: Fewer cells of a column than this never make a difference wait.
        changed_share: Largest share of a field's known values that may become other ones.
        emptied_share: Largest share of a field's known values that may become unknown.
        withheld_share: Largest share of a column's filled cells that may newly fail their rule.
    """

    close_rows: int = 20
    close_share: float = 0.05
    new_share: float = 0.5
    taken_back: int = 0
    column_cells: int = 20
    changed_share: float = 0.25
    emptied_share: float = 0.05
    withheld_share: float = 0.05


@dataclass
class TablePlan:
    """What one file would do to its table. Rows are positions in `cleaned`."""

    table: str
    export: Export
    cleaned: Cleaned
    hashes: np.ndarray
    created: np.ndarray
    changes: list[Change] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    settled: list[tuple[str, str]] = field(default_factory=list)
    """(record, field) on which export and art tables agree again."""
    returned: list[tuple[str, str, Any]] = field(default_factory=list)
    """(record, field, value) of open conflicts in which the export says again what it said before both changed."""
    kept_local: list[tuple[str, str]] = field(default_factory=list)
    """(record, field) entered here that the export does not say and that a merge keeps."""
    taken_back: list[tuple[str, str]] = field(default_factory=list)
    """(record, field) entered here that the export does not say and that this mode writes over."""
    last_applied: int = 0
    """The act by which this very file was last written: the same difference after it is another one."""
    mixed: set[str] = field(default_factory=set)
    """Records whose new state is not wholly the export's row."""
    blocks: list[str] = field(default_factory=list)

    @property
    def entity(self) -> Entity:
        """The kind of record."""
        return entity(self.table)

    @property
    def updated(self) -> set[str]:
        """Records of the file that change."""
        return {c.airtable_id for c in self.changes if c.op != "close"}

    @property
    def closed(self) -> list[str]:
        """Records that the file lacks and a full sync closes."""
        return [c.airtable_id for c in self.changes if c.op == "close"]

    def changed_fields(self) -> dict[str, int]:
        """How many records change in each field."""
        counts: dict[str, int] = {}
        for change in self.changes:
            if change.field and change.op == "update":
                counts[change.field] = counts.get(change.field, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def digest(self) -> str:
        """The hash of exactly this diff: the file and every record it creates, changes, closes or disputes."""
        import numpy as np

        order = np.argsort(self.cleaned.ids[self.created].astype(str))
        lines = [self.table, self.export.raw.sha256, self.cleaned.rule_version, str(self.last_applied)]
        lines += [
            f"{i} {h}"
            for i, h in zip(
                self.cleaned.ids[self.created][order], self.hashes[self.created][order].tolist(), strict=True
            )
        ]
        lines += sorted(json.dumps(c, sort_keys=True) for c in [*self.changes, *self.conflicts])
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def plan_table(
    connection: Connection, export: Export, cleaned: Cleaned, mode: Mode, limits: Limits
) -> TablePlan:
    """Compare one cleaned export with the open versions of its table."""
    import numpy as np
    import pandas as pd

    kind = entity(cleaned.table)
    ids, known_hashes, active = _open_rows(connection, kind)
    hashes = cleaned.hashes()
    at = pd.Index(ids).get_indexer(pd.Index(cleaned.ids)) if len(ids) else np.full(len(cleaned), -1)
    known = at >= 0
    same = np.zeros(len(cleaned), dtype=bool)
    same[known] = (known_hashes[at[known]] == hashes[known]) & active[at[known]]
    plan = TablePlan(cleaned.table, export, cleaned, hashes, created=np.flatnonzero(~known))
    plan.last_applied = _last_applied(connection, export)
    candidates = np.flatnonzero(known & ~same)
    if len(candidates):
        _compare_fields(connection, plan, kind, candidates, mode)
    if mode == "full":
        missing = active.copy()
        missing[at[known]] = False
        # Records born outside Airtable can never be in an export; they stay.
        for airtable_id in sorted(i for i in ids[missing] if i.startswith("rec")):
            plan.changes.append(Change(plan.table, airtable_id, "close", "is_active", True, False))
        plan.taken_back += _local_work(connection, plan.table, plan.closed)
    _block(connection, plan, limits, active=int(active.sum()), known_rows=len(ids))
    return plan


def _open_rows(connection: Connection, kind: Entity) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Record ids, row hashes (0: none) and whether active, of every open version."""
    import numpy as np
    import pandas as pd

    # One value for all rows: fetching 100,000 rows one by one costs a second, this a tenth of it.
    data = connection.execute(
        text(
            "select string_agg(airtable_id || ' ' || coalesce(row_hash, 0) || ' ' || is_active::int, e'\n') "
            f"from art.{kind.versions.name} where valid_to_sync is null"
        )
    ).scalar_one()
    if not data:
        return np.array([], dtype=object), np.array([], dtype=np.int64), np.array([], dtype=bool)
    rows = pd.read_csv(
        io.StringIO(data), sep=" ", header=None, quoting=3, na_filter=False,
        dtype={0: object, 1: np.int64, 2: np.int8},
    )  # fmt: skip
    return rows[0].to_numpy(), rows[1].to_numpy(), rows[2].to_numpy().astype(bool)


def _compare_fields(
    connection: Connection, plan: TablePlan, kind: Entity, candidates: np.ndarray, mode: Mode
) -> None:
    """Fill the plan with the field changes, conflicts and agreements of rows whose hash differs."""
    cleaned = plan.cleaned
    names = tuple(f for f in kind.fields if f in cleaned.carried)
    stage = f"staged_{kind.name}"
    connection.execute(text(f"drop table if exists pg_temp.{stage}"))
    connection.execute(
        text(
            f"create temp table {stage} as select airtable_id, {', '.join(names)} "
            f"from art.{kind.versions.name} with no data"
        )
    )
    copy_in(connection, f"pg_temp.{stage}", ("airtable_id", *names), cleaned.copy_lines(names, candidates))
    connection.execute(text(f"analyze {stage}"))
    pairs = ", ".join(f"('{f}', to_jsonb(v.{f}), to_jsonb(s.{f}))" for f in names)
    rows = connection.execute(
        text(f"""
            select s.airtable_id, c.field, c.old, c.new, b.value as base, b.value is not null as has_base,
                   k.base_value as first, k.base_value is not null as disputed
            from {stage} s
            join art.{kind.versions.name} v on v.airtable_id = s.airtable_id and v.valid_to_sync is null
            cross join lateral (values {pairs}, ('is_active', to_jsonb(v.is_active), to_jsonb(true)))
                as c (field, old, new)
            left join art.source_values b
                on b.table_name = :table and b.airtable_id = s.airtable_id and b.field = c.field
            left join art.conflicts k on k.status = 'open'
                and k.table_name = :table and k.airtable_id = s.airtable_id and k.field = c.field
            where c.old is distinct from c.new or b.value is not null
            order by s.airtable_id, c.field
        """),
        {"table": kind.name},
    )
    withheld = cleaned.withheld
    erased = _erased(connection, kind.name)
    for airtable_id, name, old, new, base, has_base, first, disputed in rows:
        if (airtable_id, name) in withheld or _is_erased(erased.get((airtable_id, name)), new):
            plan.mixed.add(airtable_id)
        elif old == new:
            plan.settled.append((airtable_id, name))
        elif mode != "merge" or not has_base:
            if has_base:
                plan.taken_back.append((airtable_id, name))
            plan.changes.append(
                Change(kind.name, airtable_id, "reopen" if name == "is_active" else "update", name, old, new)
            )
        else:
            plan.mixed.add(airtable_id)
            if new == base:
                plan.kept_local.append((airtable_id, name))
            elif disputed and new == first:
                plan.returned.append((airtable_id, name, new))
            else:
                plan.conflicts.append(
                    Conflict(kind.name, airtable_id, name, first if disputed else base, old, new)
                )
    connection.execute(text(f"drop table pg_temp.{stage}"))


def _last_applied(connection: Connection, export: Export) -> int:
    return connection.execute(
        text("""
            select coalesce(max(sync_number), 0) from art.sync_tables join art.syncs using (sync_number)
            where table_name = :t and source_hash = :h and status not in ('running', 'failed')
        """),
        {"t": export.raw.table, "h": export.raw.sha256},
    ).scalar_one()


def _local_work(connection: Connection, table: str, ids: list[str]) -> list[tuple[str, str]]:
    """(record, field) of what was entered here into these records and the exports never said."""
    rows = connection.execute(
        text("""
            select airtable_id, field from art.source_values
            where table_name = :t and airtable_id = any(:ids) order by 1, 2
        """),
        {"t": table, "ids": ids},
    )
    return [(airtable_id, name) for airtable_id, name in rows]


def copy_in(connection: Connection, table: str, columns: tuple[str, ...], lines: list[str]) -> None:
    """COPY prepared text lines into a table.

    Raises:
        SystemicFailure: the disk of the database is full.
    """
    import psycopg

    assert connection.connection.driver_connection is not None
    try:
        with connection.connection.driver_connection.cursor().copy(
            f"copy {table} ({', '.join(columns)}) from stdin"
        ) as copy:
            for start in range(0, len(lines), 20_000):
                copy.write("\n".join(lines[start : start + 20_000]) + "\n")
    except psycopg.errors.DiskFull as error:
        raise full_disk(error) from error


def _erased(connection: Connection, table: str) -> dict[tuple[str, str], list[tuple[str, str]]]:
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    rows = connection.execute(
        text("select airtable_id, field, salt, digest from art.erased_values where table_name = :t"),
        {"t": table},
    )
    for airtable_id, name, salt, digest in rows:
        found.setdefault((airtable_id, name), []).append((salt, digest))
    return found


def erased_digest(salt: str, value: str) -> str:
    """The digest under which an erased text is remembered."""
    return hashlib.sha256(f"{salt}:{value}".encode()).hexdigest()


def _is_erased(remembered: list[tuple[str, str]] | None, value: Any) -> bool:
    return bool(remembered) and any(
        isinstance(value, str) and erased_digest(salt, value) == digest for salt, digest in remembered or ()
    )


def _block(connection: Connection, plan: TablePlan, limits: Limits, *, active: int, known_rows: int) -> None:
    """Note what a person has to decide before this plan is applied."""
    closed = len(plan.closed)
    if closed > limits.close_rows or closed > limits.close_share * active:
        plan.blocks.append(
            f"{plan.table}: {closed} of {active} records would be closed (limit {limits.close_rows} records "
            f"or {limits.close_share:.0%})"
        )
    if known_rows and len(plan.created) > max(10, limits.new_share * len(plan.cleaned)):
        plan.blocks.append(
            f"{plan.table}: {len(plan.created)} of {len(plan.cleaned)} records are unknown; this looks like "
            "the export of another base"
        )
    if len(plan.taken_back) > limits.taken_back:
        plan.blocks.append(_taken_back_sentence(connection, plan))
    _block_columns(connection, plan, limits)
    _block_shape(connection, plan)
    newest = last_exported_on(connection, plan.table)
    if newest and plan.export.exported_on and plan.export.exported_on < newest:
        plan.blocks.append(
            f"{plan.table}: this export is of {plan.export.exported_on}, the art tables hold one of {newest} already"
        )


def _taken_back_sentence(connection: Connection, plan: TablePlan) -> str:
    from crown.art_records.wording import named, names_of

    fields: dict[str, list[str]] = {}
    for airtable_id, name in plan.taken_back:
        fields.setdefault(airtable_id, []).append(name)
    names = names_of(connection, fields)
    shown = [f"{named(i, names)}: {', '.join(of)}" for i, of in list(fields.items())[:5]]
    more = f" and {len(fields) - 5} more records" if len(fields) > 5 else ""
    values = "1 value" if len(plan.taken_back) == 1 else f"{len(plan.taken_back)} values"
    return (
        f"{plan.table}: {values} entered here that the export does not say would be taken back "
        f"({'; '.join(shown)}{more}); the mode merge keeps them"
    )


_RUNNING = frozenset({"total", "long_date"})
"""Rules of columns that the base itself carries on with every sale: that all of them change is no damage."""


def _block_columns(connection: Connection, plan: TablePlan, limits: Limits) -> None:
    """Note columns of which so many values change, vanish or fail that the source may have been damaged."""
    changed: Counter[str] = Counter()
    emptied: Counter[str] = Counter()
    differing = [(c.field, c.old, c.new) for c in plan.changes if c.op == "update" and c.field]
    differing += [(c.field, c.local, c.source) for c in plan.conflicts]
    layout = plan.export.layout
    running = {layout.fields[column] for column, rule in layout.rules.items() if rule in _RUNNING}
    for name, old, new in differing:
        if old is not None and (new is None or name not in running):
            (emptied if new is None else changed)[name] += 1
    failed = Counter(f.column for f in plan.cleaned.findings if f.outcome == "withheld")
    if most_of := max([*changed.values(), *emptied.values()], default=0):
        known = _known_values(connection, plan.entity) if most_of >= limits.column_cells else {}
        for counts, limit, what in (
            (changed, limits.changed_share, "become other ones"),
            (emptied, limits.emptied_share, "become unknown"),
        ):
            for name, n in sorted(counts.items()):
                if n >= limits.column_cells and n > limit * known.get(name, 0):
                    plan.blocks.append(
                        f"{plan.table}: {n} of {known.get(name, 0)} known values of {name} would {what} "
                        f"(limit {limit:.0%})"
                    )
    before = _withheld_last_time(connection, plan.table) if failed else {}
    for column, n in sorted(failed.items()):
        new, filled = n - before.get(column, 0), plan.cleaned.filled.get(column, len(plan.cleaned))
        if new >= limits.column_cells and new > limits.withheld_share * filled:
            plan.blocks.append(
                f"{plan.table}: {new} of {filled} cells of {column} newly fail their rule and would be withheld "
                f"(limit {limits.withheld_share:.0%})"
            )


def _known_values(connection: Connection, kind: Entity) -> dict[str, int]:
    """How many active records have a value, field by field."""
    counts = ", ".join(f"count({name}) as {name}" for name in kind.fields)
    row = connection.execute(
        text(f"select {counts} from art.{kind.versions.name} where valid_to_sync is null and is_active")
    ).one()
    return dict(row._mapping)


def _withheld_last_time(connection: Connection, table: str) -> dict[str, int]:
    """Cells per column that the newest export in the art tables had withheld: they are known, and wait already."""
    rows = connection.execute(
        text("""
            select column_name, count(*) from art.quarantine where table_name = :t and outcome = 'withheld'
            and sync_number = (select max(s.sync_number) from art.syncs s join art.sync_tables t using (sync_number)
                               where t.table_name = :t and t.source_hash is not null and s.status = any(:applied))
            group by column_name
        """),
        {"t": table, "applied": list(APPLIED)},
    )
    return dict(rows.tuples().all())


def _block_shape(connection: Connection, plan: TablePlan) -> None:
    """Note columns that are missing, renamed or written another way, unless a person approved that shape before."""
    if not plan.cleaned.shape_changes:
        return
    accepted = connection.execute(
        text("""
            select exists (select from art.syncs s join art.sync_tables t using (sync_number)
                           where t.table_name = :t and t.header_fingerprint = :shape and s.status = any(:applied))
        """),
        {"t": plan.table, "shape": plan.cleaned.shape, "applied": list(APPLIED)},
    ).scalar_one()
    if not accepted:
        plan.blocks += [f"{plan.table}: {said}" for said in plan.cleaned.shape_changes]


def last_exported_on(connection: Connection, table: str) -> date | None:
    """The date of the newest export whose changes are in the art tables."""
    return connection.execute(
        text("""
            select max(r.exported_on) from art.syncs s join art.sync_tables t using (sync_number)
            join art.raw_files r on r.sha256 = t.source_hash
            where t.table_name = :table and s.status = any(:applied)
        """),
        {"table": table, "applied": list(APPLIED)},
    ).scalar_one()


def is_same_as_last_time(connection: Connection, export: Export, rule_version: str, mode: Mode) -> bool:
    """Whether the newest export sync of this table read the same bytes by the same rules, and is still in force.

    A full sync after another mode is not the same: it may close records.
    """
    last = connection.execute(
        text("""
            select s.status, s.sync_type, s.rule_version, t.source_hash
            from art.syncs s join art.sync_tables t using (sync_number)
            where t.table_name = :table and t.source_hash is not null and s.status not in ('running', 'failed')
            order by sync_number desc limit 1
        """),
        {"table": export.raw.table},
    ).one_or_none()
    return (
        last is not None
        and last.status in APPLIED
        and last.source_hash == export.raw.sha256
        and last.rule_version == rule_version
        and (last.sync_type in (mode, "full") or mode != "full")
    )


def masked(name: str | None, value: Any) -> Any:
    """A value as it may be shown: notes contain people's names, so only their length is shown."""
    if name in PERSONAL and isinstance(value, str):
        return f"({len(value)} characters)"
    return value
