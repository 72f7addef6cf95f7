"""The fingerprint is computed where it stands in a query: as a call it took longer than all that it computes."""

from alembic import op

revision = "0013_fingerprint"
down_revision = "0012_rehearsals"
branch_labels = None
depends_on = None

# The body is that of 0001 and gives the same for every argument, null among them. PostgreSQL puts a function into the
# query that calls it only when it is not strict and no more constant than what it calls (array_to_string is stable).
_FORM = """
create or replace function ledger.fingerprint(recipe text, input_hashes text[]) returns text
    language sql {kind} parallel safe
    return encode(sha256((recipe || ':' || array_to_string(input_hashes, ','))::bytea), 'hex');
"""


def upgrade() -> None:
    op.execute(_FORM.format(kind="stable"))


def downgrade() -> None:
    op.execute(_FORM.format(kind="immutable strict"))
