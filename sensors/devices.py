"""Devices: what the collector brought, as an observation, and a run for each day with samples that its roll-up lacks."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from crown.devices.records import reading, rollups
from crown.devices.summary import SAMPLES
from resources import asset_keys
from sensors.at_load import settings
from sensors.schedules import devices_job

#: Days that are asked for in one tick; the next ones follow.
_AT_ONCE = 10
#: The day that is under way is rolled up once in so long.
_TODAY_EVERY = timedelta(minutes=15)


def days_to_roll_up(due: Mapping[date, datetime], now: datetime) -> dict[str, str]:
    """Run keys by day: a day that is over is asked for once for each change, today's once in a quarter of an hour."""
    quarter = now - (now - datetime(2000, 1, 1, tzinfo=UTC)) % _TODAY_EVERY
    keys = {
        day.isoformat(): f"{day}@{(changed if day < now.date() else quarter).isoformat()}"
        for day, changed in sorted(due.items())
    }
    return dict([*keys.items()][:_AT_ONCE])


@dg.sensor(
    name="devices_rounds",
    job=devices_job,
    minimum_interval_seconds=settings.devices.interval_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Observes the samples that the collector entered, and requests roll-ups of days that have new ones.",
    required_resource_keys={"devices"},
)
def devices_rounds(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """A few queries; the cursor holds the newest sample that was observed, so a quiet rack makes no observation."""
    minutes = max(1, settings.devices.interval_seconds // 60)
    with context.resources.devices.workspace() as workspace, workspace.engine.connect() as connection:
        due = rollups.due(connection)
        newest = reading.newest_sample(connection)
        seen = newest.isoformat() if newest else ""
        found = reading.round_of(connection, minutes) if seen != (context.cursor or "") else None
    observations = []
    if found is not None:
        metadata = {
            "samples": found["samples"],
            "channels": found["channels"],
            "newest_sample": dg.MetadataValue.timestamp(newest) if newest else "none",
            "receivers": dg.MetadataValue.json(found["receivers"]),
            "open_alerts": found["open_alerts"],
            "lost_rows": int(found["lost_rows"]),
        }
        observations.append(dg.AssetObservation(dg.AssetKey(asset_keys.path(SAMPLES)), metadata=metadata))
    requests = [
        dg.RunRequest(run_key=run_key, partition_key=day, tags={"crown/reason": "samples entered this day"})
        for day, run_key in days_to_roll_up(due, datetime.now(UTC)).items()
    ]
    return dg.SensorResult(
        run_requests=requests,
        asset_events=observations,
        cursor=seen,
        skip_reason=None if requests else "No day has new samples.",
    )


SENSORS = [devices_rounds]
