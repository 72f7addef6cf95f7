"""Motion jobs: batches, their jobs with a status that moves only as allowed, source files, warnings; views for reports."""

from alembic import op

revision = "0140_motion_jobs"
down_revision = "0113_art_distributors_view"
branch_labels = None
depends_on = None

_MOVES = {
    "pending": ("processing", "failed", "on_hold"),
    "processing": (
        "pending", "awaiting_review", "awaiting_approval", "ready_for_validation", "validation_failed", "completed",
        "failed", "on_hold",
    ),
    "awaiting_review": ("processing", "failed", "on_hold"),
    "awaiting_approval": ("processing", "awaiting_review", "ready_for_validation", "failed", "on_hold"),
    "ready_for_validation": ("processing", "awaiting_approval", "validation_failed", "completed", "failed", "on_hold"),
    "validation_failed": ("processing", "awaiting_review", "ready_for_validation", "failed", "on_hold"),
    "failed": ("processing", "on_hold"),
    "on_hold": (
        "pending", "processing", "awaiting_review", "awaiting_approval", "ready_for_validation", "validation_failed",
        "failed", "completed",
    ),
    "completed": ("processing", "archived"),
    "archived": ("completed",),
}  # fmt: skip

_UP = """
create schema motion;

create table motion.moves (
    old_status text not null,
    new_status text not null,
    primary key (old_status, new_status)
);
insert into motion.moves values {moves};

create table motion.batch_records (
    batch_id text primary key check (batch_id ~ '^BATCH_[0-9]{{8}}_[0-9]{{6}}(_[0-9]+)?$'),
    csv_filename text not null,
    csv_path text not null,
    content_hash text not null unique,
    size_bytes bigint not null,
    total_jobs integer not null,
    valid_jobs integer not null,
    invalid_jobs integer not null,
    blank_rows integer not null default 0,
    deleted_jobs integer not null default 0,
    status text not null default 'validated' check
        (status in ('validating', 'validated', 'processing', 'partially_complete', 'complete', 'failed')),
    uploaded_at timestamptz not null default clock_timestamp(),
    validated_at timestamptz,
    completed_at timestamptz,
    uploaded_by text not null,
    notices text[] not null default '{{}}',
    check (total_jobs = valid_jobs + invalid_jobs + blank_rows)
);
create index batch_records_status on motion.batch_records (status);
create index batch_records_uploaded_at on motion.batch_records (uploaded_at);
create index batch_records_uploaded_by on motion.batch_records (uploaded_by);

-- What was found in the rows of a file: every finding of a quarantined row, and warnings of rows that became jobs.
create table motion.row_findings (
    batch_id text not null references motion.batch_records on delete cascade,
    csv_row integer not null,
    place integer not null,
    level text not null check (level in ('error', 'warning')),
    job_id text not null,
    csv_column text not null,
    rule text not null,
    reason text not null,
    cells text[] not null,
    primary key (batch_id, csv_row, place)
);

create table motion.job_records (
    job_id text primary key check (job_id ~ '^[A-Za-z0-9_-]{{1,50}}$'),
    batch_id text not null references motion.batch_records on delete cascade,
    csv_row integer not null,
    psd_path text not null,
    aepx_path text not null,
    output_name text not null,
    client_name text,
    project_name text,
    priority text not null default 'medium' check (priority in ('high', 'medium', 'low')),
    notes text,
    extra jsonb not null default '{{}}',
    current_stage integer not null default 0 check (current_stage between 0 and 4),
    status text not null default 'pending' check (status in ('pending', 'processing', 'awaiting_review',
        'awaiting_approval', 'ready_for_validation', 'validation_failed', 'completed', 'failed', 'on_hold', 'archived')),
    queued_at timestamptz,
    queued_by text,
    stage0_completed_at timestamptz, stage0_completed_by text,
    stage1_started_at timestamptz, stage1_completed_at timestamptz, stage1_completed_by text,
    stage2_started_at timestamptz, stage2_completed_at timestamptz, stage2_completed_by text,
    stage3_started_at timestamptz, stage3_completed_at timestamptz, stage3_completed_by text,
    stage4_started_at timestamptz, stage4_completed_at timestamptz, stage4_completed_by text,
    archived_at timestamptz, archived_by text,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp()
);
create unique index job_records_output on motion.job_records (lower(output_name));
create index job_records_status on motion.job_records (status);
create index job_records_current_stage on motion.job_records (current_stage);
create index job_records_client_name on motion.job_records (client_name);
create index job_records_priority on motion.job_records (priority);
create index job_records_batch_id on motion.job_records (batch_id);
create index job_records_created_at on motion.job_records (created_at);
create index job_records_psd_path on motion.job_records (psd_path);
create index job_records_aepx_path on motion.job_records (aepx_path);

create function motion.check_move() returns trigger language plpgsql as $$
begin
    if new.status <> old.status and not exists
        (select from motion.moves m where m.old_status = old.status and m.new_status = new.status) then
        raise exception 'The job % cannot go from % to %.', old.job_id, old.status, new.status
            using errcode = 'check_violation';
    end if;
    new.updated_at := clock_timestamp();
    return new;
end $$;
create trigger job_moves before update on motion.job_records for each row execute function motion.check_move();

-- PSDs, projects and footage that jobs need, as they were at the last look; no hash: not there.
create table motion.source_files (
    path text primary key,
    kind text not null check (kind in ('psd', 'project', 'footage')),
    size_bytes bigint,
    mtime_ns bigint,
    content_hash text,
    seen_at timestamptz not null default clock_timestamp()
);

-- Where the footage that a project names lies here; no path: nowhere.
create table motion.footage (
    aepx_path text not null,
    named text not null,
    path text,
    primary key (aepx_path, named)
);

-- What people decided for a slot of a template: the starting point of the next job; no layer: left empty.
create table motion.remembered_matches (
    aepx_path text not null,
    comp text not null,
    slot text not null,
    layer text,
    decided_by text not null,
    decided_at timestamptz not null default clock_timestamp(),
    primary key (aepx_path, comp, slot)
);

create table motion.job_warnings (
    warning_id bigint generated always as identity primary key,
    job_id text not null references motion.job_records on delete cascade,
    stage integer not null,
    warning_type text not null,
    severity text not null check (severity in ('critical', 'warning', 'info')),
    message text not null,
    details jsonb not null default '{{}}',
    resolved boolean not null default false,
    resolved_at timestamptz,
    resolved_by text,
    resolution_notes text,
    created_at timestamptz not null default clock_timestamp()
);
create index job_warnings_job_id on motion.job_warnings (job_id);
create index job_warnings_stage on motion.job_warnings (stage);
create index job_warnings_severity on motion.job_warnings (severity);
create index job_warnings_resolved on motion.job_warnings (resolved);
create index job_warnings_warning_type on motion.job_warnings (warning_type);

-- What stands of each asset of a job.
create view motion.made as
    select i.asset, i.key as job_id, m.output_id, m.content_hash, m.root, m.path, m.size_bytes, m.facts, m.made_at
    from ledger.items i join ledger.outputs m using (output_id)
    where i.asset in ('motion_jobs/ingested_jobs', 'motion_jobs/layer_matches', 'motion_jobs/approved_matches',
        'motion_jobs/previews', 'motion_jobs/validated_jobs', 'motion_jobs/deployments')
      and (i.state = 'current' or (i.state = 'held' and i.made is not null));

create view motion.jobs as
    select j.job_id, j.psd_path, j.aepx_path, j.output_name, j.client_name, j.project_name, j.priority, j.notes,
           j.batch_id, j.current_stage, j.status, j.stage0_completed_at, j.stage0_completed_by, j.stage1_started_at,
           j.stage1_completed_at, j.stage1_completed_by, j.stage2_started_at, j.stage2_completed_at,
           j.stage2_completed_by, j.stage3_started_at, j.stage3_completed_at, j.stage3_completed_by,
           coalesce((select v.verdict = 'approve_with_warnings' from ledger.verdicts v join motion.made p
                     on p.asset = v.stage and p.job_id = v.subject and p.content_hash = v.content_hash
                     where v.stage = 'motion_jobs/previews' and v.subject = j.job_id), false)
               as stage3_approved_with_warnings,
           j.stage4_started_at, j.stage4_completed_at, j.stage4_completed_by, j.created_at, j.updated_at,
           case when d.output_id is not null then d.facts ->> 'project' end as final_aep_path,
           i.facts as stage1_results, a.facts -> 'matches' as stage2_approved_matches,
           a.facts -> 'adjustments' as stage3_adjustments, val.facts as stage3_validation_results,
           o.verdict is not null as stage4_override, o.reason as stage4_override_reason,
           j.archived_at is not null as archived, j.archived_at, j.archived_by
    from motion.job_records j
    left join motion.made i on i.asset = 'motion_jobs/ingested_jobs' and i.job_id = j.job_id
    left join motion.made a on a.asset = 'motion_jobs/approved_matches' and a.job_id = j.job_id
    left join motion.made val on val.asset = 'motion_jobs/validated_jobs' and val.job_id = j.job_id
    left join motion.made d on d.asset = 'motion_jobs/deployments' and d.job_id = j.job_id
    left join ledger.verdicts o on o.stage = 'motion_jobs/validated_jobs' and o.subject = j.job_id
                               and o.content_hash = val.content_hash and o.verdict = 'override';

create view motion.batches as
    select b.batch_id, b.csv_filename, b.csv_path, b.total_jobs, b.valid_jobs, b.invalid_jobs, b.status, b.uploaded_at,
           b.validated_at, b.completed_at, b.uploaded_by,
           coalesce(f.errors, '[]') as validation_errors, coalesce(f.warnings, '[]') as validation_warnings
    from motion.batch_records b
    left join lateral (
        select jsonb_agg(entry) filter (where level = 'error') as errors,
               jsonb_agg(entry) filter (where level = 'warning') as warnings
        from (select level, jsonb_build_object('job_id', min(job_id), 'row', csv_row, level || 's',
                         jsonb_agg(reason order by place)) as entry
              from motion.row_findings r where r.batch_id = b.batch_id group by csv_row, level order by csv_row) g
    ) f on true;

create view motion.job_logs as
    select a.activity_id as log_id, a.entity as job_id, cast(a.context ->> 'stage' as integer) as stage,
           a.what as action, coalesce(a.details, a.what) as message, a.who as user_id, a.new_values as extra_data,
           a.at as created_at
    from journal.activity a where a.department = 'motion_jobs' and a.entity is not null;

create view motion.job_assets as
    select row_number() over (order by m.output_id, f.place) as asset_id, m.job_id, f.entry ->> 'type' as asset_type,
           f.entry ->> 'path' as asset_path, f.entry ->> 'name' as asset_name,
           cast(f.entry ->> 'size' as bigint) as file_size, f.entry ->> 'mime' as mime_type,
           case m.asset when 'motion_jobs/ingested_jobs' then 1 when 'motion_jobs/previews' then 3 else 4 end as stage,
           f.entry - array['type', 'path', 'name', 'size', 'mime'] as extra_metadata, m.made_at as created_at
    from motion.made m cross join jsonb_array_elements(coalesce(m.facts -> 'assets', '[]')) with ordinality
        as f(entry, place);
"""


def upgrade() -> None:
    moves = ", ".join(f"('{old}', '{new}')" for old, news in _MOVES.items() for new in news)
    op.execute(_UP.format(moves=moves))


def downgrade() -> None:
    op.execute("drop schema motion cascade")
