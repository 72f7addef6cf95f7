"""The view staging.art_galleries takes the name of the table that it reads: marts.art_galleries is another one.

The view is renamed and not made anew, so that what reads it stays.
"""

from alembic import op

revision = "0113_art_distributors_view"
down_revision = "0130_attachments"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter view if exists staging.art_galleries rename to art_distributors")


def downgrade() -> None:
    op.execute("alter view if exists staging.art_distributors rename to art_galleries")
