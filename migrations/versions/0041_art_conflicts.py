"""One open conflict per field; it closes by itself when export and books no longer differ because of both."""

from alembic import op

revision = "0041_art_conflicts"
down_revision = "0080_plans_and_cursors"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        alter table art.conflicts add column superseded_by bigint references art.conflicts,
            drop constraint conflicts_status_check, add constraint conflicts_status_check check (status in
                ('open', 'kept_local', 'took_source', 'withdrawn', 'superseded', 'settled'));
        update art.conflicts c set status = 'superseded', superseded_by = n.newest from (
            select table_name, airtable_id, field, max(conflict_id) as newest from art.conflicts
            where status = 'open' group by table_name, airtable_id, field) n
        where c.status = 'open' and (c.table_name, c.airtable_id, c.field) = (n.table_name, n.airtable_id, n.field)
              and c.conflict_id < n.newest;
        update art.conflicts c set status = 'settled', decided_at = clock_timestamp() where status = 'open'
            and not exists (select from art.source_values s
                            where (s.table_name, s.airtable_id, s.field) = (c.table_name, c.airtable_id, c.field));
        drop index art.conflicts_open;
        create unique index conflicts_one_open on art.conflicts (table_name, airtable_id, field)
            where status = 'open';

        -- A remembered value of the export goes when export and books agree; whoever makes them agree ends the conflict.
        create function art.settle_conflicts() returns trigger language plpgsql as $$
        begin
            update art.conflicts c set status = 'settled', decided_at = clock_timestamp() from gone g
            where c.status = 'open' and (c.table_name, c.airtable_id, c.field) = (g.table_name, g.airtable_id, g.field);
            return null;
        end $$;
        create trigger settle_conflicts after delete on art.source_values referencing old table as gone
            for each statement execute function art.settle_conflicts();
    """)


def downgrade() -> None:
    raise NotImplementedError(
        "Conflicts that replaced each other cannot be told apart again; restore a backup."
    )
