"""Decisions on differences between exports and art tables get the plans they were about."""

from alembic import op

revision = "0120_art_plans"
down_revision = "0132_news"
branch_labels = None
depends_on = None

_UP = """
insert into ledger.plans (stage, subject, plan_hash, body, sentence, state, proposed_at, ended_at)
select d.stage, d.subject, d.content_hash, '{}', 'decided before differences were plans',
       case when exists (select from art.syncs s where s.diff_hash = d.content_hash
                         and s.status not in ('running', 'failed')) then 'applied'
            when (array_agg(d.verdict order by d.decision_id desc))[1] = 'reject' then 'rejected'
            else 'superseded' end,
       min(d.decided_at), max(d.decided_at)
from ledger.decisions d
where d.stage = 'art_records/airtable_exports' and d.subject = 'difference'
group by d.stage, d.subject, d.content_hash
order by min(d.decided_at);
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute("delete from ledger.plans where stage = 'art_records/airtable_exports' and body = '{}'")
