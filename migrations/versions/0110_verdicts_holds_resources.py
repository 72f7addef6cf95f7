"""What departments other than product images need of the ledger.

Verdicts are data of a stage, with a payload, a stage to return to and the batch that they cover. Items say what kind of
thing they wait for, can be held, and are claimed by priority and batch. Claims count the seats of limited resources, and
a resource whose source is out is closed for a while.
"""

from alembic import op

revision = "0110_verdicts_holds_resources"
down_revision = "0131_activity_by_time"
branch_labels = None
depends_on = None

_UP = """
alter table ledger.items
    add column waiting_kind text check (waiting_kind in ('upstream', 'gate', 'hold', 'plan')),
    add column priority integer not null default 0,
    add column batch text,
    drop constraint items_state_check,
    drop constraint items_check,
    add constraint items_state_check check
        (state in ('waiting', 'pending', 'failed', 'quarantined', 'held', 'current', 'retired'));
update ledger.items set waiting_kind = case waiting_for when 'approval' then 'gate'
        when 'the confirmation of a removal' then 'plan' else 'upstream' end where waiting_for is not null;
-- A held item keeps what it waits for, so that its release passes no gate.
alter table ledger.items
    add constraint items_waiting check (state <> 'waiting' or waiting_for is not null),
    add constraint items_waiting_for check (waiting_for is null or state in ('waiting', 'held')),
    add constraint items_waiting_kind check ((waiting_for is null) = (waiting_kind is null));

drop index ledger.items_pending, ledger.items_to_retry;
create index items_pending on ledger.items (asset, priority desc, batch, key)
    where state = 'pending' and claim_id is null and next_try is null;
create index items_later on ledger.items (asset, next_try) where next_try is not null and claim_id is null;
create index items_batch on ledger.items (asset, batch) where batch is not null;

alter table ledger.claims
    add column resources text[] not null default '{}',
    add column seats integer not null default 0;

-- Resources whose source is out: nothing that needs them is claimed before `closed_until`.
create table ledger.closed_resources (
    resource text primary key,
    closed_until timestamptz not null,
    error text not null,
    closed_at timestamptz not null default clock_timestamp()
);

alter table ledger.decisions
    add column payload jsonb,
    add column return_stage text,
    add column batch text,
    add column batch_hash text,
    drop constraint decisions_verdict_check,
    add constraint decisions_verdict_check check (verdict ~ '^[a-z][a-z_]*$'),
    add constraint decisions_batch check ((batch is null) = (batch_hash is null));
create index decisions_batch on ledger.decisions (stage, batch) where batch is not null;
create or replace view ledger.verdicts as
    select v.decision_id, d.stage, d.subject, d.content_hash, v.verdict, v.reason, v.who, v.via, v.decided_at,
           v.payload, v.return_stage, v.batch
    from ledger.decisions d
    join ledger.decisions v on v.decision_id = coalesce(d.restores, d.decision_id)
    where (d.verdict <> 'withdraw' or d.restores is not null) and not exists (
        select from ledger.decisions n
        where n.stage = d.stage and n.subject = d.subject and n.content_hash = d.content_hash
          and n.decision_id > d.decision_id);
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    raise NotImplementedError(
        "Verdicts and states that older versions do not know may be in use; restore a backup."
    )
