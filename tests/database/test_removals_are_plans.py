"""A held removal of an older database is a plan afterwards, and its confirmation still counts."""

from __future__ import annotations

from sqlalchemy import text

from crown.database.migrations import migrate
from crown.ledger import plans
from tests.conftest import database_at

STAGE = "product_images/production"
_HELD = """
insert into product_images.held_removals (target, plan_hash, keys, products, of_products) values
    ('production', 'old1', '{52000124/b.jpg,52000123/ä.jpg}', '{52000123,52000124}', 12),
    ('shop', 'old2', '{shop:52000123/a.jpg}', '{52000123}', 3);
"""
_CONFIRMED = """
insert into ledger.decisions (stage, subject, content_hash, verdict, reason, who, via)
values ('product_images/production', 'removal:production', 'old1', 'approve', 'the series ended', 'eva', 'cli');
"""


def test_held_removals_and_their_confirmations_are_carried_over(server_url: str) -> None:
    with database_at(server_url, "0110_verdicts_holds_resources") as engine:
        with engine.begin() as connection:
            connection.execute(text(_HELD))
            connection.execute(text(_CONFIRMED))
        migrate(engine)
        with engine.connect() as connection:
            production, shop = plans.open_plans(connection, STAGE)
            assert (production.subject, shop.subject) == ("removal:production", "removal:shop")
            assert production.body == ["52000123/ä.jpg", "52000124/b.jpg"]
            assert production.plan_hash == plans.hash_of(production.body)
            assert production.facts == {"products": ["52000123", "52000124"], "of_products": 12}
            assert shop.sentence == "1 of the 3 products in shop would be removed (1 files)."
            assert plans.verdict(connection, production) == "approve"
            assert plans.verdict(connection, shop) is None
