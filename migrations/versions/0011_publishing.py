"""Publishing: texts of products, removals that wait for a person, and where the last sweep of files ended."""

from alembic import op

revision = "0011_publishing"
down_revision = "0010_art"
branch_labels = None
depends_on = None

_UP = """
-- What people want written into a product's pictures. free: other texts by the name of their tag.
create table product_images.product_texts (
    product_number text primary key,
    description text,
    keywords text[],
    free jsonb not null default '{}',
    who text not null,
    changed_at timestamptz not null default clock_timestamp()
);
create view product_images.texts_by_content as
    select product_number, description, keywords, free,
           encode(sha256(convert_to(jsonb_build_array(description, keywords, free)::text, 'UTF8')), 'hex') as content
    from product_images.product_texts;

-- A plan that would take many products from a target: what it is, until a person confirms it or it changes.
create table product_images.held_removals (
    target text primary key,
    plan_hash text not null,
    keys text[] not null,
    products text[] not null,
    of_products integer not null,
    held_at timestamptz not null default clock_timestamp()
);

-- One row: the last file whose bytes the scheduled sweep read, and how long it takes to come round.
create table product_images.sweep (
    only_one boolean primary key default true check (only_one),
    root text not null,
    path text not null,
    round_began_at timestamptz not null,
    round_ended_at timestamptz,
    swept_at timestamptz not null default clock_timestamp()
);
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(
        "drop view product_images.texts_by_content;"
        " drop table product_images.product_texts, product_images.held_removals, product_images.sweep"
    )
