"""Decisions: a run when a person has decided something that nothing has followed yet."""

import dagster as dg
from sqlalchemy import text

from resources.database import DatabaseResource
from sensors.lanes import waiting_runs
from sensors.schedules import product_images_job


def decide(newest: int, followed: int) -> str | None:
    """The run key for the newest decision; None when it was followed already."""
    return f"decision-{newest}" if newest > followed else None


@dg.sensor(
    job=product_images_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Follows approvals, rejections and withdrawals from console, command line and share.",
)
def product_image_decisions(
    context: dg.SensorEvaluationContext, database: DatabaseResource
) -> dg.SensorResult:
    """One query; the cursor is the last decision that was followed."""
    with database.engine() as engine, engine.connect() as connection:
        newest = connection.execute(
            text(
                "select coalesce(max(decision_id), 0) from ledger.decisions where starts_with(stage, :stage)"
            ),
            {"stage": "product_images/"},
        ).scalar_one()
    run_key = decide(newest, int(context.cursor or 0))
    if run_key is None:
        return dg.SensorResult(skip_reason="No new decision.")
    requests = [] if waiting_runs(context.instance, "product_images") else [dg.RunRequest(run_key=run_key)]
    return dg.SensorResult(run_requests=requests, cursor=str(newest))


SENSORS = [product_image_decisions]
