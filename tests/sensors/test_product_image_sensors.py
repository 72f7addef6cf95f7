"""When product images start by themselves: decisions tested as tables, sensors on a real instance and database."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text

from crown.database.engine import connect
from crown.ledger import decisions
from crown.ledger.verdicts import Ruling
from crown.product_images.gates import CUTOUT_REVIEW
from crown.product_images.workspace import (
    INBOX,
    REVIEW,
    Workspace,
    open_workspace,
)
from crown.settings.model import load_settings
from crown.store.watch import Seen
from resources.database import DatabaseResource
from resources.workspaces import ProductImagesResource
from sensors import departments
from sensors.factories import at_rest, edited, pending_work_sensor, wanted
from sensors.product_images import WORK, product_image_folders
from tests.given import given_database
from tests.pictures import draw_cut_out


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> DatabaseResource:
    environment = {
        "CROWN_HOME": str(tmp_path / "home"),
        "CROWN_DATABASE_URL": database_url,
        "CROWN_PRODUCT_IMAGES_INBOX_INTERVAL_SECONDS": "5",
    }
    return given_database(environment)


@pytest.fixture
def images(database: DatabaseResource) -> ProductImagesResource:
    return ProductImagesResource(database=database)


@pytest.fixture
def workspace(database: DatabaseResource, database_url: str):  # type: ignore[no-untyped-def]
    engine = connect(database_url)
    yield open_workspace(engine, load_settings(database.environment, None))
    engine.dispose()


def test_files_at_rest_give_one_key_and_growing_files_none() -> None:
    resting, growing = Seen("inbox/a.jpg", "10:1", True), Seen("inbox/b.jpg", "20:2", False)
    assert at_rest([]) is None
    assert at_rest([growing]) is None
    assert at_rest([resting]) == at_rest([growing, resting])
    assert at_rest([resting]) != at_rest([Seen("inbox/a.jpg", "11:1", True)])


@pytest.mark.parametrize(
    ("due", "active", "waiting", "reason"),
    [
        (0, 0, 0, None),
        (3, 0, 0, "3 items are due"),
        (3, 1, 0, None),
        (300, 1, 0, "300 items are due"),
        (300, 2, 1, None),
    ],
)
def test_work_is_asked_for_when_something_is_due_and_no_run_will_take_it(
    due: int, active: int, waiting: int, reason: str | None
) -> None:
    assert wanted(due, active, waiting) == reason


@pytest.mark.parametrize(
    ("recipes", "known", "active", "is_edited"),
    [("r1", "r1", 0, False), ("r2", "r1", 0, True), ("r2", "r1", 1, False), ("r1", None, 0, False)],
)
def test_an_edit_of_recipes_is_followed_when_no_run_is_active(
    recipes: str, known: str | None, active: int, is_edited: bool
) -> None:
    assert edited(recipes, known, active) == is_edited


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None, **resources: object):  # type: ignore[no-untyped-def]
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
        data = sensor.evaluate_tick(context)
    return data.run_requests, data.cursor, data.skip_message


def settle(workspace: Workspace) -> None:
    with workspace.engine.begin() as connection:
        connection.execute(text("update store.sightings set first_seen_at = first_seen_at - interval '10 s'"))


def test_a_dropped_file_starts_a_run_and_the_next_tick_asks_for_the_same(
    workspace: Workspace, images: ProductImagesResource
) -> None:
    draw_cut_out(workspace.media(INBOX) / "52000123.png")
    with dg.DagsterInstance.ephemeral() as instance:
        first, _, _ = tick(product_image_folders, instance, None, images=images)
        second, _, _ = tick(product_image_folders, instance, None, images=images)
    assert len(first) == 1
    assert first[0].run_key == second[0].run_key


def test_a_persons_file_in_review_starts_a_run_and_our_own_do_not(
    workspace: Workspace, images: ProductImagesResource
) -> None:
    draw_cut_out(workspace.media(REVIEW) / "52000123.png")
    with dg.DagsterInstance.ephemeral() as instance:
        tick(product_image_folders, instance, None, images=images)
        settle(workspace)
        requests, _, _ = tick(product_image_folders, instance, None, images=images)
        assert len(requests) == 1
        with workspace.engine.begin() as connection:
            connection.execute(
                text(
                    "insert into ledger.files (root, path, content_hash, written_at)"
                    " values ('media', :path, 'h', now() + interval '1 minute')"
                ),
                {"path": f"{REVIEW}/52000123.png"},
            )
        requests, _, said = tick(product_image_folders, instance, None, images=images)
    assert (requests, said) == ([], "Nothing new.")


def test_a_decision_is_followed_once(workspace: Workspace, database: DatabaseResource) -> None:
    with workspace.engine.begin() as connection:
        decisions.decide(connection, CUTOUT_REVIEW, "a", "h", Ruling("approve", "eva", "cli"))
    with dg.DagsterInstance.ephemeral() as instance:
        requests, cursor, _ = tick(departments.decisions, instance, None, database=database)
        assert len(requests) == 1
        requests, _, _ = tick(departments.decisions, instance, cursor, database=database)
    assert requests == []


def test_a_decision_that_commits_late_is_followed_although_its_number_is_lower(
    workspace: Workspace, database: DatabaseResource
) -> None:
    approve = Ruling("approve", "eva", "cli")
    with dg.DagsterInstance.ephemeral() as instance, workspace.engine.connect() as late:
        _, cursor, _ = tick(departments.decisions, instance, None, database=database)
        first = decisions.decide(late, CUTOUT_REVIEW, "a", "h", approve)
        with workspace.engine.begin() as connection:
            second = decisions.decide(connection, CUTOUT_REVIEW, "b", "h", approve)
        assert second.decision_id > first.decision_id
        requests, cursor, _ = tick(departments.decisions, instance, cursor, database=database)
        assert [one.run_key for one in requests] == [f"decision-{second.decision_id}"]
        late.commit()
        requests, cursor, _ = tick(departments.decisions, instance, cursor, database=database)
        assert [one.run_key for one in requests] == [f"decision-{first.decision_id}"]
        requests, _, _ = tick(departments.decisions, instance, cursor, database=database)
    assert requests == []


@pytest.mark.parametrize("cursor", ["57", "999999999:999999999:"])
def test_the_cursor_of_another_version_or_server_makes_every_decision_new(
    cursor: str, workspace: Workspace, database: DatabaseResource
) -> None:
    with workspace.engine.begin() as connection:
        decisions.decide(connection, CUTOUT_REVIEW, "a", "h", Ruling("approve", "eva", "cli"))
    with dg.DagsterInstance.ephemeral() as instance:
        requests, after, _ = tick(departments.decisions, instance, cursor, database=database)
        assert len(requests) == 1
        requests, _, _ = tick(departments.decisions, instance, after, database=database)
    assert requests == []


def test_an_edited_recipe_starts_a_run_once(workspace: Workspace, images: ProductImagesResource) -> None:
    work = pending_work_sensor("work", departments=[WORK], every=45, description="Of one department.")
    with dg.DagsterInstance.ephemeral() as instance:
        requests, cursor, _ = tick(work, instance, None, images=images)
        assert requests == []
        requests, after, _ = tick(work, instance, json.dumps({"product_images": "others"}), images=images)
    assert [(one.job_name, one.tags["crown/reason"]) for one in requests] == [
        ("product_images", "a recipe was edited")
    ]
    assert after == cursor
