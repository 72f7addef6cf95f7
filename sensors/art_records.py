"""Art records: a run when an export is complete or a difference was approved; the marts follow other changes."""

import json
from collections.abc import Sequence

import dagster as dg
from sqlalchemy import text

from crown.art_records.attachments import listing
from crown.art_records.exports import arriving, endpoint
from crown.art_records.workspace import ATTACHMENTS, DOCUMENTS, EXPORTS, TABLES, Workspace
from crown.store import files
from crown.store.watch import Seen
from resources import asset_keys
from resources.database import DatabaseResource
from sensors.at_load import settings
from sensors.factories import Contents, decision_sensor, endpoint_sensor, folder_sensor, pending_work_sensor
from sensors.schedules import FETCH, art_records_job, attachments_job


def _contents(workspace: Workspace, seen: Sequence[Seen]) -> Contents:
    """The newest export of each table; the three of an export belong together, so none is read before all are there."""
    arrived = arriving.arrivals(workspace, seen)
    if arrived.unfinished:
        return Contents(copying=[path.name for path in arrived.unfinished.values()])
    return Contents({table: files.sha256(path) for table, path in arrived.files.items()})


art_export_files = folder_sensor(
    "art_export_files",
    job=art_records_job,
    resource="art",
    seen=arriving.seen,
    contents=_contents,
    # An export comes once a day: a look costs as much as at the inbox and is less urgent.
    every=4 * settings.product_images.inbox_interval_seconds,
    description="Looks at the exports folder; a file counts when two looks found it the same, and by its bytes.",
)
art_decisions = decision_sensor(
    "art_decisions",
    job=art_records_job,
    stages=EXPORTS,
    verdicts=["approve"],
    every=120,
    description="Follows the approval of a difference between an export and the art tables.",
)
art_airtable_changes = endpoint_sensor(
    "art_airtable_changes",
    job=art_records_job,
    resource="art",
    source="Airtable",
    ask=endpoint.ask,
    run_config=FETCH,
    absent=lambda given: None if given.art_records.airtable_base else "The settings name no Airtable base.",
    every=300,
    description="Asks Airtable whether a record was changed since the last fetch, one small request per table.",
)
art_attachments = pending_work_sensor(
    "art_attachments",
    work=[(attachments_job, [ATTACHMENTS])],
    resource="art",
    sources=[listing.SOURCE],
    every=120,
    description="Requests a run that downloads pictures of prints; exports name them, and the run of an export plans them.",
)


@dg.sensor(
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports what was changed or issued outside of runs (sales, documents, psql), so that marts follow.",
)
def art_changes(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """The cursor is the newest sync and the newest document seen; their numbers follow the order of commits."""
    seen = json.loads(context.cursor or "0")
    # An earlier version remembered the sync alone.
    since, since_document = seen if isinstance(seen, list) else (seen, None)
    with database.engine() as engine, engine.connect() as connection:
        document = connection.execute(
            text("select coalesce(max(document_id), 0) from art.documents")
        ).scalar_one()
        rows = connection.execute(
            text(
                "select c.table_name, max(c.sync_number) as newest, count(distinct c.airtable_id) as records,"
                " array_agg(distinct s.via) as via from art.changes c join art.syncs s using (sync_number)"
                " where c.sync_number > :since and s.via <> 'run' and s.status not in ('running', 'failed')"
                " group by c.table_name"
            ),
            {"since": since},
        ).all()
    if not rows and document == since_document:
        return dg.SensorResult(skip_reason="Nothing was changed outside of runs.")
    issued = dg.AssetMaterialization(
        asset_keys.path(DOCUMENTS),
        description="Issued with `crown art`.",
        tags={"dagster/data_version": f"document {document}"},
    )
    return dg.SensorResult(
        asset_events=[
            *([issued] if document != since_document else []),
            *(
                dg.AssetMaterialization(
                    asset_keys.path(TABLES[row.table_name]),
                    description="Changed outside of runs.",
                    # As the assets themselves say it (crown_assets/art_records/assets.py).
                    tags={"dagster/data_version": f"sync {row.newest}"},
                    metadata={
                        "records": row.records,
                        "newest_sync": row.newest,
                        "via": ", ".join(sorted(row.via)),
                    },
                )
                for row in rows
            ),
        ],
        cursor=json.dumps([max((row.newest for row in rows), default=since), document]),
    )


SENSORS = [art_airtable_changes, art_export_files, art_decisions, art_attachments, art_changes]
