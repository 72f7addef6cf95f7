"""Held removals are plans of the ledger, as those of every department; confirmations that stand go with them."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0111_removals_are_plans"
down_revision = "0100_rotating_checks"
branch_labels = None
depends_on = None

_STAGE = "product_images/production"


def upgrade() -> None:
    op.execute("alter table ledger.plans add column facts jsonb not null default '{}'")
    connection = op.get_bind()
    for held in connection.execute(sa.text("select * from product_images.held_removals")).all():
        body = sorted(held.keys)
        new_hash = hashlib.sha256(json.dumps(body, separators=(",", ":")).encode()).hexdigest()
        bound = {
            "stage": _STAGE,
            "subject": f"removal:{held.target}",
            "old": held.plan_hash,
            "hash": new_hash,
            "body": json.dumps(body),
            "sentence": f"{len(held.products)} of the {held.of_products} products in {held.target} would be removed"
            f" ({len(body)} files).",
            "facts": json.dumps({"products": list(held.products), "of_products": held.of_products}),
            "at": held.held_at,
        }
        connection.execute(
            sa.text(
                "insert into ledger.plans (stage, subject, plan_hash, body, sentence, facts, proposed_at) values"
                " (:stage, :subject, :hash, cast(:body as jsonb), :sentence, cast(:facts as jsonb), :at)"
            ),
            bound,
        )
        connection.execute(
            sa.text(
                "insert into ledger.decisions (stage, subject, content_hash, verdict, reason, who, via, decided_at)"
                " select stage, subject, :hash, verdict, reason, who, via, decided_at from ledger.verdicts"
                " where stage = :stage and subject = :subject and content_hash = :old and decided_at >= :at"
            ),
            bound,
        )
    op.execute("drop table product_images.held_removals")


def downgrade() -> None:
    raise NotImplementedError("Plans keep more than held removals did; restore a backup.")
