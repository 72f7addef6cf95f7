"""What the inbox promises, one promise a test; the collisions are defects of the system before."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

from crown.product_images.share import intake
from crown.product_images.share.intake import IntakeReport
from crown.product_images.workspace import INBOX, Workspace, open_workspace
from crown.settings.model import load_settings
from tests.pictures import draw_part


def take(workspace: Workspace) -> IntakeReport:
    """Two looks, as two sensor ticks would; the second takes in what stood still."""
    intake.take_in(workspace, settle_seconds=0)
    return intake.take_in(workspace, settle_seconds=0)


def drop(workspace: Workspace, name: str, source: Path) -> Path:
    target = workspace.media(INBOX) / name
    shutil.copyfile(source, target)
    return target


def uploads(workspace: Workspace) -> list[tuple[str, str]]:
    with workspace.engine.connect() as connection:
        rows = connection.execute(
            text("select photo, file_name from product_images.uploads order by upload_id")
        )
        return [(row.photo, row.file_name) for row in rows]


def in_folder(workspace: Workspace, folder: str) -> list[str]:
    return sorted(path.name for path in workspace.media(folder).iterdir())


def test_an_upload_is_stored_verified_and_only_then_leaves_the_inbox(
    workspace: Workspace, part: Path
) -> None:
    drop(workspace, "52000123.jpg", part)
    assert take(workspace).stored == ["52000123.jpg"]
    assert in_folder(workspace, INBOX) == []
    stored = list(workspace.objects.folder.iterdir())
    assert [p.read_bytes() for p in stored] == [part.read_bytes()]


def test_a_file_is_left_until_two_looks_found_it_the_same(workspace: Workspace, part: Path) -> None:
    drop(workspace, "52000123.jpg", part)
    assert intake.take_in(workspace, settle_seconds=0).unfinished == ["52000123.jpg"]
    assert uploads(workspace) == []


def test_a_hyphened_name_and_its_normal_form_are_one_photo(workspace: Workspace, part: Path) -> None:
    drop(workspace, "52000124-2.jpg", part)
    take(workspace)
    with workspace.engine.connect() as connection:
        row = connection.execute(text("select photo, product_number, view from product_images.uploads")).one()
    assert tuple(row) == ("52000124_2", "52000124", "2")


def test_a_second_upload_is_a_new_version_and_never_another_view(
    workspace: Workspace, part: Path, tmp_path: Path
) -> None:
    for shade in (70, 90):
        drop(workspace, "52000123.jpg", draw_part(tmp_path / "p.jpg", shade=shade))
        take(workspace)
    assert uploads(workspace) == [("52000123", "52000123.jpg")] * 2


def test_a_second_upload_of_a_view_makes_no_unknown_product_product(
    workspace: Workspace, tmp_path: Path
) -> None:
    for shade in (70, 90):
        drop(workspace, "52000123_1.jpg", draw_part(tmp_path / "p.jpg", shade=shade))
        take(workspace)
    with workspace.engine.connect() as connection:
        numbers = connection.execute(
            text("select distinct product_number from product_images.uploads")
        ).scalars()
        assert list(numbers) == ["52000123"]


def test_a_jpg_and_a_png_of_one_photo_never_overwrite_each_other(
    workspace: Workspace, tmp_path: Path
) -> None:
    for name in ("52000123.jpg", "52000123.png"):
        drop(workspace, name, draw_part(tmp_path / name))
    take(workspace)
    assert sorted(uploads(workspace)) == [("52000123", "52000123.jpg"), ("52000123", "52000123.png")]
    assert len(list(workspace.objects.folder.iterdir())) == 2


def test_the_original_of_an_earlier_upload_is_kept(workspace: Workspace, tmp_path: Path) -> None:
    contents = set()
    for shade in (70, 90):
        picture = draw_part(tmp_path / "p.jpg", shade=shade)
        contents.add(picture.read_bytes())
        drop(workspace, "52000123.jpg", picture)
        take(workspace)
    assert {p.read_bytes() for p in workspace.objects.folder.iterdir()} == contents


def test_identical_bytes_are_recorded_once_and_the_log_says_so(
    workspace: Workspace, part: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(2):
        drop(workspace, "52000123.jpg", part)
        report = take(workspace)
    assert report.known == ["52000123.jpg"]
    assert "52000123.jpg is known already as original of 52000123: nothing new" in caplog.text
    assert uploads(workspace) == [("52000123", "52000123.jpg")]
    assert in_folder(workspace, INBOX) == []


def test_going_back_to_an_earlier_version_is_an_upload_of_its_own(
    workspace: Workspace, tmp_path: Path
) -> None:
    for shade in (70, 90, 70):
        drop(workspace, "52000123.jpg", draw_part(tmp_path / "p.jpg", shade=shade))
        take(workspace)
    assert len(uploads(workspace)) == 3


def test_a_name_without_a_number_goes_to_name_conflicts_with_its_reason(
    workspace: Workspace, part: Path
) -> None:
    drop(workspace, "_1.jpg", part)
    take(workspace)
    assert in_folder(workspace, "review/name_conflicts") == ["_1.jpg", "_1.jpg.error.txt"]
    assert "holds no product number" in workspace.media("review/name_conflicts/_1.jpg.error.txt").read_text()


def test_two_bad_files_of_one_name_are_both_kept(workspace: Workspace, part: Path) -> None:
    for _ in range(2):
        drop(workspace, "_1.jpg", part)
        take(workspace)
    assert in_folder(workspace, "review/name_conflicts") == [
        "_1 (2).jpg",
        "_1 (2).jpg.error.txt",
        "_1.jpg",
        "_1.jpg.error.txt",
    ]


def test_a_dot_in_a_number_is_one_product(workspace: Workspace, part: Path) -> None:
    drop(workspace, "12345.67.jpg", part)
    take(workspace)
    assert uploads(workspace) == [("12345.67", "12345.67.jpg")]


def test_a_file_of_another_kind_is_refused_and_not_left_for_ever(workspace: Workspace) -> None:
    (workspace.media(INBOX) / "prices.txt").write_text("x")
    report = take(workspace)
    assert "not one of the kinds of picture" in report.refused["prices.txt"]
    assert in_folder(workspace, INBOX) == []


@pytest.mark.parametrize(
    "name", [".DS_Store", "Thumbs.db", "._52000123.jpg", "~$x.psd", "a.jpg.part", "a.tmp"]
)
def test_droppings_of_desktops_stay_untouched(workspace: Workspace, name: str) -> None:
    (workspace.media(INBOX) / name).write_text("x")
    assert take(workspace).total == 0
    assert in_folder(workspace, INBOX) == [name]


def test_a_stalled_copy_waits_some_minutes_before_it_is_refused(workspace: Workspace, part: Path) -> None:
    patient = open_workspace(
        workspace.engine,
        load_settings(
            {"CROWN_HOME": str(workspace.settings.home), "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "5"}, None
        ),
    )
    half = drop(workspace, "52000123.jpg", part)
    os.truncate(half, half.stat().st_size // 2)
    assert take(patient).stalled == ["52000123.jpg"]
    assert in_folder(workspace, INBOX) == ["52000123.jpg"]
    with workspace.engine.begin() as connection:
        connection.execute(text("update store.sightings set first_seen_at = now() - interval '6 minutes'"))
    assert list(intake.take_in(patient, settle_seconds=0).refused) == ["52000123.jpg"]
    errors = in_folder(workspace, "errors")
    assert [name.endswith("_52000123.jpg") for name in errors] == [True, False]
    assert "52000123.jpg" in workspace.media("errors").joinpath(errors[1]).read_text()


def test_a_stalled_copy_that_goes_on_is_taken_in(workspace: Workspace, part: Path) -> None:
    patient = open_workspace(
        workspace.engine,
        load_settings(
            {"CROWN_HOME": str(workspace.settings.home), "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "5"}, None
        ),
    )
    half = drop(workspace, "52000123.jpg", part)
    os.truncate(half, half.stat().st_size // 2)
    take(patient)
    half.write_bytes(part.read_bytes())
    assert take(patient).stored == ["52000123.jpg"]


def test_a_file_that_grows_for_ever_holds_up_no_other(workspace: Workspace, part: Path) -> None:
    growing = drop(workspace, "52000999.jpg", part)
    drop(workspace, "52000123.jpg", part)
    intake.take_in(workspace, settle_seconds=0)
    with growing.open("ab") as stream:
        stream.write(b"more")
    report = intake.take_in(workspace, settle_seconds=0)
    assert (report.stored, report.unfinished) == (["52000123.jpg"], ["52000999.jpg"])


def _empty(path: Path) -> None:
    path.touch()


def _one_pixel(path: Path) -> None:
    Image.new("RGB", (1, 1)).save(path, "PNG")


def _bomb(path: Path) -> None:
    Image.new("1", (20000, 10000)).save(path, "PNG")


def _text(path: Path) -> None:
    path.write_text("<html>not a picture</html>")


def _clear(path: Path) -> None:
    Image.new("RGBA", (50, 50)).save(path, "PNG")


@pytest.mark.parametrize("make", [_empty, _one_pixel, _bomb, _text, _clear])
def test_what_cannot_be_used_is_refused_with_a_reason_and_its_neighbour_goes_on(
    workspace: Workspace, part: Path, make: object
) -> None:
    make(workspace.media(INBOX) / "52000666.png")  # type: ignore[operator]
    drop(workspace, "52000123.jpg", part)
    report = take(workspace)
    assert report.stored == ["52000123.jpg"]
    assert list(report.refused) == ["52000666.png"]
    assert len(report.refused["52000666.png"]) > 30
    assert in_folder(workspace, INBOX) == []


def test_a_link_is_never_followed(workspace: Workspace, tmp_path: Path, part: Path) -> None:
    secret = tmp_path / "secret.jpg"
    shutil.copyfile(part, secret)
    (workspace.media(INBOX) / "52000123.jpg").symlink_to(secret)
    report = intake.take_in(workspace, settle_seconds=0)
    assert "links are not followed" in report.refused["52000123.jpg"]
    assert uploads(workspace) == []
    assert secret.read_bytes() == part.read_bytes()


def test_a_name_of_255_bytes_is_refused_with_a_reason(workspace: Workspace, part: Path) -> None:
    drop(workspace, "9" * 251 + ".jpg", part)
    report = take(workspace)
    assert "longer than 100 characters" in next(iter(report.refused.values()))
    assert in_folder(workspace, INBOX) == []


def test_the_uploader_is_the_owner_of_the_file(workspace: Workspace, part: Path) -> None:
    path = drop(workspace, "52000123.jpg", part)
    take_owner = path.owner()
    take(workspace)
    with workspace.engine.connect() as connection:
        assert (
            connection.execute(text("select uploader from product_images.uploads")).scalar_one() == take_owner
        )
        row = connection.execute(text("select user_id, action from audit.product_audit")).one()
    assert tuple(row) == (take_owner, "initial_upload")


def test_a_file_replaced_while_it_is_stored_is_not_removed(
    workspace: Workspace, part: Path, tmp_path: Path
) -> None:
    path = drop(workspace, "52000123.jpg", part)
    status = path.lstat()
    newer = draw_part(tmp_path / "newer.jpg", shade=120)
    upload = intake.Upload(intake.names.parse(path.name), path, status, {}, "eva")
    newer.rename(path)
    with pytest.raises(intake.TemporaryFailure, match="replaced"):
        intake.store(workspace, upload)
    assert path.exists()


def test_a_share_that_is_not_mounted_is_not_filled_with_new_folders(workspace: Workspace) -> None:
    shutil.rmtree(workspace.settings.media)
    workspace.settings.media.mkdir()
    with pytest.raises(Exception, match="Mount it"):
        open_workspace(workspace.engine, workspace.settings)
    assert list(workspace.settings.media.iterdir()) == []
