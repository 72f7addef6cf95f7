"""Art records: a run when an export is complete or a difference was approved; the marts follow other changes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import dagster as dg
from sqlalchemy import text

from crown.art_records.exports import arriving, endpoint
from crown.art_records.workspace import DOCUMENTS, EXPORTS, TABLES
from crown.store import files
from resources.art_records import ArtRecordsResource
from resources.database import DatabaseResource
from sensors.at_load import settings
from sensors.queues import waiting_runs
from sensors.schedules import FETCH, art_records_job

QUEUE_NAME = "art_records"


@dataclass(frozen=True)
class Followed:
    """What the folder sensor remembers.

    Attributes:
        standing: hash of names, sizes and times of what was at rest at the last look.
        contents: sha256 of the newest export of each table, as of the last run that was asked for.
        run_key: key of that run.
    """

    standing: str = ""
    contents: Mapping[str, str] = field(default_factory=dict)
    run_key: str = ""


def decide(contents: Mapping[str, str], followed: Followed) -> str | None:
    """The run key for what lies in the folder now; None when a run has seen exactly these bytes.

    The key before is part of it, so that an older export which is put back is looked at again. A table whose file
    was taken away asks for nothing.
    """
    if contents.items() <= followed.contents.items():
        return None
    state = json.dumps([followed.run_key, dict(contents)], sort_keys=True)
    return hashlib.sha256(state.encode()).hexdigest()[:32]


@dg.sensor(
    job=art_records_job,
    # An export comes once a day: a look costs as much as at the inbox and is less urgent.
    minimum_interval_seconds=4 * settings.product_images.inbox_interval_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks at the exports folder; a file counts when two looks found it the same, and by its bytes.",
)
def art_export_files(context: dg.SensorEvaluationContext, art: ArtRecordsResource) -> dg.SensorResult:
    """Files are read only when what is at rest has changed since the last look."""
    followed = _followed(context.cursor)
    try:
        with art.workspace() as workspace:
            seen = arriving.sightings(workspace)
            at_rest = [[one.path, one.size_bytes, one.mtime_ns] for one in seen if one.complete]
            standing = hashlib.sha256(json.dumps(at_rest).encode()).hexdigest()[:32]
            if len(at_rest) == len(seen) and standing == followed.standing:
                return dg.SensorResult(skip_reason="Nothing new.")
            arrived = arriving.look(workspace, seen)
            if arrived.unfinished:
                # The three tables of an export belong together: none comes into the art tables before the others.
                names = ", ".join(sorted(path.name for path in arrived.unfinished.values()))
                return dg.SensorResult(skip_reason=f"Still being copied: {names}.")
            contents = {table: files.sha256(path) for table, path in arrived.files.items()}
    except FileNotFoundError as error:
        return dg.SensorResult(skip_reason=f"{error.filename} went away while it was looked at.")
    run_key = decide(contents, followed)
    if run_key is None:
        seen_now = Followed(standing, followed.contents, followed.run_key)
        return dg.SensorResult(skip_reason="Nothing new.", cursor=json.dumps(asdict(seen_now)))
    if waiting_runs(context.instance, QUEUE_NAME):
        return dg.SensorResult(skip_reason="A run that will see it is about to start.")
    known = {**followed.contents, **contents}
    cursor = json.dumps(asdict(Followed(standing, known, run_key)))
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key)], cursor=cursor)


def _followed(cursor: str | None) -> Followed:
    """What the last tick remembered; one of an earlier version also held the time of its look."""
    stored = json.loads(cursor) if cursor else {}
    stored.pop("looked", None)
    return Followed(**stored)


@dg.sensor(
    job=art_records_job,
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Follows the approval of a difference between an export and the art tables.",
)
def art_decisions(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """One query; the cursor is the last approval that was followed."""
    with database.engine() as engine, engine.connect() as connection:
        newest = connection.execute(
            text(
                "select coalesce(max(decision_id), 0) from ledger.decisions"
                " where stage = :stage and verdict = 'approve'"
            ),
            {"stage": EXPORTS},
        ).scalar_one()
    if newest <= int(context.cursor or 0):
        return dg.SensorResult(skip_reason="No new approval.")
    requests = (
        []
        if waiting_runs(context.instance, QUEUE_NAME)
        else [dg.RunRequest(run_key=f"art-decision-{newest}")]
    )
    return dg.SensorResult(run_requests=requests, cursor=str(newest))


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
        DOCUMENTS.split("/"),
        description="Issued with `crown art`.",
        tags={"dagster/data_version": f"document {document}"},
    )
    return dg.SensorResult(
        asset_events=[
            *([issued] if document != since_document else []),
            *(
                dg.AssetMaterialization(
                    TABLES[row.table_name].split("/"),
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


@dg.sensor(
    job=art_records_job,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks Airtable whether a record was changed since the last fetch, one small request per table.",
)
def art_airtable_changes(context: dg.SensorEvaluationContext, art: ArtRecordsResource) -> dg.SensorResult:
    """A change starts the run that fetches; it is asked for again every hour until a fetch has come through."""
    if not art.settings().art_records.airtable_base:
        return dg.SensorResult(skip_reason="The settings name no Airtable base.")
    with art.workspace() as workspace:
        asked = endpoint.ask(workspace)
    if asked.again_at is not None:
        again = f"{asked.again_at.astimezone():%H:%M:%S}"
        return dg.SensorResult(skip_reason=f"Airtable is asked again at {again}: {asked.error}")
    if not asked.changed:
        return dg.SensorResult(skip_reason="Nothing was changed in Airtable.")
    if waiting_runs(context.instance, QUEUE_NAME):
        return dg.SensorResult(skip_reason="A run is about to start; Airtable is asked again after it.")
    run_key = f"airtable-{asked.version}-{datetime.now(UTC):%Y%m%d%H}"
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key, run_config=FETCH)])


SENSORS = [art_airtable_changes, art_export_files, art_decisions, art_changes]
