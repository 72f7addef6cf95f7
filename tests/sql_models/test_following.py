"""What is built again: a model follows tables that have become another, not ones that were made again the same."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine

from crown.sql_models.project import Project
from crown_assets.definitions import build_defs
from resources.database import DatabaseResource
from sensors.sql_models import decide, sql_models_follow, versions
from tests.given import given_database


def names(project: Project, *sources: str) -> list[str]:
    """The models that read one of these relations, near or far."""
    return [name for name in project.models if set(sources) & {name, *project.ancestors(name)}]


class Ticks:
    """The sensor on an instance, tick after tick."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def __call__(self) -> tuple[list[str], str]:
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            done = sql_models_follow.evaluate_tick(context)
        self.cursor = done.cursor or self.cursor
        asked = [key for request in done.run_requests or [] for key in request.asset_selection or []]
        return [".".join(key.path[1:]) for key in asked], done.skip_message or ""

    def made(self, source: Any, version: str) -> None:
        tags = {"dagster/data_version": version}
        self.instance.report_runless_asset_event(dg.AssetMaterialization(list(source.asset), tags=tags))


@pytest.mark.parametrize(
    "changed", ["art.prints", "art.distributors", "art.editions", "art.invoiced_sales", "staging.art_clock"]
)
def test_exactly_what_reads_a_changed_table_is_built_in_the_order_of_building(
    project: Project, changed: str
) -> None:
    known = dict.fromkeys((*project.models, *project.sources), "1")
    assert decide(project, known, known) == []
    wanted = decide(project, {**known, changed: "2"}, known)
    assert wanted == names(project, changed)
    assert 1 < len(wanted) <= len(project.models)


def test_a_new_text_builds_the_model_and_what_reads_it(project: Project) -> None:
    known = dict.fromkeys((*project.models, *project.sources), "1")
    edited = decide(project, {**known, "marts.art_artworks": "2"}, known)
    assert edited == names(project, "marts.art_artworks")
    assert edited[0] == "marts.art_artworks"
    assert decide(project, known, {}) == list(project.models), "the cursor of an earlier version: all, once"


def test_the_same_bytes_request_no_model_and_a_change_requests_the_chain_once(project: Project) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        tick = Ticks(instance)
        assert tick()[1].startswith("No data yet: art_records/distributors, art_records/documents")
        for source in project.sources.values():
            tick.made(source, "sync 1")
        assert tick()[0] == list(project.models)
        assert tick() == ([], "Nothing that a model reads has changed.")
        for source in project.sources.values():
            tick.made(source, "sync 1")
        assert tick() == ([], "Nothing that a model reads has changed."), "the same bytes"
        tick.made(project.sources["art.distributors"], "sync 2")
        assert tick()[0] == names(project, "art.distributors")
        assert tick() == ([], "Nothing that a model reads has changed."), "once"


def test_the_day_is_part_of_what_the_clock_reads(project: Project) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        now = versions(instance, project)
    yesterday = {**now, "staging.art_clock": now["staging.art_clock"][:-2] + "00"}
    assert decide(project, now, yesterday) == names(project, "staging.art_clock")


def test_the_requested_run_is_of_the_named_job_and_builds_only_what_was_asked_for(
    engine: Engine, database_url: str
) -> None:
    database: DatabaseResource = given_database({"CROWN_DATABASE_URL": database_url})
    job = build_defs(resources={"database": database}).resolve_job_def(sql_models_follow.job_name)
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance).success
        done = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["sql", "staging", "art_distributors"])],
        )
    assert (job.name, done.success) == ("sql_models", True)
    built = {event.asset_key for event in done.get_asset_materialization_events()}
    assert built == {dg.AssetKey(["sql", "staging", "art_distributors"])}
    assert len(done.get_asset_check_evaluations()) > 3, "its tests are asked too"
