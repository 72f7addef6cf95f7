"""Notices of what has finished, beside failures and reviews."""

from alembic import op

revision = "0132_news"
down_revision = "0111_removals_are_plans"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        alter table journal.notices drop constraint notices_kind_check,
            add constraint notices_kind_check check (kind in ('failure', 'review', 'news'))
    """)


def downgrade() -> None:
    op.execute("""
        delete from journal.notices where kind = 'news';
        alter table journal.notices drop constraint notices_kind_check,
            add constraint notices_kind_check check (kind in ('failure', 'review'))
    """)
