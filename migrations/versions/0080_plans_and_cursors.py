"""Plans that wait for a decision, in one form for all departments; cursors of outside sources."""

from alembic import op

revision = "0080_plans_and_cursors"
down_revision = "0040_art_by_hand"
branch_labels = None
depends_on = None

_UP = """
-- A plan that changes or removes much. Decisions on it are rows of ledger.decisions with its hash as content hash.
create table ledger.plans (
    plan_id bigint generated always as identity primary key,
    stage text not null,
    subject text not null,
    plan_hash text not null,
    body jsonb not null,
    sentence text not null,
    state text not null default 'open' check (state in ('open', 'applied', 'superseded', 'rejected')),
    proposed_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    check ((state = 'open') = (ended_at is null))
);
create unique index plans_open on ledger.plans (stage, subject) where state = 'open';
create index plans_hash on ledger.plans (stage, plan_hash text_pattern_ops);

-- How far an outside source was read; committed with what it brought.
create table ledger.cursors (
    source text primary key,
    position jsonb not null,
    version bigint not null,
    advanced_at timestamptz not null default clock_timestamp(),
    run_id text
);
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute("drop table ledger.plans, ledger.cursors")
