"""Folders of the share: a run when a file is complete, or when one of ours was moved, changed or removed."""

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from crown.product_images.share import folders as product_folders
from crown.store.watch import SETTLE_SECONDS
from resources.product_images import ProductImagesResource
from sensors.at_load import settings
from sensors.queues import waiting_runs
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


@dg.sensor(
    job=product_images_job,
    minimum_interval_seconds=settings.product_images.inbox_interval_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks at inbox, review and ready_for_formatting; a file counts when two looks found it the same.",
)
def product_image_folders(
    context: dg.SensorEvaluationContext, images: ProductImagesResource
) -> dg.SensorResult:
    """A failed look is not an empty folder: the tick fails with its sentence, and nothing is requested."""
    with images.workspace() as workspace:
        seen = [Seen(*one) for one in product_folders.seen_by_people(workspace)]
        if seen and not all(one.ready for one in seen):
            # A second look when the file may be at rest, instead of one whole interval later.
            threading.Event().wait(SETTLE_SECONDS + 0.1)
            seen = [Seen(*one) for one in product_folders.seen_by_people(workspace)]
    run_key = decide(seen)
    if run_key is None:
        copying = sum(not one.ready for one in seen)
        return dg.SensorResult(
            skip_reason=f"{copying} files are still being copied." if copying else "Nothing new."
        )
    if waiting_runs(context.instance, "product_images"):
        return dg.SensorResult(skip_reason="A run that will see it is about to start.")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key)])


SENSORS = [product_image_folders]
