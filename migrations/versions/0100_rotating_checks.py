"""Where the rotating check of files goes on, for each department."""

from alembic import op

revision = "0100_rotating_checks"
down_revision = "0110_verdicts_holds_resources"
branch_labels = None
depends_on = None

_UP = """
-- The last file whose bytes were read, and how long it takes to come round.
create table store.rotating_checks (
    department text primary key,
    root text not null,
    path text not null,
    round_began_at timestamptz not null,
    round_ended_at timestamptz,
    checked_at timestamptz not null default clock_timestamp()
);
insert into store.rotating_checks (department, root, path, round_began_at, round_ended_at, checked_at)
    select 'product_images', root, path, round_began_at, round_ended_at, swept_at from product_images.rotating_check;
drop table product_images.rotating_check;
"""

_DOWN = """
create table product_images.rotating_check (
    only_one boolean primary key default true check (only_one),
    root text not null,
    path text not null,
    round_began_at timestamptz not null,
    round_ended_at timestamptz,
    swept_at timestamptz not null default clock_timestamp()
);
insert into product_images.rotating_check (root, path, round_began_at, round_ended_at, swept_at)
    select root, path, round_began_at, round_ended_at, checked_at from store.rotating_checks
    where department = 'product_images';
drop table store.rotating_checks;
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
