"""SQL models as assets: edges, metadata, checks and pictures as the models say them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from crown.sql_models.checks import promises
from crown.sql_models.project import Project, load_models
from crown_assets.sql_models.assets import PICTURES, SQL_MODELS, build_assets
from resources.database import DatabaseResource
from tests.given import given_database
from tests.sql_models.conftest import insert


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> DatabaseResource:
    return given_database({"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path / "home")})


def key(relation: str) -> dg.AssetKey:
    return dg.AssetKey(["sql", *relation.split(".")])


def test_edges_owners_and_checks_are_those_of_the_models(project: Project) -> None:
    graph = dg.Definitions(assets=SQL_MODELS, resources={"database": DatabaseResource()}).get_repository_def()
    for relation, model in project.models.items():
        node = graph.asset_graph.get(key(relation))
        assert node.parent_keys == {dg.AssetKey(list(k)) for k in project.upstream_keys(relation)}, relation
        assert node.owners == [model.description.owner]
        assert {check.name for check in node.check_keys} == {promise.name for promise in promises(model)}
    assert graph.asset_graph.get(key("staging.art_editions")).parent_keys == {
        dg.AssetKey(["art_records", "editions"])
    }


def test_a_run_builds_everything_with_schema_lineage_rows_and_pictures(
    database: DatabaseResource, engine: Engine, tmp_path: Path
) -> None:
    insert(engine, "prints", [{"airtable_id": "prHarbour", "name": "Harbour", "total_editions": 2}])
    sale = {
        "edition_number": 1,
        "is_printed": True,
        "is_sold": True,
        "retail_price": 10,
        "date_sold": "2025-01-01",
    }
    insert(engine, "editions", [{"airtable_id": "edFirst", "print_id": "prHarbour", **sale}])
    result = dg.materialize(SQL_MODELS, resources={"database": database})
    assert result.success
    found = {
        event.asset_key: event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
    }
    assert len(found) == len(SQL_MODELS)
    artworks = found[key("marts.art_artworks")]
    assert artworks["dagster/row_count"].value == 1
    schema = artworks["dagster/column_schema"].value
    assert [(c.name, c.type) for c in schema.columns][:3] == [
        ("print_id", "text"), ("artwork", "text"), ("editions", "bigint")
    ]  # fmt: skip
    assert schema.columns[0].description == "Record id of the work."
    lineage = found[key("staging.art_prints")]["dagster/column_lineage"].value.deps_by_column
    assert lineage["artwork"] == [
        dg.TableColumnDep(asset_key=dg.AssetKey(["art_records", "prints"]), column_name="name")
    ]
    deps = artworks["dagster/column_lineage"].value.deps_by_column["artwork"]
    assert deps == [dg.TableColumnDep(asset_key=key("staging.art_prints"), column_name="artwork")]
    for relation in PICTURES:
        shown = found[key(relation)]["picture"].value
        path = shown.partition("(/previews/")[2].rstrip(")")
        assert (tmp_path / "home" / "previews" / path).read_bytes().startswith(b"\x89PNG")
    assert all(check.passed for check in result.get_asset_check_evaluations())


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> Project:
    """Two models on a table with one bad row."""
    with engine.begin() as connection:
        connection.execute(text("create schema shop"))
        connection.execute(text("create table shop.things (id integer, price numeric)"))
        connection.execute(text("insert into shop.things values (1, 5), (1, -3)"))
    folder = tmp_path / "models"
    for layer in ("staging", "marts"):
        (folder / layer).mkdir(parents=True)
    (folder / "sources.yml").write_text(
        "sources:\n  shop.things: {asset: [shop, things], description: Things., columns: [id, price]}\n"
    )
    (folder / "staging/things.sql").write_text("select id, price from shop.things")
    (folder / "staging/things.yml").write_text("description: Things.\nowner: team:shop\n")
    (folder / "marts/total.sql").write_text("select sum(price) as total from staging.things")
    (folder / "marts/total.yml").write_text("description: Total.\nowner: team:shop\n")
    return load_models(folder)


def _with_test(shop: Project, severity: str) -> Project:
    shop.models["staging.things"].description_path.write_text(
        "description: Things.\nowner: team:shop\ncolumns:\n  id:\n    description: Id.\n    tests:\n"
        f"      - {{unique: true, severity: {severity}}}\n"
    )
    return load_models(shop.folder)


@pytest.mark.parametrize(("severity", "goes_on"), [("error", False), ("warn", True)])
def test_a_broken_promise_of_severity_error_stops_what_stands_on_it(
    database: DatabaseResource, shop: Project, severity: str, goes_on: bool
) -> None:
    assets = build_assets(_with_test(shop, severity))
    result = dg.materialize(assets, resources={"database": database}, raise_on_error=False)
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.description == "1 rows break it: id is unique."
    told: dict[str, Any] = {name: value.value for name, value in check.metadata.items()}
    assert told["some_of_them"] == [{"id": 1, "copies": 2}]
    assert told["written_in"] == "staging/things.yml:7"
    built = {event.asset_key for event in result.get_asset_materialization_events()}
    assert (key("marts.total") in built) is goes_on
    assert result.success is goes_on


def test_a_broken_model_fails_its_step_with_file_line_and_column(
    database: DatabaseResource, shop: Project
) -> None:
    path = shop.models["marts.total"].path
    path.write_text("select\n  summ(price) as total\nfrom staging.things")
    assets = build_assets(load_models(shop.folder))
    result = dg.materialize(assets, resources={"database": database}, raise_on_error=False)
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data is not None
    assert str(failure.user_failure_data.description).startswith(
        f"{path}:2:3: function summ(numeric) does not exist"
    )
