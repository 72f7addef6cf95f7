"""Odd pictures through the whole flow: lying photos, formats, sidecars, and what is said of those that fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageDraw
from sqlalchemy import text

from crown.pictures import decoding as pictures
from crown.pictures.contact_sheet import CELL, contact_sheet
from crown.product_images.adopt import measure as adopt_measure
from crown.product_images.share import intake
from crown.product_images.share.intake import probe_file
from crown.product_images.workspace import (
    CUTOUTS,
    ERRORS,
    INBOX,
    MASTERS,
    PRODUCTION,
    READY,
    RENDITIONS,
    REVIEW,
    REVIEW_FAILED,
    Workspace,
    open_workspace,
)
from crown.settings.model import load_settings
from tests.given import with_product_images
from tests.pictures import draw_part
from tests.product_images.flow import finish, look, run

WEB = "web/1000x1000_72dpi_jpeg"
LIMIT = 100_000_000
#: HEIC says in its container how it lies; Pillow's plug-in writes both.
SUFFIXES = [".jpg", ".png", ".tif", ".webp", ".heic"]


def lying(picture: Image.Image, path: Path, orientation: int = 6) -> Path:
    """Store a picture as a camera does that was held upright: turned, with the EXIF entry that undoes it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    if path.suffix == ".heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    picture.transpose(back[orientation]).save(path, exif=exif.tobytes(), quality=95)
    return path


def finished(size: tuple[int, int]) -> Image.Image:
    """A finished picture: the upper half red, the lower blue, on white."""
    picture = Image.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, size[0], size[1] // 2), fill=(200, 20, 20))
    draw.rectangle((0, size[1] // 2, size[0], size[1]), fill=(20, 20, 200))
    return picture


def stands_upright(path: Path) -> bool:
    """Whether a picture made of a finished one is red above and blue below."""
    array = pictures.pixels(pictures.open_picture(path, LIMIT)).astype(int)
    width, height = array.shape[1], array.shape[0]
    above, below = array[height // 4, width // 2], array[height * 3 // 4, width // 2]
    return bool(above[0] > above[2] + 50 and below[2] > below[0] + 50)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_photo_of_a_camera_held_upright_is_cut_out_upright(
    workspace: Workspace, tmp_path: Path, orientation: int
) -> None:
    drawn = Image.open(draw_part(tmp_path / "part.png", size=(540, 720)))
    ImageDraw.Draw(drawn).rectangle((250, 180, 290, 300), fill=(20, 20, 120))  # a mark above the hole
    lying(drawn, workspace.media(INBOX) / "52000123.jpg", orientation)
    assert run(workspace)[CUTOUTS] == ["52000123"]
    with Image.open(workspace.media(REVIEW) / "52000123.png") as opened:
        cut = np.asarray(opened).astype(int)
    marked = (cut[..., 2] - cut[..., 0] > 50) & (cut[..., 3] > 200)
    assert marked.sum() > 2000
    assert np.argwhere(marked)[:, 0].mean() < cut.shape[0] / 2


def test_lying_retouches_of_every_kind_are_published_upright(workspace: Workspace) -> None:
    folder = workspace.media(READY) / "eva"
    folder.mkdir()
    for number, suffix in enumerate(SUFFIXES):
        lying(finished((700, 900)), folder / f"5200012{number}{suffix}")
    made = run(workspace)
    assert made[MASTERS] == [f"5200012{number}" for number in range(len(SUFFIXES))]
    with workspace.engine.connect() as connection:
        assert connection.execute(text("select key from ledger.items where error is not null")).all() == []
    for number in range(len(SUFFIXES)):
        assert stands_upright(
            workspace.roots[PRODUCTION] / f"5200012{number}/web/5200012{number}_{WEB[4:]}.jpg"
        )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_lying_master_of_an_old_tree_is_compared_upright(tmp_path: Path, suffix: str) -> None:
    master = lying(finished((300, 700)), tmp_path / f"52000123{suffix}")
    facts, differences = adopt_measure.measure(master, "52000123", [], LIMIT)
    assert (facts["width"], facts["height"], facts["trimmed"], differences) == (300, 700, [300, 700], [])
    assert (probe_file(str(master), LIMIT)["width"], stands_upright(master)) == (300, True)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".bmp"])
def test_contact_sheets_show_every_kind_upright(tmp_path: Path, suffix: str) -> None:
    picture = finished((300, 700))
    path = tmp_path / f"0f3a{suffix}"
    if suffix == ".bmp":
        picture.save(path)
    else:
        lying(picture, path)
    stored = path.rename(tmp_path / "0f3a")  # as in the store of originals
    sheet = contact_sheet([stored], tmp_path / "sheet.webp")
    assert sheet is not None
    cell = pyvips.Image.new_from_file(str(sheet)).numpy().astype(int)
    centre = CELL // 2
    assert cell[centre - 40, centre][0] > cell[centre - 40, centre][2] + 50
    assert cell[centre + 40, centre][2] > cell[centre + 40, centre][0] + 50
    assert cell[centre, 20].min() > 200  # narrow, and beside it the checkerboard


def test_an_approval_that_cannot_be_rendered_is_said_on_the_share_and_taken_back_when_it_can(
    workspace: Workspace, tmp_path: Path
) -> None:
    Image.new("RGBA", (10, 10), (200, 0, 0, 255)).save(tmp_path / "icon.png")
    (tmp_path / "specs.yaml").write_text(
        "specs:\n  plain_png: {format: png, dpi: 72, enabled: true}\n"
        "  marked_png: {format: png, dpi: 72, enabled: true,"
        " brand_icon: {file: icon.png, position: top_left, offset: [90, 5]}}\n"
    )
    own = open_workspace(
        workspace.engine, with_product_images(workspace.settings, {"output_specs": tmp_path / "specs.yaml"})
    )
    finish(own, "52000123", size=(60, 40))
    finish(own, "52000124")
    run(own)
    note = own.media(ERRORS) / "52000123.not_rendered.error.txt"
    assert [path.name for path in own.media(ERRORS).iterdir()] == [note.name]
    said = dict(line.split(": ", 1) for line in note.read_text("utf-8").splitlines())
    assert (said["photo"], said["approved by"], said["not made"]) == ("52000123", "eva", "marked_png")
    assert "is outside this picture of 60 x 40" in said["reason"]
    assert "ready_for_formatting" in said["what to do"]
    note.unlink()
    run(own)
    assert not note.exists()  # a person has read it
    finish(own, "52000123", size=(70, 40))
    run(own)
    assert "70 x 40" in note.read_text("utf-8")
    finish(own, "52000123")
    run(own)
    assert list(own.media(ERRORS).iterdir()) == []


def test_a_master_that_cannot_be_read_is_named_by_its_photo(workspace: Workspace) -> None:
    finish(workspace, "52000123")
    small = open_workspace(
        workspace.engine, with_product_images(workspace.settings, {"max_megapixels": 0.01})
    )
    look(workspace)
    run(small)
    with workspace.engine.connect() as connection:
        failures = connection.execute(
            text("select error from ledger.items where asset = :web and state = 'quarantined'"),
            {"web": RENDITIONS["web"]},
        ).scalars()
        assert {error.split(" has ")[0] for error in failures} == {"52000123"}
    assert "52000123 has 300 x 200 pixels" in (
        workspace.media(ERRORS) / "52000123.not_rendered.error.txt"
    ).read_text("utf-8")


def test_a_failed_cut_out_is_shown_whatever_it_failed_of(workspace: Workspace) -> None:
    draw_part(workspace.media(INBOX) / "52000123.jpg")
    original = (workspace.media(INBOX) / "52000123.jpg").read_bytes()
    look(workspace)
    run(open_workspace(workspace.engine, with_product_images(workspace.settings, {"max_megapixels": 0.01})))
    assert [path.name for path in workspace.media(REVIEW_FAILED).iterdir()] == ["52000123.jpg"]
    assert (workspace.media(REVIEW_FAILED) / "52000123.jpg").read_bytes() == original
    draw_part(workspace.media(INBOX) / "52000123.jpg", shade=90)
    run(workspace)
    assert list(workspace.media(REVIEW_FAILED).iterdir()) == []


def test_a_finished_picture_that_shows_nothing_is_refused_before_it_is_approved(workspace: Workspace) -> None:
    (workspace.media(READY) / "eva").mkdir()
    Image.new("RGBA", (300, 200)).save(workspace.media(READY) / "eva" / "52000123.png")
    assert "transparent everywhere" in look(workspace).refused.get("52000123.png", "")
    with workspace.engine.connect() as connection:
        assert connection.execute(text("select count(*) from ledger.decisions")).scalar_one() == 0


@pytest.mark.parametrize(
    ("name", "form", "kind"),
    [
        ("52000123.jpg", "PNG", "png"),
        ("52000123.heic", "AVIF", "avif"),
        ("52000123.avif", "AVIF", "avif"),
        ("52000123.gif", "GIF", "gif"),
        ("52000123.bmp", "BMP", "bmp"),
        ("52000123.jfif", "JPEG", "jpeg"),
    ],
)
def test_an_upload_is_taken_by_its_content(
    workspace: Workspace, name: str, form: str, kind: str, part: Path
) -> None:
    with Image.open(part) as opened:
        opened.save(workspace.media(INBOX) / name, form)
    patient = _patient(workspace)
    for _ in range(2):
        report = intake.take_in(patient, settle_seconds=0)
    assert report.stored == [name]
    with workspace.engine.connect() as connection:
        stored = connection.execute(text("select facts ->> 'format' from product_images.uploads")).scalars()
        assert list(stored) == [kind]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("52000123.jpg", b"%PDF-1.7 and more", "a PDF file"),
        ("52000123.jpg", b"<html>no picture</html>", "not a picture"),
        ("52000123.tif", b"II*\0\x10\0\0\0CR\2\0" + b"\0" * 64, "camera RAW"),
        ("52000123.NEF", b"MM\0*", "camera RAW"),
    ],
)
def test_what_no_waiting_would_make_a_picture_is_refused_at_once(
    workspace: Workspace, name: str, content: bytes, said: str
) -> None:
    (workspace.media(INBOX) / name).write_bytes(content)
    patient = _patient(workspace)
    for _ in range(2):
        report = intake.take_in(patient, settle_seconds=0)
    assert said in report.refused[name]
    assert list(workspace.media(INBOX).iterdir()) == []


def _patient(workspace: Workspace) -> Workspace:
    """The same room, where a copy that stands still is waited for."""
    return open_workspace(
        workspace.engine,
        load_settings(
            {"CROWN_HOME": str(workspace.settings.home), "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "5"}, None
        ),
    )


@pytest.mark.parametrize("folder", [INBOX, READY])
def test_a_sidecar_beside_a_photo_is_no_error_and_stays(
    workspace: Workspace, part: Path, folder: str
) -> None:
    for name in ("52000123.xmp", "52000123.jpg.XMP", "52000123.AAE"):
        (workspace.media(folder) / name).write_text("<x:xmpmeta/>")
    shutil.copyfile(part, workspace.media(INBOX) / "52000123.jpg")
    assert run(workspace)[CUTOUTS] == ["52000123"]
    assert sorted(path.name for path in workspace.media(folder).iterdir()) == [
        "52000123.AAE",
        "52000123.jpg.XMP",
        "52000123.xmp",
    ]
    assert list(workspace.media(ERRORS).iterdir()) == []
