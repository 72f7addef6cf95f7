"""The described tables are the migrated ones, and nothing rewrites history behind their back."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from crown.art_records.tables import ENTITIES, metadata

PRINT = "WEB_0123456789ab"


def test_every_described_column_exists_with_its_type(engine: Engine) -> None:
    found = inspect(engine)
    for table in metadata.tables.values():
        actual = {c["name"]: c for c in found.get_columns(table.name, schema="art")}
        described = {c.name: c for c in table.columns}
        assert set(actual) == set(described), table.name
        for name, column in described.items():
            assert actual[name]["type"].python_type == column.type.python_type, (table.name, name)


def test_the_trigger_writes_the_fields_that_are_compared(engine: Engine) -> None:
    with engine.connect() as connection:
        for entity in ENTITIES.values():
            arguments = connection.execute(
                text(
                    "select tgargs from pg_trigger where tgname = 'by_hand' and tgrelid = cast(:v as regclass)"
                ),
                {"v": f"art.{entity.name}"},
            ).scalar_one()
            versions, fields = bytes(arguments).rstrip(b"\0").decode().split("\0")
            assert versions == entity.versions.name
            assert set(fields.split(",")) - {"image_urls"} == set(entity.fields)


def test_an_edit_in_psql_becomes_a_version_a_change_and_a_sync(engine: Engine) -> None:
    with engine.begin() as c:
        c.execute(text(f"insert into art.prints (airtable_id, name) values ('{PRINT}', 'A')"))
    with engine.begin() as c:
        c.execute(text("update art.prints set name = 'B'"))
        c.execute(text("update art.prints set name = 'C', total_editions = 10"))
    with engine.begin() as c:
        c.execute(text("delete from art.prints"))
    with engine.connect() as c:
        states = c.execute(
            text(
                "select op, source, name, is_active, sync_version from art.print_history order by valid_from_sync"
            )
        )
        assert [tuple(row) for row in states] == [
            ("create", "manual", "A", True, 1),
            ("update", "manual", "B", True, 2),
            ("update", "manual", "C", True, 3),
            ("close", "manual", "C", False, 4),
        ]
        changed = c.execute(
            text("select field, old_value, new_value from art.changes where field is not null")
        )
        assert {tuple(row) for row in changed} == {
            ("name", "A", "B"), ("name", "B", "C"), ("total_editions", None, 10), ("is_active", True, False),
        }  # fmt: skip
        assert (
            c.execute(text("select count(*) from art.sync_logs where sync_type = 'manual'")).scalar_one() == 4
        )


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("delete from art.print_versions", "is history and is not edited"),
        ("update art.changes set op = 'close'", "is history and is not edited"),
        ("truncate art.edition_versions", "is history and is not edited"),
        ("update art.prints set sync_version = 7", "cannot be written by hand"),
        ("update art.prints set airtable_id = 'WEB_ba9876543210'", "cannot be written by hand"),
    ],
)
def test_history_and_computed_columns_refuse_an_edit(engine: Engine, statement: str, sentence: str) -> None:
    with engine.begin() as c:
        c.execute(text(f"insert into art.prints (airtable_id, name) values ('{PRINT}', 'A')"))
    with pytest.raises(DBAPIError, match=sentence), engine.begin() as c:
        c.execute(text(statement))
