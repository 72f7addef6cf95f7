"""People do not wait for machines: an approval is carried out while the queue of cut-outs is at work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
from sqlalchemy import text

from crown.journal import logs, secrets
from crown.product_images.share import review
from crown.product_images.workspace import CUTOUTS, INBOX
from crown_assets.definitions import build_defs
from resources import queues
from resources.workspaces import ProductImagesResource
from tests.given import given_database
from tests.pictures import draw_cut_out
from tests.product_images.flow import published

ROOT = Path(__file__).resolve().parents[2]
SPEC = "64x64_72dpi_jpeg"
#: More than a worker claims at once, so that some are left when the first results are entered.
PHOTOS = [f"520001{number:02}" for number in range(20)]


def _made(images: ProductImagesResource) -> set[str]:
    with images.workspace() as workspace, workspace.engine.connect() as connection:
        rows = connection.execute(
            text("select key from ledger.items where asset = :asset and state = 'current'"),
            {"asset": CUTOUTS},
        )
        return set(rows.scalars())


def _follow_people(images: ProductImagesResource) -> None:
    """The run that the sensors ask for after an upload or a decision."""
    defs = build_defs(resources={"database": images.database, "images": images})
    with dg.DagsterInstance.ephemeral() as instance:
        assert defs.resolve_job_def(queues.PRODUCT_IMAGES).execute_in_process(instance=instance).success


def test_an_approval_is_published_while_a_batch_of_cutouts_is_still_running(
    database_url: str, tmp_path: Path
) -> None:
    environment = {
        "CROWN_DATABASE_URL": database_url,
        "CROWN_HOME": str(tmp_path / "home"),
        "CROWN_WORKERS": "1",
        "CROWN_PRODUCT_IMAGES_SPECS": SPEC,
    }
    images = ProductImagesResource(database=given_database(environment))
    with images.workspace() as workspace:
        for shade, photo in enumerate(PHOTOS):
            draw_cut_out(workspace.media(INBOX) / f"{photo}.png", shade=60 + shade)
    _follow_people(images)
    assert _made(images) == set()
    batch = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.cutouts_process", database_url, str(tmp_path / "home")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert batch.stdout is not None
        photo, _, said = batch.stdout.readline().strip().partition(" ")
        assert said == "cut out"
        with images.workspace() as workspace:
            review.decide(workspace, photo, "approve", who="eva", via="cli")
        _follow_people(images)
        assert photo in _made(images) < set(PHOTOS)
        assert batch.poll() is None
        with images.workspace() as workspace:
            assert list(published(workspace)) == [f"{photo}/thumbnail/{photo}_{SPEC}.jpg"]
        rest, _ = batch.communicate("go on\n")
        assert rest.splitlines()[-1] == "done"
        assert _made(images) == set(PHOTOS)
    finally:
        batch.kill()
        batch.wait()
        logs.close()
        secrets._known.clear()
