"""People on the share: what becomes of a file that a person puts, edits, renames or takes away, folder by folder.

The cells of the table in docs/share.md are the promises; the last test holds page and tests together.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

import pytest
from PIL import Image
from sqlalchemy import text

from crown.errors import SystemicFailure
from crown.flow.verify import verify
from crown.ledger import counts, planning
from crown.product_images import stages
from crown.product_images.share import folders, moves, rejected, review, review_folder
from crown.product_images.trace import trace
from crown.product_images.workspace import (
    CUTOUTS,
    INBOX,
    INBOX_PHOTOS,
    MASTERS,
    PHOTOS,
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
from tests.product_images.flow import any_number, approve, finish, hashes, look, run, upload

ROOT = Path(__file__).resolve().parents[2]
WEB = "1000x1000_72dpi_jpeg"
PUT, EDITED, RENAMED, GONE = "put there", "edited there", "renamed there", "taken away"
COVERED: set[tuple[str, str]] = set()
_Test = TypeVar("_Test", bound=Callable[..., None])


def cell(folder: str, *acts: str) -> Callable[[_Test], _Test]:
    """Marks the cells of the page's table that a test stands for."""
    COVERED.update((folder, act) for act in acts)
    return lambda test: test


def names(workspace: Workspace, folder: str) -> list[str]:
    return sorted(path.name for path in workspace.media(folder).iterdir())


def decisions(workspace: Workspace) -> list[tuple[str, str, str]]:
    with workspace.engine.connect() as connection:
        rows = connection.execute(
            text("select subject, verdict, who from ledger.decisions order by decision_id")
        )
        return [(row[0], row[1], row[2]) for row in rows]


def uploads(workspace: Workspace) -> list[tuple[str, str]]:
    with workspace.engine.connect() as connection:
        rows = connection.execute(text("select photo, kind from product_images.uploads order by upload_id"))
        return [(row[0], row[1]) for row in rows]


def mark(path: Path, colour: tuple[int, int, int, int] = (255, 0, 0, 255), keep: str = "PNG") -> str:
    """Edit a picture as a retoucher would, in place; its new hash."""
    with Image.open(path) as opened:
        assert opened.format == keep
        picture = opened.convert("RGB" if keep == "JPEG" else "RGBA")
    picture.paste(colour[: len(picture.getbands())], (0, 0, 20, 20))
    picture.save(path)
    return files.sha256(path)


@pytest.fixture
def shown(workspace: Workspace) -> Workspace:
    """One photo waits in review."""
    upload(workspace, "52000123.jpg")
    run(workspace)
    return workspace


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


@pytest.fixture
def done(workspace: Workspace) -> Workspace:
    """Two published photos."""
    finish(workspace, "52000123", "52000124_2")
    run(workspace)
    return workspace


# inbox


@cell("inbox", PUT)
@pytest.mark.parametrize("how", [shutil.copyfile, os.rename])
def test_a_picture_copied_or_moved_into_the_inbox_is_taken_in(
    workspace: Workspace, tmp_path: Path, how: Callable[[Path, Path], object]
) -> None:
    how(draw_part(tmp_path / "p.jpg"), workspace.media(INBOX) / "52000123.jpg")
    look(workspace)
    assert uploads(workspace) == [("52000123", "original")]
    assert names(workspace, INBOX) == []


@cell("inbox", EDITED)
def test_a_picture_edited_in_the_inbox_is_taken_when_it_is_at_rest_again(workspace: Workspace) -> None:
    upload(workspace, "52000123.png")
    folders.seen_by_people(workspace)
    edited = mark(workspace.media(INBOX) / "52000123.png")
    look(workspace)
    assert uploads(workspace) == [("52000123", "original")]
    assert workspace.objects.holds(edited)


@cell("inbox", RENAMED)
def test_a_picture_renamed_in_the_inbox_is_the_photo_of_its_new_name(workspace: Workspace) -> None:
    upload(workspace, "52000123.jpg")
    folders.seen_by_people(workspace)
    (workspace.media(INBOX) / "52000123.jpg").rename(workspace.media(INBOX) / "52000124_1.JPG")
    look(workspace)
    assert uploads(workspace) == [("52000124_1", "original")]


@cell("inbox", GONE)
def test_a_picture_taken_from_the_inbox_in_time_was_never_there(workspace: Workspace) -> None:
    upload(workspace, "52000123.jpg")
    folders.seen_by_people(workspace)
    (workspace.media(INBOX) / "52000123.jpg").unlink()
    look(workspace)
    assert uploads(workspace) == []


def test_a_folder_in_the_inbox_is_said_and_left(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    (workspace.media(INBOX) / "shoot 03").mkdir()
    draw_part(workspace.media(INBOX) / "shoot 03" / "52000123.jpg")
    look(workspace)
    assert "inbox/shoot 03 is a folder and is not looked into" in caplog.text
    assert names(workspace, "inbox/shoot 03") == ["52000123.jpg"]


@pytest.mark.parametrize("folder", ["ready_for_formatting/eva/june", "review/bg_removed/june"])
def test_a_picture_in_a_folder_too_deep_is_said_and_left(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, folder: str
) -> None:
    (workspace.media(".") / folder).mkdir(parents=True)
    draw_part(workspace.media(".") / folder / "52000123.jpg")
    look(workspace)
    assert f"{folder} is a folder and is not looked into" in caplog.text
    assert names(workspace, folder) == ["52000123.jpg"]
    assert uploads(workspace) == []


@pytest.mark.parametrize(
    "copy", ["52000123 (2).jpg", "52000123 - Copy.jpg", "52000123 copy 2.jpg", "52000123 - Kopie (3).jpg"]
)
def test_a_desktops_copy_of_a_photo_makes_no_other_product(workspace: Workspace, copy: str) -> None:
    upload(workspace, "52000123.jpg", copy)
    report_names = names(workspace, INBOX)
    look(workspace)
    assert uploads(workspace) == [("52000123", "original")]
    assert copy in report_names
    note = workspace.media("review/name_conflicts") / f"{copy}.error.txt"
    assert "named like a copy of 52000123" in note.read_text()


def test_brackets_that_belong_to_a_number_are_kept(workspace: Workspace) -> None:
    workspace = any_number(workspace)
    upload(workspace, "AB (2).jpg")
    look(workspace)
    assert uploads(workspace) == [("AB_(2)", "original")]


def test_a_name_that_is_no_text_is_set_aside_and_its_neighbour_goes_on(
    workspace: Workspace, part: Path
) -> None:
    shutil.copyfile(part, os.fsencode(workspace.media(INBOX)) + b"/5200\xe4.jpg")
    upload(workspace, "52000123.jpg")
    assert any(ready for _, _, ready in folders.seen_by_people(workspace))
    look(workspace)
    assert uploads(workspace) == [("52000123", "original")]
    assert names(workspace, "review/name_conflicts") == ["5200\ufffd.jpg", "5200\ufffd.jpg.error.txt"]


def test_a_very_long_name_is_set_aside_with_its_reason(workspace: Workspace, part: Path) -> None:
    shutil.copyfile(part, workspace.media(INBOX) / ("\u00e4" * 120 + ".txt"))
    look(workspace)
    assert names(workspace, INBOX) == []
    assert len(names(workspace, "errors")) == 2


# review/bg_removed


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


# review/bg_removal_failed


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


# review/name_conflicts and errors


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


# ready_for_formatting


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


# products and production


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


def test_every_cell_of_the_page_is_tested_and_every_tested_cell_is_on_the_page() -> None:
    page = (ROOT / "docs" / "share.md").read_text("utf-8")
    table = [line for line in page.splitlines() if line.startswith("| `")]
    on_page = set()
    for line in table:
        folder, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        assert all(cells)
        assert len(cells) == 4
        on_page |= {(re.sub(r"[`/]+$", "", folder.strip("`")), act) for act in (PUT, EDITED, RENAMED, GONE)}
    assert on_page == COVERED
