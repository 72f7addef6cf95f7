"""The inverse of a sync: every change with its class, by the state of the art tables now. Read-only.

Classes of a change, by the state of the art tables now:
- clean: the field still holds what the sync wrote;
- done: it holds what it held before the sync; nothing is left to do;
- superseded: a later export or rollback wrote it again;
- edited: a person wrote it afterwards;
- blocked: rules changed since, or a later record depends on it.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, text

from crown.art_records.history.comparing import Change
from crown.art_records.tables import EDITIONS, ENTITIES

Kind = Literal["clean", "done", "superseded", "edited", "blocked"]

_INVERSE = {"create": "withdraw", "withdraw": "restore", "restore": "withdraw", "close": "reopen",
            "reopen": "close", "update": "update"}  # fmt: skip


class Step(NamedTuple):
    """Taking back one change: the inverse change, its class, and why it is not clean."""

    change: Change
    kind: Kind
    why: str
    forceable: bool = True


# ---- one sync ---------------------------------------------------------------------------------------------


def sync_steps(connection: Connection, target: int, rules: str) -> list[Step]:
    """The inverse of one sync; `rules` is the version of today's rules."""
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


def range_steps(connection: Connection, target: int) -> list[Step]:
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
