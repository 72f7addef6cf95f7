"""`crown status` shows what runs did, read from the journal and not from Dagster."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from crown.journal.stats import PipelineStats
from crown.settings import load_settings
from crown_assets.reporting import record_run
from crown_cli.main import cli
from crown_cli.world import open_world


def crown(database_url: str, home: Path, *arguments: str) -> str:
    environment = {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(home)}
    done = CliRunner().invoke(cli, arguments, env=environment)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_status_shows_total_successful_failed_and_skipped_of_the_newest_runs(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    for number in range(7):
        for asset in ("product_images/photos", "product_images/cutouts"):
            stats = PipelineStats()
            stats.succeeded("52000123", seconds=0.5)
            stats.fail("52000124", "BadInput")
            stats.skip(number)
            record_run(engine, asset, stats, f"{number}2345678-run")
    runs = json.loads(crown(database_url, tmp_path, "status", "--json"))["runs"]
    assert [run["run_id"][0] for run in runs] == ["6", "5", "4", "3", "2"]
    newest = {name: runs[0][name] for name in ("total", "successful", "failed", "skipped", "departments")}
    assert newest == {
        "total": 16,
        "successful": 2,
        "failed": 2,
        "skipped": 12,
        "departments": ["product_images"],
    }
    shown = crown(database_url, tmp_path, "status")
    line = next(line for line in shown.splitlines() if line.strip().startswith("62345678"))
    assert line.split()[-5:] == ["product_images", "16", "2", "2", "12"]


def test_without_runs_status_says_so(engine: Engine, database_url: str, tmp_path: Path) -> None:
    assert "No run has ended yet." in crown(database_url, tmp_path, "status")


def test_what_a_command_logs_is_in_the_table_when_it_ends_and_not_on_the_terminal(
    engine: Engine, database_url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings({"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path)}, None)
    with open_world(settings):
        logging.getLogger("crown.product_images").warning("52000123 refused")
    assert capfd.readouterr().err == ""
    assert "52000123 refused" in (tmp_path / "logs" / "crown.log").read_text()
    with engine.connect() as connection:
        assert connection.execute(text("select message from logs.pipeline_logs")).scalars().all() == [
            "52000123 refused"
        ]
