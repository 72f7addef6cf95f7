"""The demo of product images shows what happens when people change decisions, as the database records it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import Engine

from crown.product_images.workspace import INBOX, open_workspace
from crown.settings.model import load_settings
from crown_cli.common.world import World
from crown_cli.demo.images_changes import own_specs, run_steps
from resources import asset_keys
from tests.product_images import flow

PRODUCTS = ("52000123", "52000124", "52000125", "52000126", "52000127")


def test_the_demo_shows_edits_a_re_upload_a_retouch_a_rejection_and_a_blocked_removal_once(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    settings = load_settings(
        {
            "CROWN_HOME": str(tmp_path / "home"),
            "CROWN_WORKERS": "1",
            "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "0",
            "CROWN_PRODUCT_IMAGES_SPECS": "128x128_72dpi_jpeg,64x64_72dpi_jpeg",
            "CROWN_PRODUCT_IMAGES_OUTPUT_SPECS": str(own_specs(tmp_path / "home")),
        },
        None,
    )
    world = World(settings, database_url, engine)
    flow.finish(open_workspace(engine, settings), *PRODUCTS)

    def run() -> dict[str, Any]:
        for upload in (settings.media / INBOX).iterdir():  # what is told does not depend on their size
            with Image.open(upload) as opened:
                smaller = opened.resize((opened.width // 6, opened.height // 6))
            smaller.save(upload, quality=92)
        made = flow.run(open_workspace(engine, settings))
        return {
            "assets": {
                "/".join(asset_keys.path(asset)): {"successful": len(keys)} for asset, keys in made.items()
            }
        }

    run()
    assert run_steps(world, run) == [
        "A text edit of 52000125 rewrote the tags of 2 published files; 0 pictures were rendered again.",
        "An edit of the spec 128x128_72dpi_jpeg made 5 thumbnails and published 5 files; nothing else was touched.",
        "A re-upload of 52000126 and two new views came in; their cut-outs wait for a person: 52000124_3, 52000125_1,"
        " 52000126.",
        "The re-upload was approved and replaced the published pictures of 52000126, 52000125_1 was rejected with a"
        " reason, and a retouched 52000124_3 in ready_for_formatting/demo/ was taken with its own hash: 4 files"
        " published.",
        "Retiring 3 products at once was held until a person confirms it, nothing was removed; the retirement was then"
        " taken back.",
    ]
    before = flow.published(open_workspace(engine, settings))
    assert len(before) == 2 * (len(PRODUCTS) + 1)
    assert run_steps(world, run) == []
    assert flow.published(open_workspace(engine, settings)) == before
