"""People in the review: copies, edits, renames, rejections by taking away, and what is not read as one."""

from __future__ import annotations

import shutil
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from sqlalchemy import text

from crown.errors import SystemicFailure
from crown.product_images import stages
from crown.product_images.share import folders, moves, review, review_folder
from crown.product_images.trace import trace
from crown.product_images.workspace import (
    CUTOUTS,
    INBOX,
    INBOX_PHOTOS,
    MASTERS,
    PHOTOS,
    READY,
    REVIEW,
    Workspace,
)
from crown.store import files
from tests.closed import closed
from tests.pictures import draw_part
from tests.product_images.flow import any_number, approve, finish, look, run, upload
from tests.product_images.share.cells import (
    EDITED,
    GONE,
    PUT,
    RENAMED,
    cell,
    decisions,
    mark,
    names,
    uploads,
)


def cut_already(workspace: Workspace, red: int = 200) -> Path:
    """A photo that needs no engine, for its backdrop is transparent, waits in review: its file there."""
    picture = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    picture.paste((red, 30, 30, 255), (10, 10, 50, 30))
    picture.save(workspace.media(INBOX) / "52000123.png")
    look(workspace)
    for asset in (INBOX_PHOTOS, PHOTOS, CUTOUTS):
        stages.make(workspace, [asset], run_id="run-1")
    review_folder.show(workspace)
    return workspace.media(REVIEW) / "52000123.png"


def logged(workspace: Workspace) -> str:
    """The log file, which a workspace writes from its first stage on."""
    return (workspace.settings.logs / "crown.log").read_text("utf-8")


@cell("review/bg_removed", PUT)
def test_a_copy_of_what_is_shown_changes_nothing_and_another_picture_is_a_retouch(shown: Workspace) -> None:
    mine = shown.media(REVIEW) / "52000123.PNG"
    (shown.media(REVIEW) / "52000123.png").rename(mine)
    shutil.copyfile(mine, shown.media(REVIEW) / "52000123.png")
    look(shown)
    assert (decisions(shown), uploads(shown)) == ([], [("52000123", "original")])
    picture = Image.new("RGBA", (300, 200), (200, 30, 30, 255))
    picture.save(shown.media(REVIEW) / "52000777.png")
    look(shown)
    assert uploads(shown)[1:] == [("52000777", "original"), ("52000777", "retouch")]
    assert decisions(shown) == []


@cell("review/bg_removed", EDITED)
def test_an_edit_in_review_is_a_retouch_that_waits_for_an_approval(shown: Workspace) -> None:
    edited = mark(shown.media(REVIEW) / "52000123.png")
    made = run(shown)
    assert made[CUTOUTS] == ["52000123"]
    assert MASTERS not in made
    assert review.cutouts(shown)[0].content_hash == edited
    assert files.sha256(shown.media(REVIEW) / "52000123.png") == edited
    approve(shown)
    assert run(shown)[MASTERS] == ["52000123"]


@cell("review/bg_removed", RENAMED)
def test_a_new_number_in_review_is_that_photos_picture_and_keeps_its_original(shown: Workspace) -> None:
    (shown.media(REVIEW) / "52000123.png").rename(shown.media(REVIEW) / "52000456.png")
    run(shown)
    assert decisions(shown) == [("52000123", "reject", "share")]
    assert names(shown, REVIEW) == ["52000456.png"]
    approve(shown, "52000456")
    run(shown)
    found = trace(shown, str(shown.media("products/52000456/source/52000456.png")))
    assert {one["content_hash"] for one in found["uploads"] if one["kind"] == "original"} == {
        files.sha256(draw_part(shown.settings.home / "same.jpg"))
    }


@pytest.mark.parametrize("name", ["52000123.PNG", "52000123.Png"])
def test_a_change_of_case_in_review_is_no_decision_and_the_file_goes_when_it_is_decided(
    shown: Workspace, name: str
) -> None:
    (shown.media(REVIEW) / "52000123.png").rename(shown.media(REVIEW) / name)
    run(shown)
    assert decisions(shown) == []
    assert names(shown, REVIEW) == [name]
    approve(shown)
    review_folder.show(shown)
    assert names(shown, REVIEW) == []


def test_a_name_in_another_form_of_unicode_is_the_same_file(workspace: Workspace) -> None:
    workspace = any_number(workspace)
    upload(workspace, "caf\u00e9.jpg")
    run(workspace)
    composed = workspace.media(REVIEW) / "CAF\u00c9.png"
    composed.rename(composed.with_name(unicodedata.normalize("NFD", composed.name)))
    run(workspace)
    assert decisions(workspace) == []
    assert len(names(workspace, REVIEW)) == 1
    decomposed = composed.with_name(unicodedata.normalize("NFD", composed.name))
    decomposed.rename(workspace.media(READY) / decomposed.name)
    assert run(workspace)[MASTERS] == ["CAF\u00c9"]
    assert decisions(workspace) == [("CAF\u00c9", "approve", "share")]


@cell("review/bg_removed", GONE)
def test_a_file_taken_from_review_is_rejected(shown: Workspace) -> None:
    (shown.media(REVIEW) / "52000123.png").unlink()
    look(shown)
    assert decisions(shown) == [("52000123", "reject", "share")]


@pytest.mark.parametrize("spoilt", ["no picture any more", "nothing", "a link", "the earlier cut-out"])
def test_a_picture_that_we_set_aside_from_review_is_no_rejection_and_is_laid_out_again(
    workspace: Workspace, spoilt: str, tmp_path: Path
) -> None:
    path = cut_already(workspace)
    if spoilt == "no picture any more":
        path.write_text("<html>not a picture</html>")
    elif spoilt == "nothing":
        path.write_bytes(b"")
    elif spoilt == "a link":
        path.rename(tmp_path / "moved.png")
        path.symlink_to(tmp_path / "moved.png")
    else:
        shutil.copyfile(path, tmp_path / "old.png")
        cut_already(workspace, red=100)
        shutil.copyfile(tmp_path / "old.png", path)
    look(workspace)
    review_folder.show(workspace)
    assert [name for name in names(workspace, "errors") if name.endswith("52000123.png")]
    assert decisions(workspace) == []
    assert files.sha256(path) == review.cutouts(workspace)[0].content_hash


def test_a_rejection_by_taking_away_is_undone_by_putting_the_file_back(
    workspace: Workspace, tmp_path: Path
) -> None:
    path = cut_already(workspace)
    path.rename(tmp_path / "recycled.png")
    look(workspace)
    review_folder.show(workspace)
    shutil.copyfile(tmp_path / "recycled.png", path)
    look(workspace)
    review_folder.show(workspace)
    assert decisions(workspace) == [("52000123", "reject", "share"), ("52000123", "withdraw", "share")]
    assert names(workspace, REVIEW) == ["52000123.png"]
    approve(workspace)
    review_folder.show(workspace)
    assert names(workspace, REVIEW) == []


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_a_decided_picture_put_into_review_again_goes_and_the_log_says_what_was_decided(
    workspace: Workspace, tmp_path: Path, verdict: Literal["approve", "reject"]
) -> None:
    path = cut_already(workspace)
    shutil.copyfile(path, tmp_path / "copy.png")
    review.decide(workspace, "52000123", verdict, who="eva", via="cli", reason="seen")
    review_folder.show(workspace)
    shutil.copyfile(tmp_path / "copy.png", path)
    look(workspace)
    assert decisions(workspace) == [("52000123", verdict, "eva")]
    assert names(workspace, REVIEW) == []
    assert f"eva has said {verdict} to this picture already" in logged(workspace)


@pytest.mark.parametrize("folder", [READY, REVIEW])
def test_a_program_that_saves_under_a_name_of_its_own_is_not_disturbed(
    workspace: Workspace, folder: str
) -> None:
    saving = workspace.media(folder) / "52000123.png.sb-a1b2c3"
    saving.write_bytes(b"half of it")
    assert moves.collect(workspace, settle_seconds=0).unfinished == [saving.name]
    assert saving.exists()


def test_a_file_that_grows_for_ever_holds_up_no_rejection_of_another(workspace: Workspace) -> None:
    path = cut_already(workspace)
    growing = workspace.media(READY) / "52000999.png"
    growing.write_bytes(b"1")
    path.unlink()
    assert moves.collect(workspace, settle_seconds=0).unfinished == [growing.name]
    assert decisions(workspace) == [("52000123", "reject", "share")]


def test_a_picture_that_is_still_copied_to_ready_is_not_rejected_meanwhile(workspace: Workspace) -> None:
    path = cut_already(workspace)
    path.rename(workspace.media(READY) / "52000123.PNG")
    assert moves.collect(workspace, settle_seconds=0).rejected == []
    look(workspace)
    assert decisions(workspace) == [("52000123", "approve", "share")]


def test_a_persons_folder_that_may_not_be_read_is_said_and_nothing_counts_as_taken_away(
    workspace: Workspace,
) -> None:
    path = cut_already(workspace)
    mine = workspace.media(READY) / "eva"
    mine.mkdir()
    path.rename(mine / path.name)
    with closed(mine):
        folders.seen_by_people(workspace)
        look(workspace)
    assert decisions(workspace) == []
    assert "ready_for_formatting/eva may not be looked into" in logged(workspace)
    look(workspace)
    assert decisions(workspace) == [("52000123", "approve", "eva")]


@pytest.mark.parametrize("folder", [INBOX, READY, REVIEW])
def test_a_folder_that_may_not_be_read_is_not_an_empty_one(workspace: Workspace, folder: str) -> None:
    path = cut_already(workspace)
    with closed(workspace.media(folder)), suppress(SystemicFailure):
        look(workspace)
    assert decisions(workspace) == []
    look(workspace)
    assert names(workspace, REVIEW) == [path.name]


def test_a_folder_alone_starts_the_run_that_says_so_once(workspace: Workspace) -> None:
    (workspace.media(INBOX) / "shoot 03").mkdir()
    first = folders.seen_by_people(workspace)
    draw_part(workspace.media(INBOX) / "shoot 03" / "52000123.jpg")
    assert folders.seen_by_people(workspace) == first == [("inbox/shoot 03/", "folder", True)]


def test_the_owner_of_a_file_retouched_it_and_the_folder_says_who_approved(workspace: Workspace) -> None:
    finish(workspace, "52000123", person="eva")
    owner = (workspace.media(READY) / "eva" / "52000123.png").owner()
    look(workspace)
    with workspace.engine.connect() as connection:
        uploaders = connection.execute(text("select uploader from product_images.uploads")).scalars()
        assert set(uploaders) == {owner}
    assert decisions(workspace) == [("52000123", "approve", "eva")]


def test_brackets_in_a_number_are_decided_like_any_other(workspace: Workspace) -> None:
    workspace = any_number(workspace)
    upload(workspace, "5200[1].jpg", "52001.jpg")
    run(workspace)
    (workspace.media(REVIEW) / "5200[1].png").unlink()
    look(workspace)
    assert decisions(workspace) == [("5200[1]", "reject", "share")]
    review.decide(workspace, "5200[1]", "approve", who="eva", via="cli")
    assert ("5200[1]", "approve", "eva") in decisions(workspace)
    review.decide(workspace, "5200[1]", "withdraw", who="eva", via="cli")
    assert ("5200[1]", "withdraw", "eva") in decisions(workspace)


def test_a_folder_emptied_by_accident_rejects_nothing_and_is_filled_again(workspace: Workspace) -> None:
    numbers = [f"5200{n:04}" for n in range(moves.MOST_GONE + 1)]
    for number in numbers:
        Image.new("RGBA", (60, 40), (int(number) % 256, 30, 30, 255)).save(
            workspace.media(REVIEW) / f"{number}.png"
        )
    run(workspace)
    assert len(names(workspace, REVIEW)) == len(numbers)
    shutil.rmtree(workspace.media(REVIEW))
    workspace.media(REVIEW).mkdir()
    report = moves.collect(workspace, settle_seconds=0)
    assert (report.rejected, report.held) == ([], numbers)
    assert decisions(workspace) == []
    run(workspace)
    assert names(workspace, REVIEW) == [f"{number}.png" for number in numbers]
    for number in numbers[: moves.MOST_GONE]:
        (workspace.media(REVIEW) / f"{number}.png").unlink()
    look(workspace)
    assert len(decisions(workspace)) == moves.MOST_GONE


def test_approving_many_at_once_by_moving_them_is_no_accident(workspace: Workspace) -> None:
    numbers = [f"5200{n:04}" for n in range(moves.MOST_GONE + 1)]
    for number in numbers:
        Image.new("RGBA", (60, 40), (int(number) % 256, 30, 30, 255)).save(
            workspace.media(REVIEW) / f"{number}.png"
        )
    run(workspace)
    for number in numbers:
        (workspace.media(REVIEW) / f"{number}.png").rename(workspace.media(READY) / f"{number}.png")
    look(workspace)
    assert {(verdict, who) for _, verdict, who in decisions(workspace)} == {("approve", "share")}
    assert len(decisions(workspace)) == len(numbers)


def test_a_persons_file_under_a_name_of_ours_is_a_retouch_and_its_removal_no_rejection(
    workspace: Workspace,
) -> None:
    upload(workspace, "52000123.jpg")
    picture = Image.new("RGBA", (300, 200), (1, 2, 3, 255))
    look(workspace)
    picture.save(workspace.media(REVIEW) / "52000123.png")
    review_folder.show(workspace)
    run(workspace)
    assert review.cutouts(workspace)[0].facts["retouch"]
    assert decisions(workspace) == []
