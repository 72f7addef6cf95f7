"""The completed jobs of a batch become one batch for Plainly, which is sent once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from crown.errors import BadInput, Refused
from crown.journal import logs, secrets
from crown.motion_jobs.deliverables.plainly_sending import PlainlyTarget, payload_of_batch
from crown.motion_jobs.workspace import Workspace
from crown_cli.main import cli
from tests.given import known_people
from tests.motion_jobs.department import deployed_job, open_motion
from tests.motion_jobs.plainly_server import Plainly, serving

TARGET = PlainlyTarget("p1", "t1", "https://media.example/")


@pytest.fixture
def workspace(engine: Engine, tmp_path: Path) -> Workspace:
    return open_motion(engine, tmp_path)


@pytest.fixture
def batch(workspace: Workspace, tmp_path: Path) -> str:
    return deployed_job(workspace, tmp_path / "media" / "motion" / "batches" / "small")


@pytest.fixture
def plainly() -> Iterator[Plainly]:
    with serving() as service:
        yield service


def test_the_completed_jobs_of_a_batch_make_one_payload(workspace: Workspace, batch: str) -> None:
    payload = payload_of_batch(workspace, batch, TARGET)
    assert (payload["projectId"], payload["templateIds"]) == ("p1", ["t1"])
    assert [one["webhookPassthrough"] for one in payload["batchData"]] == ["job_1"]
    [(slot, address)] = payload["batchData"][0]["parameters"].items()
    assert slot == "photo.png"
    assert re.fullmatch(r"https://media\.example/job_1/-1_Photo\.png", address)
    with pytest.raises(BadInput, match="There is no job"):
        payload_of_batch(workspace, "BATCH_20200101_000000", TARGET)


def test_a_template_that_was_changed_since_is_refused(
    workspace: Workspace, batch: str, tmp_path: Path
) -> None:
    template = tmp_path / "media" / "motion" / "batches" / "small" / "small.aep"
    template.write_bytes(template.read_bytes() + b" ")
    with pytest.raises(Refused, match=r"small\.aep was changed since the jobs of"):
        payload_of_batch(workspace, batch, TARGET)


def test_the_command_sends_with_apply_and_a_key_and_only_once(
    workspace: Workspace,
    batch: str,
    plainly: Plainly,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known_people(workspace.engine, "bea")
    monkeypatch.chdir(tmp_path)
    key = tmp_path / "plainly.key"
    key.write_text("key-4711\n")
    key.chmod(0o600)
    world = {
        "CROWN_DATABASE_URL": database_url,
        "CROWN_HOME": str(tmp_path),
        "CROWN_MOTION_JOBS_PLAINLY_URL": plainly.url,
    }
    given = ("--project-id", "p1", "--template-id", "t1", "--media-url", "https://media.example")

    def crown(*more: str, **environment: str) -> Result:
        arguments = ["motion", "plainly-batch", batch, *given, *more]
        return CliRunner().invoke(cli, arguments, env={**world, **environment})

    with_key = {"CROWN_MOTION_JOBS_PLAINLY_API_KEY_FILE": str(key)}
    try:
        assert "Nothing is sent; --apply sends it" in crown().output
        assert json.loads(crown("--json").output)["payload"]["projectId"] == "p1"
        without = crown("--apply", "--who", "bea")
        assert (without.exit_code, "PLAINLY_API_KEY_FILE is not set" in without.output) == (2, True)
        assert plainly.received == []
        plainly.cut = True
        lost = crown("--apply", "--who", "bea", **with_key)
        assert "answer got lost" in lost.output
        plainly.cut = False
        refused = crown("--apply", "--who", "bea", **with_key)
        assert (refused.exit_code, "bea was sending this batch" in refused.output) == (3, True)
        assert len(plainly.received) == 1
        sent = crown("--apply", "--again", "--who", "bea", **with_key)
        assert "Plainly took it: batch b1 with 1 jobs." in sent.output
        assert "Plainly has it already: batch b1" in crown("--apply", "--who", "bea", **with_key).output
        assert [one[1] for one in plainly.received] == ["key-4711:", "key-4711:"]
        with workspace.engine.connect() as connection:
            trail = connection.execute(
                text(
                    "select who, entity, new_values from journal.activity where what = 'user_action:plainly_batch'"
                )
            ).all()
        assert [(one.who, one.entity, one.new_values["plainly_batch"]) for one in trail] == [
            ("bea", "job_1", "b1")
        ]
    finally:
        logs.close()
        secrets._known.clear()
