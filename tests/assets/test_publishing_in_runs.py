"""A real run of the job says what is held and what does not meet a profile, on the assets and in their checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from crown.journal import logs, secrets
from crown.product_images.share import review
from crown_assets.definitions import build_defs
from resources.workspaces import ProductImagesResource
from tests.given import given_database
from tests.product_images.flow import finish, published

_PROFILE = """
profiles:
  autocare:
    title: A partner
    source: a test
    categories: [thumbnail]
    rules:
      source: {measure: source_longest_side, at_least: 250, severity: error, advice: photograph it again}
      format: {measure: format, one_of: [tiff], severity: warning, advice: deliver a TIFF}
"""


@pytest.fixture
def images(database_url: str, tmp_path: Path) -> Iterator[ProductImagesResource]:
    (tmp_path / "profiles.yaml").write_text(_PROFILE)
    (tmp_path / "shop").mkdir()
    (tmp_path / "targets.yaml").write_text(
        f"targets:\n  shop: {{folder: {tmp_path}/shop, profile: autocare}}\n"
    )
    environment = {
        "CROWN_DATABASE_URL": database_url,
        "CROWN_HOME": str(tmp_path / "home"),
        "CROWN_WORKERS": "1",
        "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "0",
        "CROWN_PRODUCT_IMAGES_SPECS": "64x64_72dpi_jpeg",
        "CROWN_PRODUCT_IMAGES_COMPLIANCE_PROFILES": str(tmp_path / "profiles.yaml"),
        "CROWN_PRODUCT_IMAGES_PRODUCTION_TARGETS": str(tmp_path / "targets.yaml"),
        "CROWN_PRODUCT_IMAGES_ROTATING_CHECK_GB": "0.00002",
    }
    yield ProductImagesResource(database=given_database(environment))
    logs.close()
    secrets._known.clear()


def run(images: ProductImagesResource, job: str = "product_images") -> dg.ExecuteInProcessResult:
    defs = build_defs(resources={"database": images.database, "images": images})
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def(job).execute_in_process(instance=instance)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def test_findings_holds_and_the_sweep_are_told_by_checks_and_metadata(images: ProductImagesResource) -> None:
    with images.workspace() as workspace:
        finish(workspace, "52000123", "52000124")
        finish(workspace, "52000125", size=(200, 150))
    first = checks(run(images))
    judged = first["meets_autocare"]
    assert not judged.passed
    assert judged.severity == dg.AssetCheckSeverity.ERROR
    assert {name: judged.metadata[name].value for name in ("targets", "judged", "errors", "warnings")} == {
        "targets": "shop",
        "judged": 3,
        "errors": 1,
        "warnings": 3,
    }
    assert "| 52000125 | 64x64_72dpi_jpeg | error | source | 200 px | at least 250 px |" in str(
        judged.metadata["findings"].value
    )
    assert first["no_removal_is_held"].passed
    with images.workspace() as workspace:
        assert (len(published(workspace)), len(published(workspace, "shop"))) == (3, 2)
        review.decide(workspace, "5200012[34]", "withdraw", who="eva", via="cli")
    second = run(images)
    held = checks(second)["no_removal_is_held"]
    assert not held.passed
    assert "2 of the 3 products in production would be removed" in str(held.description)
    (event,) = [
        event
        for event in second.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(["product_images", "production"])
    ]
    assert "crown images confirm" in str(
        event.step_materialization_data.materialization.metadata["held"].value
    )
    checks_run = [
        checks(run(images, "product_images_rotating_check"))["files_are_as_we_wrote_them"] for _ in range(2)
    ]
    assert all(check.passed for check in checks_run)
    assert checks_run[0].metadata["read_to"] != checks_run[1].metadata["read_to"]
