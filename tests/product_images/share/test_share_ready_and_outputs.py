"""People in the folders of failures and errors, in ready_for_formatting, and among the outputs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from crown.flow.verify import verify
from crown.ledger import counts, planning
from crown.product_images.share import folders, rejected, review, review_folder
from crown.product_images.workspace import (
    INBOX,
    MASTERS,
    READY,
    REJECTED,
    RENDITIONS,
    REVIEW,
    REVIEW_FAILED,
    Workspace,
)
from crown.store import files
from tests.closed import closed
from tests.pictures import draw_part
from tests.product_images.flow import approve, finish, hashes, look, run, upload
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

WEB = "1000x1000_72dpi_jpeg"


@pytest.fixture
def done(workspace: Workspace) -> Workspace:
    """Two published photos."""
    finish(workspace, "52000123", "52000124_2")
    run(workspace)
    return workspace


@pytest.fixture
def failed(workspace: Workspace) -> Workspace:
    """A photo that cannot be cut out."""
    Image.new("RGB", (300, 200), (240, 240, 240)).save(workspace.media(INBOX) / "52000123.jpg")
    run(workspace)
    assert names(workspace, REVIEW_FAILED) == ["52000123.png"]
    return workspace


@cell("review/bg_removal_failed", PUT, EDITED, RENAMED)
def test_work_in_the_folder_of_failures_counts_when_it_is_put_into_ready(failed: Workspace) -> None:
    shown = failed.media(REVIEW_FAILED) / "52000123.png"
    edited = mark(shown)
    shutil.copyfile(shown, shown.with_name("52000999.png"))
    shown.rename(shown.with_name("52000123 new.png"))
    run(failed)
    assert names(failed, REVIEW_FAILED) == ["52000123 new.png", "52000999.png"]
    assert (decisions(failed), uploads(failed)) == ([], [("52000123", "original")])
    (failed.media(REVIEW_FAILED) / "52000123 new.png").rename(failed.media(READY) / "52000123.png")
    assert run(failed)[MASTERS] == ["52000123"]
    assert review.cutouts(failed)[0].content_hash == edited


@cell("review/bg_removal_failed", GONE)
def test_a_failure_that_was_taken_away_comes_back_only_with_a_newer_one(failed: Workspace) -> None:
    (failed.media(REVIEW_FAILED) / "52000123.png").unlink()
    run(failed)
    assert names(failed, REVIEW_FAILED) == []
    Image.new("RGB", (320, 200), (241, 241, 241)).save(failed.media(INBOX) / "52000123.jpg")
    run(failed)
    assert names(failed, REVIEW_FAILED) == ["52000123.png"]


def test_a_failure_goes_from_its_folder_when_a_retouch_has_come(failed: Workspace) -> None:
    shutil.copyfile(failed.media(REVIEW_FAILED) / "52000123.png", failed.media(READY) / "52000123.png")
    mark(failed.media(READY) / "52000123.png")
    run(failed)
    assert names(failed, REVIEW_FAILED) == []


@cell("review/name_conflicts", PUT, EDITED, RENAMED, GONE)
def test_nothing_in_name_conflicts_is_looked_at_until_it_is_put_back_under_a_good_name(
    workspace: Workspace,
) -> None:
    upload(workspace, "_1.jpg")
    look(workspace)
    folder = workspace.media("review/name_conflicts")
    (folder / "_1.jpg").rename(folder / "52000123.jpg")
    draw_part(folder / "52000999.jpg")
    look(workspace)
    assert uploads(workspace) == []
    assert names(workspace, "review/name_conflicts") == ["52000123.jpg", "52000999.jpg"]
    (folder / "52000123.jpg").rename(workspace.media(INBOX) / "52000123.jpg")
    (folder / "52000999.jpg").unlink()
    look(workspace)
    assert uploads(workspace) == [("52000123", "original")]


@cell("errors", PUT, EDITED, RENAMED, GONE)
def test_a_file_put_back_from_the_errors_is_the_photo_it_was_and_its_note_goes(
    workspace: Workspace, part: Path
) -> None:
    (workspace.media(INBOX) / "52000123.jpg").write_bytes(part.read_bytes()[:2000])
    look(workspace)
    broken, note = sorted(workspace.media("errors").iterdir())
    assert broken.name.endswith("_52000123.jpg")
    shutil.copyfile(part, broken)
    broken.rename(workspace.media(INBOX) / broken.name)
    note.rename(workspace.media(INBOX) / note.name)
    look(workspace)
    assert uploads(workspace) == [("52000123", "original")]
    assert (names(workspace, INBOX), names(workspace, "errors")) == ([], [])


@pytest.mark.parametrize("folder", ["errors", "review/name_conflicts"])
def test_a_note_goes_when_the_file_that_it_explains_has_gone_unless_someone_wrote_in_it(
    workspace: Workspace, folder: str
) -> None:
    bad = {"errors": "5200{}.jpg", "review/name_conflicts": "_{}.jpg"}[folder]
    for number in range(3):
        (workspace.media(INBOX) / bad.format(number)).write_bytes(b"no picture")
    look(workspace)
    kept, gone, written_in = (
        path for path in sorted(workspace.media(folder).iterdir()) if path.suffix == ".jpg"
    )
    for path in (gone, written_in):
        path.unlink()
    mine = written_in.with_name(f"{written_in.name}.error.txt")
    mine.write_text(f"{mine.read_text()}photographed again, eva\n")
    other = workspace.media(folder) / "theirs.error.txt"
    other.write_text("never ours")
    look(workspace)
    assert names(workspace, folder) == sorted([kept.name, f"{kept.name}.error.txt", mine.name, other.name])
    note = kept.with_name(f"{kept.name}.error.txt")
    note.rename(workspace.media(INBOX) / note.name)
    mine.rename(workspace.media(INBOX) / mine.name)
    look(workspace)
    assert names(workspace, folder)[:2] == [kept.name, note.name]
    assert names(workspace, INBOX) == []
    assert (workspace.media("errors") / mine.name).read_text().endswith("photographed again, eva\n")


@cell("ready_for_formatting", PUT)
@pytest.mark.parametrize("how", [shutil.copyfile, os.rename])
@pytest.mark.parametrize(("folder", "who"), [("", "share"), ("eva", "eva")])
def test_a_cut_out_copied_or_moved_to_ready_is_approved(
    shown: Workspace, how: Callable[[Path, Path], object], folder: str, who: str
) -> None:
    target = shown.media(READY) / folder
    target.mkdir(exist_ok=True)
    how(shown.media(REVIEW) / "52000123.png", target / "52000123.png")
    assert run(shown)[MASTERS] == ["52000123"]
    assert decisions(shown) == [("52000123", "approve", who)]
    assert (names(shown, REVIEW), [p for p in target.iterdir() if p.is_file()]) == ([], [])


@cell("ready_for_formatting", EDITED)
def test_an_edited_cut_out_in_ready_is_a_retouch_and_approved(shown: Workspace) -> None:
    path = shown.media(READY) / "52000123.png"
    (shown.media(REVIEW) / "52000123.png").rename(path)
    edited = mark(path)
    assert run(shown)[MASTERS] == ["52000123"]
    assert files.sha256(shown.media("products/52000123/source/52000123.png")) == edited


@pytest.mark.parametrize(("ending", "kind"), [("jpg", "JPEG"), ("tif", "TIFF"), ("webp", "WEBP")])
def test_a_finished_picture_keeps_its_kind_and_is_called_what_it_is(
    workspace: Workspace, ending: str, kind: str
) -> None:
    picture = Image.new("RGB", (300, 200), (200, 30, 30))
    picture.save(workspace.media(READY) / f"52000777.{ending}")
    picture.save(workspace.media(REVIEW) / f"52000778.{ending}")
    mine = files.sha256(workspace.media(READY) / f"52000777.{ending}")
    made = run(workspace)
    assert made[MASTERS] == ["52000777"]
    assert f"52000777/{WEB}" in made[RENDITIONS["web"]]
    master = workspace.media(f"products/52000777/source/52000777.{ending}")
    assert [path.name for path in master.parent.iterdir()] == [master.name]
    assert files.sha256(master) == mine
    assert names(workspace, REVIEW) == [f"52000778.{ending}"]
    edited = mark(workspace.media(REVIEW) / f"52000778.{ending}", colour=(0, 0, 255, 255), keep=kind)
    run(workspace)
    assert review.cutouts(workspace, "52000778")[0].content_hash == edited
    picture.convert("RGBA").save(workspace.media(READY) / "52000777.png")
    run(workspace)
    assert [path.name for path in master.parent.iterdir()] == ["52000777.png"]
    approve(workspace)
    review_folder.show(workspace)
    assert names(workspace, REVIEW) == []


@cell("ready_for_formatting", RENAMED)
def test_a_cut_out_renamed_in_ready_is_the_master_of_the_photo_of_its_new_name(shown: Workspace) -> None:
    path = shown.media(READY) / "52000123.png"
    (shown.media(REVIEW) / "52000123.png").rename(path)
    path.rename(path.with_name("52000456_1.png"))
    assert run(shown)[MASTERS] == ["52000456_1"]
    assert ("52000456_1", "approve", "share") in decisions(shown)


@cell("ready_for_formatting", GONE)
def test_a_cut_out_that_left_review_and_ready_is_rejected(shown: Workspace) -> None:
    path = shown.media(READY) / "52000123.png"
    (shown.media(REVIEW) / "52000123.png").rename(path)
    folders.seen_by_people(shown)
    path.unlink()
    look(shown)
    assert decisions(shown) == [("52000123", "reject", "share")]


@pytest.mark.parametrize("folder", [READY, REVIEW])
def test_the_cut_out_of_an_earlier_photo_approves_nothing(
    shown: Workspace, folder: str, tmp_path: Path
) -> None:
    shutil.copyfile(shown.media(REVIEW) / "52000123.png", tmp_path / "old.png")
    upload(shown, "52000123.jpg", shade=140)
    run(shown)
    shutil.copyfile(tmp_path / "old.png", shown.media(folder) / "52000123.png")
    run(shown)
    assert all(verdict != "approve" for _, verdict, _ in decisions(shown))
    assert [name for name in names(shown, "errors") if name.endswith("52000123.png")]


def test_a_file_that_may_not_be_read_holds_up_no_other(shown: Workspace) -> None:
    locked = shown.media(READY) / "52000999.png"
    locked.write_bytes(b"x")
    (shown.media(REVIEW) / "52000123.png").rename(shown.media(READY) / "52000123.png")
    with closed(locked):
        report = look(shown)
    assert "cannot be read" in report.refused["52000999.png"]
    assert decisions(shown) == [("52000123", "approve", "share")]


OUTPUTS = {
    "products/*/source": ("media", "products/52000123/source/52000123.png"),
    "products/*/formats": ("media", f"products/52000123/formats/web/52000123_{WEB}.jpg"),
    "production": ("production", f"52000123/web/52000123_{WEB}.jpg"),
}


@cell("products/*/source", PUT)
@cell("products/*/formats", PUT)
@cell("production", PUT)
@pytest.mark.parametrize("folder", OUTPUTS)
def test_a_file_of_a_person_among_our_outputs_is_never_taken_or_touched(done: Workspace, folder: str) -> None:
    root, path = OUTPUTS[folder]
    theirs = done.roots.path(root, path).with_name("52000555.png")
    theirs.write_bytes(b"theirs")
    made = run(done)
    assert made == {}
    review.decide(done, "*", "withdraw", who="eva", via="cli")
    run(done)
    assert theirs.read_bytes() == b"theirs"


@cell("products/*/source", EDITED)
@cell("products/*/formats", EDITED)
@cell("production", EDITED)
@pytest.mark.parametrize("folder", OUTPUTS)
def test_an_edited_output_is_said_and_left_until_a_person_moves_it_away(done: Workspace, folder: str) -> None:
    root, path = OUTPUTS[folder]
    ours = done.roots.path(root, path)
    before = files.sha256(ours)
    ours.write_bytes(b"edited by hand")
    assert verify(done).changed == [f"{root}:{path}"]
    run(done)
    assert ours.read_bytes() == b"edited by hand"
    ours.unlink()
    with done.engine.begin() as connection:
        for asset in counts.by_state(connection):
            planning.retry(connection, asset)
    run(done)
    assert files.sha256(ours) == before


@cell("products/*/source", RENAMED, GONE)
@cell("products/*/formats", RENAMED, GONE)
@cell("production", RENAMED, GONE)
@pytest.mark.parametrize("folder", OUTPUTS)
@pytest.mark.parametrize("new_name", [None, "renamed.bin", "case"])
def test_an_output_that_is_gone_is_made_again_and_a_renamed_one_is_a_persons(
    done: Workspace, folder: str, new_name: str | None
) -> None:
    root, path = OUTPUTS[folder]
    ours = done.roots.path(root, path)
    before = files.sha256(ours)
    moved = ours.with_name(ours.name.upper() if new_name == "case" else new_name or "-")
    if new_name is None:
        ours.unlink()
    else:
        ours.rename(moved)
    assert verify(done).missing == [f"{root}:{path}"]
    run(done)
    assert files.sha256(ours) == before
    assert moved.exists() == (new_name is not None)


def test_an_edited_master_does_not_reach_production(done: Workspace) -> None:
    before = hashes(done.roots["production"])
    mark(done.media("products/52000123/source/52000123.png"))
    edited = done.roots.path("production", f"52000123/web/52000123_{WEB}.jpg")
    edited.unlink()
    verify(done)
    run(done)
    assert hashes(done.roots["production"]) == before


def test_the_same_retouch_for_two_photos_at_once_is_one_object_and_two_pictures(workspace: Workspace) -> None:
    picture = Image.new("RGBA", (300, 200), (200, 30, 30, 255))
    for number in ("52000123", "52000124"):
        picture.save(workspace.media(READY) / f"{number}.png")
    assert run(workspace)[MASTERS] == ["52000123", "52000124"]


@cell("review/rejected", PUT, EDITED, RENAMED, GONE)
def test_the_original_of_a_rejected_photo_lies_there_until_the_rejection_is_taken_back(
    done: Workspace,
) -> None:
    review.decide(done, "52000123", "reject", who="eva", via="cli", reason="the hole is filled")
    run(done)
    (picture, note) = names(done, REJECTED)
    folder = done.media(REJECTED)
    original = done.objects.path(rejected.rejected(done)[0].content_hash)
    assert (folder / picture).read_bytes() == original.read_bytes()
    assert (note, "reason: the hole is filled" in (folder / note).read_text()) == (
        f"{picture}.error.txt",
        True,
    )
    # What a person puts or renames there is theirs, and what was taken away does not come back by itself.
    (folder / "52000999.jpg").write_bytes(b"a person's")
    (folder / picture).rename(folder / "mine.jpg")
    run(done)
    assert names(done, REJECTED) == ["52000999.jpg", "mine.jpg"]
    review.decide(done, "52000123", "reject", who="ute", via="cli", reason="still filled")
    run(done)
    assert names(done, REJECTED) == sorted(["52000999.jpg", "mine.jpg", picture, note])
    (folder / picture).write_bytes(b"edited by a person")
    review.decide(done, "52000123", "withdraw", who="ute", via="cli")
    run(done)
    assert (folder / picture).read_bytes() == b"edited by a person"
