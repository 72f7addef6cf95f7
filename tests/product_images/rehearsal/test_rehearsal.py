"""Another cut-out model: rehearsed, promoted by decision, or chosen for one photo."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image

from crown.errors import BadInput, ConfigurationError, Refused
from crown.product_images import orphans, stages
from crown.product_images.rehearsal import (
    promotion,
)
from crown.product_images.rehearsal import (
    records as rehearsal_records,
)
from crown.product_images.rehearsal import (
    trial as rehearsal,
)
from crown.product_images.rehearsal.trial import Selection
from crown.product_images.share import review
from crown.product_images.workspace import (
    INBOX,
    INBOX_PHOTOS,
    PHOTOS,
    Workspace,
)
from tests.given import known_people
from tests.pictures import draw_part
from tests.product_images.flow import look, run
from tests.product_images.rehearsal.rehearsing import (
    DRAWN,
    EVERYTHING,
    KEPT,
    OTHER,
    TINY,
    by_photo,
    contents,
    rehearse,
    share,
)

ROOT = Path(__file__).resolve().parents[2]


def test_a_rehearsal_touches_neither_ledger_nor_share_nor_review(workspace: Workspace) -> None:
    before = contents(workspace.engine), share(workspace)
    seen: list[tuple[str, int, int]] = []
    done = rehearsal.rehearse(
        workspace, OTHER, EVERYTHING, who="eva", on_progress=lambda r, n, of: seen.append((r.photo, n, of))
    )
    assert (contents(workspace.engine), share(workspace)) == before
    assert run(workspace) == {}
    assert (done.done, done.same_bytes, done.failed) == (3, 1, 1)
    assert {photo for photo, _, _ in seen} == {KEPT, DRAWN, TINY}
    assert [counted for _, *counted in seen] == [[1, 3], [2, 3], [3, 3]]
    kept, drawn = by_photo(done)[KEPT], by_photo(done)[DRAWN]
    assert kept.same_bytes
    assert (kept.iou, kept.difference) == (1.0, 0.0)
    assert not drawn.same_bytes
    assert drawn.iou is not None
    assert 0 < drawn.iou < 1
    assert drawn.difference is not None
    assert drawn.difference > promotion.LIMIT
    today = {cutout.photo: cutout.facts["triage"] for cutout in review.cutouts(workspace)}[DRAWN]
    assert drawn.facts is not None
    assert drawn.facts["triage"]["features"] != today["features"]
    assert (drawn.score_before, drawn.score_after) == (today["score"], drawn.facts["triage"]["score"])
    assert workspace.objects.holds(drawn.after_hash or "")
    assert orphans.unknown_objects(workspace) == []


def test_the_sheet_lies_where_the_console_serves_previews(workspace: Workspace) -> None:
    done = rehearse(workspace)
    assert done.sheet == f"product_images/rehearsals/{done.rehearsal_id}.webp"
    with Image.open(workspace.settings.home / "previews" / done.sheet) as sheet:
        assert sheet.width > 3 * 180
        cells = [sheet.convert("RGB").crop((left, 0, left + 180, 180)) for left in (0, 186, 372)]
    red, blue = ((220, 30, 30), (30, 80, 220))
    near = [
        sum(all(abs(a - b) < 40 for a, b in zip(pixel, tint, strict=True)) for pixel in cell.getdata())
        for cell in cells
        for tint in (red, blue)
    ]
    assert near[:4] == [0, 0, 0, 0]
    assert sum(near[4:]) > 20


def test_a_broken_picture_is_a_row_with_a_sentence_and_its_neighbours_go_on(workspace: Workspace) -> None:
    done = by_photo(rehearse(workspace))
    assert "only 20 x 20 pixels" in (done[TINY].error or "")
    assert done[TINY].error_class == "PermanentFailure"
    assert done[KEPT].error is None
    assert done[DRAWN].error is None


def test_rehearsals_are_remembered_with_the_worst_first(workspace: Workspace) -> None:
    first, second = rehearse(workspace), rehearse(workspace, Selection(photos=(f"{KEPT[:-1]}?",)))
    assert [one.rehearsal_id for one in rehearsal_records.rehearsals(workspace)] == [
        second.rehearsal_id,
        first.rehearsal_id,
    ]
    shown = rehearsal_records.read(workspace, first.rehearsal_id)
    assert [result.photo for result in shown.results] == [TINY, DRAWN, KEPT]
    assert shown.as_row()["worst_difference"] == round(shown.results[1].difference or 0, 4)
    with pytest.raises(BadInput, match="no rehearsal 99"):
        rehearsal_records.read(workspace, 99)


def test_what_was_rehearsed_once_is_not_cut_out_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = by_photo(rehearse(workspace))
    monkeypatch.setattr(
        rehearsal, "_job", lambda workspace, recipe, row: pytest.fail(f"{row.photo} is cut again")
    )
    again = by_photo(rehearse(workspace, Selection(photos=(KEPT, DRAWN))))
    assert again[DRAWN] == first[DRAWN]
    assert again[KEPT] == first[KEPT]


def test_rejected_ones_and_a_steady_sample_can_be_chosen(workspace: Workspace) -> None:
    review.decide(workspace, DRAWN, "reject", who="eva", via="cli", reason="the hole is filled")
    assert rehearse(workspace, Selection(rejected=True)).photos == (DRAWN,)
    sample = rehearse(workspace, Selection(sample=2)).photos
    assert len(sample) == 2
    assert rehearse(workspace, Selection(sample=2)).photos == sample
    with pytest.raises(BadInput, match="No photo matches '5200077'"):
        rehearse(workspace, Selection(photos=("5200077",)))


def test_a_model_without_weights_is_refused_and_nothing_is_remembered(
    workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"u2net\.onnx is not in {workspace.settings.product_images.weights_dir}"
    ):
        rehearse(workspace, model="u2net")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "nonsense.onnx").write_bytes(b"weights")
    with pytest.raises(ConfigurationError, match="rembg knows no model nonsense"):
        rehearsal.rehearse(workspace, "nonsense", EVERYTHING, who="eva", weights_dir=tmp_path / "other")
    assert rehearsal_records.rehearsals(workspace) == []


@pytest.mark.crash
def test_a_killed_rehearsal_changes_nothing_and_what_it_did_is_not_done_again(
    workspace: Workspace, world: dict[str, str]
) -> None:
    larger = draw_part(workspace.media(INBOX) / "52000203.png", size=(800, 600), hole=66)
    for number in (4, 5):
        shutil.copyfile(larger, workspace.media(INBOX) / f"5200020{number}.png")
    look(workspace)
    for asset in (INBOX_PHOTOS, PHOTOS):
        stages.make(workspace, [asset])
    known_people(workspace.engine, "eva")
    before = contents(workspace.engine)
    process = subprocess.Popen(
        [sys.executable, "-m", "crown_cli.main", "images", "rehearse", OTHER, "--all", "--who", "eva"],
        cwd=ROOT,
        env=os.environ | world,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert first.startswith("1 of 6  ")
    assert contents(workspace.engine) == before
    (killed,) = rehearsal_records.rehearsals(workspace)
    assert killed.ended_at is None
    assert 1 <= killed.done < 6
    with pytest.raises(Refused, match="was not finished"):
        promotion.look(workspace, killed.rehearsal_id)
    orphans.remove_unfinished(workspace, older_than=timedelta(0))
    again = rehearse(workspace)
    assert again.done == 6
    done = by_photo(rehearsal_records.read(workspace, killed.rehearsal_id))
    assert all(by_photo(again)[photo] == result for photo, result in done.items() if not result.error)
    assert orphans.unknown_objects(workspace) == []
