"""What the newest decision of each subject is, before and after the view was rewritten, on a database with decisions."""

from __future__ import annotations

from sqlalchemy import Engine, text

from crown.database.migrations import migrate
from tests.conftest import database_at

_DECIDED = """
insert into ledger.decisions (stage, subject, content_hash, verdict, who, via) values
    ('cutouts', '1', 'a', 'approve', 'eva', 'cli'),
    ('cutouts', '1', 'a', 'reject', 'tom', 'cli'),
    ('cutouts', '1', 'b', 'approve', 'eva', 'cli'),
    ('cutouts', '2', 'a', 'approve', 'eva', 'cli'),
    ('cutouts', '2', 'a', 'withdraw', 'eva', 'cli'),
    ('cutouts', '3', 'a', 'reject', 'eva', 'cli'),
    ('cutouts', '3', 'a', 'withdraw', 'tom', 'cli'),
    ('cutouts', '3', 'a', 'approve', 'tom', 'cli'),
    ('masters', '1', 'a', 'approve', 'eva', 'cli')
"""
_STANDING = [
    ("cutouts", "1", "a", "reject", "tom"),
    ("cutouts", "1", "b", "approve", "eva"),
    ("cutouts", "3", "a", "approve", "tom"),
    ("masters", "1", "a", "approve", "eva"),
]


def _verdicts(engine: Engine) -> list[tuple[str, ...]]:
    with engine.connect() as connection:
        rows = connection.execute(
            text("select stage, subject, content_hash, verdict, who from ledger.verdicts order by 1, 2, 3")
        )
        return [tuple(row) for row in rows]


def test_the_verdicts_of_a_full_database_are_the_same_before_and_after_the_view_is_rewritten(
    server_url: str,
) -> None:
    with database_at(server_url, "0013_fingerprint") as older:
        with older.begin() as connection:
            connection.execute(text(_DECIDED))
        assert _verdicts(older) == _STANDING
        assert migrate(older, "0014_verdicts") == "0014_verdicts"
        assert _verdicts(older) == _STANDING
