"""Pictures of prints as an asset: what the newest export names, downloaded and kept by hash."""

import dagster as dg

from crown.art_records.attachments import stages
from crown.art_records.workspace import ATTACHMENTS, EXPORTS
from crown.flow.worker_pool import PoolReport
from crown.ledger import counts
from crown.ledger.claims import Finished
from crown.pictures.contact_sheet import contact_sheet
from crown_assets.art_records.assets import OWNERS
from crown_assets.factories import (
    ItemsConfig,
    carried_forward,
    fail_above,
    item_asset,
    key,
    metadata_of,
    nothing_left_failed,
    preview,
    record_run,
    sentences_as_failures,
    stats_of,
)
from resources import queues
from resources.workspaces import ArtRecordsResource


@item_asset(ATTACHMENTS, [EXPORTS], {"python", "image"}, owners=OWNERS, code_version="1")
def attachments(
    context: dg.AssetExecutionContext, config: ItemsConfig, art: ArtRecordsResource
) -> dg.MaterializeResult:
    """Pictures of prints that the newest export names, downloaded from Airtable and kept by the hash of their bytes."""

    def say(report: PoolReport, _: Finished) -> None:
        context.log.info("%d downloaded, %d failed", report.made, report.failed)

    with sentences_as_failures(), art.workspace() as workspace:
        seconds = None if queues.WHOLE in context.run.tags else workspace.settings.run_seconds
        report = stages.make(
            workspace, run_id=context.run_id, on_progress=say, seconds=seconds, only=config.only()
        )
        with workspace.engine.connect() as connection:
            states = counts.of_asset(connection, ATTACHMENTS)
        stats = stats_of(report.pool, ATTACHMENTS, states)
        record_run(workspace.engine, ATTACHMENTS, stats, context.run_id)
        fail_above(stats, workspace.settings.failure_rate_limit)
        previews = workspace.settings.home / "previews"
        sheet = contact_sheet(
            [workspace.objects.path(path) for _, path in report.pool.tallies[ATTACHMENTS].newest],
            previews / ATTACHMENTS / f"{context.run_id}.webp",
        )
        return dg.MaterializeResult(
            metadata=metadata_of(
                stats,
                states,
                planned=report.plans[ATTACHMENTS].changed,
                **(
                    {"contact_sheet": preview(sheet, previews)}
                    if sheet
                    else carried_forward(context, key(ATTACHMENTS), ["contact_sheet"])
                ),
            ),
            check_results=[nothing_left_failed(workspace.engine, ATTACHMENTS, states)],
        )
