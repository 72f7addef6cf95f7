"""Art records: a run when an export is complete or a difference was approved; the marts follow other changes."""

import json
from collections.abc import Sequence

import dagster as dg
from sqlalchemy import text

from crown.art_records.attachments import listing
from crown.art_records.exports import arriving, endpoint
from crown.art_records.workspace import ATTACHMENTS, DEPARTMENT, DOCUMENTS, TABLES, Workspace
from crown.store import files
from crown.store.watch import Seen
from resources import asset_keys
from resources.database import DatabaseResource
from sensors.factories import Contents, FollowedDecisions, PendingWork, endpoint_sensor, folder_sensor
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
    # An export comes once a day: less urgent than a look at the inbox.
    every=60,
    description="Looks at the exports folder; a file counts when two looks found it the same, and by its bytes.",
)
# Differences of exports, findings that people accept and exceptions that they sign: the run asks the checks again.
DECISIONS = FollowedDecisions(art_records_job, f"{DEPARTMENT}/", verdicts=["approve", "withdraw"])
# Exports name the pictures of prints, and the run of an export plans their downloads.
WORK = PendingWork(
    DEPARTMENT, resource="art", jobs=[(attachments_job, [ATTACHMENTS])], sources=[listing.SOURCE]
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


SENSORS = [art_airtable_changes, art_export_files, art_changes]
