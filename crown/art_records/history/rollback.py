"""Taking a sync back: its inverse, classified field by field, applied as a new sync of its own.

Belongs here: what taking back means for every change, what stands against it, and the act. A rollback is a
sync like any other, so it can be taken back itself; nothing is overwritten or deleted.
Does not belong here: the statements that write (`writing.py`).

Classes of a change, by the state of the art tables now:
- clean: the field still holds what the sync wrote;
- done: it holds what it held before the sync; nothing is left to do;
- superseded: a later export or rollback wrote it again;
- edited: a person wrote it afterwards;
- blocked: rules changed since, or a later record depends on it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Engine, text

from crown.art_records.history.comparing import Change, masked
from crown.art_records.reports import change_lines
from crown.art_records.tables import APPLIED, EDITIONS, ENTITIES
from crown.art_records.wording import named, names_for
from crown.errors import Refused
from crown.journal import activity
from crown.journal.activity import Via

Kind = Literal["clean", "done", "superseded", "edited", "blocked"]
Choice = Literal["skip", "force"]

_INVERSE = {"create": "withdraw", "withdraw": "restore", "restore": "withdraw", "close": "reopen",
            "reopen": "close", "update": "update"}  # fmt: skip


class Step(NamedTuple):
    """Taking back one change: the inverse change, its class, and why it is not clean."""

    change: Change
    kind: Kind
    why: str
    forceable: bool = True


@dataclass
class RollbackReport:
    """What a rollback did, or would do. `diff_hash` names exactly this inverse."""

    target: int
    steps: list[Step]
    chosen: list[Step]
    diff_hash: str
    through_latest: bool = False
    applied: bool = False
    sync_number: int | None = None
    status: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON values, personal texts masked."""
        chosen = set(map(id, self.chosen))
        return {
            "target": self.target,
            "applied": self.applied,
            "sync_number": self.sync_number,
            "status": self.status,
            "diff_hash": self.diff_hash,
            "counts": dict(self.counts),
            "steps": [
                {"table": s.change.table, "airtable_id": s.change.airtable_id,
                 "name": self.names.get(s.change.airtable_id), "op": s.change.op,
                 "field": s.change.field, "from": masked(s.change.field, s.change.old),
                 "to": masked(s.change.field, s.change.new), "class": s.kind, "why": s.why,
                 "chosen": id(s) in chosen}
                for s in self.steps
            ],
        }  # fmt: skip

    def text(self, rows: int = 20) -> str:
        """The inverse for a terminal, personal texts masked."""
        lines = [
            f"Rollback of sync {self.target}"
            + (
                f" applied as sync {self.sync_number}, it is now {self.status}"
                if self.applied
                else ", not applied"
            ),
            "  " + ", ".join(f"{n} {kind}" for kind, n in sorted(self.counts.items())),
            f"  {len(self.chosen)} changes " + ("taken back" if self.applied else "would be taken back"),
            *change_lines([s.change for s in self.chosen], rows, self.names),
        ]
        against = [s for s in self.steps if s.why and s not in self.chosen][:rows]
        lines += [
            f"  ! {named(s.change.airtable_id, self.names)} {s.change.field or s.change.op}: {s.kind}, {s.why}"
            for s in against
        ]
        return "\n".join([*lines, "", f"diff {self.diff_hash}"])


def rollback(
    engine: Engine,
    target: int,
    *,
    who: str,
    apply: bool = False,
    choose: Choice = "skip",
    fields: Collection[tuple[str, str | None]] = (),
    through_latest: bool = False,
    approved: str | None = None,
    rule_version: str | None = None,
    via: Via = "cli",
    reason: str | None = None,
) -> RollbackReport:
    """Take sync `target` back, as a new sync that says so.

    Args:
        engine: The database.
        target: Its number (`art.sync_logs.sync_number`).
        who: The person.
        apply: Write; otherwise only preview, which takes no lock and writes nothing.
        choose: `skip` takes back what is clean; `force` also what was superseded, edited or blocked by changed
            rules. A record that others depend on is never taken back from under them.
        fields: (record id, field) pairs to take back besides; field None means the record's coming or going.
        through_latest: Take back every sync since `target` as well, to the state before it.
        approved: The `diff_hash` of a preview; another difference is refused.
        rule_version: Today's rules; default those that come along.
        via: From where.
        reason: A sentence for the history.

    Raises:
        Refused: no such sync, it changed nothing that stands, or the difference is not the approved one.
    """
    from crown.art_records.exports.rules import rulebook
    from crown.art_records.history.writing import alone

    rules = rule_version or rulebook().version
    one_moment = engine.execution_options(isolation_level="REPEATABLE READ")
    with alone(engine) if apply else one_moment.connect() as connection:
        _check_target(connection, target)
        steps = _range_steps(connection, target) if through_latest else _steps(connection, target, rules)
        wanted = set(fields)
        chosen = [
            s
            for s in steps
            if s.kind == "clean"
            or (
                s.kind != "done"
                and s.forceable
                and (choose == "force" or (s.change[1], s.change[3]) in wanted)
            )
        ]
        report = RollbackReport(
            target=target,
            steps=steps,
            chosen=chosen,
            diff_hash=_digest(target, chosen),
            through_latest=through_latest,
            counts=Counter(s.kind for s in steps),
            names=names_for(connection, [s.change for s in steps]),
        )
        if approved is not None and approved != report.diff_hash:
            raise Refused(
                f"The decision was on the rollback {approved[:12]}, but it would be {report.diff_hash[:12]} now; "
                "look at it again."
            )
        connection.rollback()
        if apply and (chosen or _moves_conflicts(connection, target)):
            _apply(connection, report, who=who, via=via, reason=reason, rules=rules)
    return report


def _check_target(connection: Connection, target: int) -> None:
    status = connection.execute(
        text("select status from art.syncs where sync_number = :n"), {"n": target}
    ).scalar_one_or_none()
    if status is None:
        raise Refused(f"There is no sync {target}; `crown art syncs` lists them.")
    if status not in APPLIED:
        raise Refused(
            f"Sync {target} is {status.replace('_', ' ')}: it has nothing in the art tables to take back."
        )


def _moves_conflicts(connection: Connection, target: int) -> bool:
    """Whether the sync raised conflicts that are open, or took some away that can come back."""
    return connection.execute(
        text("""
            select exists (select from art.conflicts c join art.syncs t on t.sync_number = :n
                           where (c.sync_number = t.sync_number and c.status = 'open')
                                 or (c.sync_number = t.reverts and c.status = 'withdrawn'))
        """),
        {"n": target},
    ).scalar_one()


def _digest(target: int, chosen: list[Step]) -> str:
    lines = sorted(json.dumps(step.change) for step in chosen)
    return hashlib.sha256("\n".join([str(target), *lines]).encode()).hexdigest()


# ---- one sync ---------------------------------------------------------------------------------------------


def _steps(connection: Connection, target: int, rules: str) -> list[Step]:
    sync = connection.execute(
        text("select sync_type, rule_version from art.syncs where sync_number = :n"), {"n": target}
    ).one()
    rules_changed = sync.rule_version not in (None, rules)
    steps: list[Step] = []
    for table in ENTITIES:
        later = _later_writers(connection, target, table)
        versions = ENTITIES[table].versions.name
        compared = (*ENTITIES[table].fields, "is_active")
        ours, theirs = (", ".join(f"{side}.{name}" for name in compared) for side in ("v", "w"))
        rows = connection.execute(
            text(f"""
                select c.airtable_id, c.op, c.field, c.old_value, c.new_value, v.airtable_id is not null as present,
                       case when c.field is not null then to_jsonb(v) -> c.field end as now,
                       case when c.field is null and ({ours}) is distinct from ({theirs}) then
                           (select array_agg(a.key) from jsonb_each(to_jsonb(v)) a join jsonb_each(to_jsonb(w)) b using (key)
                            where a.key = any(:fields) and a.value is distinct from b.value) end as moved
                from art.changes c
                left join art.{versions} v on v.airtable_id = c.airtable_id and v.valid_to_sync is null
                left join art.{versions} w on w.airtable_id = c.airtable_id and w.valid_from_sync = :n
                where c.sync_number = :n and c.table_name = :t
                order by c.airtable_id, c.field nulls first
            """),
            {"n": target, "t": table, "fields": list(compared)},
        ).all()
        for row in rows:
            change = Change(table, row.airtable_id, _INVERSE[row.op], row.field, row.now, row.old_value)
            if row.field is None:
                steps.append(_whole_record(change, row, later, rules_changed))
            else:
                steps.append(_one_field(change, row, later, rules_changed))
    return _hold_what_others_need(connection, steps)


def _hold_what_others_need(connection: Connection, steps: list[Step]) -> list[Step]:
    """Block the going of a print or distributor while an edition that stays is linked to it."""
    parents = [
        s.change.airtable_id for s in steps if s.change.op == "withdraw" and s.change.table != "editions"
    ]
    if not parents:
        return steps
    going = {s.change.airtable_id for s in steps if s.change.op == "withdraw" and s.kind == "clean"}
    rows = connection.execute(
        text(f"""
            select distinct link.target, v.airtable_id
            from art.{EDITIONS.versions.name} v,
                 lateral unnest(array[v.print_id, v.distributor_id] || v.other_print_ids) as link (target)
            where v.valid_to_sync is null and v.is_active and link.target = any(:ids)
        """),
        {"ids": parents},
    )
    needed = {target for target, edition in rows if edition not in going}
    return [
        s._replace(kind="blocked", why="editions that stay are linked to it", forceable=False)
        if s.change.op == "withdraw" and s.change.airtable_id in needed
        else s
        for s in steps
    ]


def _whole_record(
    change: Change, row: Any, later: dict[tuple[str, str | None], tuple[int, str]], rules_changed: bool
) -> Step:
    comes = change.op == "restore"
    if row.present == comes:
        return Step(change, "done", "")
    if row.moved and row.present:
        return _touched(change, max(later[(change.airtable_id, name)] for name in row.moved))
    if rules_changed and not comes:
        return Step(change, "blocked", "the rules changed since")
    return Step(change, "clean", "")


def _one_field(
    change: Change, row: Any, later: dict[tuple[str, str | None], tuple[int, str]], rules_changed: bool
) -> Step:
    if not row.present:
        return Step(change, "blocked", "the record is no longer in the art tables", forceable=False)
    if change.field not in (*ENTITIES[change.table].columns, "is_active"):
        return Step(change, "blocked", "the field is no longer in the art tables", forceable=False)
    if row.now == row.old_value:
        return Step(change, "done", "")
    if row.now != row.new_value:
        return _touched(change, later.get((change.airtable_id, change.field), (0, "export")))
    if rules_changed:
        return Step(change, "blocked", "the rules changed since")
    return Step(change, "clean", "")


def _touched(change: Change, writer: tuple[int, str]) -> Step:
    number, kind = writer
    if kind == "manual":
        return Step(change, "edited", f"a person changed it in sync {number}")
    return Step(change, "superseded", f"sync {number} changed it again")


def _later_writers(
    connection: Connection, target: int, table: str
) -> dict[tuple[str, str | None], tuple[int, str]]:
    """The newest act after `target` that wrote each field of the records that it wrote."""
    rows = connection.execute(
        text("""
            select distinct on (l.airtable_id, l.field) l.airtable_id, l.field, l.sync_number, s.sync_type
            from art.changes l join art.syncs s using (sync_number)
            where l.table_name = :t and l.sync_number > :n
                  and l.airtable_id in (select airtable_id from art.changes where sync_number = :n and table_name = :t)
            order by l.airtable_id, l.field, l.sync_number desc
        """),
        {"n": target, "t": table},
    )
    return {(airtable_id, name): (number, kind) for airtable_id, name, number, kind in rows}


# ---- everything since a sync ------------------------------------------------------------------------------


def _range_steps(connection: Connection, target: int) -> list[Step]:
    """From the art tables as they are to the state before `target`, read from the versions of that time."""
    steps: list[Step] = []
    for table, kind in ENTITIES.items():
        by_hand = set(
            connection.execute(
                text("""
                    select distinct c.airtable_id, unnest(array[c.field, '*']) from art.changes c
                    join art.syncs s using (sync_number)
                    where c.table_name = :t and c.sync_number >= :n and s.sync_type = 'manual'
                """),
                {"t": table, "n": target},
            ).tuples()
        )
        pairs = ", ".join(f"('{f}', to_jsonb(n.{f}), to_jsonb(b.{f}))" for f in (*kind.fields, "is_active"))
        rows = connection.execute(
            text(f"""
                with now as (select * from art.{kind.versions.name} where valid_to_sync is null),
                     before as (select * from art.{kind.versions.name} where valid_from_sync < :n
                                and (valid_to_sync is null or valid_to_sync >= :n))
                select coalesce(n.airtable_id, b.airtable_id), n.airtable_id is not null, b.airtable_id is not null,
                       c.field, c.now, c.before
                from now n full join before b using (airtable_id)
                left join lateral (values {pairs}) as c (field, now, before)
                    on n.airtable_id is not null and b.airtable_id is not null and c.now is distinct from c.before
                where n.valid_from_sync is distinct from b.valid_from_sync
                      and (c.field is not null or n.airtable_id is null or b.airtable_id is null)
                order by 1, 4
            """),
            {"n": target},
        )
        for airtable_id, is_now, was_before, name, now, before in rows:
            if is_now and was_before:
                op = "update" if name != "is_active" else "reopen" if before else "close"
                change = Change(table, airtable_id, op, name, now, before)
            else:
                change = Change(table, airtable_id, "withdraw" if is_now else "restore", None, None, None)
            if (airtable_id, name or "*") in by_hand:
                steps.append(Step(change, "edited", "a person changed it since"))
            else:
                steps.append(Step(change, "clean", ""))
    return steps


# ---- the act ----------------------------------------------------------------------------------------------


def _apply(
    connection: Connection, report: RollbackReport, *, who: str, via: Via, reason: str | None, rules: str
) -> None:  # fmt: skip
    from crown.art_records.history.writing import (
        Patch,
        as_writer,
        begin_sync,
        fail_sync,
        finish_sync,
        forget_agreed,
        remember_source_values,
        write_changes,
        write_patches,
        write_statistics,
    )

    number = begin_sync(
        connection, sync_type="rollback", who=who, via=via, reason=reason, reverts=report.target,
        diff_hash=report.diff_hash, rule_version=rules, effective_on=_effective_on(connection, report),
    )  # fmt: skip
    _set_status(connection, report.target, "rolling_back")
    connection.commit()
    try:
        with as_writer(connection):
            for table, kind in ENTITIES.items():
                patches: dict[str, Patch] = {}
                for step in report.chosen:
                    change = step.change
                    if change.table != table:
                        continue
                    patch = patches.setdefault(change.airtable_id, Patch(change.airtable_id, "update"))
                    if change.op != "update":
                        patch.op = change.op
                    if change.field is not None:
                        patch.values[change.field] = change.new
                    if change.op == "close":
                        patch.values["close_reason"] = f"sync {report.target} was rolled back"
                if patches:
                    ops = Counter(p.op for p in patches.values())
                    write_patches(connection, number, kind, list(patches.values()), source="rollback")
                    write_statistics(
                        connection, number, table,
                        {"records_processed": len(patches), "records_created": ops["restore"],
                         "records_updated": ops["update"] + ops["reopen"], "records_closed": ops["close"],
                         "records_withdrawn": ops["withdraw"]},
                    )  # fmt: skip
            write_changes(connection, number, [step.change for step in report.chosen])
        remember_source_values(connection, number)
        _move_conflicts(connection, report.target)
        forget_agreed(connection)
        left = len(report.chosen) + report.counts["done"] < len(report.steps)
        report.status = "partly_rolled_back" if left else "rolled_back"
        _mark(connection, report, number)
        activity.record(
            connection, who=who, what="rollback", subject=f"syncs/{report.target}", department="art_records", via=via,
            new={"changes": len(report.chosen), "status": report.status}, details=reason,
            context={"sync_number": number, "diff_hash": report.diff_hash, "through_latest": report.through_latest},
        )  # fmt: skip
        finish_sync(connection, number)
        connection.commit()
    except BaseException as error:
        fail_sync(connection, number, error)
        _set_status(connection, report.target, "rollback_failed")
        connection.commit()
        raise
    report.applied, report.sync_number = True, number


def _effective_on(connection: Connection, report: RollbackReport) -> date:
    """The day of what is taken back, the earliest of several: by what is known now it never held."""
    return connection.execute(
        text("""
            select min(effective_on) from art.syncs
            where sync_number = :n or (:range and sync_number > :n and status = any(:applied))
        """),
        {"n": report.target, "range": report.through_latest, "applied": list(APPLIED)},
    ).scalar_one()


def _mark(connection: Connection, report: RollbackReport, number: int) -> None:
    """Name what was taken back, and by whom; what a rollback had taken back stands again when it goes wholly."""
    connection.execute(
        text("""
            update art.syncs set status = :s, reverted_by = :r
            where sync_number = :n
                  or (:range and sync_number between :n and cast(:r as bigint) - 1 and status = any(:applied))
        """),
        {
            "s": report.status,
            "r": number,
            "n": report.target,
            "range": report.through_latest,
            "applied": list(APPLIED),
        },
    )
    if report.status == "rolled_back":
        connection.execute(
            text("update art.syncs set status = 'completed', reverted_by = null where reverted_by = :n"),
            {"n": report.target},
        )


def _set_status(connection: Connection, number: int, status: str) -> None:
    connection.execute(
        text("update art.syncs set status = :s where sync_number = :n"), {"s": status, "n": number}
    )


def _move_conflicts(connection: Connection, target: int) -> None:
    """Conflicts that the sync raised go with it, and those that they superseded are open again; those of a sync that
    comes back come back.
    """
    for statement in (
        """with gone as (
               update art.conflicts set status = 'withdrawn' where sync_number = :n and status = 'open' returning *)
           insert into art.source_values (table_name, airtable_id, field, value)
           select table_name, airtable_id, field, coalesce(
               (select o.source_value from art.conflicts o where o.superseded_by = g.conflict_id), g.base_value)
           from gone g
           on conflict (table_name, airtable_id, field) do update set value = excluded.value""",
        """update art.conflicts o set status = 'open' from art.conflicts g
           where g.sync_number = :n and g.status = 'withdrawn' and o.superseded_by = g.conflict_id
                 and o.status = 'superseded'""",
        """update art.conflicts o set status = 'superseded' from art.conflicts g, art.syncs r
           where r.sync_number = :n and g.sync_number = r.reverts and g.status = 'withdrawn'
                 and o.superseded_by = g.conflict_id and o.status = 'open'""",
        """with back as (
               update art.conflicts g set status = 'open' from art.syncs r
               where r.sync_number = :n and g.sync_number = r.reverts and g.status = 'withdrawn'
                     and not exists (select from art.conflicts o where o.status = 'open'
                         and (o.table_name, o.airtable_id, o.field) = (g.table_name, g.airtable_id, g.field))
               returning g.*)
           insert into art.source_values (table_name, airtable_id, field, value)
           select table_name, airtable_id, field, source_value from back
           on conflict (table_name, airtable_id, field) do update set value = excluded.value""",
    ):
        connection.execute(text(statement), {"n": target})
