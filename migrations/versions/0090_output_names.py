"""What a worker made is called an output: tables, columns, indexes and sequences take the new name."""

from alembic import op

revision = "0090_output_names"
down_revision = "0020_flow"
branch_labels = None
depends_on = None

#: Renames whatever carries `old` in its name: tables, then columns, constraints, indexes and sequences.
_RENAME = """
do $$
declare found record;
begin
    for found in select c.oid::regclass as relation, c.relname as name from pg_class c
        where c.relnamespace = 'ledger'::regnamespace and c.relkind = 'r' and c.relname ~ '{old}'
    loop
        execute format('alter table %s rename to %I', found.relation, replace(found.name, '{old}', '{new}'));
    end loop;
    for found in select c.oid::regclass as relation, a.attname as name from pg_attribute a
        join pg_class c on c.oid = a.attrelid
        where c.relnamespace = 'ledger'::regnamespace and c.relkind = 'r' and a.attname ~ '{old}' and not a.attisdropped
    loop
        execute format('alter table %s rename column %I to %I',
            found.relation, found.name, replace(found.name, '{old}', '{new}'));
    end loop;
    for found in select conrelid::regclass as relation, conname as name from pg_constraint
        where connamespace = 'ledger'::regnamespace and conrelid <> 0 and conname ~ '{old}'
    loop
        execute format('alter table %s rename constraint %I to %I',
            found.relation, found.name, replace(found.name, '{old}', '{new}'));
    end loop;
    for found in select c.oid::regclass as relation, c.relname as name, c.relkind as kind from pg_class c
        where c.relnamespace = 'ledger'::regnamespace and c.relkind in ('i', 'S') and c.relname ~ '{old}'
    loop
        execute format('alter %s %s rename to %I', case found.kind when 'i' then 'index' else 'sequence' end,
            found.relation, replace(found.name, '{old}', '{new}'));
    end loop;
end $$
"""


def upgrade() -> None:
    op.execute(_RENAME.format(old="making", new="output"))
    op.execute("alter function art.books_date() rename to records_date")
    op.execute("alter table product_images.sweep rename to rotating_check")


def downgrade() -> None:
    op.execute("alter table product_images.rotating_check rename to sweep")
    op.execute("alter function art.records_date() rename to books_date")
    op.execute(_RENAME.format(old="output", new="making"))
