"""What a person enters into the launchpad decides which of the due items a run makes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError
from sqlalchemy import text

from crown.journal import logs, secrets
from crown.product_images.workspace import CUTOUTS, INBOX, MASTERS, RENDITIONS
from crown_assets.definitions import build_defs
from crown_assets.factories import key
from resources.workspaces import ProductImagesResource
from tests.given import given_database
from tests.pictures import draw_part
from tests.product_images.flow import finish

JPEG = "64x64_72dpi_jpeg"


@pytest.fixture
def images(database_url: str, tmp_path: Path) -> Iterator[ProductImagesResource]:
    environment = {
        "CROWN_DATABASE_URL": database_url,
        "CROWN_HOME": str(tmp_path / "home"),
        "CROWN_WORKERS": "1",
        "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "0",
        "CROWN_PRODUCT_IMAGES_SPECS": JPEG,
    }
    yield ProductImagesResource(database=given_database(environment))
    logs.close()
    secrets._known.clear()


def run(
    images: ProductImagesResource, assets: list[str], config: dict[str, dict[str, Any]] | None = None
) -> dg.ExecuteInProcessResult:
    """Materialize assets as the dialog does, with the configuration of some of them by the name of the node."""
    defs = build_defs(resources={"database": images.database, "images": images})
    given = {node: {"config": values} for node, values in (config or {}).items()}
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            run_config={"ops": given},
            asset_selection=[key(asset) for asset in assets],
        )


def current(images: ProductImagesResource, *assets: str) -> list[str]:
    with images.workspace() as workspace, workspace.engine.connect() as connection:
        query = "select key from ledger.items where asset = any(:assets) and state = 'current' order by key"
        return list(connection.execute(text(query), {"assets": list(assets)}).scalars())


def test_a_pattern_and_a_limit_choose_among_masters_and_renditions(images: ProductImagesResource) -> None:
    with images.workspace() as workspace:
        finish(workspace, "52000123", "52000124", "70100001_1")
    upstream = ["product_images/inbox_photos", "product_images/photos", CUTOUTS, MASTERS]
    run(images, upstream, {"product_images__masters": {"pattern": "5200*"}})
    assert current(images, MASTERS) == ["52000123", "52000124"]
    run(images, list(RENDITIONS.values()), {"product_images__renditions": {"limit": 1}})
    assert current(images, *RENDITIONS.values()) == [f"52000123/{JPEG}"]
    run(images, [MASTERS, *RENDITIONS.values()], {"product_images__renditions": {"pattern": "70100001_?"}})
    assert current(images, *RENDITIONS.values()) == [f"52000123/{JPEG}", f"70100001_1/{JPEG}"]
    run(images, list(RENDITIONS.values()))
    assert len(current(images, *RENDITIONS.values())) == 3, "without configuration everything that is due"


def test_a_model_chooses_among_the_cutouts_that_it_makes(images: ProductImagesResource) -> None:
    with images.workspace() as workspace:
        model = workspace.settings.product_images.cutout_model
        for photo in ("52000123", "52000124"):
            draw_part(workspace.media(INBOX) / f"{photo}.jpg")
    upstream = ["product_images/inbox_photos", "product_images/photos", CUTOUTS]
    run(images, upstream, {"product_images__cutouts": {"model": "no-such-model"}})
    assert current(images, CUTOUTS) == []
    run(images, [CUTOUTS], {"product_images__cutouts": {"model": model, "pattern": "52000124"}})
    assert current(images, CUTOUTS) == ["52000124"]


@pytest.mark.parametrize(
    "wrong", [{"limit": -1}, {"limit": 10**30}, {"limit": "many"}, {"folder": "/elsewhere"}]
)
def test_a_wrong_configuration_is_refused(images: ProductImagesResource, wrong: dict[str, Any]) -> None:
    with pytest.raises((dg.DagsterInvalidConfigError, ValidationError)):
        run(images, [MASTERS], {"product_images__masters": wrong})
