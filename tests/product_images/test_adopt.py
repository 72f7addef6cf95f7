"""An old CrownPipe tree is taken over: what is right stays as it is, what differs is said and kept, nothing is lost.

The tree is built as CrownPipe wrote it: border around the named size, small pictures enlarged, no profile, no
resolution in PNG, no texts, every file under the name of the folder contract.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

from crown.flow.verify import verify
from crown.ledger import counts
from crown.product_images.adopt.measure import measure
from crown.product_images.adopt.tree import read_tree
from crown.product_images.renditions.specs import (
    Spec,
    file_name,
    load_specs,
    select_specs,
)
from crown.product_images.trace import trace
from crown.product_images.workspace import (
    CUTOUTS,
    INBOX_PHOTOS,
    MASTERS,
    PHOTOS,
    RENDITIONS,
    Workspace,
    open_workspace,
)
from crown.settings.model import load_settings
from crown.store import files
from tests.product_images.old_tree import (
    NOVEMBER,
    WEB,
    at,
    contents,
    database_rows,
    draw_master,
    old_photo,
    reasons,
    run,
    take_over,
)

RENDERED = list(RENDITIONS.values())


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
