"""A batch goes through Dagster: its file is taken in by one job, its jobs are made by a run of its partition."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from crown.journal import logs, secrets
from crown.ledger import counts
from crown.motion_jobs.jobs import reviewing
from crown.motion_jobs.jobs.acts import Person
from crown_assets.definitions import build_defs
from resources.workspaces import MotionJobsResource
from sensors.factories import batches_to_run, pending_work_sensor
from sensors.motion_jobs import WORK, motion_batch_folder
from tests.given import given_database
from tests.motion_jobs.department import HEADER, real_file, real_template, statuses


@pytest.fixture
def motion(database_url: str, tmp_path: Path) -> Iterator[MotionJobsResource]:
    folder = tmp_path / "home" / "media" / "motion" / "batches"
    real_template(folder)
    shutil.copy(real_file("psd", "text.psd"), folder / "text.psd")
    rows = ("one,text.psd,template.aepx,one.aepx,,,high,", "two,text.psd,template.aepx,two.aepx,,,low,")
    (folder / "spring.csv").write_text(
        "\n".join((HEADER, *rows, "bad,no.psd,template.aepx,bad.aepx,,,,")) + "\n"
    )
    environment = {
        "CROWN_DATABASE_URL": database_url,
        "CROWN_HOME": str(tmp_path / "home"),
        "CROWN_WORKERS": "1",
    }
    yield MotionJobsResource(database=given_database(environment))
    logs.close()
    secrets._known.clear()


def test_a_batch_is_a_partition_and_its_jobs_go_to_a_package(
    motion: MotionJobsResource, tmp_path: Path
) -> None:
    defs = build_defs(resources={"database": motion.database, "motion": motion})
    resources = {"motion": motion, "database": motion.database}
    work = pending_work_sensor("work", departments=[WORK], every=45, description="Of one department.")
    # An instance that another process could open: Dagster looks partitions of requests up through its reference.
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance, motion.workspace() as workspace:

        def asked() -> list[dg.RunRequest]:
            with dg.build_sensor_context(
                instance, instance_ref=instance.get_ref(), resources=resources, definitions=defs
            ) as context:
                return list(work.evaluate_tick(context).run_requests or [])

        with dg.build_sensor_context(instance=instance, resources=resources) as context:
            assert len(motion_batch_folder.evaluate_tick(context).run_requests) == 1
        taken = defs.resolve_job_def("motion_jobs_batches").execute_in_process(instance=instance)
        checks = {one.check_name: one for one in taken.get_asset_check_evaluations()}
        assert checks["rows_are_accounted_for"].passed
        [batch] = instance.get_dynamic_partitions("motion_batches")
        [request] = asked()
        assert (request.job_name, request.partition_key) == ("motion_jobs", batch)

        def run() -> dg.ExecuteInProcessResult:
            return defs.resolve_job_def("motion_jobs").execute_in_process(
                instance=instance, partition_key=batch
            )

        made = run()
        assert statuses(workspace.engine) == {"one": "awaiting_review", "two": "awaiting_review"}
        (matched,) = made.asset_materializations_for_node("motion_jobs__layer_matches")
        assert matched.metadata["items_by_state"].value["current"] == 2
        with workspace.engine.connect() as connection:
            assert counts.of_asset(connection, matched.asset_key.to_user_string(), batch)["current"] == 2
            assert counts.of_asset(connection, matched.asset_key.to_user_string(), "another")["current"] == 0
        assert asked() == []
        ann = Person("ann", reason="all of it as proposed")
        reviewing.approve(workspace, ["one"], ann, apply=True)
        assert [one.partition_key for one in asked()] == [batch]
        run()
        reviewing.approve(workspace, ["one"], ann, with_warnings=True, apply=True)
        run()
        reviewing.override(workspace, ["one"], ann, apply=True)
        done = run()
        assert statuses(workspace.engine) == {"one": "completed", "two": "awaiting_review"}
        checks = {one.check_name: one for one in done.get_asset_check_evaluations()}
        assert checks["packages_are_complete"].passed
        assert checks["packages_are_complete"].metadata["packages"].value == 1
        assert checks["round_trip_held"].passed


def test_batches_with_due_jobs_and_no_run_are_asked_for_in_their_order() -> None:
    assert batches_to_run({"b": 3, "a": 1, "c": 0, "d": 2}, {"a"}) == ["b", "d"]
