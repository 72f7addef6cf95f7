"""View words and 360-degree frames are views, and a withdrawn decision gives back what stood before it.

Photos that were products of their own until now (`52000123_FRONT`) become views of their product; what was published
under the old number is replaced by the next run.
"""

from alembic import op

revision = "0030_view_words_and_restoring"
down_revision = "0041_art_conflicts"
branch_labels = None
depends_on = None

_WORDS = "FRONT|BACK|REAR|LEFT|RIGHT|SIDE|TOP|BOTTOM|INSIDE|OUTSIDE|DETAIL|MAIN"
_VIEW = f"_([0-9]{{2}}[NS]?_[0-9]{{3}}|[0-9]+|({_WORDS})(_[0-9]+)?)$"
_NUMBER_VIEW = "_[0-9]+$"


def _formats(view: str) -> None:
    op.execute(f"""
        create or replace view audit.format_history as
            select making_id as id,
                   regexp_replace(split_part(key, '/', 1), '{view}', '')::varchar(100) as product_number,
                   (split_part(path, '/', 4) || '/' || split_part(key, '/', 2))::varchar(100) as format_name,
                   made_at as generated_at, path as file_path, size_bytes as file_size_bytes
            from ledger.makings where starts_with(asset, 'product_images/renditions/')
            union all
            select -imported_id, product_number::varchar(100), format_name::varchar(100), generated_at, file_path,
                   file_size_bytes
            from journal.imported_formats
    """)


def _uploads(view: str) -> None:
    op.execute(f"""
        update product_images.uploads
        set product_number = regexp_replace(photo, '{view}', ''), view = substr((regexp_match(photo, '({view})'))[1], 2)
        where photo ~ '.{view}' and product_number <> regexp_replace(photo, '{view}', '')
           or photo !~ '.{view}' and product_number <> photo
    """)


def upgrade() -> None:
    op.execute("alter table ledger.decisions add column restores bigint references ledger.decisions")
    # The verdict of the newest row, or the one that it restores; stage, subject and hash are those of the newest row,
    # so that a few subjects are looked up by the index.
    op.execute("""
        create or replace view ledger.verdicts as
            select v.decision_id, d.stage, d.subject, d.content_hash, v.verdict, v.reason, v.who, v.via, v.decided_at
            from ledger.decisions d
            join ledger.decisions v on v.decision_id = coalesce(d.restores, d.decision_id)
            where (d.verdict <> 'withdraw' or d.restores is not null) and not exists (
                select from ledger.decisions n
                where n.stage = d.stage and n.subject = d.subject and n.content_hash = d.content_hash
                  and n.decision_id > d.decision_id)
    """)
    _formats(_VIEW)
    _uploads(_VIEW)


def downgrade() -> None:
    _uploads(_NUMBER_VIEW)
    _formats(_NUMBER_VIEW)
    op.execute("""
        create or replace view ledger.verdicts as
            select d.decision_id, d.stage, d.subject, d.content_hash, d.verdict, d.reason, d.who, d.via, d.decided_at
            from ledger.decisions d
            where d.verdict <> 'withdraw' and not exists (
                select from ledger.decisions n
                where n.stage = d.stage and n.subject = d.subject and n.content_hash = d.content_hash
                  and n.decision_id > d.decision_id)
    """)
    op.execute("alter table ledger.decisions drop column restores")
