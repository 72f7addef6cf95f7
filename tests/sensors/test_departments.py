"""The sensors that serve all departments at once: who decided gets a run, and one that is broken stops no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from crown.errors import SystemicFailure
from crown.ledger import decisions as ledger
from crown.ledger.verdicts import Ruling
from crown.motion_jobs.gates import PREVIEW_REVIEW
from crown.product_images.gates import CUTOUT_REVIEW
from crown_assets.definitions import build_defs
from resources.database import DatabaseResource
from resources.workspaces import ArtRecordsResource, MotionJobsResource, ProductImagesResource
from sensors.departments import decisions, pending_work
from tests.given import given_database

APPROVE = Ruling("approve", "eva", "cli")


@pytest.fixture
def resources(database: DatabaseResource, tmp_path: Path) -> dict[str, Any]:
    """The resources of all departments; motion jobs have a root of their own."""
    (tmp_path / "motion").mkdir()
    given = {**database.environment, "CROWN_MOTION_JOBS_ROOT": str(tmp_path / "motion")}
    database = given_database(given)
    return {
        "database": database,
        "images": ProductImagesResource(database=database),
        "art": ArtRecordsResource(database=database),
        "motion": MotionJobsResource(database=database),
    }


class Ticks:
    """A sensor, tick after tick: the reasons or run keys by job, then what it says when there is none."""

    def __init__(
        self, sensor: dg.SensorDefinition, instance: dg.DagsterInstance, resources: dict[str, Any]
    ) -> None:
        self.sensor, self.instance, self.resources = sensor, instance, resources
        self.cursor: str | None = None

    def __call__(self) -> dict[str | None, str | None] | str | None:
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources=self.resources, definitions=build_defs()
        ) as context:
            done = self.sensor.evaluate_tick(context)
        self.cursor = done.cursor
        asked = {one.job_name: one.run_key or one.tags["crown/reason"] for one in done.run_requests or []}
        return asked or done.skip_message


def decide(engine: Engine, gate: Any, subject: str) -> int:
    with engine.begin() as connection:
        return ledger.decide(connection, gate, subject, "h", APPROVE).decision_id


def pend(engine: Engine, asset: str) -> None:
    """One item that is due."""
    with engine.begin() as connection:
        for statement in (
            "insert into ledger.recipes (recipe, asset, name, body) values (:asset, :asset, 'of a test', '{}')",
            "insert into ledger.items (asset, key, state, wanted, recipe) values (:asset, 'k', 'pending', 'w', :asset)",
        ):
            connection.execute(text(statement), {"asset": asset})


def test_exactly_the_departments_with_new_decisions_get_a_run(
    instance: dg.DagsterInstance, resources: dict[str, Any], engine: Engine
) -> None:
    tick = Ticks(decisions, instance, resources)
    assert tick() == "No new decision."
    image = decide(engine, CUTOUT_REVIEW, "a")
    assert tick() == {"product_images": f"decision-{image}"}
    assert tick() == "No new decision."
    motion, image = decide(engine, PREVIEW_REVIEW, "job"), decide(engine, CUTOUT_REVIEW, "b")
    assert tick() == {
        "product_images": f"decision-{image}",
        "motion_jobs_batches": f"decision-{motion}",
    }
    assert tick() == "No new decision."


def test_due_items_of_each_department_start_its_own_run(
    instance: dg.DagsterInstance, resources: dict[str, Any], engine: Engine
) -> None:
    tick = Ticks(pending_work, instance, resources)
    assert tick() == "Nothing is due."
    assert json.loads(tick.cursor or "").keys() == {"product_images", "motion_jobs"}, "their recipes"
    pend(engine, "product_images/cutouts")
    pend(engine, "motion_jobs/source_files")
    assert tick() == {
        "product_images_cutouts": "1 items are due",
        "motion_jobs_batches": "1 items are due",
    }


def test_a_department_whose_folder_is_lost_stops_no_other_and_fails_the_tick_that_requests_nothing(
    instance: dg.DagsterInstance, resources: dict[str, Any], engine: Engine, tmp_path: Path
) -> None:
    tick = Ticks(pending_work, instance, resources)
    assert tick() == "Nothing is due."
    shutil.rmtree(tmp_path / "motion")
    with pytest.raises(SystemicFailure, match=r"motion"):
        tick()
    pend(engine, "product_images/production")
    assert tick() == {"product_images": "1 items are due"}
    assert json.loads(tick.cursor or "").keys() == {"product_images", "motion_jobs"}, "it is remembered"
    assert not (tmp_path / "motion").exists()
