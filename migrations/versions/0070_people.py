"""Users with roles, their browser sessions and their API tokens."""

from alembic import op

revision = "0070_people"
down_revision = "0050_art_documents"
branch_labels = None
depends_on = None

_UP = """
create schema people;

create table people.users (
    name text primary key check (name = lower(name)),
    display_name text not null,
    role text not null check (role in ('viewer', 'operator', 'admin')),
    password_hash text,
    created_at timestamptz not null default clock_timestamp(),
    disabled_at timestamptz
);

-- Sessions and tokens are stored as hashes; users are disabled, never deleted, so that records keep their names.
create table people.sessions (
    token_hash text primary key,
    user_name text not null references people.users,
    client text not null default '',
    started_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    ended_at timestamptz
);
create index sessions_open on people.sessions (user_name) where ended_at is null;

create table people.tokens (
    token_id bigint generated always as identity primary key,
    token_hash text not null unique,
    user_name text not null references people.users,
    label text not null,
    role text not null check (role in ('viewer', 'operator', 'admin')),
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create index tokens_user on people.tokens (user_name);
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute("drop schema people cascade")
