"""The ledger: recipes, items, makings, their inputs, claims, decisions and the files we wrote."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UP = """
create schema ledger;

-- Everything that decides a result but its inputs; body is what was hashed, in canonical form.
create table ledger.recipes (
    recipe text primary key,
    asset text not null,
    name text not null,
    body jsonb not null,
    added_at timestamptz not null default now()
);

-- The one place where a fingerprint is computed: recipe hash, then the content hashes of the inputs in order.
create function ledger.fingerprint(recipe text, input_hashes text[]) returns text
    language sql immutable parallel safe strict
    return encode(sha256((recipe || ':' || array_to_string(input_hashes, ','))::bytea), 'hex');

create table ledger.decisions (
    decision_id bigint generated always as identity primary key,
    stage text not null,
    subject text not null,
    content_hash text not null,
    verdict text not null check (verdict in ('approve', 'reject', 'withdraw')),
    reason text,
    who text not null,
    via text not null,
    decided_at timestamptz not null default clock_timestamp()
);
create index decisions_newest on ledger.decisions (stage, subject, content_hash, decision_id desc);

-- What people last said of exactly these bytes; a withdrawn verdict is no verdict.
create view ledger.verdicts as
    select * from (
        select distinct on (stage, subject, content_hash) *
        from ledger.decisions order by stage, subject, content_hash, decision_id desc
    ) newest where verdict <> 'withdraw';

-- A batch in one worker's hands. claim_id is the fencing token; the backend tells whether the worker lives.
create table ledger.claims (
    claim_id bigint generated always as identity primary key,
    asset text not null,
    worker text not null,
    run_id text,
    backend_pid integer not null,
    backend_start timestamptz not null,
    taken_at timestamptz not null default clock_timestamp(),
    lease_until timestamptz not null,
    ended_at timestamptz,
    ending text check (ending in ('done', 'lost'))
);
create index claims_open on ledger.claims (lease_until) where ended_at is null;

-- Append-only but for `present`: whether the bytes still stand where they were put.
create table ledger.makings (
    making_id bigint generated always as identity primary key,
    asset text not null,
    key text not null,
    fingerprint text not null,
    content_hash text not null,
    root text,
    path text,
    size_bytes bigint,
    recipe text not null references ledger.recipes,
    decision_id bigint references ledger.decisions,
    claim_id bigint references ledger.claims,
    run_id text,
    seconds real,
    facts jsonb not null default '{}',
    versions jsonb not null default '{}',
    made_at timestamptz not null default clock_timestamp(),
    present boolean not null default true
);
create unique index makings_once on ledger.makings (asset, key, fingerprint) where present;
create index makings_place on ledger.makings (root, path);
create index makings_content on ledger.makings (content_hash);

create table ledger.making_inputs (
    making_id bigint not null references ledger.makings,
    input_id bigint not null references ledger.makings,
    primary key (making_id, input_id)
);
create index making_inputs_forward on ledger.making_inputs (input_id);

create table ledger.items (
    asset text not null,
    key text not null,
    state text not null
        check (state in ('waiting', 'pending', 'failed', 'quarantined', 'current', 'retired')),
    waiting_for text,
    wanted text not null,
    recipe text not null references ledger.recipes,
    inputs bigint[] not null default '{}',
    decision_id bigint references ledger.decisions,
    making_id bigint references ledger.makings,
    made text,
    attempts integer not null default 0,
    next_try timestamptz,
    error_class text,
    error text,
    claim_id bigint references ledger.claims,
    changed_at timestamptz not null default clock_timestamp(),
    primary key (asset, key),
    check ((state = 'waiting') = (waiting_for is not null)),
    check (state in ('pending', 'failed') or claim_id is null)
);
create index items_open on ledger.items (asset, state) where state not in ('current', 'retired');
create index items_claimed on ledger.items (claim_id) where claim_id is not null;
create index items_making on ledger.items (making_id);

-- What we last wrote at each path. `intended` is recorded before a rename, so that a crash between rename
-- and commit leaves no file of ours that looks like a person's.
create table ledger.files (
    root text not null,
    path text not null,
    content_hash text,
    intended text,
    making_id bigint references ledger.makings,
    written_at timestamptz not null default clock_timestamp(),
    primary key (root, path)
);
"""


def upgrade() -> None:
    op.execute(_UP)
