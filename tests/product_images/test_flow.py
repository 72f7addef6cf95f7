"""From inbox to production on small real pictures: what is made, what waits, what stays untouched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

from crown.errors import BadInput
from crown.ledger import counts
from crown.product_images import stages
from crown.product_images.counters import counters
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
    READY,
    RENDITIONS,
    REVIEW,
    TEXTS,
    Workspace,
    open_workspace,
)
from crown.settings.model import load_settings
from crown.store import files
from tests.product_images.flow import approve, finish, look, published, run, upload


def test_the_share_has_the_folders_that_people_know(workspace: Workspace) -> None:
    below = sorted(
        p.relative_to(workspace.settings.media).as_posix() for p in workspace.settings.media.rglob("*")
    )
    assert below == [
        ".crownroot",
        "errors",
        "inbox",
        "production",
        "products",
        "ready_for_formatting",
        "review",
        "review/bg_removal_failed",
        "review/bg_removed",
        "review/name_conflicts",
        "review/rejected",
    ]


def test_a_photo_that_takes_longer_than_the_limit_fails_and_says_so(workspace: Workspace) -> None:
    upload(workspace, "52000123.jpg")
    look(workspace)
    environment = {"CROWN_HOME": str(workspace.settings.home), "CROWN_WORKERS": "1"}
    run(
        open_workspace(
            workspace.engine, load_settings({**environment, "CROWN_ITEM_TIMEOUT_SECONDS": "0.01"}, None)
        )
    )
    with workspace.engine.connect() as connection:
        (trouble,) = counts.troubles(connection)
    assert (trouble["asset"], trouble["key"]) == (CUTOUTS, "52000123")
    assert "CROWN_ITEM_TIMEOUT_SECONDS" in trouble["error"]


def test_the_doubtful_stand_first_in_the_review(workspace: Workspace) -> None:
    for number, shade in (("52000123", 10), ("52000124", 20), ("52000125", 30)):
        Image.new("RGBA", (60, 40), (shade, 30, 30, 255)).save(workspace.media(REVIEW) / f"{number}.png")
    run(workspace)
    with workspace.engine.begin() as connection:
        for number, score in (("52000124", 12), ("52000125", 55)):
            connection.execute(
                text(
                    "update ledger.outputs set facts = jsonb_build_object('triage', jsonb_build_object('score',"
                    " cast(:score as int))) where asset = :asset and key = :key"
                ),
                {"asset": CUTOUTS, "key": number, "score": score},
            )
    waiting = review.cutouts(workspace, undecided=True)
    assert [cutout.photo for cutout in waiting] == ["52000124", "52000125", "52000123"]


def test_the_counters_say_how_many_pictures_are_where(workspace: Workspace) -> None:
    def counted() -> dict[str, int]:
        return {name: count for name, count in vars(counters(workspace)).items() if count}

    assert counted() == {}
    for name in ("52000123.jpg", "_1.jpg", "prices.txt"):
        (workspace.media(INBOX) / name).write_bytes(b"no picture")
    assert counted() == {"inbox": 3}
    look(workspace)
    assert counted() == {"name_conflicts": 1, "errors": 2}
    finish(workspace, "52000124", "52000124_2", "52000125")
    Image.new("RGBA", (60, 40), (1, 2, 3, 255)).save(workspace.media(REVIEW) / "52000126.png")
    Image.new("RGB", (300, 200), (240, 240, 240)).save(workspace.media(INBOX) / "52000127.jpg")
    left = {"name_conflicts": 1, "errors": 2}
    assert counted() == left | {"inbox": 1, "ready_for_formatting": 3}
    look(workspace)
    stages.make(workspace, [INBOX_PHOTOS])
    stages.make(workspace, [PHOTOS])
    stages.plan(workspace, [CUTOUTS])
    assert counted() == left | {"pending_cutout": 5, "products": 4}
    run(workspace)
    assert counted() == left | {
        "cutouts_to_review": 1,
        "cutouts_failed": 1,
        "products": 4,
        "products_in_production": 2,
    }


def test_a_picture_goes_from_the_inbox_to_five_published_files(workspace: Workspace) -> None:
    upload(workspace, "52000123.jpg")
    assert set(run(workspace)) == {INBOX_PHOTOS, PHOTOS, TEXTS, CUTOUTS}
    assert [p.name for p in workspace.media(REVIEW).iterdir()] == ["52000123.png"]
    approve(workspace)
    assert set(run(workspace)) == {MASTERS, *RENDITIONS.values(), PUBLISHED}
    assert set(published(workspace)) == {
        "52000123/transparent/52000123_original_300dpi_png.png",
        "52000123/transparent/52000123_original_300dpi_tiff.tif",
        "52000123/print/52000123_2500_longest_300dpi_tiff.tif",
        "52000123/web/52000123_1000x1000_72dpi_jpeg.jpg",
        "52000123/thumbnail/52000123_128x128_72dpi_jpeg.jpg",
    }
    with Image.open(
        workspace.roots[PRODUCTION] / "52000123/web/52000123_1000x1000_72dpi_jpeg.jpg"
    ) as picture:
        assert picture.size == (1000, 1000)
        assert picture.getpixel((0, 0)) == (255, 255, 255)
        assert picture.info["dpi"] == (72, 72)
        assert picture.info["icc_profile"]


def test_a_second_run_makes_nothing_and_touching_every_mtime_changes_nothing(done: Workspace) -> None:
    before = published(done)
    for folder in done.roots.folders.values():
        for path in folder.rglob("*"):
            os.utime(path, (1, 1))
    assert run(done) == {}
    assert published(done) == before


def test_nothing_is_rendered_before_it_is_approved(workspace: Workspace) -> None:
    upload(workspace, "52000123.jpg")
    run(workspace)
    assert run(workspace) == {}
    assert published(workspace) == {}
    assert list(workspace.media("products").iterdir()) == []
    with workspace.engine.connect() as connection:
        waiting = connection.execute(
            text("select waiting_for from ledger.items where asset = :a"), {"a": MASTERS}
        ).scalar_one()
    assert waiting == "approval"


def test_a_changed_pixel_makes_exactly_that_photos_outputs_and_voids_its_approval(done: Workspace) -> None:
    before = published(done)
    master = done.media("products/52000123/source/52000123.png")
    replaced = files.sha256(master)
    upload(done, "52000123.jpg", shade=140)
    made = run(done)
    assert made[CUTOUTS] == ["52000123"]
    assert set(made) == {INBOX_PHOTOS, PHOTOS, CUTOUTS}
    assert published(done) == before
    approve(done, "52000123")
    made = run(done)
    assert made[MASTERS] == ["52000123"]
    assert all(
        key.startswith("52000123/") for asset in [*RENDITIONS.values(), PUBLISHED] for key in made[asset]
    )
    changed = {path for path, content in published(done).items() if before[path] != content}
    assert changed == {path for path in before if path.startswith("52000123/")}
    assert files.sha256(master) != replaced
    assert done.objects.holds(replaced)


def test_an_edited_spec_rebuilds_exactly_that_spec(done: Workspace) -> None:
    edited = open_workspace(done.engine, done.settings)
    specs = dict(done.specs)
    name = "1000x1000_72dpi_jpeg"
    specs[name] = specs[name].model_copy(update={"quality": 80})
    edited.__dict__["specs"] = specs
    made = run(edited)
    assert made == {
        RENDITIONS["web"]: [f"52000123/{name}", f"52000124_2/{name}"],
        PUBLISHED: [f"52000123/web/52000123_{name}.jpg", f"52000124/web/52000124_2_{name}.jpg"],
    }


def test_a_spec_that_is_no_longer_wanted_is_taken_from_production(done: Workspace) -> None:
    environment = {
        "CROWN_HOME": str(done.settings.home),
        "CROWN_PRODUCT_IMAGES_SPECS": "1000x1000_72dpi_jpeg",
        "CROWN_WORKERS": "1",
    }
    fewer = open_workspace(done.engine, load_settings(environment, None))
    run(fewer)
    assert set(published(fewer)) == {
        "52000123/web/52000123_1000x1000_72dpi_jpeg.jpg",
        "52000124/web/52000124_2_1000x1000_72dpi_jpeg.jpg",
    }
    run(done)
    assert len(published(done)) == 10


def test_a_new_view_of_a_published_product_is_rendered(done: Workspace) -> None:
    upload(done, "52000123_1.jpg")
    run(done)
    approve(done, "52000123_1")
    run(done)
    assert "52000123/web/52000123_1_1000x1000_72dpi_jpeg.jpg" in published(done)


def test_moving_the_file_to_ready_for_formatting_approves_it(workspace: Workspace) -> None:
    upload(workspace, "52000123.jpg")
    run(workspace)
    (workspace.media(REVIEW) / "52000123.png").rename(workspace.media(READY) / "52000123.png")
    assert MASTERS in run(workspace)
    assert list(workspace.media(READY).iterdir()) == []
    with workspace.engine.connect() as connection:
        row = connection.execute(text("select who, via, verdict from ledger.decisions")).one()
    assert tuple(row) == ("share", "share", "approve")


def test_a_persons_sub_folder_names_the_person(workspace: Workspace) -> None:
    upload(workspace, "52000123.jpg")
    run(workspace)
    (workspace.media(READY) / "eva").mkdir()
    (workspace.media(REVIEW) / "52000123.png").rename(workspace.media(READY) / "eva" / "52000123.png")
    run(workspace)
    with workspace.engine.connect() as connection:
        assert connection.execute(text("select who from ledger.decisions")).scalar_one() == "eva"
        audit = connection.execute(
            text("select user_id from audit.product_audit where action = 'human_approved'")
        ).scalar_one()
    assert audit == "eva"


def test_a_file_removed_from_review_is_a_rejection_that_can_be_taken_back(workspace: Workspace) -> None:
    upload(workspace, "52000123.jpg")
    run(workspace)
    (workspace.media(REVIEW) / "52000123.png").unlink()
    look(workspace)
    assert review.cutouts(workspace)[0].verdict == "reject"
    assert MASTERS not in run(workspace)
    approve(workspace)
    assert MASTERS in run(workspace)


def test_a_retouched_file_is_a_output_with_its_own_hash(workspace: Workspace) -> None:
    upload(workspace, "52000123.jpg")
    run(workspace)
    shown = workspace.media(REVIEW) / "52000123.png"
    with Image.open(shown) as opened:
        retouched = opened.copy()
    shown.unlink()
    retouched.putpixel((5, 5), (255, 0, 0, 255))
    retouched.save(workspace.media(READY) / "52000123.png")
    mine = files.sha256(workspace.media(READY) / "52000123.png")
    run(workspace)
    master = workspace.media("products/52000123/source/52000123.png")
    assert files.sha256(master) == mine
    found = trace(workspace, str(master))
    assert [m["recipe_name"] for m in found["back"] if m["asset"] == CUTOUTS] == ["retouch"]
    assert {upload["kind"] for upload in found["uploads"]} == {"original", "retouch"}


def test_a_new_upload_overrules_the_retouch_of_the_old_one(workspace: Workspace) -> None:
    test_a_retouched_file_is_a_output_with_its_own_hash(workspace)
    upload(workspace, "52000123.jpg", shade=150)
    made = run(workspace)
    assert made[CUTOUTS] == ["52000123"]
    assert MASTERS not in made
    assert review.cutouts(workspace)[0].verdict is None


def test_a_finished_picture_without_a_photo_is_taken_as_its_own_original(
    workspace: Workspace, tmp_path: Path
) -> None:
    picture = Image.new("RGBA", (300, 200), (200, 30, 30, 255))
    picture.save(workspace.media(READY) / "52000777.png")
    made = run(workspace)
    assert made[MASTERS] == ["52000777"]
    assert "52000777/web/52000777_1000x1000_72dpi_jpeg.jpg" in published(workspace)


def test_an_approval_that_is_withdrawn_takes_the_pictures_from_production(done: Workspace) -> None:
    review.decide(done, "52000123", "withdraw", who="eva", via="cli")
    run(done)
    assert {path.split("/")[0] for path in published(done)} == {"52000124"}
    approve(done, "52000123")
    run(done)
    assert {path.split("/")[0] for path in published(done)} == {"52000123", "52000124"}


def test_a_rejection_takes_a_reason_and_returns_the_photo_to_the_inbox(done: Workspace) -> None:
    with pytest.raises(BadInput, match="reason of at least 1 character; it has 0"):
        review.decide(done, "52000123", "reject", who="eva", via="cli", reason=" ")
    with pytest.raises(
        BadInput, match="retouch is no verdict of product_images/cutouts; it knows approve, reject"
    ):
        review.decide(done, "52000123", "retouch", who="eva", via="cli", reason="the hole is filled")
    (said,) = review.decide(done, "52000123", "reject", who="eva", via="cli", reason="the hole is filled")
    assert said.return_stage == "product_images/inbox_photos"
    run(done)
    assert {path.split("/")[0] for path in published(done)} == {"52000124"}


def test_withdrawing_reaches_the_approval_of_the_master_that_a_newer_photo_has_not_replaced_yet(
    done: Workspace,
) -> None:
    upload(done, "52000123.jpg", shade=140)
    run(done)
    review.decide(done, "52000123", "withdraw", who="eva", via="cli")
    run(done)
    assert {path.split("/")[0] for path in published(done)} == {"52000124"}
