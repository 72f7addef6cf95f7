"""`crown sql`: the SQL models of dbt_like_sql/. They are read and built by crown/sql_models."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crown_cli.common.output import csv_wanted, json_option, rows_option, show_json, show_rows

if TYPE_CHECKING:
    import dagster as dg

    from crown.sql_models.project import Model


@click.group()
def sql() -> None:
    """SQL models: plain SELECTs that become views and tables, in the order they read each other.

    \b
    crown sql run                          build all, recorded in Dagster
    crown sql run +art_portfolio           one, and its upstream models
    crown sql test marts                   run the tests of one layer
    crown sql show art_alerts --as-of 2025-12-31
    crown sql export --to reports          every mart as CSV
    """  # noqa: D301 - click's mark for lines that keep their breaks


_names = click.argument("names", nargs=-1)


@sql.command(name="list")
@rows_option
def list_models(as_json: bool) -> None:
    """Every model, in the order of building, and what it reads.

    \b
    crown sql list
    """  # noqa: D301
    from crown.sql_models.checks import promises
    from crown.sql_models.project import load_models

    rows = [
        {
            "model": model.relation,
            "materialised": model.description.materialised,
            "tests": len(promises(model)),
            "reads": ", ".join(model.upstream),
        }
        for model in load_models().models.values()
    ]
    show_rows(rows, as_json=as_json, empty="There is no model.")


@sql.command(short_help="Build models and run their tests.")
@_names
@json_option
def run(names: tuple[str, ...], as_json: bool) -> None:
    """Build models and run their tests; the run appears in the Dagster UI.

    NAMES are models or layers (staging, intermediate, marts); `+name` takes what it depends on too, `name+` what
    depends on it. Without NAMES, all. A model that fails keeps what was there; exit code 1.

    \b
    crown sql run
    crown sql run +art_galleries+ --json
    """  # noqa: D301
    from crown.sql_models.build import removed
    from crown.sql_models.lineage import read_columns
    from crown.sql_models.project import load_models
    from crown_cli.common.runs import dagster_instance
    from crown_cli.common.world import open_world

    project = load_models()
    chosen = project.select(names)
    read_columns(project)
    with open_world() as world, dagster_instance(world) as instance:
        import dagster as dg

        from crown_assets.definitions import defs

        keys = {dg.AssetKey(list(project.asset_key(model.relation))): model for model in chosen}
        result = defs.resolve_job_def("sql_models").execute_in_process(
            instance=instance,
            asset_selection=list(keys),
            raise_on_error=False,
            tags={"crown/queue": "sql_models"},
            # The events are in the instance; here a table says it.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        gone = removed(world.engine, project)
    rows = _rows_of(result, keys)
    if as_json:
        show_json({"run_id": result.run_id, "models": rows, "removed": gone})
    else:
        show_rows(rows, title=f"Run {result.run_id}")
        for relation in gone:
            click.echo(f"{relation} was built from a model that is gone; drop it when nobody reads it.")
    if not result.success:
        raise click.exceptions.Exit(1)


def _rows_of(result: dg.ExecuteInProcessResult, keys: dict[dg.AssetKey, Model]) -> list[dict[str, Any]]:
    """What became of each model, from the events of the run."""
    steps = {"__".join(key.path): key for key in keys}
    rows: dict[dg.AssetKey, dict[str, Any]] = {
        key: {"model": model.relation, "outcome": "skipped", "rows": None, "seconds": None, "said": ""}
        for key, model in keys.items()
    }
    for event in result.get_asset_materialization_events():
        if event.asset_key in rows:
            metadata = event.step_materialization_data.materialization.metadata
            rows[event.asset_key] |= {
                "outcome": "built",
                "rows": metadata["dagster/row_count"].value,
                "seconds": metadata["seconds"].value,
            }
    for check in result.get_asset_check_evaluations():
        row = rows.get(check.asset_key)
        if row is not None and not check.passed:
            row["said"] = "; ".join(
                part for part in (row["said"], check.description or check.check_name) if part
            )
            if check.blocking:
                row["outcome"] = "broken promise"
    for event in result.all_events:
        key = steps.get(event.step_key or "")
        if event.is_step_failure and key is not None and rows[key]["outcome"] == "skipped":
            data = event.step_failure_data
            user = data.user_failure_data
            said = user.description if user and user.description else str(data.error and data.error.message)
            rows[key] |= {"outcome": "failed", "said": said.strip()}
    return list(rows.values())


@sql.command(short_help="Run the tests of models that are built.")
@_names
@rows_option
def test(names: tuple[str, ...], as_json: bool) -> None:
    """Run the tests of models that are built; exit code 1 when one of severity error is broken.

    \b
    crown sql test
    crown sql test staging --json
    """  # noqa: D301
    from crown.sql_models.checks import check
    from crown.sql_models.project import load_models
    from crown_cli.common.world import open_world

    with open_world() as world:
        findings = check(world.engine, load_models(), names)
    broken = [finding for finding in findings if not finding.passed]
    if as_json:
        show_json(findings)
    else:
        show_rows(
            [
                {
                    "model": finding.relation,
                    "promise": finding.sentence,
                    "severity": finding.severity,
                    "rows": finding.count,
                    "for example": str(finding.sample[0])[:120] if finding.sample else "",
                    "written in": f"{finding.path.name}:{finding.line}",
                }
                for finding in broken
            ],
            title=f"{len(broken)} of {len(findings)} promises are broken" if broken else None,
            empty=f"All {len(findings)} promises hold.",
        )
    if any(finding.severity == "error" for finding in broken):
        raise click.exceptions.Exit(1)


@sql.command(short_help="Describe the models as a page.")
@click.option(
    "--html", "as_html", is_flag=True, help="One HTML page with the picture inside, instead of Markdown."
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def docs(as_html: bool, output: Path | None) -> None:
    """The models as a page: what each is, its columns, where they come from, who reads whom.

    \b
    crown sql docs > models.md
    crown sql docs --html --output models.html
    """  # noqa: D301
    from crown.sql_models.docs import html, markdown
    from crown.sql_models.project import load_models

    page = html(load_models()) if as_html else markdown(load_models())
    if output is None:
        click.echo(page, nl=False)
        return
    from crown.store.files import Ownership, write_text

    write_text(output.absolute(), page, Ownership())
    click.echo(str(output))


@sql.command(name="export")
@click.argument("names", nargs=-1)
@click.option(
    "--to",
    "folder",
    metavar="DIR",
    required=True,
    help="Folder for the files; - writes one model to the output.",
)
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Count from this day instead of today.")
@rows_option
def export_models(names: tuple[str, ...], folder: str, as_of: datetime | None, as_json: bool) -> None:
    """Write models as CSV files, all of the same moment.

    Without NAMES, every mart. A file that is there is replaced in one step.

    \b
    crown sql export --to reports
    crown sql export art_portfolio --to - > portfolio.csv
    crown sql export marts staging --to all --as-of 2026-04-05 --json
    """  # noqa: D301
    import sys

    from crown.sql_models.export import export, write
    from crown.sql_models.project import load_models
    from crown.store.files import Ownership
    from crown_cli.common.world import open_world

    chosen = load_models().select(names or ("marts",))
    day = as_of.date() if as_of else None
    if folder == "-":
        if len(chosen) != 1 or as_json:
            raise click.UsageError("One model goes to the output; name it, or a folder with --to DIR.")
        with open_world() as world:
            write(world.engine, chosen[0], sys.stdout.buffer, day)
        return
    with open_world() as world:
        settings = world.settings
        ownership = Ownership(settings.file_mode & 0o666, settings.folder_mode, settings.file_group)
        done = list(export(world.engine, chosen, Path(folder).absolute(), ownership, day))
    show_rows(
        [{"model": one.model, "file": str(one.file), "rows": one.rows, "bytes": one.bytes} for one in done],
        as_json=as_json,
        empty="There is no mart.",
    )


@sql.command()
@click.argument("model")
@click.option("--rows", "limit", default=20, show_default=True, help="Rows to show; 0 shows none.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Count from this day instead of today.")
@rows_option
def show(model: str, limit: int, as_of: datetime | None, as_json: bool) -> None:
    """One model: what it is, where its columns come from, and its rows.

    \b
    crown sql show art_portfolio
    crown sql show art_uk_tax_year --rows 100 --as-of 2026-04-05
    crown sql show art_sales_register --rows 10000 --csv > sales.csv
    """  # noqa: D301
    from crown.sql_models.lineage import read_columns
    from crown.sql_models.project import load_models
    from crown.sql_models.show import first_rows
    from crown_cli.common.world import open_world

    project = load_models()
    found = project.model(model)
    lineage = read_columns(project, found.relation)[found.relation]
    described = found.description.columns
    columns = [
        {
            "column": name,
            "what it is": described[name].description if name in described else "",
            "from": ", ".join(f"{relation}.{column}" for relation, column in origins),
        }
        for name, origins in lineage.items()
    ]
    rows: list[dict[str, Any]] = []
    if limit:
        with open_world() as world:
            rows = first_rows(world.engine, found, limit, as_of.date() if as_of else None)
    if as_json:
        show_json(
            {
                "model": found.relation,
                "description": found.description.description,
                "reads": found.upstream,
                "read_by": project.downstream(found.relation),
                "columns": columns,
                "rows": rows,
            }
        )
        return
    if csv_wanted():
        show_rows(rows)
        return
    click.echo(f"{found.relation}\n{found.description.description}\n")
    click.echo(f"Reads {', '.join(found.upstream) or 'nothing'}.")
    click.echo(f"Read by {', '.join(project.downstream(found.relation)) or 'nothing'}.\n")
    show_rows(columns)
    if limit and len(rows) == 1:
        show_rows([{"column": name, "value": value} for name, value in rows[0].items()])
    elif limit:
        show_rows(rows, empty="It has no rows.")
