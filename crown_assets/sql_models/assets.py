"""SQL models as assets: one for each file of dbt_like_sql/, with the edges, columns and tests of its description.

An asset here builds its relation and runs its tests, with crown/sql_models. What a model means is
in its .sql and .yml, so a new model needs no line here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Engine, text

from crown.sql_models.build import ModelResult, build
from crown.sql_models.checks import Finding, Promise, ask, promises
from crown.sql_models.lineage import read_columns
from crown.sql_models.project import ColumnLineage, Model, Project, load_models
from crown_assets.factories import preview, sentences_as_failures, write_preview
from resources.database import DatabaseResource

GROUP = "sql"
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))
_SEVERITY = {"error": dg.AssetCheckSeverity.ERROR, "warn": dg.AssetCheckSeverity.WARN}


def build_assets(
    project: Project, pictures: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], bytes]] | None = None
) -> list[dg.AssetsDefinition]:
    """One asset for each model of a project.

    Args:
        project: the models.
        pictures: for some relations, a function that draws its rows as PNG bytes.
    """
    drawn = pictures or {}
    return [_asset(project, model, drawn.get(model.relation)) for model in project.models.values()]


def _asset(
    project: Project, model: Model, draw: Callable[[Sequence[Mapping[str, Any]]], bytes] | None
) -> dg.AssetsDefinition:
    key = dg.AssetKey(list(project.asset_key(model.relation)))
    kept = promises(model)

    @dg.asset(
        key=key,
        deps=[dg.AssetKey(list(upstream)) for upstream in project.upstream_keys(model.relation)],
        description=model.description.description,
        group_name=GROUP,
        owners=[model.description.owner],
        kinds={"sql", "postgres"},
        code_version=model.fingerprint[:16],
        metadata={
            "dagster/table_name": model.relation,
            "materialised": model.description.materialised,
            "sql": dg.MetadataValue.md(f"```sql\n{model.sql.strip()}\n```"),
        },
        check_specs=[_check(key, promise) for promise in kept],
        freshness_policy=FRESH,
    )
    def sql_model(context: dg.AssetExecutionContext, database: DatabaseResource) -> dg.MaterializeResult:
        with sentences_as_failures(), database.engine() as engine:
            lineage = read_columns(project, model.relation)[model.relation]
            done = build(engine, project, model)
            context.log.info("%s: %d rows in %.2f s", model.relation, done.rows or 0, done.seconds)
            metadata = _metadata(project, done, lineage)
            if draw is not None:
                previews = database.settings().home / "previews"
                target = previews.joinpath(*key.path, f"{context.run_id}.png")
                metadata["picture"] = preview(_draw(engine, model, draw, target), previews)
            return dg.MaterializeResult(
                metadata=metadata,
                check_results=[_result(ask(engine, promise)) for promise in kept],
                # Dagster derives it from what was read; the clock reads nothing and is another every day.
                data_version=None if model.upstream else dg.DataVersion(f"{datetime.now(UTC):%Y-%m-%d}"),
            )

    return sql_model


def _check(key: dg.AssetKey, promise: Promise) -> dg.AssetCheckSpec:
    """A failing test of severity error skips what depends on the model."""
    return dg.AssetCheckSpec(
        promise.name, asset=key, description=promise.sentence, blocking=promise.severity == "error"
    )


def _result(finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=finding.passed,
        check_name=finding.name,
        severity=_SEVERITY[finding.severity],
        description=None if finding.passed else f"{finding.count} rows break it: {finding.sentence}.",
        metadata={
            "promise": finding.sentence,
            "rows_that_break_it": finding.count,
            "some_of_them": dg.MetadataValue.json(list(finding.sample)),
            "written_in": f"{finding.path.parent.name}/{finding.path.name}:{finding.line}",
        },
    )


def _metadata(project: Project, done: ModelResult, lineage: ColumnLineage) -> dict[str, Any]:
    deps = {
        column: [
            dg.TableColumnDep(asset_key=dg.AssetKey(list(project.asset_key(relation))), column_name=name)
            for relation, name in origins
        ]
        for column, origins in lineage.items()
    }
    return {
        "dagster/row_count": done.rows,
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(c.name, c.type, description=c.description) for c in done.columns]
        ),
        "dagster/column_lineage": dg.TableColumnLineage(deps),
        "seconds": round(done.seconds, 3),
        "views_made_again": dg.MetadataValue.json(list(done.rebuilt)),
    }


def _draw(
    engine: Engine, model: Model, draw: Callable[[Sequence[Mapping[str, Any]]], bytes], target: Path
) -> Path:
    with engine.connect() as connection:
        rows = connection.execute(text(f"select * from {model.relation} order by 1")).mappings().all()
    return write_preview(draw([dict(row) for row in rows]), target)


def _sales_by_month(rows: Sequence[Mapping[str, Any]]) -> bytes:
    from crown.art_records.charts import sales_by_month

    return sales_by_month(rows)


def _sell_through(rows: Sequence[Mapping[str, Any]]) -> bytes:
    from crown.art_records.charts import sell_through_by_artwork

    return sell_through_by_artwork(rows)


#: Where people would rather look than read.
PICTURES = {"marts.art_sales_by_month": _sales_by_month, "marts.art_artworks": _sell_through}

SQL_MODELS = build_assets(load_models(), PICTURES)
