"""Watched folders, and what people uploaded of which photo."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UP = """
create schema store;

-- How a file in a watched folder looked when it was last seen; equal twice in a row means it is complete.
create table store.sightings (
    root text not null,
    path text not null,
    size_bytes bigint not null,
    mtime_ns bigint not null,
    first_seen_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    looks integer not null default 1,
    primary key (root, path)
);

create schema product_images;

-- What people gave us: originals from the inbox, and retouched cut-outs. Append-only; bytes in objects/.
create table product_images.uploads (
    upload_id bigint generated always as identity primary key,
    kind text not null check (kind in ('original', 'retouch')),
    photo text not null,
    product_number text not null,
    view text,
    file_name text not null,
    content_hash text not null,
    size_bytes bigint not null,
    uploader text not null,
    modified_at timestamptz,
    uploaded_at timestamptz not null default clock_timestamp(),
    facts jsonb not null default '{}',
    -- The original that a retouch is a cut-out of.
    of_hash text,
    check ((kind = 'retouch') = (of_hash is not null))
);
create index uploads_newest on product_images.uploads (photo, kind, upload_id desc);

-- Where a result lies for people to look at, and what we know of it there.
create table product_images.review_files (
    photo text primary key,
    path text not null,
    content_hash text not null,
    placed_at timestamptz not null default clock_timestamp()
);

-- Products that are no longer to be published.
create table product_images.retired_products (
    product_number text primary key,
    who text not null,
    reason text,
    retired_at timestamptz not null default clock_timestamp()
);
"""


def upgrade() -> None:
    op.execute(_UP)
