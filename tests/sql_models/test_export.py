"""Every mart as CSV: the files are whole, of one moment, and what a spreadsheet reads back is what the table holds."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from crown.journal import logs
from crown.sql_models.build import run as build
from crown.sql_models.project import load_models
from crown_cli.main import cli
from tests.sql_models.conftest import insert


@pytest.fixture
def crown(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        world = {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path / "home")}
        return CliRunner().invoke(cli, ["sql", *arguments], env=world)

    yield run
    logs.close()


def test_every_mart_is_a_file_with_its_rows(crown, engine: Engine, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert "is not built yet; build it first: crown sql run" in crown("export", "--to", "early").output
    assert list((tmp_path / "early").iterdir()) == []
    insert(
        engine,
        "prints",
        [{"airtable_id": "prHarbour", "name": 'Harbour, "blue"\nat night', "total_editions": 1}],
    )
    build(engine, load_models())
    done = crown("export", "--to", "reports")
    assert done.exit_code == 0, done.output
    marts = [model for model in load_models().models.values() if model.folder == "marts"]
    names = [model.relation.rpartition(".")[2] for model in marts]
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == sorted(
        f"{name}.csv" for name in names
    )
    with engine.connect() as connection:
        for model, name in zip(marts, names, strict=True):
            rows = list(
                csv.reader(io.StringIO((tmp_path / "reports" / f"{name}.csv").read_text("utf-8"), newline=""))
            )
            count = connection.execute(text(f"select count(*) from {model.relation}")).scalar_one()
            assert len(rows) == count + 1
    shown = crown("export", "art_artworks", "--to", "-").output
    assert 'Harbour, "blue"\nat night' in [
        cell for row in csv.reader(io.StringIO(shown, newline="")) for cell in row
    ]
    refused = crown("export", "marts", "--to", "-")
    assert refused.exit_code == 2
    assert "One model goes to the output" in refused.output
