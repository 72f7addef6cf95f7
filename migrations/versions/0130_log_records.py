"""Log records in a table of their own; logs.pipeline_logs is a view with CrownPipe's names, `pipeline = 'media'` included.

The table names departments as everything else does. The index on the view's expression answers the old queries.
"""

from alembic import op

revision = "0130_log_records"
down_revision = "0090_output_names"
branch_labels = None
depends_on = None

_PIPELINE = (
    "(case department when 'product_images' then 'media' when 'product_data' then 'data' else department end)"
)


def upgrade() -> None:
    op.execute(f"""
        alter table logs.pipeline_logs rename to records;
        alter table logs.records rename column pipeline to department;
        create view logs.pipeline_logs as
            select id, timestamp, level, {_PIPELINE}::varchar(50) as pipeline, module, message, context, exception,
                   user_id, execution_time_ms, product_number, run_id, record_id, department
            from logs.records;
        create index pipeline_logs_old_pipeline on logs.records (({_PIPELINE}::varchar(50)), timestamp desc);
    """)


def downgrade() -> None:
    op.execute("""
        drop view logs.pipeline_logs;
        drop index logs.pipeline_logs_old_pipeline;
        alter table logs.records rename column department to pipeline;
        alter table logs.records rename to pipeline_logs;
    """)
