"""One department's part of the database: emptied in development only, and dumped; its neighbours stay."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from crown.database.department import TABLES
from crown.database.embedded import program
from crown.database.programs import run_program
from crown.errors import Refused
from crown.journal import logs
from crown_cli.main import cli

_FILL = """
insert into ledger.recipes (recipe, asset, name, body) values
    ('a', 'art_records/prints', 'n', '{}'), ('p', 'product_images/cutouts', 'n', '{}');
insert into ledger.outputs (asset, key, fingerprint, content_hash, recipe) values
    ('art_records/prints', 'k1', 'f1', 'h1', 'a'), ('art_records/prints', 'k2', 'f2', 'h2', 'a'),
    ('product_images/cutouts', 'k1', 'f3', 'h3', 'p');
insert into ledger.output_inputs (output_id, input_id)
    select max(output_id), min(output_id) from ledger.outputs where starts_with(asset, 'art');
insert into ledger.decisions (stage, subject, content_hash, verdict, who, via) values
    ('art_records/prints', 'k1', 'h1', 'approve', 'ann', 'cli'),
    ('product_images/cutouts', 'k1', 'h3', 'approve', 'ann', 'cli');
insert into art.prints (airtable_id, name, total_editions) values ('prHarbour', 'Harbour', 3);
insert into journal.activity (who, what, department, subject, via) values
    ('ann', 'x', 'art_records', 's', 'cli'), ('ann', 'x', 'product_images', 's', 'cli');
"""


@pytest.fixture
def crown(
    engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.chdir(tmp_path)
    with engine.begin() as connection:
        connection.exec_driver_sql(_FILL)

    def run(*arguments: str, environment: str = "development") -> Result:
        world = {
            "CROWN_DATABASE_URL": database_url,
            "CROWN_HOME": str(tmp_path / "home"),
            "CROWN_ENVIRONMENT": environment,
        }
        return CliRunner().invoke(cli, ["db", *arguments], env=world)

    yield run
    logs.close()


def _count(engine: Engine, *tables: str) -> list[int]:
    with engine.connect() as connection:
        return [connection.execute(text(f"select count(*) from {table}")).scalar_one() for table in tables]


def test_a_department_is_emptied_and_its_neighbour_stays(crown: Any, engine: Engine) -> None:
    tables = ("art.prints", "ledger.outputs", "ledger.decisions", "ledger.output_inputs", "journal.activity")
    before = _count(engine, *tables)
    refused = crown("reset", "art_records", "--apply", environment="production")
    assert refused.exit_code == Refused.exit_code
    assert "only with CROWN_ENVIRONMENT=development" in refused.output
    plan = json.loads(crown("reset", "art_records", "--json").stdout)
    assert (plan["applied"], plan["rows"]["ledger.outputs"], plan["rows"]["art.print_versions"]) == (
        False,
        2,
        1,
    )
    assert _count(engine, *tables) == before == [1, 3, 2, 1, 2]
    done = crown("reset", "art_records", "--apply")
    assert "art_records is empty." in done.stdout, done.output
    assert _count(engine, *tables) == [0, 1, 1, 0, 2]
    assert "is no department; there are product_images" in crown("reset", "arts", "--apply").output
    # The guards are in force again.
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "insert into art.prints (airtable_id, name) values ('prHarbour', 'Harbour')"
        )
    assert _count(engine, "art.print_versions", "art.changes") == [1, 1]


def test_a_dump_holds_the_departments_tables_and_its_rows_of_shared_ones(
    crown: Any, database_url: str, tmp_path: Path
) -> None:
    folder = Path(json.loads(crown("dump", "art_records", "out", "--json").stdout)["folder"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == [folder.name]
    listed = run_program(program("pg_restore"), ["--list", str(folder / TABLES)], database_url, "Listing")
    assert "TABLE DATA art print_versions" in listed
    assert "product_images" not in listed
    with (folder / "ledger.outputs.csv").open(newline="") as file:
        assert [row["key"] for row in csv.DictReader(file)] == ["k1", "k2"]
    with (folder / "journal.activity.csv").open(newline="") as file:
        assert [row["department"] for row in csv.DictReader(file)] == ["art_records"]
