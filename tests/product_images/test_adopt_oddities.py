"""Taking over old trees with unknown products, unreadable files, and interrupted or repeated runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

from crown.errors import BadInput
from crown.flow.verify import verify
from crown.ledger import counts
from crown.product_images.adopt import unknown_products
from crown.product_images.adopt.takeover import adopt
from crown.product_images.share import review
from crown.product_images.trace import trace
from crown.product_images.workspace import (
    CUTOUTS,
    MASTERS,
    MEDIA,
    RENDITIONS,
    Workspace,
)
from crown.store import files
from crown_cli.images.audit_logs import migrate
from tests.closed import closed
from tests.pictures import draw_part
from tests.product_images.old_tree import (
    NOVEMBER,
    PRODUCTION,
    WEB,
    at,
    contents,
    database_rows,
    draw_master,
    old_outputs,
    old_photo,
    run,
    take_over,
)

ROOT = Path(__file__).resolve().parents[2]


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
