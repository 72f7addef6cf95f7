"""Taking a sync back: its inverse, classified field by field, applied as a new sync of its own.

Belongs here: the inverse of every change, what prevents it, and the act. A rollback is a
sync like any other, so it can be taken back itself; nothing is overwritten or deleted.
Does not belong here: what each change of a sync becomes (`inverse.py`), the statements that write (`writing.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from sqlalchemy import Connection, Engine, text

from crown.art_records.history.comparing import masked
from crown.art_records.history.inverse import Step, range_steps, sync_steps
from crown.art_records.reports import change_lines
from crown.art_records.tables import APPLIED, ENTITIES
from crown.art_records.wording import named, names_for
from crown.errors import Refused
from crown.journal import activity
from crown.journal.activity import Via

Choice = Literal["skip", "force"]


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
        Refused: no such sync, it changed nothing that is in force, or the difference is not the approved one.
    """
    from crown.art_records.exports.rules import rulebook
    from crown.art_records.history.writing import alone

    rules = rule_version or rulebook().version
    one_moment = engine.execution_options(isolation_level="REPEATABLE READ")
    with alone(engine) if apply else one_moment.connect() as connection:
        _check_target(connection, target)
        steps = range_steps(connection, target) if through_latest else sync_steps(connection, target, rules)
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
    """Name what was taken back, and by whom; a rollback that is itself rolled back wholly puts its sync in force again."""
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
