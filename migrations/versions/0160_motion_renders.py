"""Motion jobs: what render machines hand back, batches sent to Plainly, and the old system's database as history."""

from alembic import op

revision = "0160_motion_renders"
down_revision = "0140_motion_jobs"
branch_labels = None
depends_on = None

_JOB = """job_id, psd_path, aepx_path, output_name, client_name, project_name, priority, notes, batch_id, current_stage,
    status, stage0_completed_at, stage0_completed_by, stage1_started_at, stage1_completed_at, stage1_completed_by,
    stage2_started_at, stage2_completed_at, stage2_completed_by, stage3_started_at, stage3_completed_at,
    stage3_completed_by, stage3_approved_with_warnings, stage4_started_at, stage4_completed_at, stage4_completed_by,
    created_at, updated_at, final_aep_path, stage1_results, stage2_approved_matches, stage3_adjustments,
    stage3_validation_results, stage4_override, stage4_override_reason, archived, archived_at, archived_by"""
_BATCH = """batch_id, csv_filename, csv_path, total_jobs, valid_jobs, invalid_jobs, status, uploaded_at, validated_at,
    completed_at, uploaded_by, validation_errors, validation_warnings"""
_LOG = "log_id, job_id, stage, action, message, user_id, extra_data, created_at"
_ASSET = """asset_id, job_id, asset_type, asset_path, asset_name, file_size, mime_type, stage, extra_metadata,
    created_at"""

_UP = f"""
-- What render machines hand back: the verdict on their log and result, about exactly one package.
create table motion.handbacks (
    handback_id bigint generated always as identity primary key,
    job_id text not null references motion.job_records on delete cascade,
    package_hash text not null,
    verdict text not null check (verdict in ('complete', 'short', 'missing', 'truncated', 'failed', 'different',
        'log_only')),
    reasons text[] not null,
    opened_in_after_effects text not null,
    log jsonb not null,
    result jsonb,
    handed_by text not null,
    handed_at timestamptz not null default clock_timestamp()
);
create index handbacks_job on motion.handbacks (job_id, handback_id);

-- The newest handback of each package that stands.
create view motion.renders as
    select distinct on (h.job_id) h.*
    from motion.handbacks h
    join motion.made m on m.asset = 'motion_jobs/deployments' and m.job_id = h.job_id and m.content_hash = h.package_hash
    order by h.job_id, h.handback_id desc;

-- Batches sent to Plainly; one without its id is being sent, or its answer got lost.
create table motion.plainly_batches (
    payload_hash text primary key,
    plainly_id text,
    jobs text[] not null,
    begun_by text not null,
    begun_at timestamptz not null default clock_timestamp(),
    answered_at timestamptz
);

create table motion.imported_batches (
    batch_id text primary key, csv_filename text, csv_path text, total_jobs integer, valid_jobs integer,
    invalid_jobs integer, status text, uploaded_at timestamptz, validated_at timestamptz, completed_at timestamptz,
    uploaded_by text, validation_errors jsonb, validation_warnings jsonb
);
create table motion.imported_jobs (
    job_id text primary key, psd_path text, aepx_path text, output_name text, client_name text, project_name text,
    priority text, notes text, batch_id text references motion.imported_batches on delete cascade,
    current_stage integer, status text,
    stage0_completed_at timestamptz, stage0_completed_by text,
    stage1_started_at timestamptz, stage1_completed_at timestamptz, stage1_completed_by text,
    stage2_started_at timestamptz, stage2_completed_at timestamptz, stage2_completed_by text,
    stage3_started_at timestamptz, stage3_completed_at timestamptz, stage3_completed_by text,
    stage3_approved_with_warnings boolean,
    stage4_started_at timestamptz, stage4_completed_at timestamptz, stage4_completed_by text,
    created_at timestamptz, updated_at timestamptz, final_aep_path text, stage1_results jsonb,
    stage2_approved_matches jsonb, stage3_adjustments jsonb, stage3_validation_results jsonb, stage4_override boolean,
    stage4_override_reason text, archived boolean, archived_at timestamptz, archived_by text, more jsonb
);
create table motion.imported_job_warnings (
    warning_id bigint primary key, job_id text not null references motion.imported_jobs on delete cascade,
    stage integer, warning_type text, severity text, message text, details jsonb, resolved boolean,
    resolved_at timestamptz, resolved_by text, resolution_notes text, created_at timestamptz
);
create table motion.imported_job_logs (
    log_id bigint primary key, job_id text not null references motion.imported_jobs on delete cascade,
    stage integer, action text, message text, user_id text, extra_data jsonb, created_at timestamptz
);
create table motion.imported_job_assets (
    asset_id bigint primary key, job_id text not null references motion.imported_jobs on delete cascade,
    asset_type text, asset_path text, asset_name text, file_size bigint, mime_type text, stage integer,
    extra_metadata jsonb, created_at timestamptz
);
create index imported_job_warnings_job_id on motion.imported_job_warnings (job_id);
create index imported_job_logs_job_id on motion.imported_job_logs (job_id);
create index imported_job_assets_job_id on motion.imported_job_assets (job_id);

-- The old system's rows stand in the views that reports read; a name that is used here again hides the old one.
alter view motion.jobs rename to current_jobs;
create view motion.jobs as
    select {_JOB} from motion.current_jobs
    union all select {_JOB} from motion.imported_jobs i
    where not exists (select from motion.job_records r where r.job_id = i.job_id);
alter view motion.batches rename to current_batches;
create view motion.batches as
    select {_BATCH} from motion.current_batches
    union all select {_BATCH} from motion.imported_batches i
    where not exists (select from motion.batch_records r where r.batch_id = i.batch_id);
alter view motion.job_logs rename to current_job_logs;
create view motion.job_logs as
    select {_LOG} from motion.current_job_logs
    union all select {_LOG} from motion.imported_job_logs i
    where not exists (select from motion.job_records r where r.job_id = i.job_id);
alter view motion.job_assets rename to current_job_assets;
create view motion.job_assets as
    select {_ASSET} from motion.current_job_assets
    union all select {_ASSET} from motion.imported_job_assets i
    where not exists (select from motion.job_records r where r.job_id = i.job_id);
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    for view in ("jobs", "batches", "job_logs", "job_assets"):
        op.execute(f"drop view motion.{view}; alter view motion.current_{view} rename to {view}")
    op.execute(
        """
        drop view motion.renders;
        drop table motion.handbacks, motion.plainly_batches, motion.imported_job_assets, motion.imported_job_logs,
            motion.imported_job_warnings, motion.imported_jobs, motion.imported_batches;
        """
    )
