"""Art records as assets: airtable_exports -> clean_prints, ... -> prints, distributors, editions.

An asset here opens the workspace, passes files on and reports; comparing and writing are in crown/art_records.
Cleaning and writing are one step with six outputs, because the domain code does them in one transaction: all tables of an
export come into the art tables together or not at all.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Engine, text

from crown.art_records.attachments import stages as attachments
from crown.art_records.exports import arriving, endpoint
from crown.art_records.exports.arriving import Outcome
from crown.art_records.history.comparing import masked
from crown.art_records.reports import TableReport
from crown.art_records.tables import ENTITIES
from crown.art_records.versions import CODE_VERSIONS
from crown.art_records.workspace import (
    AIRTABLE,
    CLEAN,
    DEPARTMENT,
    DOCUMENTS,
    EXPORTS,
    FOLDER,
    TABLES,
    Workspace,
)
from crown.journal.stats import PipelineStats
from crown.store import watch
from crown_assets.factories import (
    asset_spec,
    carried_forward,
    console_link,
    key,
    preview,
    record_run,
    sentences_as_failures,
    write_preview,
)
from resources.workspaces import ArtRecordsResource

OWNERS = ["team:art-records"]
APPLIED = "newest_export_applied"
#: Rows of a difference, or of what was set aside, that the run's page shows; the rest is in `crown art`.
_SHOWN = 20


class ExportsConfig(dg.Config):
    """What a run may do to get exports; the daily one fetches, one that a dropped file started does not."""

    fetch: bool = False


airtable_base = asset_spec(
    AIRTABLE,
    "The gallery's base in Airtable, the source of every export; Crown reads it and never writes to it.",
    {"airtable"},
    owners=OWNERS,
)
exports_folder = asset_spec(
    FOLDER,
    "The folder in which exports arrive, by hand or from the Airtable API.",
    {"csv"},
    owners=OWNERS,
    deps=[AIRTABLE],
)
documents = asset_spec(
    DOCUMENTS,
    "Invoices, statements and certificates that people issued with `crown art`.",
    {"html", "pdf"},
    owners=OWNERS,
    deps=[TABLES["editions"]],
)


@dg.asset(
    key=key(EXPORTS),
    deps=[key(AIRTABLE), key(FOLDER)],
    group_name=DEPARTMENT,
    owners=OWNERS,
    kinds={"python", "airtable", "csv"},
    code_version=CODE_VERSIONS[EXPORTS],
    metadata=console_link(DEPARTMENT),
    description="The newest export of each table, kept for ever by the hash of its bytes before anything reads it.",
)
def airtable_exports(
    context: dg.AssetExecutionContext, config: ExportsConfig, art: ArtRecordsResource
) -> dg.MaterializeResult:
    """Files come from the exports folder; with a base in the settings, the daily run first fetches into it."""
    from crown.art_records.history.syncing import receive

    with sentences_as_failures(), art.workspace() as workspace:
        fetched, advance = endpoint.fetch(workspace, context.run_id) if config.fetch else (0, None)
        arrived = arriving.arrivals(workspace, watch.settled(partial(arriving.seen, workspace)))
        exports = (
            receive(
                workspace.engine,
                arrived.files,
                objects=workspace.objects,
                book=workspace.book,
                run_id=context.run_id,
                with_them=advance if not arrived.unfinished else None,
            )
            if arrived.files
            else []
        )
        for table, path in arrived.unfinished.items():
            context.log.info("%s is still being copied; %s is left for the next run.", path.name, table)
        # Their own queue downloads them; the addresses are young now.
        pictures = attachments.plan(workspace)
        return dg.MaterializeResult(
            metadata={
                "files": len(exports),
                "rows": sum(len(export.frame) for export in exports),
                "still_copying": dg.MetadataValue.json(
                    sorted(path.name for path in arrived.unfinished.values())
                ),
                "fetched": fetched,
                "pictures_due": pictures.pending,
                "kept": dg.MetadataValue.json(
                    {export.raw.table: [export.raw.name, export.raw.sha256] for export in exports}
                ),
                "layouts": dg.MetadataValue.json(
                    {
                        export.raw.name: {
                            "layout": export.layout_name,
                            "exported_on": str(export.exported_on) if export.exported_on else None,
                            "rows": len(export.frame),
                            "not_carried": sorted(export.absent),
                            "in_no_layout": list(export.unknown),
                        }
                        for export in exports
                    }
                ),
            }
        )


_LINKED = {"prints": [], "distributors": [], "editions": [TABLES["prints"], TABLES["distributors"]]}


@dg.multi_asset(
    name=f"{DEPARTMENT}__art_tables",
    description="Cleans, compares and writes the newest export. It is one step that cannot be run in part: all tables of an"
    " export come into the art tables in one transaction, together or not at all.",
    can_subset=False,
    specs=[
        *(
            asset_spec(
                CLEAN[table],
                f"The {table} of the newest export after the rules; what failed one is set aside.",
                {"python", "pandas"},
                owners=OWNERS,
                deps=[EXPORTS],
                skippable=True,
                code_version=CODE_VERSIONS[CLEAN[table]],
            )
            for table in ENTITIES
        ),
        *(
            asset_spec(
                TABLES[table],
                f"The {table} of today in the art tables, with every earlier state behind them; written in one step with"
                " the other tables.",
                {"python", "postgres"},
                owners=OWNERS,
                deps=[CLEAN[table], *_LINKED[table]],
                skippable=True,
                code_version=CODE_VERSIONS[TABLES[table]],
                metadata={"dagster/table_name": f"art.{table}"},
            )
            for table in ENTITIES
        ),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            APPLIED, asset=key(asset), description="The newest export is applied to the art tables."
        )
        for asset in TABLES.values()
    ],
)
def art_tables(
    context: dg.AssetExecutionContext, art: ArtRecordsResource
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Clean, compare and write the files that airtable_exports kept; a table without a file is left out."""
    with sentences_as_failures(), art.workspace() as workspace:
        raws = arriving.kept_files(workspace)
        if not raws:
            for asset in TABLES.values():
                yield _applied(asset, True, "No export was received yet.")
            return
        done = arriving.bring_in(
            workspace, raws, who=DEPARTMENT, via="run", reason=f"run {context.run_id[:8]}"
        )
        report = done.report
        context.log.info("%s", report.text(rows=0))
        if done.waits:
            context.log.warning("%s", done.waits)
        arrived = {table.table: table for table in report.tables}
        for name, table in arrived.items():
            why_not = {"not_applied": done.waits} if done.waits else {}
            yield dg.MaterializeResult(asset_key=key(CLEAN[name]), metadata=_cleaned(table) | why_not)
        for name, asset in TABLES.items():
            if name not in arrived:
                yield _applied(asset, True, f"No export of {name} was received yet.")
                continue
            # Once the art tables are alone, they are what they ought to be, whatever an export says.
            alone = workspace.settings.art_records.phase == "postgres_only"
            in_force = alone or report.applied or arrived[name].noop is not None or arrived[name].nothing_new
            yield _applied(asset, in_force, done.waits)
            if in_force:
                stats = _stats(arrived[name], written=report.applied)
                record_run(workspace.engine, asset, stats, context.run_id)
                yield dg.MaterializeResult(
                    asset_key=key(asset),
                    metadata=_written(context, workspace, done, arrived[name]),
                    data_version=dg.DataVersion(table_version(workspace.engine, name)),
                )


def table_version(engine: Engine, table: str) -> str:
    """The newest sync that changed a table: what is built from it is built again when this one is another."""
    with engine.connect() as connection:
        newest = connection.execute(
            text("select coalesce(max(sync_number), 0) from art.changes where table_name = :table"),
            {"table": table},
        ).scalar_one()
    return f"sync {newest}"


def _stats(table: TableReport, *, written: bool) -> PipelineStats:
    """Records as every department counts its items: written, or left as they are; withheld values are reported elsewhere."""
    differ = sum(table.counts.get(f"records_{name}", 0) for name in ("created", "updated", "closed"))
    unchanged = table.counts.get("records_unchanged", 0)
    done = differ if written else 0
    return PipelineStats(total=differ + unchanged, successful=done, skipped=differ + unchanged - done)


def _applied(asset: str, in_force: bool, said: str | None) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=in_force,
        check_name=APPLIED,
        asset_key=key(asset),
        severity=dg.AssetCheckSeverity.WARN,
        description=said,
    )


def _source(table: TableReport) -> dict[str, Any]:
    return {
        "file": table.source_file,
        "sha256": table.source_hash,
        "layout": table.layout,
        "exported_on": str(table.exported_on) if table.exported_on else "unknown",
    }


def _cleaned(table: TableReport) -> dict[str, Any]:
    if table.noop:
        return {**_source(table), "nothing_to_do": table.noop}
    outcomes = Counter(finding.outcome for finding in table.findings)
    rows = "\n".join(
        f"| {f.row} | {f.column} | {f.rule} | {f.outcome} | {f.problem} | {_cell(masked(f.field, f.raw))} |"
        for f in sorted(table.findings, key=lambda f: (f.outcome != "withheld", f.row))[:_SHOWN]
    )
    return {
        **_source(table),
        "rows": table.counts["records_processed"],
        "withheld": outcomes["withheld"],
        "repaired": outcomes["repaired"],
        "flagged": outcomes["flagged"],
        "money_at_stake": float(
            sum(f.money_at_stake or 0 for f in table.findings if f.outcome == "withheld")
        ),
        "by_rule": dg.MetadataValue.json(
            {
                f"{rule}, {outcome}": n
                for (rule, outcome), n in Counter((f.rule, f.outcome) for f in table.findings).items()
            }
        ),
        "set_aside": dg.MetadataValue.md(
            f"| row | column | rule | outcome | problem | text |\n| --- | --- | --- | --- | --- | --- |\n{rows}"
            if rows
            else "nothing"
        ),
    }


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")[:80]


def _written(
    context: dg.AssetExecutionContext, workspace: Workspace, done: Outcome, table: TableReport
) -> dict[str, Any]:
    report = done.report
    with workspace.engine.connect() as connection:
        active = connection.execute(
            text(f"select count(*) from art.{table.table} where is_active")
        ).scalar_one()
    metadata: dict[str, Any] = {
        **_source(table),
        "dagster/row_count": active,
        "mode": report.mode,
        "applied": report.applied,
        "nothing_new": table.nothing_new,
        "difference": dg.MetadataValue.md(
            f"```\n{replace(report, tables=[table], blocks=[]).text(_SHOWN)}\n```"
        ),
    }
    if report.sync_number is not None:
        metadata |= {"sync_number": report.sync_number, "sync_id": report.sync_id}
    if done.waits:
        metadata["not_applied"] = done.waits
    if done.decision is not None:
        metadata |= {"decided_by": done.decision.who, "decision": done.decision.decision_id}
    if table.table == "editions":
        # Of an earlier run, unless this one draws them anew.
        metadata |= carried_forward(context, key(TABLES["editions"]), ("sell_through", "sales_by_month"))
    if table.noop:
        return {**metadata, "nothing_to_do": table.noop}
    metadata |= table.counts if report.applied else {}
    metadata |= {"kept_local": len(table.kept_local), "taken_back": len(table.taken_back)}
    metadata["changed_fields"] = dg.MetadataValue.json(table.changed_fields)
    if table.table == "editions" and report.applied:
        metadata |= _pictures(context, workspace)
    return metadata


def _pictures(context: dg.AssetExecutionContext, workspace: Workspace) -> dict[str, dg.MetadataValue]:
    from crown.art_records.previews import sales_by_month_png, sell_through_png

    previews = workspace.settings.home / "previews"
    folder = previews / TABLES["editions"]
    drawn = {"sell_through": sell_through_png, "sales_by_month": sales_by_month_png}
    return {
        name: preview(write_preview(draw(workspace.engine), _target(folder, context, name)), previews)
        for name, draw in drawn.items()
    }


def _target(folder: Path, context: dg.AssetExecutionContext, name: str) -> Path:
    return folder / f"{context.run_id}-{name}.png"
