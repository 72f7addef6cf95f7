"""An old CrownPipe tree is taken over: what is right stays as it is, what differs is said and kept, nothing is lost.

The tree is built as CrownPipe wrote it: border around the named size, small pictures enlarged, no profile, no
resolution in PNG, no texts, every file under the name of the folder contract.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageCms, ImageDraw
from sqlalchemy import text

from crown.errors import BadInput
from crown.flow.verify import verify
from crown.ledger import counts
from crown.product_images import stages
from crown.product_images.adopt import unknown_products
from crown.product_images.adopt.measure import measure
from crown.product_images.adopt.takeover import Adoption, adopt
from crown.product_images.adopt.tree import read_tree
from crown.product_images.renditions.specs import (
    Spec,
    file_name,
    load_specs,
    select_specs,
)
from crown.product_images.share import intake, moves, review
from crown.product_images.trace import trace
from crown.product_images.workspace import (
    CUTOUTS,
    GROUPS,
    INBOX_PHOTOS,
    MASTERS,
    MEDIA,
    PHOTOS,
    RENDITIONS,
    Workspace,
    open_workspace,
)
from crown.settings.model import load_settings
from crown.store import files
from crown_cli.images.audit_logs import migrate
from tests.closed import closed
from tests.pictures import draw_part
from tests.product_images.flow import noting

PRODUCTION = "production"
ROOT = Path(__file__).resolve().parents[2]
RENDERED = list(RENDITIONS.values())
WEB = "1000x1000_72dpi_jpeg"
NOVEMBER = 1_730_000_000.0
FORMATS = {
    "transparent": ("original_300dpi_png.png", "original_300dpi_tiff.tif"),
    "print": ("2500_longest_300dpi_tiff.tif",),
    "web": (f"{WEB}.jpg",),
    "thumbnail": ("128x128_72dpi_jpeg.jpg",),
}


def draw_master(path: Path, shade: int = 70, size: tuple[int, int] = (300, 220)) -> Path:
    """A trimmed cut-out: a ring with a notch on transparent ground."""
    picture = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((0, 0, size[0] - 1, size[1] - 1), fill=(shade, shade, shade + 20, 255))
    draw.ellipse((90, 60, 170, 140), fill=(0, 0, 0, 0))
    draw.rectangle((200, 90, 260, 120), fill=(220, 60, 40, 255))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


def old_outputs(master: Path, formats: Path, key: str) -> None:
    """The five files as CrownPipe's ImageMagick calls left them, at their real sizes."""
    with Image.open(master) as opened:
        cut_out = opened.convert("RGBA")
    for category, names in FORMATS.items():
        (formats / category).mkdir(parents=True, exist_ok=True)
        for name in names:
            target = formats / category / f"{key}_{name}"
            if category == "transparent":
                dpi = {} if name.endswith("png") else {"dpi": (300, 300), "compression": "tiff_lzw"}
                cut_out.save(target, **dpi)  # type: ignore[arg-type]
                continue
            side, border = {"print": (2500, 15), "web": (1000, 15), "thumbnail": (128, 5)}[category]
            scale = side / max(cut_out.size)
            fitted = cut_out.resize((round(cut_out.width * scale), round(cut_out.height * scale)))
            inner = fitted.size if category == "print" else (side, side)
            canvas = Image.new("RGB", (inner[0] + 2 * border, inner[1] + 2 * border), "white")
            canvas.paste(
                fitted, ((canvas.width - fitted.width) // 2, (canvas.height - fitted.height) // 2), fitted
            )
            if name.endswith("jpg"):
                canvas.save(target, quality=90, progressive=True, dpi=(72, 72))
            else:
                canvas.save(target, compression="tiff_lzw", dpi=(300, 300))


def at(path: Path, moment: float) -> Path:
    os.utime(path, (moment, moment))
    return path


def old_photo(media: Path, key: str, *, shade: int = 70, deployed: bool = True) -> Path:
    """An upload that went all the way: archived, approved, rendered, deployed; returns its master."""
    number = key.split("_")[0]
    original = media / "archive" / "2024-10" / number / f"{key}.jpg"
    original.parent.mkdir(parents=True, exist_ok=True)
    at(draw_part(original, shade=shade), NOVEMBER)
    master = at(draw_master(media / "products" / number / "source" / f"{key}.png", shade), NOVEMBER + 3600)
    old_outputs(master, media / "products" / number / "formats", key)
    if deployed:
        shutil.copytree(
            media / "products" / number / "formats", media / "production" / number, dirs_exist_ok=True
        )
    return master


def right_file(workspace: Workspace, master: Path, key: str, spec: str = WEB) -> Path:
    """Replace a rendition, here and in production, by one that is as its spec wants it, but not by our renderer."""
    number = key.split("_")[0]
    with Image.open(master) as opened:
        cut_out = opened.convert("RGBA")
    canvas = Image.new("RGB", (1000, 1000), "white")
    canvas.paste(cut_out, ((1000 - cut_out.width) // 2, (1000 - cut_out.height) // 2), cut_out)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = workspace.media("products") / number / "formats" / "web" / f"{key}_{spec}.jpg"
    canvas.save(path, quality=95, dpi=(72, 72), icc_profile=profile)
    shutil.copy2(path, workspace.media(PRODUCTION) / number / "web")
    return path


@pytest.fixture
def old(workspace: Workspace) -> Workspace:
    """Two old products in the media folder that Crown works in, one with a rendition that is right."""
    old_photo(workspace.settings.media, "52000123")
    master = old_photo(workspace.settings.media, "52000124_2", shade=100)
    right_file(workspace, master, "52000124_2")
    return workspace


def take_over(workspace: Workspace, **options: object) -> Adoption:
    return adopt(workspace, workspace.settings.media, who="eva", **options)  # type: ignore[arg-type]


def run(workspace: Workspace) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for _ in range(2):
        intake.take_in(workspace, settle_seconds=0)
        moves.collect(workspace, settle_seconds=0)
    for assets in GROUPS:
        stages.make(workspace, assets, on_progress=noting(made))
    return made


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): files.sha256(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def reasons(done: Adoption, path: str) -> set[str]:
    return {d.kind for change in done.changes for d in change.differences if change.path.endswith(path)}


def database_rows(workspace: Workspace) -> dict[str, int]:
    tables = ("ledger.outputs", "ledger.decisions", "ledger.files", "ledger.items", "product_images.uploads")
    with workspace.engine.connect() as connection:
        return {
            name: connection.execute(text(f"select count(*) from {name}")).scalar_one() for name in tables
        }


def test_a_dry_run_says_what_differs_in_which_file_and_changes_nothing(old: Workspace) -> None:
    before = contents(old.settings.media)
    done = take_over(old, dry_run=True)
    assert (done.products, done.photos, done.originals, done.masters) == (2, 2, 2, 2)
    assert reasons(done, f"52000123_{WEB}.jpg") == {"size", "untagged", "texts"}
    assert reasons(done, "52000123_original_300dpi_png.png") == {"dpi", "untagged", "texts"}
    assert reasons(done, "52000123_original_300dpi_tiff.tif") == {"untagged", "texts"}
    assert reasons(done, "52000123_2500_longest_300dpi_tiff.tif") == {"size", "untagged", "texts"}
    sentences = [d.sentence for c in done.changes for d in c.differences if c.path.endswith(f"123_{WEB}.jpg")]
    assert any("the border is outside the named size" in sentence for sentence in sentences)
    assert done.adopted == [f"products/52000124/formats/web/52000124_2_{WEB}.jpg"]
    assert (len(done.changes), len(done.published_changes)) == (9, 9)
    assert contents(old.settings.media) == before
    assert set(database_rows(old).values()) == {0}
    assert not old.objects.folder.exists() or not list(old.objects.folder.iterdir())


def test_taking_over_writes_no_file_of_the_old_tree(old: Workspace) -> None:
    before = contents(old.settings.media)
    times = {path: path.stat().st_mtime_ns for path in old.settings.media.rglob("*") if path.is_file()}
    take_over(old)
    assert contents(old.settings.media) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_originals_keep_their_time_and_their_owner_and_lie_in_the_store(old: Workspace) -> None:
    take_over(old)
    original = old.settings.media / "archive/2024-10/52000123/52000123.jpg"
    with old.engine.connect() as connection:
        row = connection.execute(
            text(
                "select uploader, extract(epoch from uploaded_at), content_hash from product_images.uploads"
                " where photo = '52000123' and kind = 'original'"
            )
        ).one()
    assert tuple(row) == (original.owner(), NOVEMBER, files.sha256(original))
    assert old.objects.holds(row[2])


def test_masters_are_approved_by_crownpipe_and_are_not_written_again(old: Workspace) -> None:
    take_over(old)
    with old.engine.connect() as connection:
        rows = connection.execute(
            text("select who, via, verdict, reason from ledger.decisions order by subject")
        ).all()
        states = counts.by_state(connection)
    assert [row[:3] for row in rows] == [("CrownPipe", "import", "approve")] * 2
    assert rows[0].reason == "was the master in products/52000123/source/52000123.png"
    assert (states[MASTERS]["current"], states[MASTERS]["pending"]) == (2, 0)
    master = old.settings.media / "products/52000123/source/52000123.png"
    inode = master.stat().st_ino
    made = run(old)
    assert not {INBOX_PHOTOS, PHOTOS, CUTOUTS, MASTERS} & set(made)
    assert master.stat().st_ino == inode


def test_a_rendition_that_is_right_is_not_made_again_and_the_others_are(old: Workspace) -> None:
    right = old.settings.media / f"products/52000124/formats/web/52000124_2_{WEB}.jpg"
    theirs = files.sha256(right)
    take_over(old)
    made = run(old)
    rendered = {key for asset in RENDERED for key in made[asset]}
    assert len(rendered) == 9
    assert f"52000124_2/{WEB}" not in rendered
    assert files.sha256(right) == theirs
    found = trace(old, str(right))
    assert found["made"]["recipe_name"] == "adopted"
    assert {m["asset"] for m in found["back"]} == {MASTERS, CUTOUTS, PHOTOS, INBOX_PHOTOS}
    assert verify(old).sound


def test_what_is_replaced_is_kept_by_its_hash_and_can_be_traced(old: Workspace) -> None:
    before = {**contents(old.settings.media / "products"), **contents(old.settings.media / "production")}
    take_over(old)
    run(old)
    after = {**contents(old.settings.media / "products"), **contents(old.settings.media / "production")}
    replaced = {before[path] for path in before if before[path] != after[path]}
    assert len(replaced) >= 9
    assert all(old.objects.holds(content_hash) for content_hash in replaced)
    assert after.keys() == before.keys()
    published = f"52000123/web/52000123_{WEB}.jpg"
    assert before[published] in replaced
    made = trace(old, before[published])["made"]
    assert (made["asset"], made["key"]) == ("product_images/crownpipe_files", f"production/{published}")


def test_an_adopted_rendition_is_made_anew_when_its_spec_is_edited(old: Workspace) -> None:
    take_over(old)
    run(old)
    edited = open_workspace(old.engine, old.settings)
    specs = dict(old.specs)
    specs[WEB] = specs[WEB].model_copy(update={"quality": 80})
    edited.__dict__["specs"] = specs
    made = run(edited)
    assert set(made[RENDITIONS["web"]]) == {f"52000123/{WEB}", f"52000124_2/{WEB}"}


def test_taking_over_twice_adds_nothing(old: Workspace) -> None:
    take_over(old)
    before = database_rows(old)
    objects = contents(old.objects.folder)
    done = take_over(old)
    assert (done.originals, done.masters, done.approvals, done.bytes_stored, done.adopted) == (0, 0, 0, 0, [])
    assert database_rows(old) == before
    assert contents(old.objects.folder) == objects


def test_taking_over_after_a_run_finds_everything_known(old: Workspace) -> None:
    take_over(old)
    run(old)
    before = database_rows(old)
    done = take_over(old)
    assert (done.known, done.changes, done.missing) == (10, [], 0)
    assert database_rows(old) == before
    assert run(old) == {}


def test_products_can_be_taken_over_one_by_one(old: Workspace) -> None:
    assert take_over(old, products="52000124").photos == 1
    run(old)
    theirs = old.settings.media / f"production/52000123/web/52000123_{WEB}.jpg"
    with Image.open(theirs) as picture:
        assert picture.size == (1030, 1030)


def test_a_number_with_brackets_can_be_taken_over_by_its_name(tmp_path: Path) -> None:
    for number in ("AB[1]", "CD"):
        draw_master(tmp_path / f"products/{number}/source/{number}.png")
    assert set(read_tree(tmp_path, {}, "AB[1]").photos) == {"AB[1]"}


def test_with_the_old_sizes_in_the_specs_a_missing_profile_alone_makes_nothing_anew(
    workspace: Workspace, tmp_path: Path
) -> None:
    catalogue = tmp_path / "output_specs.yaml"
    catalogue.write_text(
        "defaults: {padding: outside, enlarge: true}\n"
        "specs:\n"
        "  1000x1000_72dpi_jpeg: {enabled: true, format: jpeg, dpi: 72, fit: {box: [1000, 1000]},"
        " canvas: [1000, 1000], border: [15, 15]}\n"
    )
    environment = {
        "CROWN_HOME": str(workspace.settings.home),
        "CROWN_WORKERS": "1",
        "CROWN_PRODUCT_IMAGES_OUTPUT_SPECS": str(catalogue),
    }
    same = open_workspace(workspace.engine, load_settings(environment, None))
    old_photo(same.settings.media, "52000123")
    strict = take_over(same, dry_run=True)
    assert reasons(strict, f"{WEB}.jpg") == {"untagged", "texts"}
    assert take_over(same, untagged=True).adopted == [f"products/52000123/formats/web/52000123_{WEB}.jpg"]
    assert not set(RENDERED) & set(run(same))


def test_a_rendition_of_an_older_master_is_outdated_whatever_its_size(old: Workspace) -> None:
    draw_master(old.settings.media / "products/52000124/source/52000124_2.png", shade=130)
    at(old.settings.media / "products/52000124/source/52000124_2.png", NOVEMBER + 3600)
    done = take_over(old, dry_run=True)
    assert done.adopted == []
    assert "outdated" in reasons(done, f"52000124_2_{WEB}.jpg")
    assert "outdated" in reasons(done, "52000124_2_128x128_72dpi_jpeg.jpg")
    assert "outdated" not in reasons(done, f"52000123_{WEB}.jpg")


def test_a_picture_that_is_enlarged_within_the_right_canvas_is_told(old: Workspace) -> None:
    path = old.settings.media / f"products/52000123/formats/web/52000123_{WEB}.jpg"
    with Image.open(old.settings.media / "products/52000123/source/52000123.png") as opened:
        enlarged = opened.resize((970, round(970 * 220 / 300)))
    canvas = Image.new("RGB", (1000, 1000), "white")
    canvas.paste(enlarged, (15, (1000 - enlarged.height) // 2), enlarged)
    canvas.save(path, quality=90, dpi=(72, 72))
    assert reasons(take_over(old, dry_run=True), f"52000123_{WEB}.jpg") == {"enlarged", "untagged", "texts"}


@pytest.mark.skipif(shutil.which("convert") is None, reason="ImageMagick's convert is not on this machine")
@pytest.mark.parametrize("size", [(300, 220), (901, 602), (250, 1100)])
def test_what_the_real_imagemagick_made_is_measured_as_what_it_is(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    specs = select_specs(load_specs())
    master = draw_master(tmp_path / "52000123.png", size=size)
    outputs = [(spec, tmp_path / file_name("52000123", spec)) for spec in specs.values()]
    for spec, path in outputs:
        subprocess.run([*_imagemagick(spec, master), str(path)], check=True, timeout=60)
    _, found = measure(master, "52000123", outputs, 10**8)
    kinds = {spec.name: {d.kind for d in found[at]} for at, (spec, _) in enumerate(outputs)}
    sizes = {name for name, kind in kinds.items() if "size" in kind}
    assert sizes == {"2500_longest_300dpi_tiff", WEB, "128x128_72dpi_jpeg"}
    assert "dpi" in kinds["original_300dpi_png"]
    assert all({"untagged", "texts"} <= kind for kind in kinds.values())
    assert not any("outdated" in kind for kind in kinds.values())
    other = draw_master(tmp_path / "other.png", shade=90, size=size)
    _, found = measure(other, "52000123", outputs, 10**8)
    assert all("outdated" in {d.kind for d in differences} for differences in found)


def _imagemagick(spec: Spec, master: Path) -> list[str]:
    """CrownPipe's order of operations: trim, density, fit, canvas, border around it, flatten."""
    command = ["convert", str(master), "-alpha", "on", "-colorspace", "sRGB", "-strip", "-trim", "+repage"]
    command += ["-density", str(spec.dpi), "-units", "PixelsPerInch"]
    if spec.fit is not None:
        box = spec.fit.box or (spec.fit.longest, spec.fit.longest)
        command += ["-resize", f"{box[0]}x{box[1]}"]
    if spec.canvas is not None:
        command += [
            "-gravity",
            "center",
            "-background",
            "white",
            "-extent",
            f"{spec.canvas[0]}x{spec.canvas[1]}",
        ]
    if spec.border != (0, 0):
        command += ["-bordercolor", "white", "-border", f"{spec.border[0]}x{spec.border[1]}"]
    if spec.mode == "RGB":
        command += ["-background", "white", "-alpha", "remove", "-alpha", "off"]
    encoding = {"jpeg": ["-quality", "90", "-interlace", "JPEG"], "tiff": ["-compress", "LZW"], "png": []}
    return command + encoding[spec.format]


def test_a_unknown_product_product_is_named_kept_and_left_alone(old: Workspace) -> None:
    media = old.settings.media
    old_photo(media, "52000123_1")
    unknown_product = media / "products" / "52000123_1"
    second = draw_master(unknown_product / "source" / "52000123_1_1.png", shade=90)
    old_outputs(second, unknown_product / "formats", "52000123_1_1")
    shutil.copytree(unknown_product / "formats", media / "production" / "52000123_1")
    published = contents(media / "production" / "52000123_1")
    done = take_over(old)
    assert done.unknown_products == ["52000123_1"]
    assert "second upload of 52000123_1" in done.left["products/52000123_1/source/52000123_1_1.png"]
    assert old.objects.holds(files.sha256(second))
    run(old)
    assert contents(media / "production" / "52000123_1") == published
    with old.engine.connect() as connection:
        numbers = connection.execute(
            text("select distinct product_number from product_images.uploads order by 1")
        )
        assert list(numbers.scalars()) == ["52000123", "52000124"]


def test_a_unknown_product_is_listed_and_retired_and_its_bytes_are_kept(old: Workspace) -> None:
    media = old.settings.media
    old_photo(media, "52000123_1")
    unknown_product = media / "products" / "52000123_1"
    second = draw_master(unknown_product / "source" / "52000123_1_1.png", shade=90)
    old_outputs(second, unknown_product / "formats", "52000123_1_1")
    shutil.copytree(unknown_product / "formats", media / "production" / "52000123_1")
    theirs = {**contents(unknown_product), **contents(media / "production" / "52000123_1")}
    act = {"timestamp": "2024-11-05T09:30:00Z", "user": "mary", "action": "initial_upload"}
    for number in ("52000123", "52000888"):
        (media / "products" / number).mkdir(exist_ok=True)
        (media / "products" / number / ".audit.json").write_text(
            json.dumps({"product_number": number, "upload_history": [act]})
        )
    migrate(old.engine, media)
    take_over(old)
    run(old)
    listed = unknown_products.unknown_products(old)
    assert [(one.number, one.acts, len(one.files), one.published) for one in listed] == [
        ("52000123_1", 0, 11, 5),
        ("52000888", 1, 0, 0),
    ]
    before = {path: value for path, value in contents(media).items() if "/52000123_1/" not in path}
    assert unknown_products.retire(old, "52000123_1", who="eva", via="cli", reason="no product") == listed[:1]
    assert contents(media) == before
    assert not unknown_product.exists()
    assert all(old.objects.holds(content_hash) for content_hash in theirs.values())
    web = f"web/52000123_1_1_{WEB}.jpg"
    assert trace(old, theirs[web])["made"]["key"] == f"production/52000123_1/{web}"
    assert [one.number for one in unknown_products.unknown_products(old)] == ["52000888"]
    unknown_products.retire(old, "*", who="eva", via="cli", reason="its pictures are gone")
    assert unknown_products.unknown_products(old) == []
    with pytest.raises(BadInput, match="No unknown product matches"):
        unknown_products.retire(old, "52000123", who="eva", via="cli", reason="x")
    assert verify(old).sound


@pytest.mark.parametrize("number", ["/etc", "../inbox", ".", " ", "5" * 300])
def test_a_number_that_an_old_file_made_up_reaches_no_folder(workspace: Workspace, number: str) -> None:
    (workspace.media("products") / "x").mkdir()
    (workspace.media("products") / "x" / ".audit.json").write_text(
        json.dumps(
            {
                "product_number": number,
                "upload_history": [{"timestamp": "2024-11-05T09:30:00Z", "action": "x"}],
            }
        )
    )
    (workspace.media("inbox") / "52000123.jpg").write_bytes(b"a person's")
    migrate(workspace.engine, workspace.settings.media)
    (listed,) = unknown_products.retire(workspace, "*", who="eva", via="cli", reason="made up")
    assert (listed.number, listed.files) == (number, [])
    assert (workspace.media("inbox") / "52000123.jpg").exists()


def test_a_product_whose_number_ends_like_a_view_is_no_unknown_product(workspace: Workspace) -> None:
    media = workspace.settings.media
    master = draw_master(media / "products" / "ABC_12" / "source" / "ABC_12_1.png")
    old_outputs(master, media / "products" / "ABC_12" / "formats", "ABC_12_1")
    done = take_over(workspace)
    assert (done.unknown_products, done.masters, done.without_original) == ([], 1, ["ABC_12_1"])


def test_a_product_of_the_old_system_that_is_a_view_by_its_word_is_taken_over_as_that_view(
    workspace: Workspace,
) -> None:
    media = workspace.settings.media
    draw_master(media / "products" / "52000123_FRONT" / "source" / "52000123_FRONT.png")
    done = take_over(workspace)
    assert (done.unknown_products, done.masters, done.without_original) == ([], 1, ["52000123_FRONT"])
    with workspace.engine.connect() as connection:
        known = connection.execute(text("select distinct product_number, view from product_images.uploads"))
        assert known.tuples().all() == [("52000123", "FRONT")]


def test_stale_files_in_production_are_said_and_left(old: Workspace) -> None:
    media = old.settings.media
    gone = media / "production" / "52000999" / "web" / f"52000999_{WEB}.jpg"
    gone.parent.mkdir(parents=True)
    gone.write_bytes(b"of a product that is no more")
    renamed = media / "production" / "52000123" / "web" / "52000123_900x900_72dpi_jpeg.jpg"
    renamed.write_bytes(b"of a spec that is no more")
    done = take_over(old)
    run(old)
    assert {path for path in done.left if "production" in path} == {
        path.relative_to(media).as_posix() for path in (gone, renamed)
    }
    assert gone.exists()
    assert renamed.exists()
    assert len(verify(old).foreign) == 2


def test_an_original_newer_than_the_master_waits_for_a_person_and_the_old_picture_stays_published(
    old: Workspace,
) -> None:
    newer = old.settings.media / "archive/2024-12/52000123/52000123.jpg"
    newer.parent.mkdir(parents=True)
    at(draw_part(newer, shade=110), NOVEMBER + 50 * 86400)
    done = take_over(old)
    assert done.newer_originals == ["52000123"]
    made = run(old)
    assert made[CUTOUTS] == ["52000123"]
    assert MASTERS not in made
    assert review.cutouts(old, "52000123")[0].verdict is None
    with Image.open(old.roots[PRODUCTION] / f"52000123/web/52000123_{WEB}.jpg") as picture:
        assert picture.size == (1000, 1000)
    again = database_rows(old)
    take_over(old)
    assert database_rows(old) == again


def test_an_original_without_a_master_is_cut_out_and_waits(old: Workspace) -> None:
    lonely = old.settings.media / "archive/2024-11/52000777/52000777.jpg"
    lonely.parent.mkdir(parents=True)
    draw_part(lonely)
    assert take_over(old).to_cut_out == ["52000777"]
    assert run(old)[CUTOUTS] == ["52000777"]


def test_a_master_that_is_a_jpeg_under_the_name_of_a_png_is_taken_over(old: Workspace) -> None:
    master = old.settings.media / "products/52000555/source/52000555.png"
    master.parent.mkdir(parents=True)
    draw_part(master.with_suffix(".jpg"))
    master.with_suffix(".jpg").rename(master)
    done = take_over(old)
    assert done.masters == 3
    assert f"52000555/{WEB}" in run(old)[RENDITIONS["web"]]


def test_an_unreadable_master_is_said_and_its_files_stay(old: Workspace) -> None:
    master = old.settings.media / "products/52000123/source/52000123.png"
    master.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    done = take_over(old)
    assert "products/52000123/source/52000123.png" in done.left
    before = contents(old.settings.media / "production" / "52000123")
    run(old)
    assert contents(old.settings.media / "production" / "52000123") == before


def test_what_may_not_be_read_or_has_no_name_is_said_and_its_neighbours_are_taken_over(
    old: Workspace,
) -> None:
    media = old.settings.media
    shutil.copyfile(
        media / "products/52000124/source/52000124_2.png",
        os.fsencode(media) + b"/products/52000124/source/5200\xe4.png",
    )
    with closed(media / "products" / "52000123"):
        done = take_over(old, dry_run=True)
    assert done.masters == 1
    assert done.left["products/52000123"] == (
        "products/52000123 may not be looked into; give the right to read it, then do this again."
    )
    assert "no UTF-8 text" in done.left["products/52000124/source/5200\\xe4.png"]


def test_what_a_person_said_in_crown_is_not_overruled_by_taking_over_again(old: Workspace) -> None:
    take_over(old)
    review.decide(old, "52000123", "withdraw", who="eva", via="cli")
    take_over(old)
    assert review.cutouts(old, "52000123")[0].verdict is None


def test_a_photo_that_crown_has_itself_is_not_set_back_by_an_old_archive(old: Workspace) -> None:
    draw_part(old.media("inbox") / "52000123.jpg", shade=160)
    run(old)
    take_over(old)
    with old.engine.connect() as connection:
        rows = connection.execute(
            text("select facts ? 'crownpipe' from product_images.uploads where photo = '52000123'")
        )
        assert list(rows.scalars()) == [False]
    assert old.objects.holds(files.sha256(old.settings.media / "archive/2024-10/52000123/52000123.jpg"))


def test_a_tree_elsewhere_is_copied_and_not_touched(workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "old-media"
    old_photo(elsewhere, "52000123")
    before = contents(elsewhere)
    done = adopt(workspace, elsewhere, who="eva")
    assert done.masters == 1
    assert contents(elsewhere) == before
    master = workspace.roots.path(MEDIA, "products/52000123/source/52000123.png")
    assert files.sha256(master) == before["products/52000123/source/52000123.png"]
    assert f"52000123/{WEB}" in run(workspace)[RENDITIONS["web"]]


def test_a_folder_that_is_no_old_tree_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="neither products/ nor archive/"):
        adopt(workspace, tmp_path / "home", who="eva")


# The process dies when the ledger's rows are about to be written: after bytes were stored, before anything is entered.
_DIES = """
import os, signal, sys
from crown_cli.images.adopt import adopt
from crown.ledger import claims
taken = []
def tracer(frame, event, arg):
    if event == "call" and frame.f_code is claims.finish.__code__:
        taken.append(1)
        if len(taken) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(tracer)
adopt([sys.argv[1], "--apply"])
"""


@pytest.mark.parametrize("at_batch", [1, 4, 5])
def test_a_kill_anywhere_is_healed_by_running_it_again(
    old: Workspace, database_url: str, at_batch: int
) -> None:
    environment = {**os.environ, "CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(old.settings.home)}
    killed = subprocess.run(
        [sys.executable, "-c", _DIES, str(old.settings.media), str(at_batch)],
        cwd=ROOT, env=environment, timeout=120, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    take_over(old)
    with old.engine.connect() as connection:
        states = counts.by_state(connection)
    assert (states[MASTERS]["current"], states[MASTERS]["pending"]) == (2, 0)
    assert (states[RENDITIONS["web"]]["current"], states[RENDITIONS["web"]]["pending"]) == (1, 1)
    assert database_rows(old)["product_images.uploads"] == 4
    run(old)
    assert verify(old).sound


def test_the_command_reports_in_json(old: Workspace, database_url: str) -> None:
    environment = {**os.environ, "CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(old.settings.home)}
    done = subprocess.run(
        [sys.executable, "-m", "crown_cli.main", "images", "adopt", str(old.settings.media), "--json"],
        cwd=ROOT, env=environment, timeout=120, check=False, text=True, capture_output=True,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert (answer["masters"], len(answer["changes"]), answer["applied"]) == (2, 9, False)
    assert answer["reasons"]["untagged"] == 9
