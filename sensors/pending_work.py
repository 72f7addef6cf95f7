"""Pending work: one question per lane, "is something due and nobody at it?", whatever the library's size."""

import dagster as dg

from crown.ledger import counts
from crown.product_images import stages
from crown.product_images.room import ASSETS
from resources.product_images import ProductImagesResource
from sensors.lanes import active_runs
from sensors.schedules import product_images_job


def decide(due: int, active: int, recipes: str, known: str | None) -> str | None:
    """Why a run is wanted; None when none is. A first look at the recipes only remembers them."""
    if active:
        return None
    if due:
        return f"{due} items are due"
    if known is not None and recipes != known:
        return "a recipe was edited"
    return None


@dg.sensor(
    job=product_images_job,
    minimum_interval_seconds=45,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run for items that are pending or due for another try, and after an edit of recipes or targets.",
)
def product_image_work(context: dg.SensorEvaluationContext, images: ProductImagesResource) -> dg.SensorResult:
    """The cursor holds the recipes as they were at the last run it asked for."""
    with images.room() as room:
        with room.engine.connect() as connection:
            due = counts.due(connection, list(ASSETS))
        recipes = stages.recipe_state(room)
    active = active_runs(context.instance, "product_images")
    reason = decide(due, active, recipes, context.cursor)
    if reason is None:
        # While a run is active the old recipes stay remembered: an edit meanwhile is followed afterwards.
        cursor = context.cursor if active and context.cursor is not None else recipes
        return dg.SensorResult(
            skip_reason="Nothing is due." if not active else "A run is at it.", cursor=cursor
        )
    return dg.SensorResult(run_requests=[dg.RunRequest(tags={"crown/reason": reason})], cursor=recipes)


SENSORS = [product_image_work]
