"""Allowed moves of receivers and alerts as a view of values: emptying the department leaves them as they are."""

from alembic import op

revision = "0171_device_moves_view"
down_revision = "0170_devices"
branch_labels = None
depends_on = None

_UP = """
alter table devices.moves rename to old_moves;
do $$
declare moves text;
begin
    select string_agg(format('(%L, %L, %L)', machine, old_state, new_state), ', ' order by 1) into moves
    from devices.old_moves;
    execute 'create view devices.moves (machine, old_state, new_state) as values ' || moves;
end $$;
drop table devices.old_moves;
"""
_DOWN = """
create table devices.old_moves as select machine, old_state, new_state from devices.moves;
drop view devices.moves;
alter table devices.old_moves rename to moves;
alter table devices.moves add primary key (machine, old_state, new_state);
"""


def upgrade() -> None:
    op.execute(_UP)


def downgrade() -> None:
    op.execute(_DOWN)
