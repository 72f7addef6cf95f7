"""The tables of rehearsals come to a database that is full already."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from crown.database.contents import read_contents
from crown.database.migrations import migrate
from tests.conftest import database_at

_FILL = """
insert into ledger.recipes (recipe, asset, name, body)
    values ('r1', 'product_images/cutouts', 'cut-out', '{"model": "studio", "version": 1, "studio": 1}');
insert into ledger.outputs (asset, key, fingerprint, content_hash, recipe)
    select 'product_images/cutouts', n::text, 'f' || n, 'h' || n, 'r1' from generate_series(1, 50) n;
insert into ledger.items (asset, key, state, wanted, recipe, output_id, made)
    select asset, key, 'current', fingerprint, recipe, output_id, fingerprint from ledger.outputs;
insert into ledger.decisions (stage, subject, content_hash, verdict, who, via)
    select asset, key, content_hash, 'approve', 'eva', 'cli' from ledger.outputs;
insert into product_images.uploads (kind, photo, product_number, file_name, content_hash, size_bytes, uploader)
    select 'original', key, key, key || '.jpg', 'o' || key, 9, 'eva' from ledger.outputs;
"""


#: The same in the names of the older revision; later ones are renamed by a migration.
_FILL_OLDER = _FILL.replace("ledger.outputs", "ledger.makings").replace("output_id", "making_id")


@pytest.fixture
def older(server_url: str) -> Iterator[Engine]:
    """A database of the revision before, with data in it."""
    with database_at(server_url, "0011_publishing") as engine:
        with engine.begin() as connection:
            connection.execute(text(_FILL_OLDER))
        yield engine


def test_the_tables_of_rehearsals_are_added_to_a_full_database_and_nothing_else_changes(
    older: Engine,
) -> None:
    with older.connect() as connection:
        before = read_contents(connection).tables
    assert migrate(older, "0012_rehearsals") == "0012_rehearsals"
    with older.connect() as connection:
        after = read_contents(connection).tables
    kept = {name: table for name, table in after.items() if name in before and "alembic" not in name}
    assert kept == {name: table for name, table in before.items() if "alembic" not in name}
    assert {name.split(".")[1] for name in after.keys() - before.keys()} >= {
        "rehearsals",
        "rehearsal_results",
        "model_choices",
    }


def test_a_choice_is_a_decision_and_the_newest_one_holds(engine: Engine) -> None:
    with engine.begin() as c:
        c.execute(text(_FILL))
        choice = text(
            "insert into product_images.model_choices (photo, model, recipe, decision_id) values (:photo, :model, :recipe,"
            " (select min(decision_id) from ledger.decisions))"
        )
        for photo, model in (("1", "a"), (None, "b"), ("1", "c"), ("2", "d"), ("2", None)):
            c.execute(choice, {"photo": photo, "model": model, "recipe": "r1" if model else None})
        held = c.execute(text("select photo, model, who from product_images.models_in_force order by model"))
        assert [tuple(row) for row in held] == [(None, "b", "eva"), ("1", "c", "eva")]
        with pytest.raises(IntegrityError):
            c.execute(choice, {"photo": "1", "model": "a", "recipe": None})


def test_rehearsals_of_before_keep_all_they_said_and_their_bytes_are_not_said_to_be_removed(
    server_url: str,
) -> None:
    columns = "rehearsal_id, model, recipe, chosen, photos, who, began_at, ended_at, sheet"
    with database_at(server_url, "0014_verdicts") as older:
        with older.begin() as c:
            c.execute(
                text(
                    "insert into product_images.rehearsals (model, recipe, body, chosen, photos, who, ended_at, sheet)"
                    " select 'm' || n, 'r', '{}', 'all', array['1', '2'], 'eva', now(), n || '.webp'"
                    " from generate_series(1, 3) n"
                )
            )
            before = c.execute(text(f"select {columns} from product_images.rehearsals order by 1")).all()
        assert migrate(older, "0015_rehearsal_bytes") == "0015_rehearsal_bytes"
        with older.begin() as c:
            after = c.execute(
                text(
                    f"select {columns}, bytes_removed_at, bytes_removed_by from product_images.rehearsals order by 1"
                )
            ).all()
            assert [tuple(row) for row in after] == [(*row, None, None) for row in before]
        with older.begin() as c, pytest.raises(IntegrityError):  # removed, and nobody knows by whom
            c.execute(text("update product_images.rehearsals set bytes_removed_at = now()"))
