"""Allowed moves of jobs as a view of values: emptying the department leaves them as they are."""

from alembic import op

revision = "0172_motion_moves_view"
down_revision = "0171_device_moves_view"
branch_labels = None
depends_on = None

_UP = """
alter table motion.moves rename to old_moves;
do $$
declare moves text;
begin
    select string_agg(format('(%L, %L)', old_status, new_status), ', ' order by old_status, new_status) into moves
    from motion.old_moves;
    execute 'create view motion.moves (old_status, new_status) as values ' || moves;
end $$;
drop table motion.old_moves;
"""
_DOWN = """
create table motion.old_moves as select old_status, new_status from motion.moves;
drop view motion.moves;
alter table motion.old_moves rename to moves;
alter table motion.moves add primary key (old_status, new_status);
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
