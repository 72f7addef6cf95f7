"""Edits by hand are judged and written under the lock: only the fields that were meant, over the newest state."""

from alembic import op

revision = "0040_art_by_hand"
down_revision = "0070_people"
branch_labels = None
depends_on = None

LOCK = 7_263_210

# The row that an instead-of trigger is given was read before the lock was waited for. What it shows beside the
# fields that the statement changed may be old by now and is not written; a field that the statement changes and
# somebody else changed meanwhile is refused, as no rule says who is right.
_WRITING = """
create or replace function art.manual_sync(fresh boolean) returns bigint language plpgsql as $$
declare
    number bigint;
begin
    select max(sync_number) into number from art.syncs
    where transaction_id = pg_current_xact_id() and sync_type = 'manual' and not fresh;
    if number is null then
        insert into art.syncs (sync_type, status, who, via, reason, effective_on, completed_at, transaction_id)
        values ('manual', 'completed', coalesce(nullif(current_setting('crown.who', true), ''), session_user),
                coalesce(nullif(current_setting('crown.via', true), ''), 'sql'),
                nullif(current_setting('crown.reason', true), ''),
                coalesce(nullif(current_setting('crown.effective_on', true), '')::date, current_date), clock_timestamp(),
                pg_current_xact_id())
        returning sync_number into number;
    end if;
    return number;
end $$;

-- An insert, update or delete on art.prints, art.distributors or art.editions, from Crown or from psql, becomes
-- a version, a change set and a sync of its own; a delete closes the record.
create or replace function art.write_by_hand() returns trigger language plpgsql as $$
declare
    fields text[] := string_to_array(tg_argv[1], ',') || array['is_active', 'close_reason'];
    versions regclass := ('art.' || tg_argv[0])::regclass;
    from_crown boolean := coalesce(current_setting('crown.via', true), '') <> '';
    before jsonb; after jsonb; meant jsonb; state jsonb; computed text; number bigint; what text; version integer;
    other record; other_field text;
begin
    perform pg_advisory_xact_lock({lock});
    if tg_op = 'INSERT' then
        before := '{{}}';
        after := jsonb_strip_nulls(to_jsonb(new)) || '{{"is_active": true}}';
    else
        before := to_jsonb(old);
        after := case tg_op when 'DELETE' then before || '{{"is_active": false, "close_reason": "deleted by hand"}}'
                            else to_jsonb(new) end;
    end if;
    select string_agg(key, ', ') into computed from jsonb_each(after)
    where key <> all (fields) and value is distinct from before -> key
          and not (tg_op = 'INSERT' and key in ('airtable_id', 'exported_name'));
    if computed is not null then
        raise exception 'art.%: % cannot be written by hand, it is computed or an identity', tg_table_name, computed
            using errcode = 'generated_always';
    end if;
    execute format('select to_jsonb(v) from %s v where airtable_id = $1 and valid_to_sync is null', versions)
        into state using after ->> 'airtable_id';
    if tg_op <> 'INSERT' then
        select coalesce(jsonb_object_agg(key, value), '{{}}') into meant from jsonb_each(after)
        where key = any (fields) and value is distinct from before -> key;
        if meant - 'close_reason' = '{{}}' then
            return case when tg_op = 'DELETE' then old else new end;
        end if;
        select key into other_field from jsonb_each(meant)
        where key <> 'close_reason' and (state is null or state -> key is distinct from before -> key) limit 1;
        if found then
            select s.who, s.sync_number into other from art.changes c join art.syncs s using (sync_number)
            where c.table_name = tg_table_name and c.airtable_id = after ->> 'airtable_id' and c.op <> 'create'
                  and (c.field = other_field or c.field is null)
            order by s.sync_number desc limit 1;
            raise exception 'art.%: % of % was changed by % in sync % while this waited; look at it again',
                tg_table_name, other_field, after ->> 'airtable_id', other.who, other.sync_number
                using errcode = 'serialization_failure';
        end if;
    end if;
    number := art.manual_sync((state ->> 'valid_from_sync')::bigint is not distinct from
        (select max(sync_number) from art.syncs where transaction_id = pg_current_xact_id()));
    perform set_config('crown.art_writer', 'on', true);
    if tg_op = 'INSERT' then
        if state is not null then
            raise exception 'art.% has % already', tg_table_name, after ->> 'airtable_id'
                using errcode = 'unique_violation';
        end if;
        what := 'create';
        execute format('select coalesce(max(sync_version), 0) from %s where airtable_id = $1', versions)
            into version using after ->> 'airtable_id';
        state := after || jsonb_build_object('created_sync', number, 'sync_version', version);
        insert into art.changes values (number, tg_table_name, after ->> 'airtable_id', 'create');
    else
        what := case when not meant ? 'is_active' then 'update'
                     when (meant ->> 'is_active')::boolean then 'reopen' else 'close' end;
        insert into art.changes
            select number, tg_table_name, after ->> 'airtable_id', case key when 'is_active' then what else 'update' end,
                   key, state -> key, value
            from jsonb_each(meant) where key <> 'close_reason';
        insert into art.source_values
            select tg_table_name, after ->> 'airtable_id', key, state -> key from jsonb_each(meant)
            where key <> 'close_reason' and (state ->> 'exported_sync') is not null
            on conflict do nothing;
        delete from art.source_values s where table_name = tg_table_name and airtable_id = after ->> 'airtable_id'
            and s.value = meant -> s.field;
        execute format('update %s set valid_to_sync = $1 where airtable_id = $2 and valid_to_sync is null', versions)
            using number, after ->> 'airtable_id';
        state := state || meant;
    end if;
    if (state ->> 'is_active')::boolean then
        state := state || '{{"close_reason": null}}';
    end if;
    state := state || jsonb_build_object('valid_from_sync', number, 'valid_to_sync', null, 'op', what,
        'source', case when from_crown then 'local' else 'manual' end, 'row_hash', null,
        'sync_version', (state ->> 'sync_version')::integer + 1);
    execute format('insert into %s select r.* from jsonb_populate_record(null::%s, $1) r', versions, versions)
        using state;
    insert into art.sync_tables (sync_number, table_name, records_processed, records_created, records_updated,
                                 records_closed)
        values (number, tg_table_name, 1, (what = 'create')::integer, (what in ('update', 'reopen'))::integer,
                (what = 'close')::integer)
        on conflict (sync_number, table_name) do update set
            records_processed = art.sync_tables.records_processed + 1,
            records_created = art.sync_tables.records_created + excluded.records_created,
            records_updated = art.sync_tables.records_updated + excluded.records_updated,
            records_closed = art.sync_tables.records_closed + excluded.records_closed;
    perform set_config('crown.art_writer', '', true);
    if tg_op = 'DELETE' then
        return old;
    end if;
    -- What RETURNING shows is what was written, not what the statement saw.
    return jsonb_populate_record(new, state - 'valid_to_sync');
end $$;
"""


def upgrade() -> None:
    op.execute(_WRITING.format(lock=LOCK))
    # A look at a rollback is no state of the sync that it looks at.
    op.execute("update art.syncs set status = 'completed' where status = 'rollback_previewed'")
    op.execute("""
        alter table art.syncs drop constraint syncs_status_check, add constraint syncs_status_check
            check (status in ('running', 'completed', 'failed', 'rolling_back', 'rolled_back', 'rollback_failed',
                              'partly_rolled_back'))
    """)


def downgrade() -> None:
    raise NotImplementedError("The functions before this revision lose updates; restore a backup instead.")
