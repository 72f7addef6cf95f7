"""Journal: the activity trail, pipeline logs, notices, and CrownPipe's audit tables as views."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UP = """
create schema journal;
create schema logs;
create schema audit;

-- Who did what to what. Append-only: a correction is another row.
create table journal.activity (
    activity_id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    who text not null,
    what text not null,
    department text not null,
    subject text not null,
    product_number text,
    via text not null check (via in ('cli', 'console', 'share', 'run', 'demo', 'import')),
    details text,
    source_file text,
    old_values jsonb,
    new_values jsonb,
    run_id text,
    duration_ms integer,
    context jsonb not null default '{}',
    -- Where an imported row comes from; the same row is imported once.
    import_key text unique,
    check ((via = 'import') = (import_key is not null))
);
create index activity_subject on journal.activity (subject, activity_id desc);
create index activity_product on journal.activity (product_number, at desc) where product_number is not null;
create index activity_what on journal.activity (what);

-- The one exception: removing a person's text from old values, where the law asks for it (activity.erase).
create function journal.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and coalesce(current_setting('crown.eraser', true), '') = 'on' then
        return null;
    end if;
    raise exception 'journal.activity is append-only: add a row that corrects the other'
        using errcode = 'insufficient_privilege';
end $$;
create trigger append_only before update or delete or truncate on journal.activity
    for each statement execute function journal.refuse_change();

-- What CrownPipe knew of formats and publications before us; the views below show it beside our own.
create table journal.imported_formats (
    imported_id bigint generated always as identity primary key,
    product_number text not null,
    format_name text not null,
    generated_at timestamptz,
    file_path text,
    file_size_bytes bigint,
    import_key text not null unique
);
create table journal.imported_syncs (
    imported_id bigint generated always as identity primary key,
    product_number text not null,
    synced_at timestamptz not null,
    files_synced integer not null,
    total_bytes bigint not null,
    import_key text not null unique
);

-- Notices to people. Those of one subject merge into one row until they are sent.
create table journal.notices (
    notice_id bigint generated always as identity primary key,
    kind text not null check (kind in ('failure', 'review')),
    department text not null,
    subject text not null,
    sentence text not null,
    times integer not null default 1,
    posted_at timestamptz not null default clock_timestamp(),
    sent_at timestamptz,
    attempts integer not null default 0
);
create unique index notices_unsent on journal.notices (kind, department, subject) where sent_at is null;

-- CrownPipe's columns, then ours. record_id lets a record that is delivered twice arrive once.
create table logs.pipeline_logs (
    id bigint generated always as identity primary key,
    timestamp timestamptz not null default now(),
    level varchar(20) not null,
    pipeline varchar(50),
    module varchar(100) not null,
    message text not null,
    context jsonb,
    exception text,
    user_id varchar(100),
    execution_time_ms integer,
    product_number varchar(100),
    run_id text,
    record_id uuid not null default gen_random_uuid() unique
);
create index pipeline_logs_timestamp on logs.pipeline_logs (timestamp desc);
create index pipeline_logs_level on logs.pipeline_logs (level);
create index pipeline_logs_pipeline on logs.pipeline_logs (pipeline);
create index pipeline_logs_module on logs.pipeline_logs (module);
create index pipeline_logs_product on logs.pipeline_logs (product_number, timestamp desc)
    where product_number is not null;

create view audit.product_audit as
    select activity_id as id, product_number::varchar(100), at as timestamp, who::varchar(100) as user_id,
           what::varchar(100) as action, details, source_file::varchar(255), duration_ms as execution_time_ms, context
    from journal.activity where product_number is not null;

-- A rendition's key is `<number>[_<view>]/<spec>`, its path `products/<number>/formats/<category>/<file>`.
-- Imported rows have negative ids, so that they never meet ours.
create view audit.format_history as
    select making_id as id, regexp_replace(split_part(key, '/', 1), '_[0-9]+$', '')::varchar(100) as product_number,
           (split_part(path, '/', 4) || '/' || split_part(key, '/', 2))::varchar(100) as format_name,
           made_at as generated_at, path as file_path, size_bytes as file_size_bytes
    from ledger.makings where starts_with(asset, 'product_images/renditions/')
    union all
    select -imported_id, product_number::varchar(100), format_name::varchar(100), generated_at, file_path,
           file_size_bytes
    from journal.imported_formats;

-- One row per product and run that published something; a publication outside any run counts by its claim.
create view audit.production_sync as
    select max(making_id) as id, split_part(path, '/', 1)::varchar(100) as product_number,
           max(made_at) as synced_at, count(*)::integer as files_synced,
           coalesce(sum(size_bytes), 0)::bigint as total_bytes
    from ledger.makings where asset = 'product_images/production' and path is not null
    group by split_part(path, '/', 1), coalesce('run:' || run_id, 'claim:' || claim_id, 'making:' || making_id)
    union all
    select -imported_id, product_number::varchar(100), synced_at, files_synced, total_bytes
    from journal.imported_syncs;
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute("drop schema audit, logs, journal cascade")
