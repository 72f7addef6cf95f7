"""`crown sql` as a person calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.sql_models.conftest import insert

ROOT = Path(__file__).resolve().parents[2]
Crown = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def crown(database_url: str, tmp_path: Path) -> Crown:
    """Runs the command on this test's database."""
    world = {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path / "home")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "crown_cli.main", "sql", *arguments],
            cwd=ROOT, env={**os.environ, **world}, text=True, timeout=300, capture_output=True, check=False,
        )  # fmt: skip

    return run


def test_run_builds_what_a_model_stands_on_is_seen_by_dagster_and_show_reads_it(
    crown: Crown, engine: Engine
) -> None:
    insert(engine, "prints", [{"airtable_id": "prHarbour", "name": "Harbour", "total_editions": 1}])
    sale = {
        "edition_number": 1,
        "is_printed": True,
        "is_sold": True,
        "retail_price": 10,
        "date_sold": "2025-01-01",
    }
    copies = [{"airtable_id": f"edFirst{n}", "print_id": "prHarbour", **sale} for n in (1, 2)]
    insert(engine, "editions", copies)
    done = crown("run", "+art_portfolio", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert [row["model"] for row in told["models"]][-1] == "marts.art_portfolio"
    assert {row["outcome"] for row in told["models"]} == {"built"}
    artworks = next(row for row in told["models"] if row["model"] == "marts.art_artworks")
    # Two copies of one were sold: a warning, which stops nothing.
    assert artworks["said"] == "1 rows break it: sold: sold <= editions."
    with engine.connect() as connection:
        known = connection.execute(
            text("select status from dagster.runs where run_id = :r"), {"r": told["run_id"]}
        )
        assert known.scalar_one() == "SUCCESS"

    shown = json.loads(crown("show", "art_portfolio", "--as-of", "2025-06-30", "--json").stdout)
    assert shown["rows"][0]["as_of"] == "2025-06-30"
    assert shown["rows"][0]["rolling_sold"] == 2
    assert {"column": "sold", "what it is": "Copies sold.", "from": ""} in shown["columns"]

    asked = crown("test", "art_artworks", "art_portfolio", "--json")
    assert asked.returncode == 0  # warnings only
    broken = [finding for finding in json.loads(asked.stdout) if not finding["passed"]]
    assert [(finding["relation"], finding["count"]) for finding in broken] == [("marts.art_artworks", 1)]


def test_run_says_what_failed_and_what_was_skipped_and_ends_with_1(crown: Crown, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create schema staging"))
        connection.execute(text("create table staging.art_prints as select 'mine' as whose"))
    done = crown("run", "+art_artworks", "--json")
    assert done.returncode == 1
    rows = {row["model"]: row for row in json.loads(done.stdout)["models"]}
    assert rows["staging.art_prints"]["outcome"] == "failed"
    assert "staging.art_prints exists and was not built from a model" in rows["staging.art_prints"]["said"]
    assert rows["staging.art_editions"]["outcome"] == "built"
    assert rows["marts.art_artworks"]["outcome"] == "skipped"
    assert "Traceback" not in done.stderr


def test_a_command_that_cannot_go_on_says_one_sentence(crown: Crown) -> None:
    unknown = crown("run", "art_portfolo")
    assert unknown.returncode == 2
    assert unknown.stderr.strip() == "crown: There is no model 'art_portfolo'; did you mean art_portfolio?"
    unbuilt = crown("show", "art_portfolio")
    assert unbuilt.returncode == 2
    assert unbuilt.stderr.strip() == (
        "crown: marts.art_portfolio is not built yet; build it first: crown sql run +marts.art_portfolio."
    )


@pytest.mark.slow
def test_list_and_docs_need_no_database(tmp_path: Path) -> None:
    def crown(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "crown_cli.main", "sql", *arguments],
            cwd=ROOT, env={**os.environ, "CROWN_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"},
            text=True, timeout=60, capture_output=True, check=False,
        )  # fmt: skip

    models = json.loads(crown("list", "--json").stdout)
    assert {
        "model": "staging.art_prints",
        "materialised": "view",
        "tests": 5,
        "reads": "art.prints",
    } in models
    page = tmp_path / "models.html"
    assert crown("docs", "--html", "--output", str(page)).returncode == 0
    assert page.read_text().startswith("<!doctype html>")
    assert crown("docs").stdout.startswith("# SQL models\n")
