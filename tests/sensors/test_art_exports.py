"""What starts art records: an export at rest, an approval, the clock; the marts follow every change."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from crown.art_records.exports import arriving, endpoint
from crown.art_records.history.rollback import rollback
from crown.art_records.history.syncing import receive, sync
from crown.art_records.sample_files import Export
from crown.art_records.samples import sample_exports
from crown.art_records.workspace import EXPORTS
from crown.errors import ConfigurationError, SourceOutage
from crown.ledger import plans, resources
from crown.store.objects import Objects
from crown_assets.definitions import build_defs
from resources.database import DatabaseResource
from resources.workspaces import ArtRecordsResource
from sensors.art_records import art_airtable_changes, art_changes, art_export_files
from sensors.departments import decisions
from sensors.factories import Followed, new_contents
from sensors.schedules import FETCH
from tests.art_records.test_art_live import GOOD, Server
from tests.given import given_database


@pytest.fixture(scope="module")
def samples() -> tuple[Export, Export]:
    return sample_exports(editions=2000)


@pytest.fixture
def art(database: DatabaseResource) -> ArtRecordsResource:
    """The workspace of art records."""
    return ArtRecordsResource(database=database)


def test_the_same_bytes_start_nothing_and_an_older_export_that_is_put_back_does() -> None:
    first = new_contents({"prints": "a"}, Followed())
    assert first is not None
    followed = Followed(contents={"prints": "a"}, run_key=first)
    assert new_contents({"prints": "a"}, followed) is None
    second = new_contents({"prints": "b"}, followed)
    assert second not in (None, first)
    back = new_contents({"prints": "a"}, Followed(contents={"prints": "b"}, run_key=str(second)))
    assert back not in (None, first, second)
    assert new_contents({"prints": "a"}, Followed()) == first, "a tick that is told twice asks for one run"
    assert new_contents({}, followed) is None
    assert new_contents({"prints": "a"}, Followed(contents={"prints": "a", "editions": "e"})) is None, (
        "one was taken away"
    )


class Ticks:
    """The folder sensor, tick after tick."""

    def __init__(self, art: ArtRecordsResource, instance: dg.DagsterInstance) -> None:
        self.art = art
        self.instance = instance
        self.cursor: str | None = None
        self.asked: list[str | None] = []

    def __call__(self) -> str:
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={"art": self.art},
            definitions=build_defs(resources={"art": self.art}),
        ) as context:
            done = art_export_files.evaluate_tick(context)
        self.cursor = done.cursor or self.cursor
        self.asked += [request.run_key for request in done.run_requests or []]
        return done.skip_message or "asked for a run"


def test_a_name_that_is_no_text_does_not_end_the_look_at_the_exports(
    art: ArtRecordsResource, instance: dg.DagsterInstance
) -> None:
    with art.workspace() as workspace:
        workspace.exports.mkdir(parents=True, exist_ok=True)
        (workspace.exports / os.fsdecode(b"\xff.csv")).write_text("no export")
    assert Ticks(art, instance)() == "Nothing new."


@contextmanager
def growing(path: Path) -> Iterator[None]:
    """A copy that goes on as long as the block: the file grows between any two looks."""
    ended = threading.Event()

    def copy() -> None:
        with path.open("ab", buffering=0) as file:
            while not ended.wait(0.05):
                file.write(b"\n")

    copying = threading.Thread(target=copy)
    copying.start()
    try:
        yield
    finally:
        ended.set()
        copying.join()


def test_a_dropped_export_is_followed_when_two_looks_found_it_the_same(
    art: ArtRecordsResource, instance: dg.DagsterInstance, samples: tuple[Export, Export]
) -> None:
    tick = Ticks(art, instance)
    assert tick() == "Nothing new."
    folder = art.settings().art_exports
    paths = samples[0].write(folder)
    with growing(paths["editions"]):
        assert tick() == "Still being copied: Editions-2025-10-29 export.csv.", "all or none"
    assert tick() == "asked for a run", "in the tick that finds it at rest"
    assert tick() == "Nothing new."
    touched = time.time() - 3
    os.utime(paths["editions"], (touched, touched))
    assert tick() == "Nothing new.", "touched, but the bytes are the same"
    (folder / "letter.csv").write_text("Dear,gallery\n")
    with growing(folder / "letter.csv"):
        assert tick() == "Nothing new.", "not an export, at rest or not"
    paths["prints"].unlink()
    assert tick() == "Nothing new.", "a file that was taken away"
    samples[1].write(folder)["prints"].unlink()
    assert tick() == "asked for a run"
    assert len(set(tick.asked)) == len(tick.asked) == 2


def test_a_cursor_of_an_earlier_version_is_read(
    art: ArtRecordsResource, instance: dg.DagsterInstance
) -> None:
    tick = Ticks(art, instance)
    tick.cursor = json.dumps({"looked": 1.5, "standing": "", "contents": {}, "run_key": "k"})
    assert tick() == "Nothing new."


def test_a_broken_setting_fails_the_tick_and_nothing_is_asked_for(
    database: DatabaseResource, instance: dg.DagsterInstance
) -> None:
    broken = ArtRecordsResource(
        database=given_database({**database.environment, "CROWN_ART_RECORDS_PHASE": "both"})
    )
    tick = Ticks(broken, instance)
    with pytest.raises(ConfigurationError, match="CROWN_ART_RECORDS_PHASE cannot be used"):
        tick()
    assert tick.asked == []


def test_an_approval_is_followed_once_and_a_rejection_is_not(
    art: ArtRecordsResource, database: DatabaseResource, instance: dg.DagsterInstance, engine: Engine
) -> None:
    def tick(cursor: str | None) -> tuple[list[str | None], str | None]:
        with dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"database": database}, definitions=build_defs()
        ) as context:
            done = decisions.evaluate_tick(context)
        return [request.run_key for request in done.run_requests or []], done.cursor

    assert tick(None)[0] == []
    with art.workspace() as workspace:
        with engine.begin() as connection:
            waits, other = (
                plans.propose(
                    connection, stage=EXPORTS, subject=arriving.SUBJECT, body={"n": n}, sentence="a test"
                )
                for n in (1, 2)
            )
        arriving.remember(workspace, waits, "reject", who="eva", via="cli")
        assert tick(None)[0] == []
        said = arriving.remember(workspace, other, "approve", who="eva", via="cli")
    asked, cursor = tick(None)
    assert asked == [f"decision-{said.decision_id}"]
    assert tick(cursor)[0] == []


def test_what_is_changed_outside_of_runs_is_reported_so_that_the_marts_follow(
    database: DatabaseResource, instance: dg.DagsterInstance, engine: Engine, tmp_path: Path,
    samples: tuple[Export, Export],
) -> None:  # fmt: skip
    def tick(cursor: str | None) -> tuple[dict[str, int], str | None]:
        with dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"database": database}, definitions=build_defs()
        ) as context:
            done = art_changes.evaluate_tick(context)
        found = {
            e.asset_key.to_user_string(): e.metadata["records"].value
            for e in done.asset_events
            if "records" in e.metadata
        }
        issued.extend(
            e.tags["dagster/data_version"] for e in done.asset_events if "records" not in e.metadata
        )
        return found, done.cursor or cursor  # type: ignore[return-value]

    issued: list[str] = []
    files, objects = samples[0].write(tmp_path / "exports"), Objects(tmp_path / "objects")
    sync(engine, files, "incremental", objects=objects, who="art_records", apply=True, via="run")
    assert tick(None) == ({}, "[0, 0]"), "the run has reported it itself"
    assert issued == ["document 0"], "reported once, so that no mart waits for the first document"
    assert tick("[0, 0]") == ({}, "[0, 0]")
    second = samples[1].write(tmp_path / "exports")
    changed = sync(engine, second, "incremental", objects=objects, who="eva", apply=True, via="cli")
    found, cursor = tick(None)
    assert found == {
        "art_records/editions": 48,
        "art_records/distributors": found["art_records/distributors"],
    }
    assert cursor == f"[{changed.sync_number}, 0]"
    assert tick(cursor)[0] == {}
    assert changed.sync_number is not None
    rollback(engine, changed.sync_number, who="eva", apply=True)
    assert tick(cursor)[0]["art_records/editions"] == 48
    with engine.begin() as connection:
        connection.execute(
            text("update art.prints set total_editions = 77 where airtable_id = (select min(airtable_id) from art.prints)")
        )  # fmt: skip
    assert tick(str(changed.sync_number + 1))[0] == {"art_records/prints": 1}, "psql is outside, too"


def test_a_change_in_airtable_starts_one_fetch_and_an_outage_has_it_left_alone(
    database: DatabaseResource, instance: dg.DagsterInstance, engine: Engine, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(GOOD)
    token.chmod(0o600)
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = {
        "CROWN_ART_RECORDS_AIRTABLE_BASE": "appExampleBase0001",
        "CROWN_ART_RECORDS_AIRTABLE_TOKEN_FILE": str(token),
        "CROWN_ART_RECORDS_AIRTABLE_URL": f"http://127.0.0.1:{server.server_address[1]}",
    }
    art = ArtRecordsResource(database=given_database({**database.environment, **settings}))

    def tick() -> str:
        with dg.build_sensor_context(
            instance=instance, resources={"art": art}, definitions=build_defs(resources={"art": art})
        ) as context:
            done = art_airtable_changes.evaluate_tick(context)
        (request,) = done.run_requests or [None]
        assert request is None or request.run_config == FETCH
        return done.skip_message or str(request.run_key)

    def fetch() -> None:
        with art.workspace() as workspace:
            _, advance = endpoint.fetch(workspace, "run-1")
            receive(engine, workspace.files(), objects=workspace.objects, with_them=advance)

    try:
        assert tick().startswith("airtable-0-"), "never fetched"
        assert server.asked == 0
        fetch()
        assert tick() == "Nothing was changed in Airtable."
        assert server.asked == 3
        server.modified["Editions"] = "2100-01-01T00:00:00+00:00"
        assert tick().startswith("airtable-1-")
        assert tick() == tick(), "the same run until a fetch has come through"
        server.modified.clear()
        fetch()
        assert tick() == "Nothing was changed in Airtable."
        server.quiet_seconds, server.busy, asked = 0.0, 1, server.asked
        with pytest.raises(SourceOutage, match="Airtable answers 429 for Prints") as caught:
            tick()
        assert GOOD not in str(caught.value)
        assert tick().startswith("Airtable is asked again at ")
        assert server.asked == asked, "left alone"
        with engine.begin() as connection:
            (first,) = resources.closed(connection)
            assert resources.reopen(connection, "airtable")
        server.busy = 1
        with pytest.raises(SourceOutage):
            tick()
        with engine.begin() as connection:
            (second,) = resources.closed(connection)
            assert second.closed_until - first.closed_until > timedelta(seconds=50), "the pause grows"
            resources.reopen(connection, "airtable")
        assert tick() == "Nothing was changed in Airtable."
    finally:
        server.shutdown()
        server.server_close()


def test_without_a_base_nobody_is_asked(art: ArtRecordsResource, instance: dg.DagsterInstance) -> None:
    with dg.build_sensor_context(
        instance=instance, resources={"art": art}, definitions=build_defs(resources={"art": art})
    ) as context:
        done = art_airtable_changes.evaluate_tick(context)
    assert done.skip_message == "The settings name no Airtable base."


def test_the_clock_fetches_and_checks_once_a_day() -> None:
    schedule = next(s for s in build_defs().schedules or [] if s.name == "art_records_daily")
    assert isinstance(schedule, dg.ScheduleDefinition)
    with dg.build_schedule_context() as context:
        (request,) = schedule.evaluate_tick(context).run_requests or []
    assert request.run_config == FETCH
    job = build_defs().resolve_job_def("art_records")
    assert dg.validate_run_config(job, FETCH)
    assert FETCH["ops"].keys() == {dg.AssetKey(EXPORTS.split("/")).to_python_identifier()}
