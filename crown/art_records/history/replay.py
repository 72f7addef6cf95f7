"""The invariant of the art tables: every current record is what its change sets make of the state it was created with.

Belongs here: the query per table. Does not belong here: its presentation (`checks.py`), and
what writes versions and change sets (`writing.py` and the trigger on the views).
"""

from __future__ import annotations

from crown.art_records.tables import Entity


def replay_sql(kind: Entity) -> str:
    """A query for the faults: airtable_id, detail and money of every field whose row and history disagree.

    Two things are asked of each field, in the order of the syncs: that every change starts from the value that the
    change before it left, and that the current row holds the value that the last one left. Either fails when
    somebody wrote over a value that he had not seen.
    """
    compared = (*kind.fields, "is_active")
    pairs = ", ".join(f"('{name}', to_jsonb(b.{name}), to_jsonb(n.{name}))" for name in compared)
    versions = f"art.{kind.versions.name}"
    return f"""
        with born as (
            select distinct on (airtable_id) * from {versions} where op = 'create'
            order by airtable_id, valid_from_sync desc
        ), recorded as (
            select c.airtable_id, c.field, c.sync_number, coalesce(c.old_value, 'null') as old_value,
                   coalesce(c.new_value, 'null') as new_value
            from art.changes c join born b using (airtable_id)
            where c.table_name = '{kind.name}' and c.op <> 'create' and c.field is not null
                  and c.sync_number > b.valid_from_sync
        ), fields as (
            select b.airtable_id, f.field, coalesce(f.first, 'null') as first, coalesce(f.now, 'null') as now
            from born b
            join {versions} n on n.airtable_id = b.airtable_id and n.valid_to_sync is null
            cross join lateral (values {pairs}) as f (field, first, now)
            where n.valid_from_sync <> b.valid_from_sync
                  or b.airtable_id in (select airtable_id from recorded)
        ), steps as (
            select f.airtable_id, f.field, t.sync_number, t.old_value as seen,
                   lag(t.new_value, 1, f.first) over one as expected
            from fields f join recorded t using (airtable_id, field)
            window one as (partition by f.airtable_id, f.field order by t.sync_number)
            union all
            select f.airtable_id, f.field, null, f.now, coalesce(l.new_value, f.first)
            from fields f
            left join (select distinct on (airtable_id, field) airtable_id, field, new_value from recorded
                       order by airtable_id, field, sync_number desc) l using (airtable_id, field)
        )
        select airtable_id, null::numeric as money,
               field || case when sync_number is null then ': the row does not hold what the history says last'
                             else ': sync ' || sync_number || ' wrote over a value that the history does not know'
                        end as detail
        from steps where seen is distinct from expected"""
