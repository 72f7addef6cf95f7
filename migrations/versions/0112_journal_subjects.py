"""The journal's columns take neutral names: log records have a subject, activities an entity.

The views with the old names answer as before; audit.product_audit shows the activities of the departments of products.
"""

from alembic import op

revision = "0112_journal_subjects"
down_revision = "0120_art_plans"
branch_labels = None
depends_on = None

_AUDIT = """
    create or replace view audit.product_audit as
        select activity_id as id, {column}::varchar(100) as product_number, at as timestamp,
               who::varchar(100) as user_id, what::varchar(100) as action, details,
               source_file::varchar(255), duration_ms as execution_time_ms, context
        from journal.activity where {column} is not null{only}
"""


def upgrade() -> None:
    op.execute("""
        alter table logs.records rename column product_number to subject;
        alter index logs.pipeline_logs_product rename to records_subject;
        alter table journal.activity rename column product_number to entity;
        alter index journal.activity_product rename to activity_entity;
    """)
    op.execute(_AUDIT.format(column="entity", only=" and department in ('product_images', 'product_data')"))


def downgrade() -> None:
    op.execute("""
        alter table logs.records rename column subject to product_number;
        alter index logs.records_subject rename to pipeline_logs_product;
        alter table journal.activity rename column entity to product_number;
        alter index journal.activity_entity rename to activity_product;
    """)
    op.execute(_AUDIT.format(column="product_number", only=""))
