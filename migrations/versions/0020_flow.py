"""What keeps the ledger fast and its history exact when it is large.

Claims read partial indexes in their own order, so that one costs the same however much is pending. Outputs are found
by run, claim and decision. Inputs keep their order and role. A decision says in which transaction it was written, for
numbers are given before a transaction commits. Old claims can be pruned: what an output says of its claim is a number.
"""

from alembic import op

revision = "0020_flow"
down_revision = "0045_art_erased_texts"
branch_labels = None
depends_on = None

_UP = """
update ledger.items set next_try = clock_timestamp() where state = 'failed' and next_try is null;
create index items_pending on ledger.items (asset, key) where state = 'pending' and claim_id is null;
create index items_to_retry on ledger.items (asset, next_try) where state = 'failed' and claim_id is null;

create index makings_run on ledger.makings (run_id) where run_id is not null;
create index makings_claim on ledger.makings (claim_id) where claim_id is not null;
create index makings_decision on ledger.makings (decision_id) where decision_id is not null;

alter table ledger.makings drop constraint makings_claim_id_fkey;
create index claims_ended on ledger.claims (ended_at) where ended_at is not null;

-- The role is the input's asset without its department: photos, cutouts, texts.
alter table ledger.making_inputs add column position integer, add column role text;
update ledger.making_inputs e set position = n.position, role = n.role from (
    select e.making_id, e.input_id, row_number() over (partition by e.making_id order by e.input_id) as position,
           substr(m.asset, strpos(m.asset, '/') + 1) as role
    from ledger.making_inputs e join ledger.makings m on m.making_id = e.input_id) n
where (e.making_id, e.input_id) = (n.making_id, n.input_id);
alter table ledger.making_inputs alter column position set default 1, alter column position set not null;

alter table ledger.decisions add column written_in xid8 not null default pg_current_xact_id();
create index decisions_written_in on ledger.decisions (written_in);
"""

_DOWN = """
drop index ledger.items_pending, ledger.items_to_retry, ledger.makings_run, ledger.makings_claim,
    ledger.makings_decision, ledger.claims_ended;
alter table ledger.making_inputs drop column position, drop column role;
alter table ledger.decisions drop column written_in;
update ledger.makings m set claim_id = null
    where not exists (select from ledger.claims c where c.claim_id = m.claim_id) and claim_id is not null;
alter table ledger.makings add constraint makings_claim_id_fkey foreign key (claim_id) references ledger.claims;
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
