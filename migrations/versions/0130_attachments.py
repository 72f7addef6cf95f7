"""Pictures of prints: where the newest export says they are, and the picture that stands for a print."""

from alembic import op

revision = "0130_attachments"
down_revision = "0112_journal_subjects"
branch_labels = None
depends_on = None

_UP = """
-- Pictures that the newest export of prints names. The address is signed and dies within hours.
create table art.attachments (
    item_key text primary key,
    print_id text not null,
    position integer not null,
    file_name text not null,
    attachment_id text,
    url text not null,
    host text not null,
    listed_in text not null,
    listed_at timestamptz not null default clock_timestamp()
);
create index attachments_by_print on art.attachments (print_id, position);

-- Those that are in the store of originals.
create view art.print_pictures as
    select a.print_id, a.position, a.file_name, o.root || '/' || o.path as image, o.content_hash, o.size_bytes,
           cast(o.facts ->> 'width' as integer) as width, cast(o.facts ->> 'height' as integer) as height,
           o.made_at as downloaded_at, a.item_key
    from art.attachments a
    join ledger.items i on i.asset = 'art_records/attachments' and i.key = a.item_key and i.state = 'current'
    join ledger.outputs o on o.output_id = i.output_id;

-- Read, never written: a picture that arrives is no change of its print.
create or replace view art.prints as
    select h.*, (select p.image from art.print_pictures p where p.print_id = h.airtable_id
                 order by p.position limit 1) as primary_image
    from art.print_history h where h.valid_to_sync is null;
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    raise NotImplementedError("A view loses no column; restore a backup instead.")
