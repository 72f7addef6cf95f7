"""Decisions: a run when a decision has not been applied yet."""

import dagster as dg

from crown.ledger import decisions
from resources.database import DatabaseResource
from sensors.queues import waiting_runs
from sensors.schedules import product_images_job


@dg.sensor(
    job=product_images_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Follows approvals, rejections and withdrawals from console, command line and share.",
)
def product_image_decisions(
    context: dg.SensorEvaluationContext, database: DatabaseResource
) -> dg.SensorResult:
    """Two small queries; the cursor is the snapshot of the last look, so that a late commit is not missed."""
    with database.engine() as engine, engine.connect() as connection:
        newest, look = decisions.since(connection, "product_images/", context.cursor)
    if newest is None:
        return dg.SensorResult(skip_reason="No new decision.", cursor=look)
    waiting = waiting_runs(context.instance, "product_images")
    requests = [] if waiting else [dg.RunRequest(run_key=f"decision-{newest}")]
    return dg.SensorResult(run_requests=requests, cursor=look)


SENSORS = [product_image_decisions]
