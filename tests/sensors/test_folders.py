"""The folder sensor: how often it looks, that one tick is enough for a whole file, and that a lost share is loud."""

from __future__ import annotations

import shutil

import dagster as dg
import pytest
from sqlalchemy import text

from crown.database.engine import connect
from crown.errors import ConfigurationError, SystemicFailure
from crown.product_images.workspace import INBOX
from crown.settings.model import load_settings
from crown_assets.definitions import build_defs
from resources.workspaces import ProductImagesResource
from sensors.notices import send_notices
from sensors.product_images import product_image_folders
from sensors.schedules import time_zone
from tests.pictures import draw_part


def tick(images: ProductImagesResource, instance: dg.DagsterInstance) -> tuple[str, int]:
    with dg.build_sensor_context(
        instance=instance, resources={"images": images}, definitions=build_defs()
    ) as context:
        done = product_image_folders.evaluate_tick(context)
    return done.skip_message or "", len(done.run_requests or [])


def test_a_file_at_rest_asks_for_a_run_in_the_tick_that_first_sees_it(
    images: ProductImagesResource, instance: dg.DagsterInstance
) -> None:
    assert tick(images, instance) == ("Nothing new.", 0)
    with images.workspace() as workspace:
        draw_part(workspace.media(INBOX) / "52000123.jpg")
    assert tick(images, instance) == ("", 1)


def test_a_lost_share_fails_the_tick_makes_no_folder_and_is_told_once(
    images: ProductImagesResource, instance: dg.DagsterInstance, database_url: str
) -> None:
    media = images.settings().media
    assert tick(images, instance) == ("Nothing new.", 0)
    shutil.rmtree(media)
    media.mkdir()
    with pytest.raises(SystemicFailure, match=r"The share \S+ is gone or another one.* Mount it"):
        tick(images, instance)
    assert list(media.iterdir()) == []
    cursor = None
    for _ in range(2):
        with dg.build_sensor_context(
            instance=instance,
            cursor=cursor,
            resources={"database": images.database},
            definitions=build_defs(),
        ) as context:
            cursor = send_notices.evaluate_tick(context).cursor
    engine = connect(database_url)
    with engine.connect() as connection:
        rows = connection.execute(text("select department, subject, times, sentence from journal.notices"))
        reported = [tuple(row) for row in rows]
    engine.dispose()
    assert [row[:3] for row in reported] == [("folders", "media_root", 1)]
    assert f"The share {media} is gone" in reported[0][3]


def test_at_rest_all_departments_together_ask_less_than_700_times_an_hour() -> None:
    intervals = {
        sensor.name: sensor.minimum_interval_seconds or 30
        for sensor in build_defs().get_repository_def().sensor_defs
    }
    assert sum(3600 / interval for interval in intervals.values()) < 700, intervals
    assert (intervals["decisions"], intervals["pending_work"]) == (30, 45), (
        "an approval is followed in a minute"
    )


def test_schedules_run_in_a_zone_that_is_said_and_each_says_what_it_does() -> None:
    schedules = build_defs().get_repository_def().schedule_defs
    assert {schedule.execution_timezone for schedule in schedules} == {time_zone()}
    assert all(schedule.description for schedule in schedules)


def test_the_zone_of_the_setting_counts_before_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert time_zone(load_settings({}, None)) == "Asia/Tokyo"
    assert time_zone(load_settings({"CROWN_TIME_ZONE": "Europe/London"}, None)) == "Europe/London"
    with pytest.raises(ConfigurationError, match="CROWN_TIME_ZONE cannot be used: write a zone"):
        load_settings({"CROWN_TIME_ZONE": "London"}, None)
