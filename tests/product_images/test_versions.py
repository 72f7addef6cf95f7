"""The code versions that Dagster shows are those of the recipes."""

from __future__ import annotations

from sqlalchemy import text

from crown.product_images import stages
from crown.product_images.versions import CODE_VERSIONS
from crown.product_images.workspace import CUTOUTS, RENDITIONS, Workspace


def test_the_code_version_of_an_asset_is_the_one_of_its_recipes(workspace: Workspace) -> None:
    for asset in CODE_VERSIONS:
        stages.plan(workspace, [asset])
    with workspace.engine.connect() as connection:
        rows = connection.execute(text("select asset, body from ledger.recipes")).all()
    found = {(row.asset, str(body["version"])) for row in rows if (body := row.body).get("version")}
    assert found
    for asset, version in found:
        if asset in CODE_VERSIONS and asset != CUTOUTS:
            assert version == CODE_VERSIONS[asset], asset
    assert set(RENDITIONS.values()) <= set(CODE_VERSIONS)
