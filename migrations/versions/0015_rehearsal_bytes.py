"""When the bytes of a rehearsal were removed, and by whom; the record of it stays."""

from alembic import op

revision = "0015_rehearsal_bytes"
down_revision = "0014_verdicts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        alter table product_images.rehearsals
            add column bytes_removed_at timestamptz,
            add column bytes_removed_by text,
            add check ((bytes_removed_at is null) = (bytes_removed_by is null))
    """)


def downgrade() -> None:
    op.execute(
        "alter table product_images.rehearsals drop column bytes_removed_at, drop column bytes_removed_by"
    )
