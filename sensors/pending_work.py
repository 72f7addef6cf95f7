"""Pending work: one query per queue for due items that no run is about to take, independent of the library's size."""

import dagster as dg

from crown.ledger import counts
from crown.product_images import stages
from crown.product_images.workspace import ASSETS, CUTOUTS
from resources import queues
from resources.product_images import ProductImagesResource
from sensors.queues import active_runs, waiting_runs
from sensors.schedules import cutouts_job, product_images_job

#: What a run of each queue takes; a person's retouch is planned and copied by the same run.
_ASSETS = {
    queues.PRODUCT_IMAGES: [asset for asset in ASSETS if asset != CUTOUTS],
    queues.CUTOUTS: [CUTOUTS],
}


#: So many due items are more than the run that is at work will take before it ends (CROWN_RUN_SECONDS).
_BACKLOG = 200


def decide(due: int, active: int, waiting: int) -> str | None:
    """Why a run of a queue is wanted; None when none is.

    Behind a run that is at work the next one waits only when there is a backlog, so that no time is lost between.
    """
    if not due or waiting or (active and due < _BACKLOG):
        return None
    return f"{due} items are due"


def edited(recipes: str, known: str | None, active: int) -> bool:
    """Whether recipes changed since they were remembered; not asked while a run is active, which may use either."""
    return known is not None and recipes != known and not active


@dg.sensor(
    jobs=[product_images_job, cutouts_job],
    minimum_interval_seconds=45,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run of a queue for items that are pending or due for another try, and after an edit of recipes"
    " or targets.",
)
def product_image_work(context: dg.SensorEvaluationContext, images: ProductImagesResource) -> dg.SensorResult:
    """The cursor holds the recipes as they were at the last run it asked for."""
    with images.workspace() as workspace:
        with workspace.engine.connect() as connection:
            due = {queue: counts.due(connection, assets) for queue, assets in _ASSETS.items()}
        recipes = stages.recipe_state(workspace)
    active = {queue: active_runs(context.instance, queue) for queue in due}
    reasons = {
        queue: decide(count, active[queue], waiting_runs(context.instance, queue))
        for queue, count in due.items()
    }
    at_work = active[queues.PRODUCT_IMAGES]
    if edited(recipes, context.cursor, at_work) and reasons[queues.PRODUCT_IMAGES] is None:
        reasons[queues.PRODUCT_IMAGES] = "a recipe was edited"
    # While a run is active the old recipes stay remembered: an edit meanwhile is followed afterwards.
    cursor = context.cursor if at_work and context.cursor is not None else recipes
    requests = [
        dg.RunRequest(job_name=queue, tags={"crown/reason": reason})
        for queue, reason in reasons.items()
        if reason is not None
    ]
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=cursor)
    return dg.SensorResult(
        skip_reason="A run is at it." if any(due.values()) else "Nothing is due.", cursor=cursor
    )


SENSORS = [product_image_work]
