"""The newest activities are found without sorting the whole trail."""

from alembic import op

revision = "0131_activity_by_time"
down_revision = "0130_log_records"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create index activity_at on journal.activity (at desc, activity_id desc)")


def downgrade() -> None:
    op.execute("drop index journal.activity_at")
