"""The folder sensor looks as often as CROWN_INBOX_INTERVAL_SECONDS says, read at each tick."""

from __future__ import annotations

import dagster as dg
import pytest

from crown.product_images.room import INBOX
from crown_assets.definitions import build_defs
from resources.database import DatabaseResource
from resources.product_images import ProductImagesResource
from sensors.folders import due, product_image_folders
from tests.given import given_database
from tests.pictures import draw_part


@pytest.mark.parametrize(
    ("now", "cursor", "interval", "expected"),
    [
        (1000.0, None, 10, True),
        (1005.0, "1000.000", 10, False),
        (1009.5, "1000.000", 10, True),
        (1010.0, "1000.000", 10, True),
        (1010.0, "1000.000", 3600, False),
        (500.0, "1000.000", 10, True),
    ],
)
def test_a_look_is_due_when_the_interval_has_passed_or_the_clock_was_set_back(
    now: float, cursor: str | None, interval: float, expected: bool
) -> None:
    assert due(now, cursor, interval) is expected


def tick(
    images: ProductImagesResource, instance: dg.DagsterInstance, cursor: str | None
) -> tuple[str, str | None, int]:
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"images": images}, definitions=build_defs()
    ) as context:
        done = product_image_folders.evaluate_tick(context)
    return done.skip_message or "", done.cursor, len(done.run_requests or [])


def test_an_edited_interval_holds_from_the_next_tick(
    database: DatabaseResource, images: ProductImagesResource, instance: dg.DagsterInstance
) -> None:
    hourly = ProductImagesResource(
        database=given_database({**database.environment, "CROWN_INBOX_INTERVAL_SECONDS": "3600"})
    )
    message, cursor, _ = tick(hourly, instance, None)
    assert message == "Nothing new."
    with images.room() as room:
        draw_part(room.media(INBOX) / "52000123.jpg")
    assert cursor is not None
    assert tick(hourly, instance, cursor) == ("The folders are looked at every 3600 s.", cursor, 0)
    seven_seconds_ago = str(float(cursor) - 7)
    assert tick(images, instance, seven_seconds_ago)[0] == "The folders are looked at every 10 s."
    often = ProductImagesResource(
        database=given_database({**database.environment, "CROWN_INBOX_INTERVAL_SECONDS": "5"})
    )
    message, later, requests = tick(often, instance, seven_seconds_ago)
    assert message == "1 files are still being copied."
    assert float(later or 0) >= float(cursor)
    assert requests == 0
