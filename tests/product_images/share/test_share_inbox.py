"""People on the share: what becomes of a file that a person puts, edits, renames or takes away, folder by folder.

The cells of the table in docs/share.md are the promises; the last test holds page and tests together.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crown.product_images.share import folders
from crown.product_images.workspace import (
    INBOX,
    Workspace,
)
from tests.pictures import draw_part
from tests.product_images.flow import any_number, look, upload
from tests.product_images.share.cells import (
    EDITED,
    GONE,
    PUT,
    RENAMED,
    cell,
    mark,
    names,
    uploads,
)


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
