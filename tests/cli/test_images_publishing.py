"""`crown images` for publishing: what each command says, in JSON, and that nothing is changed without --apply."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crown.product_images.adopt import entries as adopt_ledger
from crown.product_images.workspace import PRODUCTION, PUBLISHED, Workspace
from tests.cli.conftest import NUMBERS, SPEC, Crown
from tests.product_images.flow import published, run

ROOT = Path(__file__).resolve().parents[2]


def test_a_large_removal_is_tried_held_shown_and_confirmed(workspace: Workspace, crown: Crown) -> None:
    assert crown("plan")["published"] == {"new": 0, "changed": 0, "removed": 0}
    tried = crown("withdraw", "5200010[01]", "--reason", "wrong series")
    assert tried["held"][0]["subjects"] == NUMBERS[:2]
    assert [(one["photo"], one["now"], one["then"]) for one in tried["photos"]] == [
        (number, "approve (eva)", None) for number in NUMBERS[:2]
    ]
    assert not tried["applied"]
    assert crown("plan")["held"] == []
    crown("withdraw", "5200010[01]", "--reason", "wrong series", "--who", "eva", "--apply")
    assert crown("plan")["held"][0]["subjects"] == NUMBERS[:2]
    run(workspace)
    assert len(published(workspace)) == 4
    (held,) = crown("status")["held"]
    assert crown("confirm") == {"applied": False, "plans": [held]}
    run(workspace)
    assert len(published(workspace)) == 4
    assert crown("confirm", "production", "--plan", held["plan_hash"][:12], "--apply")["applied"]
    run(workspace)
    assert len(published(workspace)) == 2
    assert crown("status")["held"] == []


def test_retiring_is_tried_done_and_taken_back(workspace: Workspace, crown: Crown) -> None:
    tried = crown("retire", NUMBERS[0], "--reason", "no longer sold")
    gone = {
        "target": "production",
        "path": f"{NUMBERS[0]}/thumbnail/{NUMBERS[0]}_{SPEC}.jpg",
        "what": "removed",
    }
    assert tried["files"] == [gone]
    assert crown("plan")["files"] == []
    assert crown("retire", NUMBERS[0], "--reason", "no longer sold", "--apply")["files"] == [gone]
    run(workspace)
    assert len(published(workspace)) == 3
    assert crown("unretire", NUMBERS[0])["files"] == [{**gone, "what": "new"}]
    assert crown("plan")["files"] == []
    assert crown("unretire", NUMBERS[0], "--apply")["published"]["new"] == 1
    run(workspace)
    assert len(published(workspace)) == 4


def test_a_rebuild_is_tried_and_asked_for(workspace: Workspace, crown: Crown) -> None:
    tried = {row["asset"]: row["to_make"] for row in crown("rebuild", NUMBERS[0])["assets"]}
    assert tried == {"product_images/renditions/thumbnail": 1, PUBLISHED: 1}
    assert run(workspace) == {}
    crown("rebuild", NUMBERS[0], "--apply")
    assert run(workspace)[PUBLISHED] == [f"{NUMBERS[0]}/thumbnail/{NUMBERS[0]}_{SPEC}.jpg"]
    assert "is not an asset" in crown("rebuild", NUMBERS[0], "--asset", "nothing", exit_code=1)


def test_texts_are_changed_and_the_change_is_due_at_once(workspace: Workspace, crown: Crown) -> None:
    said = crown(
        "text", NUMBERS[0], "--description", "A disc", "--keywords", "disc, front", "--tag", "artist=eva"
    )
    assert (said["image_description"], said["keywords"], said["artist"]) == (
        "A disc",
        ["disc", "front"],
        "eva",
    )
    assert crown("status")["assets"]["product_images/texts"]["pending"] == 1
    assert [file["path"] for file in crown("plan")["files"]] == [
        f"{NUMBERS[0]}/thumbnail/{NUMBERS[0]}_{SPEC}.jpg"
    ]
    assert "write it as NAME=TEXT" in crown("text", NUMBERS[0], "--tag", "artist", exit_code=1)


def test_what_is_kept_for_the_record_is_a_line_of_text(workspace: Workspace, crown: Crown) -> None:
    for act in ("withdraw", "retire", "reject"):
        assert "it is empty" in crown(act, NUMBERS[0], "--reason", " ", exit_code=2)
        assert "Missing option '--reason'" in crown(act, NUMBERS[0], exit_code=2)
    said = crown("withdraw", NUMBERS[0], "--reason", "x\x1b[2J", exit_code=2)
    assert "control character" in said
    assert crown("plan")["files"] == []


@pytest.mark.parametrize("command", ["trace", "retry", "unretire", "text", "approve"])
def test_words_that_are_no_text_are_refused_in_a_sentence(
    workspace: Workspace, crown: Crown, command: str
) -> None:
    assert "no text (UTF-8)" in crown(command, "5200\udce4", exit_code=2)


def test_files_of_any_name_are_answered_for_in_json_that_can_be_read(
    workspace: Workspace, world: dict[str, str], crown: Crown
) -> None:
    theirs = Path(os.fsdecode(os.fsencode(workspace.roots[PRODUCTION]) + b"/gr\xc3\xb6\xe4.jpg"))
    theirs.write_bytes(b"theirs")
    assert "is not known here" in crown("trace", str(theirs), exit_code=1)
    done = subprocess.run(
        [sys.executable, "-m", "crown_cli.main", "images", "verify", "--json"],
        cwd=ROOT, env={**os.environ, **world}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["foreign"] == ["production:gr\u00f6\\xe4.jpg"]


def test_unknown_products_are_listed_tried_and_retired(workspace: Workspace, crown: Crown) -> None:
    number = "52000100_1"
    picture = workspace.media("products") / number / "source" / f"{number}_1.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"of a second upload")
    adopt_ledger.keep(workspace, f"products/{number}/source/{picture.name}", picture)
    (listed,) = crown("unknown-products")["unknown_products"]
    assert (listed["number"], listed["files"]) == (
        number,
        [f"media:products/{number}/source/{picture.name}"],
    )
    assert "needs a reason" in crown("unknown-products", number, "--retire", exit_code=2)
    retiring = ("unknown-products", number, "--retire", "--reason", "no product")
    assert crown(*retiring) == {"retired": False, "unknown_products": [listed]}
    assert picture.exists()
    assert crown(*retiring, "--apply") == {
        "retired": True,
        "unknown_products": [listed],
    }
    assert not picture.parent.exists()
    assert crown("unknown-products")["unknown_products"] == []
