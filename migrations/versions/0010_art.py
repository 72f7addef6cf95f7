"""Art records: versions of prints, distributors and editions, change sets, syncs, quarantine, conflicts."""

from alembic import op

revision = "0010_art"
down_revision = "0003"
branch_labels = None
depends_on = None

# Everyone who writes art.* holds this advisory lock, so that sync numbers follow the order of commits.
LOCK = 7_263_210

PRINT_FIELDS = (
    "name,short_name,description,total_editions,web_link,notes,image_names,image_urls,primary_image_path"
)
DISTRIBUTOR_FIELDS = (
    "name,kind,commission_percentage,notes,contact_number,web_address,last_update_date,image_names,"
    "net_revenue,distributor_revenue,retail_amount_sold,net_revenue_unpaid,net_revenue_unpaid_by_invoice_month"
)
EDITION_FIELDS = (
    "print_id,other_print_ids,distributor_id,edition_number,size,frame_type,variation,is_printed,is_sold,"
    "is_settled,is_stock_checked,to_check_in_detail,retail_price,date_sold,commission_percentage,"
    "date_in_gallery,notes,payment_note"
)

_TABLES = """
create schema art;

-- A file as it arrived. kept_as names the object that holds it now: another one once a person was erased.
create table art.raw_files (
    sha256 text primary key,
    table_name text not null check (table_name in ('prints', 'distributors', 'editions')),
    file_name text not null,
    byte_size bigint not null,
    row_count integer,
    layout text,
    header_fingerprint text,
    exported_on date,
    received_at timestamptz not null default clock_timestamp(),
    kept_as text not null
);

-- One act that wrote to the books: an export, a person's edit, a rollback. Numbers follow the order of commits.
create table art.syncs (
    sync_number bigint generated always as identity primary key,
    sync_id uuid not null unique default gen_random_uuid(),
    sync_type text not null check (sync_type in ('full', 'incremental', 'merge', 'manual', 'rollback')),
    status text not null check (status in ('running', 'completed', 'failed', 'rollback_previewed',
        'rolling_back', 'rolled_back', 'rollback_failed', 'partly_rolled_back')),
    who text not null,
    via text not null,
    reason text,
    reverts bigint references art.syncs,
    reverted_by bigint references art.syncs,
    diff_hash text,
    rule_version text,
    exported_on date,
    effective_on date not null,
    started_at timestamptz not null default clock_timestamp(),
    completed_at timestamptz,
    error_message text,
    transaction_id xid8
);
create index syncs_by_transaction on art.syncs (transaction_id) where transaction_id is not null;
create index syncs_by_reverted_by on art.syncs (reverted_by) where reverted_by is not null;

-- The statistics of one sync, per table. Every row of the file is counted once: processed = created + updated
-- + unchanged; rows with a withheld value are counted again in failed.
create table art.sync_tables (
    sync_number bigint not null references art.syncs,
    table_name text not null check (table_name in ('prints', 'distributors', 'editions')),
    source_file text,
    source_hash text,
    header_fingerprint text,
    records_processed integer not null default 0,
    records_created integer not null default 0,
    records_updated integer not null default 0,
    records_unchanged integer not null default 0,
    records_closed integer not null default 0,
    records_withdrawn integer not null default 0,
    records_failed integer not null default 0,
    records_blank integer not null default 0,
    conflicts integer not null default 0,
    values_quarantined integer not null default 0,
    values_repaired integer not null default 0,
    primary key (sync_number, table_name)
);
create index sync_tables_by_source on art.sync_tables (table_name, source_hash);

create view art.sync_logs as
    select s.sync_number, s.sync_id, s.sync_type, t.table_name, t.records_processed, t.records_created,
           t.records_updated, t.records_closed + t.records_withdrawn as records_deleted, t.records_failed,
           s.started_at, s.completed_at, s.status, s.error_message, t.source_file, t.source_hash,
           t.records_unchanged, t.records_closed, t.records_withdrawn, t.records_blank, t.conflicts,
           t.values_quarantined, t.values_repaired, t.header_fingerprint, s.exported_on, s.effective_on,
           s.rule_version, s.diff_hash, s.reverts, s.reverted_by, s.who, s.via, s.reason
    from art.syncs s left join art.sync_tables t using (sync_number);

-- Version tables: a record's state from one sync until another; open rows (valid_to_sync is null) are today's.
-- source: who wrote this state. row_hash: of the export's row, null when the state did not come whole from one.
create table art.print_versions (
    airtable_id text not null check (length(airtable_id) between 5 and 80),
    name text,
    short_name text,
    description text,
    total_editions integer check (total_editions between 1 and 10000),
    web_link text,
    notes text,
    image_names text[],
    image_urls text[],
    primary_image_path text,
    {bookkeeping}
);
create table art.distributor_versions (
    airtable_id text not null check (length(airtable_id) between 5 and 80),
    name text,
    kind text check (kind in ('gallery', 'direct', 'legacy', 'placeholder')),
    commission_percentage numeric(5, 2) check (commission_percentage between 0 and 100),
    notes text,
    contact_number text,
    web_address text,
    last_update_date date,
    image_names text[],
    net_revenue numeric(12, 2),
    distributor_revenue numeric(12, 2),
    retail_amount_sold numeric(12, 2),
    net_revenue_unpaid numeric(12, 2),
    net_revenue_unpaid_by_invoice_month numeric(12, 2),
    {bookkeeping}
);
create table art.edition_versions (
    airtable_id text not null check (length(airtable_id) between 5 and 80),
    exported_name text,
    print_id text,
    other_print_ids text[],
    distributor_id text,
    edition_number integer,
    size text check (size in ('Small', 'Large', 'Extra Large')),
    frame_type text check (frame_type in ('Framed', 'Tube only', 'Mounted', 'Unframed', 'Unknown')),
    variation text,
    is_printed boolean,
    is_sold boolean,
    is_settled boolean,
    is_stock_checked boolean,
    to_check_in_detail boolean,
    retail_price numeric(10, 2) check (retail_price >= 0),
    date_sold date,
    commission_percentage numeric(5, 2) check (commission_percentage between 0 and 100),
    date_in_gallery date,
    notes text,
    payment_note text,
    {bookkeeping}
);
create unique index print_versions_open on art.print_versions (airtable_id) where valid_to_sync is null;
create unique index distributor_versions_open on art.distributor_versions (airtable_id)
    where valid_to_sync is null;
create unique index edition_versions_open on art.edition_versions (airtable_id) where valid_to_sync is null;

-- What each sync changed, field by field; one row with field null says that a record came or went whole.
create table art.changes (
    sync_number bigint not null,
    table_name text not null,
    airtable_id text not null,
    op text not null check (op in ('create', 'update', 'close', 'reopen', 'withdraw', 'restore')),
    field text,
    old_value jsonb,
    new_value jsonb
);
create index changes_by_sync on art.changes using brin (sync_number) with (pages_per_range = 8);
create index changes_by_record on art.changes (airtable_id, sync_number) where op <> 'create';

-- What the export last said where the books say otherwise: the base of a three-way merge. Sparse.
create table art.source_values (
    table_name text not null,
    airtable_id text not null,
    field text not null,
    value jsonb not null,
    primary key (table_name, airtable_id, field)
);

create table art.conflicts (
    conflict_id bigint generated always as identity primary key,
    sync_number bigint not null references art.syncs,
    table_name text not null,
    airtable_id text not null,
    field text not null,
    base_value jsonb not null,
    local_value jsonb not null,
    source_value jsonb not null,
    status text not null default 'open' check (status in ('open', 'kept_local', 'took_source', 'withdrawn')),
    decided_by text,
    decided_at timestamptz
);
create index conflicts_open on art.conflicts (table_name, airtable_id) where status = 'open';

-- Values that failed a rule (withheld), were repaired by one, or are doubtful but loaded (flagged).
create table art.quarantine (
    quarantine_id bigint generated always as identity primary key,
    sync_number bigint not null references art.syncs,
    table_name text not null,
    airtable_id text,
    file_row integer not null,
    column_name text not null,
    field text,
    rule text not null,
    outcome text not null check (outcome in ('withheld', 'repaired', 'flagged')),
    problem text not null,
    raw_value text,
    loaded_value text,
    money_at_stake numeric(12, 2)
);
create index quarantine_by_sync on art.quarantine (sync_number);

create table art.erasures (
    erasure_id bigint generated always as identity primary key,
    who text not null,
    reason text not null,
    erased_at timestamptz not null default clock_timestamp(),
    values_erased jsonb not null,
    raw_files jsonb not null
);
-- Erased texts as salted digests: the same text in a later export stays erased.
create table art.erased_values (
    table_name text not null,
    airtable_id text not null,
    field text not null,
    salt text not null,
    digest text not null,
    primary key (table_name, airtable_id, field, digest)
);
"""

_BOOKKEEPING = """is_active boolean not null default true,
    close_reason text,
    valid_from_sync bigint not null,
    valid_to_sync bigint,
    op text not null check (op in ('create', 'update', 'close', 'reopen', 'restore')),
    source text not null check (source in ('export', 'local', 'manual', 'rollback')),
    row_hash bigint,
    sync_version integer not null,
    created_sync bigint not null,
    exported_sync bigint,
    primary key (airtable_id, valid_from_sync)"""

_VIEWS = """
-- The date of the newest export in the books; weeks in a gallery are counted up to it, as the base does.
create function art.books_date() returns date language sql stable as $$
    select coalesce((select max(s.exported_on) from art.syncs s join art.sync_tables t using (sync_number)
        where t.table_name = 'editions' and s.status not in ('running', 'failed', 'rolled_back')), current_date)
$$;

create view art.print_history as
    select v.airtable_id, v.name, v.short_name, v.description, v.total_editions, v.web_link, v.notes,
           v.image_names, v.image_urls, v.primary_image_path, v.is_active, v.close_reason, {tail}
    from art.print_versions v {joins};
create view art.prints as select * from art.print_history where valid_to_sync is null;

create view art.distributor_history as
    select v.airtable_id, v.name, v.kind, v.commission_percentage, v.notes, v.contact_number, v.web_address,
           v.last_update_date, v.image_names, v.net_revenue, v.distributor_revenue, v.retail_amount_sold,
           v.net_revenue_unpaid, v.net_revenue_unpaid_by_invoice_month, v.is_active, v.close_reason, {tail}
    from art.distributor_versions v {joins};
create view art.distributors as select * from art.distributor_history where valid_to_sync is null;

-- Computed here, never stored: display name, kind, confidence, and the base's own formulas. The base counts an
-- empty commission as none; an unknown price leaves the amounts unknown. commission_amount is the part that a
-- sale really costs (the base shows the whole price for an unsold row, a fault at the source).
create view art.edition_history as
    select v.airtable_id, v.print_id, v.distributor_id, v.edition_number,
           case when p.name is null then v.exported_name
                when v.edition_number is null then p.name
                else p.name || ' - ' || v.edition_number end as edition_display_name,
           case when v.print_id is null and v.edition_number is null then 'blank'
                when v.print_id is null then 'unlinked'
                when v.edition_number is null or v.edition_number <= 0 then 'unnumbered'
                else 'edition' end as kind,
           v.size, v.frame_type, v.variation, v.is_printed, v.is_sold, v.is_settled, v.is_stock_checked,
           v.to_check_in_detail,
           case when d.kind = 'legacy' then 'legacy_unknown'
                when v.is_stock_checked then 'verified' else 'unverified' end as status_confidence,
           v.retail_price, v.date_sold, v.commission_percentage, v.date_in_gallery, v.notes, v.payment_note,
           case when v.is_sold
                then round(v.retail_price * (100 - coalesce(v.commission_percentage, 0)) / 100, 2)
                when not v.is_sold then 0 end as invoice_amount,
           case when v.is_sold
                then v.retail_price - round(v.retail_price * (100 - coalesce(v.commission_percentage, 0)) / 100, 2)
                when not v.is_sold then 0 end as commission_amount,
           (art.books_date() - v.date_in_gallery) / 7 as weeks_in_gallery,
           extract(month from v.date_sold)::integer as month_sold,
           extract(year from v.date_sold)::integer as year_sold,
           v.other_print_ids, v.other_print_ids is not null as is_double_linked, v.exported_name,
           v.is_active, v.close_reason, {tail}
    from art.edition_versions v {joins}
    left join art.print_versions p on p.airtable_id = v.print_id and p.valid_to_sync is null
    left join art.distributor_versions d on d.airtable_id = v.distributor_id and d.valid_to_sync is null;
create view art.editions as select * from art.edition_history where valid_to_sync is null;

-- Every link between an edition and a print, in the export's order; position 1 is the one that marts count.
create view art.edition_prints as
    select v.airtable_id as edition_id, l.print_id, l.position::integer
    from art.edition_versions v,
         unnest(array[v.print_id] || v.other_print_ids) with ordinality as l (print_id, position)
    where v.valid_to_sync is null and l.print_id is not null;

-- What a book-keeper should look at, one row per edition and reason.
create view art.edition_flags as
    select airtable_id as edition_id, 'double_linked' as flag,
           'linked to ' || 1 + cardinality(other_print_ids) || ' prints' as detail
    from art.editions where is_active and is_double_linked
    union all
    select airtable_id, 'duplicate_number', n || ' active editions bear this number of this print'
    from (select airtable_id, count(*) over (partition by print_id, edition_number) as n
          from art.edition_versions
          where valid_to_sync is null and is_active and print_id is not null and edition_number is not null) c
    where n > 1
    union all
    select airtable_id, 'unlinked', 'has a number but no print' from art.editions
    where is_active and kind = 'unlinked'
    union all
    select airtable_id, 'unnumbered', coalesce('number ' || edition_number, 'no number') from art.editions
    where is_active and kind = 'unnumbered'
    union all
    select airtable_id, 'above_total', 'number ' || edition_number || ' of ' || p.total_editions
    from art.edition_versions e
    join (select airtable_id as print_id, total_editions from art.print_versions where valid_to_sync is null) p
        using (print_id)
    where e.valid_to_sync is null and e.is_active and e.edition_number > p.total_editions
    union all
    select v.airtable_id, f.flag, f.detail
    from art.edition_versions v, lateral (values
        ('sold_without_date', v.is_sold and v.date_sold is null, 'sold, date unknown'),
        ('sold_without_price', v.is_sold and v.retail_price is null, 'sold, price unknown'),
        ('sold_at_zero', v.is_sold and v.retail_price = 0, 'sold for nothing'),
        ('sold_not_printed', v.is_sold and not v.is_printed, 'sold before it was printed'),
        ('sold_without_distributor', v.is_sold and v.distributor_id is null, 'sold, place unknown'),
        ('settled_not_sold', v.is_settled and not v.is_sold, 'settled, not sold'),
        ('date_sold_not_sold', not v.is_sold and v.date_sold is not null, 'has a sale date, not sold'),
        ('in_gallery_after_sale', v.date_in_gallery > v.date_sold, 'came to the gallery after its sale'),
        ('placed_not_printed', v.distributor_id is not null and not v.is_printed, 'placed, not printed')
    ) as f (flag, applies, detail)
    where v.valid_to_sync is null and v.is_active and f.applies;
"""

# The open row's own columns; the joins give times instead of sync numbers.
_TAIL = """e.completed_at as last_synced_at, v.sync_version, c.completed_at as created_at,
           f.completed_at as updated_at, f.effective_on, f.sync_id as updated_by_sync_id, v.op, v.source,
           v.valid_from_sync, v.valid_to_sync"""
_JOINS = """join art.syncs f on f.sync_number = v.valid_from_sync
    join art.syncs c on c.sync_number = v.created_sync
    left join art.syncs e on e.sync_number = v.exported_sync"""

_WRITING = """
-- Statements on the version tables and the change sets are for Crown's own code, which says so first: anything
-- else would rewrite history. Corrections by hand go through art.prints, art.distributors and art.editions.
create function art.guard() returns trigger language plpgsql as $$
begin
    if coalesce(current_setting('crown.art_writer', true), '') <> 'on' then
        raise exception 'art.% is history and is not edited: update art.prints, art.distributors or art.editions',
            tg_table_name using errcode = 'insufficient_privilege';
    end if;
    return null;
end $$;

create function art.manual_sync(fresh boolean) returns bigint language plpgsql as $$
declare
    number bigint;
begin
    select max(sync_number) into number from art.syncs
    where transaction_id = pg_current_xact_id() and sync_type = 'manual' and not fresh;
    if number is null then
        insert into art.syncs (sync_type, status, who, via, reason, effective_on, completed_at, transaction_id)
        values ('manual', 'completed', coalesce(nullif(current_setting('crown.who', true), ''), session_user),
                coalesce(nullif(current_setting('crown.via', true), ''), 'sql'),
                nullif(current_setting('crown.reason', true), ''), current_date, clock_timestamp(),
                pg_current_xact_id())
        returning sync_number into number;
    end if;
    return number;
end $$;

-- An insert, update or delete on art.prints, art.distributors or art.editions, from Crown or from psql, becomes
-- a version, a change set and a sync of its own; a delete closes the record.
create function art.write_by_hand() returns trigger language plpgsql as $$
declare
    fields text[] := string_to_array(tg_argv[1], ',') || array['is_active', 'close_reason'];
    versions regclass := ('art.' || tg_argv[0])::regclass;
    from_crown boolean := coalesce(current_setting('crown.via', true), '') <> '';
    before jsonb; after jsonb; state jsonb; computed text; number bigint; what text; version integer;
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
        what := case when (before -> 'is_active') is not distinct from (after -> 'is_active') then 'update'
                     when (after ->> 'is_active')::boolean then 'reopen' else 'close' end;
        insert into art.changes
            select number, tg_table_name, after ->> 'airtable_id', case key when 'is_active' then what else 'update' end,
                   key, before -> key, value
            from jsonb_each(after)
            where key = any (fields) and key <> 'close_reason' and value is distinct from before -> key;
        if not found then
            return new;
        end if;
        insert into art.source_values
            select tg_table_name, after ->> 'airtable_id', key, before -> key from jsonb_each(after)
            where key = any (fields) and key <> 'close_reason' and value is distinct from before -> key
                  and (state ->> 'exported_sync') is not null
            on conflict do nothing;
        delete from art.source_values s where table_name = tg_table_name and airtable_id = after ->> 'airtable_id'
            and s.value = after -> s.field;
        execute format('update %s set valid_to_sync = $1 where airtable_id = $2 and valid_to_sync is null', versions)
            using number, after ->> 'airtable_id';
        state := state || (select jsonb_object_agg(key, value) from jsonb_each(after) where key = any (fields));
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
    return case when tg_op = 'DELETE' then old else new end;
end $$;
"""


def upgrade() -> None:
    op.execute(_TABLES.format(bookkeeping=_BOOKKEEPING))
    op.execute(_VIEWS.format(tail=_TAIL, joins=_JOINS))
    op.execute(_WRITING.format(lock=LOCK))
    for table in ("print_versions", "distributor_versions", "edition_versions", "changes"):
        op.execute(
            f"create trigger guard before insert or update or delete or truncate on art.{table} "
            "for each statement execute function art.guard()"
        )
    for view, table, fields in (
        ("prints", "print_versions", PRINT_FIELDS),
        ("distributors", "distributor_versions", DISTRIBUTOR_FIELDS),
        ("editions", "edition_versions", EDITION_FIELDS),
    ):
        op.execute(
            f"create trigger by_hand instead of insert or update or delete on art.{view} "
            f"for each row execute function art.write_by_hand('{table}', '{fields}')"
        )


def downgrade() -> None:
    op.execute("drop schema art cascade")
