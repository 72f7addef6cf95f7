"""A rehearsed model, promoted by decision; and another model for one photo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from crown.errors import BadInput, ConfigurationError, Refused
from crown.journal import logs, secrets
from crown.product_images import stages
from crown.product_images.cutout import models as cutout_models
from crown.product_images.cutout.studio import version
from crown.product_images.gates import CUTOUT_MODELS
from crown.product_images.rehearsal import (
    promotion,
)
from crown.product_images.rehearsal.trial import Selection
from crown.product_images.share import review
from crown.product_images.summary import PRODUCT_IMAGES
from crown.product_images.trace import trace
from crown.product_images.workspace import (
    CUTOUTS,
    INBOX,
    MASTERS,
    PHOTOS,
    PUBLISHED,
    RENDITIONS,
    Workspace,
)
from crown_cli.main import cli
from tests.given import known_people
from tests.pictures import draw_cut_out
from tests.product_images.flow import approve, published, run
from tests.product_images.rehearsal.rehearsing import (
    DRAWN,
    KEPT,
    OTHER,
    TINY,
    by_photo,
    contents,
    rehearse,
    share,
    standing,
    verdicts,
)
from tests.unit.test_cutout import dark_is_part_model


@pytest.fixture
def crown(
    workspace: Workspace, world: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Run `crown images ... --json`; returns what it answers, or what it says when it fails."""
    known_people(workspace.engine, "eva", "ute")
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str, exit_code: int = 0) -> Any:
        done = CliRunner().invoke(cli, ["images", *arguments, "--json"], env=world)
        assert done.exit_code == exit_code, done.output
        return json.loads(done.stdout) if exit_code == 0 else done.output

    yield called
    logs.close()
    secrets._known.clear()


def _said_by_the_doctor(workspace: Workspace) -> list[tuple[str, str]]:
    found = PRODUCT_IMAGES.database_findings(workspace.engine, workspace.settings)
    return [(one.verdict, one.what) for one in found]


def test_a_promotion_that_is_not_applied_changes_nothing(workspace: Workspace) -> None:
    number = rehearse(workspace).rehearsal_id
    before = contents(workspace.engine), share(workspace)
    meant = promotion.look(workspace, number)
    assert (meant.identical, meant.returning, meant.failing) == ([KEPT], [DRAWN], [TINY])
    assert promotion.look(workspace, number, 1.0).carried == [DRAWN]
    assert (contents(workspace.engine), share(workspace)) == before


def test_the_same_bytes_keep_their_approval_and_nothing_follows(workspace: Workspace) -> None:
    number = rehearse(workspace, Selection(photos=(KEPT,))).rehearsal_id
    before = published(workspace), verdicts(workspace, KEPT)
    assert promotion.promote(workspace, number, who="ute", via="cli").identical == [KEPT]
    made = run(workspace)
    assert {key for keys in made.values() for key in keys if key.startswith(KEPT)} == set()
    assert standing(workspace)[KEPT] == (OTHER, "approve")
    assert (published(workspace), verdicts(workspace, KEPT)) == before


def test_a_small_difference_is_approved_by_the_promotion_and_published(workspace: Workspace) -> None:
    done = rehearse(workspace)
    before, old = published(workspace), standing(workspace)
    promotion.promote(workspace, done.rehearsal_id, 1.0, who="ute", via="cli", reason="sharper edges")
    assert old[DRAWN] == ("studio", "approve")
    assert standing(workspace)[DRAWN] == (OTHER, "approve")
    (_, (verdict, who, reason)) = verdicts(workspace, DRAWN)
    assert (verdict, who) == ("approve", "ute")
    apart = by_photo(done)[DRAWN].difference
    assert f"rehearsal {done.rehearsal_id} it differed by {apart:.4f}" in reason
    made = run(workspace)
    assert CUTOUTS not in made, "the rehearsed bytes are taken over"
    assert made[MASTERS] == [DRAWN]
    changed = {path for path, content in published(workspace).items() if before[path] != content}
    assert changed == {path for path in before if path.startswith(DRAWN)}
    source = workspace.media(f"products/{DRAWN}/source/{DRAWN}.png")
    cutout = next(m for m in trace(workspace, str(source))["back"] if m["asset"] == CUTOUTS)
    assert cutout["recipe_body"]["model"] == OTHER
    assert cutout["facts"]["rehearsal"] == done.rehearsal_id
    assert cutout["versions"] == stages.FLOW.versions()
    assert cutout["who"] == "ute"


def test_a_large_difference_waits_for_the_review_and_stays_published_until_then(workspace: Workspace) -> None:
    number, before = rehearse(workspace).rehearsal_id, published(workspace)
    assert promotion.promote(workspace, number, who="ute", via="cli").returning == [DRAWN]
    assert run(workspace) == {}
    assert published(workspace) == before
    assert standing(workspace)[DRAWN] == (OTHER, None)
    assert [path.name for path in workspace.media("review/bg_removed").iterdir()] == [f"{DRAWN}.png"]
    approve(workspace, DRAWN)
    assert run(workspace)[MASTERS] == [DRAWN]


def test_a_small_difference_carries_no_approval_that_was_not_there(workspace: Workspace) -> None:
    review.decide(workspace, DRAWN, "withdraw", who="eva", via="cli", reason="wrong part")
    number = rehearse(workspace).rehearsal_id
    assert promotion.promote(workspace, number, 1.0, who="ute", via="cli").waiting == [DRAWN]
    assert standing(workspace)[DRAWN] == (OTHER, None)


def test_what_was_not_rehearsed_is_cut_out_by_the_next_run(workspace: Workspace) -> None:
    number = rehearse(workspace, Selection(photos=(KEPT,))).rehearsal_id
    meant = promotion.promote(workspace, number, 1.0, who="ute", via="cli")
    assert meant.cut_anew == [DRAWN, TINY]
    assert run(workspace)[CUTOUTS] == [DRAWN]
    assert standing(workspace)[DRAWN] == (OTHER, None)


def test_a_promotion_goes_before_the_setting_until_it_is_taken_back(workspace: Workspace) -> None:
    number, before = rehearse(workspace).rehearsal_id, published(workspace)
    promotion.promote(workspace, number, 1.0, who="ute", via="cli")
    run(workspace)
    with workspace.engine.connect() as connection:
        (said,) = cutout_models.standing_sentences(connection, workspace.settings)
    assert said.startswith(f"Photos are cut out by {OTHER}, promoted by ute")
    assert "CROWN_PRODUCT_IMAGES_CUTOUT_MODEL (studio) holds again after" in said
    assert _said_by_the_doctor(workspace) == [("ok", said)]
    meant = promotion.take_back(workspace, who="ute", via="cli", reason="blurred wires")
    assert (sorted(meant.there), meant.cut_anew) == ([KEPT, DRAWN], [TINY])
    assert CUTOUTS not in run(workspace)
    assert standing(workspace) == {KEPT: ("studio", "approve"), DRAWN: ("studio", "approve")}
    assert published(workspace) == before
    with pytest.raises(BadInput, match="No promotion is in force"):
        promotion.look_back(workspace)


def test_other_weights_than_the_rehearsed_ones_are_not_promoted(workspace: Workspace) -> None:
    number = rehearse(workspace).rehearsal_id
    assert workspace.settings.product_images.weights_dir is not None
    (workspace.settings.product_images.weights_dir / f"{OTHER}.onnx").write_bytes(
        dark_is_part_model(320) + b"\0"
    )
    with pytest.raises(Refused, match="is not what was rehearsed"):
        promotion.promote(workspace, number, who="ute", via="cli")


def test_a_raised_version_leaves_cut_outs_alone_until_it_is_promoted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(workspace.engine)["ledger.outputs"]
    monkeypatch.setattr(version, "STUDIO_VERSION", version.STUDIO_VERSION + 1)
    assert run(workspace) == {}
    assert contents(workspace.engine)["ledger.outputs"] == before
    with workspace.engine.connect() as connection:
        said = cutout_models.standing_sentences(connection, workspace.settings)
    assert said[1].startswith("2 cut-outs were made by an earlier version of studio")
    draw_cut_out(workspace.media(INBOX) / "52000203.png", shade=90)
    assert run(workspace)[CUTOUTS] == ["52000203"], "what is new is cut out by the version that is there"
    done = rehearse(workspace, model="studio")
    assert done.done - done.failed == done.same_bytes == 3
    promotion.promote(workspace, done.rehearsal_id, who="ute", via="cli")
    assert run(workspace) == {}
    with workspace.engine.connect() as connection:
        assert len(cutout_models.standing_sentences(connection, workspace.settings)) == 1


def test_a_photo_is_tried_again_with_the_raised_version_of_the_model_it_has(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "STUDIO_VERSION", version.STUDIO_VERSION + 1)
    cutout_models.choose(workspace, KEPT, "studio", who="eva", via="cli")
    assert run(workspace) == {CUTOUTS: [KEPT]}


def test_a_rejected_photo_is_tried_again_with_another_model_and_no_neighbour_is(workspace: Workspace) -> None:
    review.decide(workspace, DRAWN, "reject", who="eva", via="cli", reason="the hole is filled")
    run(workspace)
    neighbours = {path: content for path, content in published(workspace).items() if KEPT in path}
    (chosen,) = cutout_models.choose(workspace, DRAWN, OTHER, who="eva", via="cli", reason="chrome")
    assert (chosen.before, chosen.model) == ("studio", OTHER)
    made = run(workspace)
    assert made == {CUTOUTS: [DRAWN]}
    assert standing(workspace) == {KEPT: ("studio", "approve"), DRAWN: (OTHER, None)}
    approve(workspace, DRAWN)
    run(workspace)
    assert {p: c for p, c in published(workspace).items() if KEPT in p} == neighbours
    found = trace(workspace, f"products/{DRAWN}/source/{DRAWN}.png")
    assert (found["chosen_model"]["model"], found["chosen_model"]["who"]) == (OTHER, "eva")
    assert found["chosen_model"]["reason"] == "chrome"
    assert trace(workspace, f"products/{KEPT}/source/{KEPT}.png")["chosen_model"] is None


def test_taking_the_choice_back_returns_to_the_model_of_all(workspace: Workspace) -> None:
    before = standing(workspace), published(workspace)
    cutout_models.choose(workspace, DRAWN, OTHER, who="eva", via="cli")
    run(workspace)
    cutout_models.choose(workspace, DRAWN, None, who="eva", via="cli", reason="no better")
    assert CUTOUTS not in run(workspace)
    assert (standing(workspace), published(workspace)) == before
    with pytest.raises(BadInput, match="has a model of its own"):
        cutout_models.choose(workspace, DRAWN, None, who="eva", via="cli")


def test_a_photo_with_a_model_of_its_own_is_no_part_of_a_promotion(workspace: Workspace) -> None:
    number = rehearse(workspace).rehearsal_id
    cutout_models.choose(workspace, DRAWN, "studio", who="eva", via="cli")
    assert promotion.promote(workspace, number, 1.0, who="ute", via="cli").carried == []
    assert CUTOUTS not in run(workspace)
    assert standing(workspace)[DRAWN] == ("studio", "approve")
    assert DRAWN not in rehearse(workspace).photos


def test_a_photo_whose_weights_are_gone_waits_alone(workspace: Workspace) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"u2net\.onnx is not in {workspace.settings.product_images.weights_dir}"
    ):
        cutout_models.choose(workspace, DRAWN, "u2net", who="eva", via="cli")
    cutout_models.choose(workspace, DRAWN, OTHER, who="eva", via="cli")
    assert workspace.settings.product_images.weights_dir is not None
    (workspace.settings.product_images.weights_dir / f"{OTHER}.onnx").unlink()
    draw_cut_out(workspace.media(INBOX) / "52000204.png", shade=90)
    assert run(workspace)[CUTOUTS] == ["52000204"]
    with workspace.engine.connect() as connection:
        waiting = connection.execute(
            text("select waiting_for from ledger.items where asset = :asset and key = :key"),
            {"asset": CUTOUTS, "key": DRAWN},
        ).scalar_one()
    assert waiting == f"the weights of {OTHER}"
    ((verdict, what),) = _said_by_the_doctor(workspace)
    assert (verdict, what.split(":")[0]) == ("warn", "1 photos wait for it")


def test_a_retouch_goes_before_every_model(workspace: Workspace) -> None:
    draw_cut_out(workspace.media(f"review/bg_removed/{DRAWN}.png"), shade=200)
    run(workspace)
    with pytest.raises(Refused, match="is a person's retouch"):
        cutout_models.choose(workspace, DRAWN, OTHER, who="eva", via="cli")
    assert DRAWN not in rehearse(workspace).photos
    assert "person's retouch" in (rehearse(workspace, Selection(photos=(DRAWN,))).results[0].error or "")


def test_choices_are_decisions_with_person_and_reason(workspace: Workspace) -> None:
    cutout_models.choose(workspace, DRAWN, OTHER, who="eva", via="cli", reason="chrome")
    with workspace.engine.connect() as connection:
        said = connection.execute(
            text("select subject, verdict, who, reason from ledger.decisions where stage = :stage"),
            {"stage": CUTOUT_MODELS.stage},
        ).one()
        told = connection.execute(
            text("select new_values ->> 'model' from journal.activity where what = 'cutout_model_chosen'")
        ).scalar_one()
    assert tuple(said) == (DRAWN, "approve", "eva", "chrome")
    assert told == OTHER
    assert stages.plan(workspace, [PHOTOS, CUTOUTS])[0][CUTOUTS].pending == 1


def test_a_choice_waits_for_nothing_but_its_cut_out(workspace: Workspace) -> None:
    cutout_models.choose(workspace, KEPT, OTHER, who="eva", via="cli")
    made = run(workspace)
    assert made == {CUTOUTS: [KEPT]}, "the same bytes: neither master nor rendition nor file follows"
    assert not {MASTERS, PUBLISHED, *RENDITIONS.values()} & set(made)


def test_rehearsing_and_promoting_from_the_command_line(workspace: Workspace, crown: Any) -> None:
    assert crown("rehearsals") == []
    done = crown("rehearse", OTHER, "--photos", f"{KEPT}, {DRAWN}", "--who", "eva")
    assert (done["done"], done["same_bytes"], done["state"], done["who"]) == (2, 1, "finished", "eva")
    assert Path(done["sheet"]).is_file()
    number = str(done["rehearsal"])
    assert crown("rehearsal", number)["results"] == done["results"]
    assert [one["rehearsal"] for one in crown("rehearsals")] == [done["rehearsal"]]
    assert crown("promote", number)["returning"] == [DRAWN]
    assert crown("status")["models"] == [
        "Photos are cut out by studio (the setting CROWN_PRODUCT_IMAGES_CUTOUT_MODEL)."
    ]
    meant = crown("promote", number, "--limit", "1", "--apply", "--who", "ute", "--reason", "finer edges")
    assert (meant["applied"], meant["carried"], meant["identical"]) == (True, [DRAWN], [KEPT])
    assert crown("status")["models"][0].startswith(f"Photos are cut out by {OTHER}, promoted by ute on ")
    assert crown("promote", "default")["there"] == [KEPT, DRAWN]
    assert crown("promote", "default", "--apply")["applied"]
    assert standing(workspace)[DRAWN] == ("studio", "approve")
    assert "no rehearsal" in crown("promote", "first", exit_code=1)


def test_a_rejected_photo_gets_another_model_from_the_command_line(workspace: Workspace, crown: Any) -> None:
    refused = crown(
        "reject", DRAWN, "--reason", "hole filled", "--try-model", "u2net", "--apply", exit_code=2
    )
    assert f"u2net.onnx is not in {workspace.settings.product_images.weights_dir}" in " ".join(
        refused.split()
    )
    assert standing(workspace)[DRAWN] == ("studio", "approve"), (
        "nothing is rejected when the model cannot be used"
    )
    rejecting = ("reject", DRAWN, "--reason", "hole filled", "--try-model", OTHER, "--who", "eva")
    assert crown(*rejecting)["assets"][0]["keys"] == [DRAWN], "it would be cut out anew"
    assert standing(workspace)[DRAWN] == ("studio", "approve"), "nothing is changed without --apply"
    crown(*rejecting, "--apply")
    run(workspace)
    assert standing(workspace) == {KEPT: ("studio", "approve"), DRAWN: (OTHER, None)}
    approve(workspace, DRAWN)
    run(workspace)
    said = crown("trace", f"products/{DRAWN}/source/{DRAWN}.png")
    assert (said["chosen_model"]["model"], said["chosen_model"]["reason"]) == (OTHER, "hole filled")
    retrying = ("retry", DRAWN, "--model", "default", "--reason", "no better")
    (back,) = crown(*retrying)["items"]
    assert (back["before"], back["model"]) == (OTHER, "studio")
    assert standing(workspace)[DRAWN][0] == OTHER, "nothing is changed without --apply"
    assert crown(*retrying, "--apply")["items"] == [back]
    assert standing(workspace)[DRAWN] == ("studio", "reject")
