"""A real run of the job leaves in the journal what somebody will ask for: by product, by run, by person."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image
from sqlalchemy import Engine, text

from crown.art_records.history import erasing
from crown.flow import worker_pool
from crown.flow.worker_log import WorkerLog, without_secrets
from crown.flow.worker_pool import Limits, WorkerPool
from crown.journal import activity, logs, secrets
from crown.ledger import planning
from crown.ledger.recipes import Recipe, register
from crown.product_images.share import review
from crown.product_images.stage_log import product_number
from crown.product_images.workspace import (
    ASSETS,
    CUTOUTS,
    ERRORS,
    INBOX,
    PUBLISHED,
)
from crown.settings.model import load_settings
from crown.store import store_lock
from crown.store.objects import Objects
from crown_assets.definitions import build_defs
from resources import queues
from resources.workspaces import ProductImagesResource
from tests.flow.pool_tasks import write_key
from tests.given import given_database
from tests.pictures import draw_part


@pytest.fixture
def images(database_url: str, tmp_path: Path) -> Iterator[ProductImagesResource]:
    environment = {
        "CROWN_DATABASE_URL": database_url,
        "CROWN_HOME": str(tmp_path / "home"),
        "CROWN_WORKERS": "1",
        "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "0",
        "CROWN_PRODUCT_IMAGES_SPECS": "1000x1000_72dpi_jpeg,128x128_72dpi_jpeg",
    }
    yield ProductImagesResource(database=given_database(environment))
    logs.close()
    secrets._known.clear()


def run(images: ProductImagesResource, job: str = "product_images") -> dg.ExecuteInProcessResult:
    defs = build_defs(resources={"database": images.database, "images": images})
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def(job).execute_in_process(instance=instance, tags={queues.WHOLE: "true"})


def log_of(engine: Engine, product: str) -> list[Any]:
    assert logs._active is not None
    assert logs._active.flush()
    with engine.connect() as connection:
        return list(
            connection.execute(
                text(
                    "select message, user_id, run_id, execution_time_ms, level, department, context"
                    " from logs.records where subject = :product order by timestamp, id"
                ),
                {"product": product},
            )
        )


def test_the_log_answers_what_happened_to_a_product(engine: Engine, images: ProductImagesResource) -> None:
    with images.workspace() as workspace:
        draw_part(workspace.media(INBOX) / "52000123_2.jpg")
        draw_part(workspace.media(INBOX) / "52000124.jpg", seed=2)
        (workspace.media(INBOX) / "52000125.jpg").write_bytes(b"no picture")
        owner = (workspace.media(INBOX) / "52000125.jpg").owner()
    first = run(images).run_id
    with images.workspace() as workspace:
        review.decide(workspace, "52000123*", "approve", who="eva", via="cli")
    second = run(images).run_id

    told = log_of(engine, "52000123")
    assert [(row.message, row.run_id) for row in told] == [
        ("52000123_2.jpg stored as original of 52000123_2", first),
        ("52000123_2 cut out", first),
        ("52000123_2 approved by eva", None),
        ("52000123_2 approved bytes put to the sources", second),
        ("52000123_2 rendered for web", second),
        ("52000123_2 rendered for thumbnail", second),
        ("52000123 published", second),
    ]
    assert {row.level for row in told} == {"INFO"}
    assert {row.department for row in told} == {"product_images"}
    assert [row.user_id for row in told[:3]] == [owner, None, "eva"]
    assert all(row.execution_time_ms is not None for row in told if "approved by" not in row.message)
    assert told[1].execution_time_ms > 10
    assert told[-1].context["files"] == 2
    with engine.connect() as connection:
        found = connection.execute(
            text("select message from logs.pipeline_logs where context @> cast(:given as jsonb)"),
            {"given": f'{{"asset": "{PUBLISHED}"}}'},
        ).scalars()
        assert list(found) == ["52000123 published"]

    assert [row.message for row in log_of(engine, "52000124")][1:] == ["52000124 cut out"]
    (refused,) = log_of(engine, "52000125")
    assert refused.level == "WARNING"
    assert refused.message.startswith("52000125.jpg refused: ")
    assert refused.context["folder"] == ERRORS


def test_the_trail_says_what_runs_did_to_a_product(engine: Engine, images: ProductImagesResource) -> None:
    with images.workspace() as workspace:
        draw_part(workspace.media(INBOX) / "52000123.jpg")
    run(images)
    with images.workspace() as workspace:
        review.decide(workspace, "*", "approve", who="eva", via="cli")
    last = run(images).run_id
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select user_id, action from audit.product_audit where product_number = '52000123' order by id"
            )
        ).all()
        (published,) = (
            a for a in activity.history(connection, subject="52000123") if a.what == activity.PUBLISHED
        )
    assert [tuple(row) for row in rows][1:] == [
        ("product_images", "cutout_made"),
        ("eva", activity.HUMAN_APPROVED),
        ("product_images", "formatting_complete"),
        ("product_images", activity.PUBLISHED),
    ]
    assert (published.run_id, published.via) == (last, "run")
    assert published.new_values["files"] == [
        "52000123_1000x1000_72dpi_jpeg.jpg",
        "52000123_128x128_72dpi_jpeg.jpg",
    ]


def test_a_failed_item_stands_in_log_and_trail_with_its_reason(
    engine: Engine, images: ProductImagesResource
) -> None:
    with images.workspace() as workspace:
        Image.new("RGB", (300, 200), (240, 240, 240)).save(workspace.media(INBOX) / "52000126.jpg")
    run_id = run(images).run_id
    failed = next(row for row in log_of(engine, "52000126") if "failed" in row.message)
    assert (failed.level, failed.run_id, failed.context["asset"]) == ("WARNING", run_id, CUTOUTS)
    with engine.connect() as connection:
        trail = [a for a in activity.history(connection, entity="52000126") if a.what == activity.FAILED]
    assert len(trail) == 1
    assert trail[0].details is not None
    assert trail[0].details in failed.message


def test_what_a_run_did_outlives_dagsters_history(engine: Engine, images: ProductImagesResource) -> None:
    with images.workspace() as workspace:
        draw_part(workspace.media(INBOX) / "52000123.jpg")
    first, second = run(images).run_id, run(images).run_id
    with engine.begin() as connection:
        connection.execute(text("drop schema if exists dagster cascade"))
        newest = activity.newest_runs(connection)
        rows = connection.execute(
            text("select count(*) from journal.activity where what = 'run_finished' and run_id = :run"),
            {"run": second},
        ).scalar_one()
    assert [r.run_id for r in newest] == [second, first]
    assert [(r.successful, r.failed) for r in newest] == [(0, 0), (4, 0)]  # upload, photo, cut-out, texts
    assert newest[0].skipped == newest[0].total == 4
    assert newest[0].departments == ("product_images",)
    assert rows == len(ASSETS)


def test_a_bug_in_a_worker_leaves_its_traceback_with_the_product(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    settings = load_settings(
        {"CROWN_HOME": str(tmp_path), "CROWN_DATABASE_URL": database_url, "CROWN_WEB_TOKEN": "unheard"}, None
    )
    recipe = Recipe("test/queue", "write", {"version": 1})
    wanted = (
        "select 'bug-1' as key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs,"
        " array['x'] as input_hashes, cast(null as text) as waiting_for, cast(null as bigint) as decision_id"
    )
    with engine.begin() as connection:
        register(connection, [recipe])
        planning.plan(connection, "test/queue", wanted, {"recipe": recipe.hash})
    around = WorkerLog(without_secrets(settings), "product_images", "run-1", product_number)
    assert "unheard" not in repr(vars(around.settings))
    assert around.settings.web_token is None
    assert around.settings.database_url is None
    one = WorkerPool(("test/queue",), write_key, {"folder": str(tmp_path)}, worker_context=around)
    worker_pool.run(engine, one, Limits(workers=1), run_id="run-1")
    # The worker has no database; what it left is delivered by whoever has one.
    running = logs.set_up(settings, database_url, console=False)
    assert running.flush()
    with engine.connect() as connection:
        row = connection.execute(
            text("select * from logs.records where module = 'crown.flow.worker_processes'")
        ).one()
    assert (row.subject, row.run_id, row.department) == ("bug-1", "run-1", "product_images")
    assert "ZeroDivisionError: division by zero" in row.exception
    assert "pool_tasks.py" in row.exception


def test_logging_is_set_up_once_for_a_folder_and_a_database(database_url: str, tmp_path: Path) -> None:
    settings = load_settings({"CROWN_HOME": str(tmp_path)}, None)
    logs.set_up_once(settings, database_url, console=False)
    first = logs._active
    logs.set_up_once(settings, database_url, console=False)
    logs.set_up_once(settings, None, console=False)
    assert logs._active is first
    # What a command has set up, silent on the terminal, is not replaced by the resources of the run it starts.
    silent = logs.set_up(settings, database_url, console=False)
    logs.set_up_once(settings, database_url)
    assert logs._active is silent
    logs.set_up_once(
        load_settings({"CROWN_HOME": str(tmp_path / "other")}, None), database_url, console=False
    )
    assert logs._active is not first
    logging.getLogger("crown.test").info("here")
    assert "here" in (tmp_path / "other" / "logs" / "crown.log").read_text()
    logs.close()


def test_housekeeping_says_why_it_leaves_the_bytes_of_old_rehearsals(
    images: ProductImagesResource, engine: Engine
) -> None:
    def told() -> dict[str, Any]:
        (made,) = run(images, "housekeeping").asset_materializations_for_node("housekeeping__retention")
        return {key: value.value for key, value in made.metadata.items() if "rehears" in key}

    assert told() == {"rehearsals_removed": 0, "rehearsed_bytes_removed": 0}
    with store_lock.nothing_removed(engine):
        assert list(told()) == ["rehearsals_left"]


def test_log_growth_fails_when_the_database_no_longer_takes_the_log(images: ProductImagesResource) -> None:
    def check() -> dg.AssetCheckEvaluation:
        return next(
            e
            for e in run(images, "housekeeping").get_asset_check_evaluations()
            if e.check_name == "log_growth"
        )

    found = check()
    assert found.passed
    sizes = found.metadata["bytes"].value
    assert {"logs.records", "journal.activity", "log files", "outbox"} <= set(sizes)  # type: ignore[arg-type]
    left = images.settings().logs / "outbox" / "current.jsonl"
    logs.close()
    with left.open("wb") as file:
        os.truncate(file.fileno(), 51 * 1024 * 1024)
    # Held by a writer, as long as the check looks: a delivery would take it away.
    with left.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_SH)
        assert not check().passed


def test_erasing_a_person_reaches_the_trail(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        for department in ("art_records", "product_images"):
            activity.record(
                connection,
                who="eva",
                what="edit",
                subject="prints/rec1",
                department=department,
                via="cli",
                old={"notes": "sold to Anna Muster"},
                new={"notes": ["ANNA MUSTER", "paid"]},
                details="anna muster asked for it",
            )
    objects = Objects(tmp_path / "objects")
    planned = erasing.erase(engine, "Anna Muster", objects=objects, who="eva", reason="asked")
    assert planned.values["activity trail"] == 1
    assert not planned.applied
    done = erasing.erase(engine, "Anna Muster", objects=objects, who="eva", reason="asked", apply=True)
    assert done.values["activity trail"] == 1
    with engine.connect() as connection:
        ours = activity.history(connection, department="art_records", subject="prints/rec1")[0]
        theirs = activity.history(connection, department="product_images")[0]
    assert (ours.who, ours.old_values) == ("eva", {"notes": "sold to [erased]"})
    assert ours.new_values == {"notes": ["[erased]", "paid"]}
    assert ours.details == "[erased] asked for it"
    assert theirs.old_values == {"notes": "sold to Anna Muster"}
