"""Conventions of the asset graph: loads anywhere, light, and changes its names only on purpose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from crown_assets.definitions import build_defs

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = Path(__file__).with_name("definitions.snapshot.json")
HEAVY = (
    "rembg",
    "onnxruntime",
    "pyvips",
    "psd_tools",
    "pyicloud",
    "av",
    "pandas",
    "cv2",
    "scipy",
    "matplotlib",
)
#: Assets that no schedule makes by a time of its own: the checks of these judge them by the dates of their data.
JUDGED_BY_DATA = {
    "product_images": ("product_images/inbox_photos", "product_images/production"),
    "art_records": ("art_records/prints", "art_records/distributors", "art_records/editions"),
    "motion_jobs": ("motion_jobs/job_batches",),
    "devices": ("devices/five_minutes",),
}
#: Assets whose staleness is nobody's worry, with the reason.
WITHOUT_FRESHNESS = {"housekeeping/retention": "runs by its schedule; a missed night harms nothing"}


def graph() -> dict[str, Any]:
    defs = build_defs()
    repository = defs.get_repository_def()
    assets = {}
    for node in repository.asset_graph.asset_nodes:
        assets[node.key.to_user_string()] = {
            "group": node.group_name,
            "owners": sorted(node.owners),
            "kinds": sorted(node.kinds),
            "deps": sorted(key.to_user_string() for key in node.parent_keys),
            "checks": sorted(key.name for key in node.check_keys),
            "code_version": node.code_version if node.group_name != "sql" else "of its text",
        }
    return {
        "assets": dict(sorted(assets.items())),
        "jobs": sorted(name for name in repository.job_names if not name.startswith("__")),
        "schedules": {s.name: s.cron_schedule for s in repository.schedule_defs},
        "sensors": {s.name: s.minimum_interval_seconds for s in repository.sensor_defs},
    }


def test_keys_groups_owners_kinds_and_schedules_change_only_on_purpose() -> None:
    now = graph()
    if os.environ.get("UPDATE_SNAPSHOT") == "1":
        SNAPSHOT.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    assert now == json.loads(SNAPSHOT.read_text(encoding="utf-8")), (
        "run again with UPDATE_SNAPSHOT=1 when meant"
    )


def test_definitions_load_offline_with_an_empty_environment_and_without_heavy_libraries() -> None:
    program = (
        "import sys, socket\n"
        "def refuse(*a, **k): raise OSError('no network while definitions load')\n"
        "socket.socket.connect = refuse\n"
        "from crown_assets.definitions import defs\n"
        "defs.get_repository_def()\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "node",
    sorted(
        build_defs().get_repository_def().asset_graph.asset_nodes, key=lambda node: node.key.to_user_string()
    ),
    ids=lambda node: node.key.to_user_string(),
)
def test_every_asset_says_whose_it_is_and_what_it_is(node: Any) -> None:
    assert node.owners
    assert node.group_name != "default"
    assert node.kinds
    assert len(node.description or "") > 20
    by_run = node.freshness_policy_or_from_metadata is not None
    by_data = node.group_name in JUDGED_BY_DATA
    assert by_run + by_data + (node.key.to_user_string() in WITHOUT_FRESHNESS) == 1, "one way"
    assert node.group_name == "housekeeping" or node.is_external or node.code_version
    if by_data:
        assert "console" in node.metadata


def test_the_ends_of_each_department_are_judged_by_the_dates_of_their_data() -> None:
    graph = build_defs().get_repository_def().asset_graph
    for assets in JUDGED_BY_DATA.values():
        for asset in assets:
            names = {check.name for check in graph.get(dg.AssetKey(asset.split("/"))).check_keys}
            assert "data_is_fresh" in names, asset


DEPARTMENTS = ("product_images", "art_records", "sql", "housekeeping", "motion_jobs", "devices")


def test_every_node_asset_and_job_has_a_name_of_its_own_that_begins_with_its_department() -> None:
    defs = build_defs()
    nodes = list(defs.resolve_implicit_global_asset_job_def().graph.node_dict.values())
    assert len(nodes) > 40
    names = [node.name for node in nodes]
    assert len(names) == len(set(names))
    assert [name for name in names if name.split("__")[0] not in DEPARTMENTS] == []
    keys = defs.get_repository_def().asset_graph.get_all_asset_keys()
    assert {key.path[0] for key in keys} <= set(DEPARTMENTS)
    # The graph of the UI labels a node by the last part of its key.
    labels = Counter(key.path[-1] for key in keys)
    assert [label for label, count in labels.items() if count > 1] == []
    jobs = {job.name for job in defs.resolve_all_job_defs()} - {"__ASSET_JOB"}
    assert [name for name in jobs if not name.startswith((*DEPARTMENTS, "backups"))] == []


def test_no_sensor_starts_a_run_without_the_name_of_a_job() -> None:
    repository = build_defs().get_repository_def()
    assert [n.key for n in repository.asset_graph.asset_nodes if n.automation_condition is not None] == []
    assert [s.name for s in repository.sensor_defs if s.asset_selection is not None] == []


def test_no_run_configuration_reaches_the_settings_or_chooses_where_a_run_writes() -> None:
    defs = build_defs()
    jobs = [job.name for job in defs.resolve_all_job_defs()]
    assert len(jobs) > 4
    for name in jobs:
        job = defs.resolve_job_def(name)
        offered = job.run_config_schema.config_type.fields["resources"].config_type.fields
        assert {"database", "images", "art", "motion", "devices"} <= set(offered)
        for resource, field in offered.items():
            config = field.config_type.fields.get("config")
            # The in-memory manager takes anything and reads nothing of it.
            assert resource == "io_manager" or config is None or not config.config_type.fields, (
                name,
                resource,
            )
        assert job.resource_defs["io_manager"] is dg.mem_io_manager
        for resource in ("database", "images", "art", "motion", "devices"):
            given = {"resources": {resource: {"config": {"environment": {"CROWN_HOME": "/elsewhere"}}}}}
            with pytest.raises(dg.DagsterInvalidConfigError):
                dg.validate_run_config(job, given)


def test_resources_can_be_replaced_through_the_one_door() -> None:
    replaced = dg.ResourceDefinition.hardcoded_resource("other")
    defs = build_defs(resources={"database": replaced})
    assert defs.resources is not None
    assert defs.resources["database"] is replaced
    assert "images" in defs.resources
