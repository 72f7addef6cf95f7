"""Folders of the share: a run when a file has come to rest, or when one of ours was moved, changed or removed."""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from crown.errors import CrownError
from crown.product_images import folders as product_folders
from resources.product_images import ProductImagesResource
from sensors.lanes import waiting_runs
from sensors.schedules import product_images_job


@dataclass(frozen=True)
class Seen:
    """One thing that a person did: a path and what makes it new; `ready` when it is at rest."""

    path: str
    token: str
    ready: bool


def decide(seen: Iterable[Seen]) -> str | None:
    """The run key for what has come to rest; None when there is nothing to do.

    A file that still grows is left out, so it never holds up the others.
    """
    ready = sorted(f"{one.path}\x00{one.token}" for one in seen if one.ready)
    return hashlib.sha256("\x01".join(ready).encode()).hexdigest()[:32] if ready else None


# A tick that comes a little early would otherwise put the look off for a whole tick.
_SLACK = 1.0


def due(now: float, cursor: str | None, interval_seconds: float) -> bool:
    """Whether it is time for another look; the cursor is the time of the last one. A clock set back waits for none."""
    return cursor is None or not 0 <= now - float(cursor) < interval_seconds - _SLACK


@dg.sensor(
    job=product_images_job,
    # Dagster fixes it when the definitions load; CROWN_INBOX_INTERVAL_SECONDS, which is not less, is read each time.
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks at inbox, review and ready_for_formatting; a file counts when two looks found it the same.",
)
def product_image_folders(
    context: dg.SensorEvaluationContext, images: ProductImagesResource
) -> dg.SensorResult:
    """A failed look is not an empty folder: it is said, and nothing is requested."""
    now = time.time()
    try:
        interval = images.settings().inbox_interval_seconds
        if not due(now, context.cursor, interval):
            return dg.SensorResult(skip_reason=f"The folders are looked at every {interval} s.")
        with images.room() as room:
            seen = [Seen(*one) for one in product_folders.seen_by_people(room)]
    except CrownError as error:
        return dg.SensorResult(skip_reason=str(error))
    run_key, cursor = decide(seen), f"{now:.3f}"
    if run_key is None:
        copying = sum(not one.ready for one in seen)
        reason = f"{copying} files are still being copied." if copying else "Nothing new."
        return dg.SensorResult(skip_reason=reason, cursor=cursor)
    if waiting_runs(context.instance, "product_images"):
        return dg.SensorResult(skip_reason="A run that will see it is about to start.", cursor=cursor)
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key)], cursor=cursor)


SENSORS = [product_image_folders]
