"""`crown status` shows what runs did, read from the journal and not from Dagster."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from crown.database.engine import dagster_url
from crown.journal import activity
from crown.journal.plain import without_controls
from crown.journal.stats import PipelineStats
from crown.product_images.share import intake
from crown.product_images.workspace import open_workspace
from crown.settings.model import load_settings
from crown_assets.factories import record_run
from crown_cli.common.world import open_world
from crown_cli.main import cli


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


@pytest.fixture
def instance(database_url: str, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's own storage, in the schema `dagster` of this test's database."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    url = dagster_url(database_url).render_as_string(hide_password=False)
    (folder / "dagster.yaml").write_text(
        f"storage:\n  postgres:\n    postgres_url: '{url}'\ntelemetry: {{enabled: false}}\n"
    )
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance


def a_job(name: str, error: Exception | None) -> dg.JobDefinition:
    @dg.op(name=f"{name}_step")
    def step() -> None:
        if error is not None:
            raise error

    @dg.job(name=name)
    def job() -> None:
        step()

    return job


def test_a_job_that_fails_is_shown_with_its_reason_until_it_succeeds(
    engine: Engine, database_url: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    def run(name: str, error: Exception | None = None) -> str:
        done = a_job(name, error).execute_in_process(instance=instance, raise_on_error=False)
        return done.run_id

    run("nightly", dg.Failure("The share is not mounted; mount it."))
    newest = run("nightly", dg.Failure("The share /media is not mounted; mount it."))
    run("weekly", ValueError("x is wrong"))
    run("weekly")
    environment = {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path)}
    told = CliRunner().invoke(cli, ["status", "--json"], env=environment)
    assert told.exit_code == 1
    nightly, weekly = json.loads(told.stdout)["failed_jobs"]
    assert (nightly["job"], nightly["run_id"], nightly["times"], nightly["still"]) == (
        "nightly",
        newest,
        2,
        True,
    )
    assert nightly["reason"] == "The share /media is not mounted; mount it."
    assert (weekly["job"], weekly["reason"], weekly["still"]) == ("weekly", "ValueError: x is wrong", False)
    shown = CliRunner().invoke(cli, ["status"], env=environment).stdout
    assert "Failed runs" in shown
    assert "The share /media is not mounted; mount it." in shown
    run("nightly")
    told = CliRunner().invoke(cli, ["status", "--json"], env=environment)
    assert told.exit_code == 0
    assert [one["still"] for one in json.loads(told.stdout)["failed_jobs"]] == [False, False]


def refuse(engine: Engine, name: str, reason: str) -> None:
    with engine.begin() as connection:
        activity.record(
            connection, who="anna", what="refused", subject=name, department="product_images", via="share",
            new={"folder": "errors", "reason": reason},
        )  # fmt: skip


def test_a_refused_upload_is_shown_with_its_reason_and_from_whom(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    refuse(engine, "52000123.jpg", "It is no picture; save it anew.")
    (refused,) = json.loads(crown(database_url, tmp_path, "status", "--json"))["refused"]
    del refused["at"]
    assert refused == {
        "who": "anna",
        "department": "product_images",
        "name": "52000123.jpg",
        "folder": "errors",
        "reason": "It is no picture; save it anew.",
    }
    assert "It is no picture; save it anew." in crown(database_url, tmp_path, "status")


STEERING = "5200\x1b[2J\x1b]0;owned\x07\x9b31m\u202egpj.exe\r.jpg"


def test_control_characters_of_a_files_name_reach_neither_terminal_nor_log(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    settings = load_settings({"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path)}, None)
    inbox = settings.media / "inbox"
    inbox.mkdir(parents=True)
    (inbox / STEERING).write_bytes(b"no picture")
    with open_world(settings):
        intake.take_in(open_workspace(engine, settings), settle_seconds=0)
        intake.take_in(open_workspace(engine, settings), settle_seconds=0)
    with engine.begin() as connection:  # as an earlier version recorded it
        connection.execute(
            text(
                "insert into journal.activity (who, what, department, subject, via, new_values)"
                " values ('anna', 'refused', 'product_images', :name, 'share', '{}')"
            ),
            {"name": STEERING},
        )
    environment = {**os.environ, "CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path)}
    for command in (["status"], ["status", "--json"], ["images", "trace", STEERING]):
        done = subprocess.run(
            [sys.executable, "-m", "crown_cli.main", *command],
            env=environment, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        said = (done.stdout + done.stderr).decode()
        assert "5200" in said
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said), (command, said)
    log = (tmp_path / "logs" / "crown.log").read_bytes().decode()
    assert "5200" in log
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", log)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("52000123.jpg", "52000123.jpg"),
        ("Größe 日本\tx\r\ny\n", "Größe 日本\tx\r\ny\n"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\rb", "a\\x0db"),
        ("\x7f\x9b\u2028\u202e\u2066", "\\x7f\\x9b\\u2028\\u202e\\u2066"),
    ],
)
def test_only_what_steers_is_written_as_an_escape(given: str, shown: str) -> None:
    assert without_controls(given) == shown
