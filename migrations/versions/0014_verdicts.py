"""The standing verdicts of a few subjects are looked up alone, and items are counted by state from an index.

Both are read several times in each run: the newest decision of each subject was found by sorting all of them, and the
states of an asset by reading its rows.
"""

from alembic import op

revision = "0014_verdicts"
down_revision = "0013_fingerprint"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        create or replace view ledger.verdicts as
            select d.* from ledger.decisions d
            where d.verdict <> 'withdraw' and not exists (
                select from ledger.decisions n
                where n.stage = d.stage and n.subject = d.subject and n.content_hash = d.content_hash
                  and n.decision_id > d.decision_id)
    """)
    op.execute("create index items_state on ledger.items (asset, state)")
    op.execute("drop index ledger.items_open")


def downgrade() -> None:
    op.execute("""
        create or replace view ledger.verdicts as
            select * from (
                select distinct on (stage, subject, content_hash) *
                from ledger.decisions order by stage, subject, content_hash, decision_id desc
            ) newest where verdict <> 'withdraw'
    """)
    op.execute(
        "create index items_open on ledger.items (asset, state) where state not in ('current', 'retired')"
    )
    op.execute("drop index ledger.items_state")
