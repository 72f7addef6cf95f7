"""`crown images` for people: acts on patterns, what has become of a photo, and lists that are read in part."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crown.product_images.workspace import (
    INBOX,
    NAME_CONFLICTS,
    REJECTED,
    Workspace,
)
from crown_cli.main import cli
from tests.cli.conftest import NUMBERS, SPEC, Crown
from tests.product_images.flow import finish, look, published, run, upload

ROOT = Path(__file__).resolve().parents[2]


def verdicts(crown: Crown) -> dict[str, str | None]:
    """What stands on each photo: the verdict of the sentence that `status` says."""
    return {
        one["photo"]: next(
            (word for word in ("approved", "rejected", "waits") if word in one["sentence"]), None
        )
        for number in NUMBERS
        for one in crown("status", number)
    }


def of(number: str) -> dict[str, str]:
    return {"target": "production", "path": f"{number}/thumbnail/{number}_{SPEC}.jpg"}


def test_a_rejection_of_published_photos_is_shown_first_and_withdrawing_it_restores_the_approvals(
    workspace: Workspace,
    crown: Crown,
) -> None:
    before = published(workspace)
    rejecting = ("reject", "5200010*", "--reason", "wrong series", "--who", "ute")
    tried = crown(*rejecting)
    assert [one["now"] for one in tried["photos"]] == ["approve (eva)"] * 4
    assert tried["held"][0]["subjects"] == NUMBERS
    assert set(verdicts(crown).values()) == {"approved"}
    crown(*rejecting, "--apply")
    assert set(verdicts(crown).values()) == {"rejected"}
    assert len(crown("status", "--rejected")) == 4
    taking_back = ("withdraw", "5200010*", "--reason", "it was right", "--who", "ute")
    assert [one["then"] for one in crown(*taking_back)["photos"]] == ["approve"] * 4
    crown(*taking_back, "--apply")
    assert set(verdicts(crown).values()) == {"approved"}
    assert crown("plan")["held"] == []
    assert run(workspace) == {}
    assert published(workspace) == before
    assert crown("status", "--rejected") == []


def test_several_patterns_are_approved_at_once_and_one_that_means_nothing_stops_all(
    workspace: Workspace,
    crown: Crown,
) -> None:
    crown("withdraw", "5200010*", "--reason", "look again", "--apply")
    refused = crown("approve", NUMBERS[0], "99*", "--apply", exit_code=1)
    assert "No cut-out matches '99*'" in refused
    assert set(verdicts(crown).values()) == {"waits"}
    done = crown("approve", NUMBERS[0], "5200010[12]", "--who", "eva", "--apply")
    assert [one["photo"] for one in done["photos"]] == NUMBERS[:3]
    assert verdicts(crown) == dict.fromkeys(NUMBERS[:3], "approved") | {NUMBERS[3]: "waits"}


def test_a_bulk_approval_by_score_is_about_what_nobody_decided_on(workspace: Workspace, crown: Crown) -> None:
    upload(workspace, "52000201.jpg", "52000202.jpg", "52000203.jpg")
    run(workspace)
    scores = {one["photo"]: one["score"] for one in crown("status", "--review")}
    assert set(scores) == {"52000201", "52000202", "52000203"}
    crown("reject", "52000201", "--reason", "hole filled", "--apply")
    highest = max(scores.values())
    above = crown("approve", "--score-above", str(highest), exit_code=1)
    assert f"undecided cut-out with a score above {highest:g}" in above
    done = crown("approve", "--score-above", str(min(scores.values()) - 1), "--apply")
    assert [one["photo"] for one in done["photos"]] == ["52000202", "52000203"]
    (rejected,) = crown("status", "52000201")
    assert "is rejected" in rejected["sentence"]
    assert "name photos, or give --score-above" in crown("approve", exit_code=2)


def test_only_what_follows_from_an_act_is_listed(workspace: Workspace, crown: Crown) -> None:
    finish(workspace, "52000200")
    look(workspace)
    assert [file["path"] for file in crown("plan")["files"]] == [of("52000200")["path"]]
    assert crown("retire", NUMBERS[0], "--reason", "sold out")["files"] == [
        {**of(NUMBERS[0]), "what": "removed"}
    ]
    tried = crown("retire", "52000200", "--reason", "sold out")
    assert tried["files"] == [{**of("52000200"), "what": "cancelled"}]
    assert tried["published"] == {"new": 0, "changed": 0, "removed": 0, "cancelled": 1}


@pytest.mark.parametrize("what", ["52000100", "review/rejected/52000100.png", "52000100.png", "HASH"])
def test_a_rejected_photo_is_found_with_its_reason_by_whatever_it_is_called(
    workspace: Workspace,
    crown: Crown,
    what: str,
) -> None:
    crown("reject", NUMBERS[0], "--reason", "hole filled", "--who", "ute", "--apply")
    (listed,) = crown("status", "--rejected")
    assert (listed["photo"], listed["reason"], listed["who"]) == (NUMBERS[0], "hole filled", "ute")
    assert listed["original"] == f"{REJECTED}/{NUMBERS[0]}.png"
    assert (workspace.settings.media / listed["original"]).is_file()
    (told,) = crown("trace", listed["content_hash"] if what == "HASH" else what)["photos"]
    assert told["original"] == listed["original"]
    assert "is rejected by ute" in told["sentence"]
    assert [(one["verdict"], one["who"], one["reason"]) for one in told["decisions"]] == [
        ("approve", "eva", None),
        ("reject", "ute", "hole filled"),
    ]


def test_a_product_is_traced_with_each_of_its_photos_and_a_published_file_with_its_photo(
    workspace: Workspace,
    crown: Crown,
) -> None:
    finish(workspace, f"{NUMBERS[0]}_front", f"{NUMBERS[0]}_01_022")
    run(workspace)
    keys = [NUMBERS[0], f"{NUMBERS[0]}_01_022", f"{NUMBERS[0]}_FRONT"]
    told = crown("trace", NUMBERS[0])
    assert told["made"] is None
    assert [one["photo"] for one in told["photos"]] == keys
    assert [one["published"] for one in told["photos"]] == [
        [f"production:{NUMBERS[0]}/thumbnail/{key}_{SPEC}.jpg"] for key in keys
    ]
    (path,) = told["photos"][2]["published"]
    file = crown("trace", path.replace(":", "/"))
    assert [one["photo"] for one in file["photos"]] == [f"{NUMBERS[0]}_FRONT"]
    assert file["made"]["asset"] == "product_images/production"


def test_a_file_that_was_not_taken_in_is_found_with_the_reason(workspace: Workspace, crown: Crown) -> None:
    (workspace.media(INBOX) / "IMG_1234.jpg").write_bytes(b"a camera's")
    (waiting,) = crown("trace", "IMG_1234.jpg")["refused"]
    assert waiting["folder"] == INBOX
    look(workspace)
    (refused,) = crown("trace", "IMG_1234.jpg")["refused"]
    assert refused["folder"] == NAME_CONFLICTS
    assert "would be of the product 'IMG'" in refused["sentence"]
    assert "would be of the product 'IMG'" in crown("status", "IMG_1234.jpg", exit_code=1)
    assert "is not known here" in crown("trace", "52999999", exit_code=1)


def test_the_table_of_the_review_has_no_hashes_and_its_json_has(
    workspace: Workspace,
    crown: Crown,
    world: dict[str, str],
) -> None:
    crown("withdraw", NUMBERS[0], "--reason", "look again", "--apply")
    (row,) = crown("status", "--review")
    assert len(row["content_hash"]) == 64
    shown = CliRunner().invoke(cli, ["images", "status", "--review"], env=world)
    assert NUMBERS[0] in shown.output
    assert row["content_hash"] not in shown.output


def test_texts_of_a_product_that_is_not_there_are_refused(workspace: Workspace, crown: Crown) -> None:
    said = crown("text", "52999999", "--description", "A disc", exit_code=1)
    assert "No photo of 52999999 was ever taken in" in said
    assert "was ever taken in" in crown("text", "52999999", exit_code=1)


@pytest.mark.parametrize(
    "arguments", [["images", "status"], ["images", "plan", "--json"], ["--help"], ["images", "approve", "*"]]
)
def test_an_answer_that_is_read_in_part_ends_quietly(
    workspace: Workspace,
    world: dict[str, str],
    arguments: list[str],
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "crown_cli.main", *arguments],
        cwd=ROOT, env={**os.environ, **world}, stdout=writing, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writing)
    assert done.stderr == b""


def test_what_is_applied_is_applied_although_nobody_reads_the_answer(
    workspace: Workspace,
    world: dict[str, str],
    crown: Crown,
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command: list[Any] = ["reject", NUMBERS[0], "--reason", "hole filled", "--apply"]
    done = subprocess.run(
        [sys.executable, "-m", "crown_cli.main", "images", *command],
        cwd=ROOT, env={**os.environ, **world}, stdout=writing, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.stderr, done.returncode) == (b"", 141)
    assert verdicts(crown)[NUMBERS[0]] == "rejected"
