"""The memory of erased texts, by which they are known again when they return."""

from alembic import op

revision = "0045_art_erased_texts"
down_revision = "0030_view_words_and_restoring"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        create table art.erased_texts (
            digest text primary key,
            salt text not null,
            length integer not null check (length > 0),
            erased_at timestamptz not null default clock_timestamp()
        );
    """)


def downgrade() -> None:
    op.execute("drop table art.erased_texts")
