"""Outputs of the flow: files of people beside them, verification, traces, and equal bytes."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from PIL import Image
from sqlalchemy import text

from crown.flow.verify import verify
from crown.ledger import counts, planning
from crown.product_images.share import review
from crown.product_images.trace import trace
from crown.product_images.workspace import (
    CUTOUTS,
    INBOX,
    INBOX_PHOTOS,
    MASTERS,
    PHOTOS,
    PRODUCTION,
    PUBLISHED,
    RENDITIONS,
    TEXTS,
    Workspace,
    open_workspace,
)
from tests.given import with_product_images
from tests.pictures import draw_part
from tests.product_images.flow import approve, finish, published, run


def test_a_persons_file_in_production_is_never_touched(done: Workspace) -> None:
    theirs = done.roots[PRODUCTION] / "52000123" / "web" / "theirs.jpg"
    theirs.write_bytes(b"theirs")
    review.decide(done, "52000123", "withdraw", who="eva", via="cli")
    run(done)
    assert theirs.read_bytes() == b"theirs"
    assert verify(done).foreign == ["production:52000123/web/theirs.jpg"]


def test_a_hand_edited_published_file_is_reported_and_not_overwritten(done: Workspace) -> None:
    edited = done.roots[PRODUCTION] / "52000123/web/52000123_1000x1000_72dpi_jpeg.jpg"
    edited.write_bytes(b"edited by hand")
    found = verify(done)
    assert found.changed == ["production:52000123/web/52000123_1000x1000_72dpi_jpeg.jpg"]
    run(done)
    assert edited.read_bytes() == b"edited by hand"
    edited.unlink()
    with done.engine.begin() as connection:
        planning.retry(connection, PUBLISHED)
    run(done)
    assert verify(done).sound


def test_a_deleted_output_is_noticed_by_verify_and_mended(done: Workspace) -> None:
    before = published(done)
    gone = "52000123/web/52000123_1000x1000_72dpi_jpeg.jpg"
    (done.roots[PRODUCTION] / gone).unlink()
    assert run(done) == {}
    assert verify(done).missing == [f"production:{gone}"]
    assert run(done) == {PUBLISHED: [gone]}
    assert published(done) == before


def test_a_lost_original_is_said_and_never_papered_over(done: Workspace) -> None:
    with done.engine.connect() as connection:
        original = connection.execute(
            text("select content_hash from product_images.uploads limit 1")
        ).scalar_one()
    done.objects.path(original).unlink()
    assert verify(done).missing
    run(done)
    with done.engine.connect() as connection:
        assert any(
            "restore it from the backup" in trouble["error"] for trouble in counts.troubles(connection)
        )


def test_what_we_write_on_the_share_can_be_read_by_colleagues(done: Workspace) -> None:
    folder = done.roots[PRODUCTION]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    assert modes == {0o664}
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.rglob("*") if p.is_dir()} == {0o2775}


def test_no_unfinished_file_stays_on_the_share(done: Workspace) -> None:
    assert [p for folder in done.roots.folders.values() for p in folder.rglob(".crown-*")] == []


def test_the_same_inputs_give_the_same_bytes(done: Workspace, engine: object) -> None:
    before = published(done)
    shutil.rmtree(done.roots[PRODUCTION] / "52000123")
    shutil.rmtree(done.media("products/52000123"))
    verify(done)
    run(done)
    assert published(done) == before


def test_a_trace_leads_from_a_published_file_to_uploader_recipe_decision_and_run(done: Workspace) -> None:
    path = done.roots[PRODUCTION] / "52000123/web/52000123_1000x1000_72dpi_jpeg.jpg"
    with done.engine.begin() as connection:
        connection.execute(text("drop schema dagster cascade"))
    found = trace(done, str(path))
    assert found["unchanged"]
    assert [m["asset"] for m in found["back"]] == [
        RENDITIONS["web"],
        TEXTS,
        MASTERS,
        CUTOUTS,
        PHOTOS,
        INBOX_PHOTOS,
    ]
    assert {m["run_id"] for m in found["back"]} == {"run-1"}
    assert (found["made"]["who"], found["made"]["verdict"]) == ("eva", "approve")
    assert found["back"][0]["recipe_name"] == "1000x1000_72dpi_jpeg"
    assert [(u["file_name"], u["uploader"]) for u in found["uploads"]] == [("52000123.jpg", path.owner())]
    forward = trace(done, found["uploads"][0]["content_hash"])["forward"]
    assert str(path).endswith(tuple(m["path"] for m in forward if m["asset"] == PUBLISHED))


def test_the_old_tables_show_what_was_published(done: Workspace) -> None:
    with done.engine.connect() as connection:
        synced = connection.execute(
            text("select product_number, files_synced from audit.production_sync order by 1")
        ).all()
        formats = connection.execute(
            text("select format_name from audit.format_history where product_number = '52000123' order by 1")
        ).scalars()
    assert [tuple(row) for row in synced] == [("52000123", 5), ("52000124", 5)]
    assert "web/1000x1000_72dpi_jpeg" in list(formats)


def test_two_numbers_can_share_one_picture(workspace: Workspace, tmp_path: Path) -> None:
    picture = draw_part(tmp_path / "p.jpg")
    for name in ("52000123.jpg", "52000124.jpg"):
        shutil.copyfile(picture, workspace.media(INBOX) / name)
    run(workspace)
    approve(workspace)
    run(workspace)
    assert {path.split("/")[0] for path in published(workspace)} == {"52000123", "52000124"}


def test_a_picture_that_cannot_be_cut_out_is_shown_for_hand_work(workspace: Workspace) -> None:
    Image.new("RGB", (300, 200), (240, 240, 240)).save(workspace.media(INBOX) / "52000123.jpg")
    run(workspace)
    assert [p.name for p in workspace.media("review/bg_removal_failed").iterdir()] == ["52000123.png"]
    with workspace.engine.connect() as connection:
        assert counts.by_state(connection)[CUTOUTS]["quarantined"] == 1


def test_a_format_that_cannot_be_made_of_a_small_picture_holds_up_no_other_format(
    workspace: Workspace, tmp_path: Path
) -> None:
    Image.new("RGBA", (10, 10), (200, 0, 0, 255)).save(tmp_path / "icon.png")
    (tmp_path / "specs.yaml").write_text(
        "specs:\n  plain_png: {format: png, dpi: 72, enabled: true}\n"
        "  marked_png: {format: png, dpi: 72, enabled: true,"
        " brand_icon: {file: icon.png, position: top_left, offset: [90, 5]}}\n"
    )
    own = with_product_images(workspace.settings, {"output_specs": tmp_path / "specs.yaml"})
    small = open_workspace(workspace.engine, own)
    finish(small, "52000123", size=(60, 40))
    finish(small, "52000124", size=(300, 200))
    made = run(small)
    assert sorted(key for asset in RENDITIONS.values() for key in made.get(asset, [])) == [
        "52000123/plain_png",
        "52000124/marked_png",
        "52000124/plain_png",
    ]
    with small.engine.connect() as connection:
        failed = connection.execute(
            text("select key, state, error from ledger.items where state in ('failed', 'quarantined')")
        ).all()
    assert [(row.key, row.state) for row in failed] == [("52000123/marked_png", "quarantined")]
    assert "outside this picture of 60 x 40" in failed[0].error
