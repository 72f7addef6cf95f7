"""Art records as assets: the job on a real database, from files in the folder to the art tables and the marts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from crown.art_records.acts.local import sell
from crown.art_records.exports import arriving
from crown.art_records.exports.oracles import formula_oracles
from crown.art_records.history.syncing import receive
from crown.art_records.sample_files import Export
from crown.art_records.samples import sample_exports
from crown.art_records.tables import ENTITIES
from crown.art_records.workspace import (
    ATTACHMENTS,
    CLEAN,
    DOCUMENTS,
    EXPORTS,
    TABLES,
    Workspace,
)
from crown.errors import Refused
from crown.journal import activity, logs
from crown.ledger import lineage, plans, versions
from crown.sql_models.project import load_models
from crown.store import files
from crown_assets.art_records.assets import APPLIED, key
from crown_assets.art_records.checks import FORMULAS, VALUES
from crown_assets.definitions import build_defs
from crown_assets.factories import NOTHING_LEFT_FAILED
from crown_cli.demo.pictures import served
from resources.workspaces import ArtRecordsResource
from sensors.art_records import art_changes
from sensors.schedules import FETCH
from sensors.sql_models import sql_models_follow
from tests.art_records.test_art_live import GOOD, Server
from tests.given import given_database

SMALL = 2000


@pytest.fixture(scope="module")
def samples() -> tuple[Export, Export]:
    return sample_exports(editions=SMALL)


class World:
    """The definitions on this test's database and home, and the runs made with them."""

    def __init__(self, instance: dg.DagsterInstance, database_url: str, home: Path) -> None:
        self.instance = instance
        self.environment = {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(home)}
        self.database = given_database(self.environment)
        self.art = ArtRecordsResource(database=self.database)
        self.exports = home / "media" / "art_exports"

    def having(self, **settings: str) -> World:
        other = World.__new__(World)
        other.__dict__.update(self.__dict__)
        other.environment = {**self.environment, **settings}
        other.database = given_database(other.environment)
        other.art = ArtRecordsResource(database=other.database)
        return other

    def drop(self, export: Export, **without: bool) -> None:
        """Put an export into the folder, as if it had come to rest a while ago."""
        for table, path in export.write(self.exports).items():
            if without.get(table) is False:
                path.unlink()

    def run(self, job: str = "art_records", **config: Any) -> dg.ExecuteInProcessResult:
        defs = build_defs(resources={"database": self.database, "art": self.art})
        return defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, **config
        )


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(instance, database_url, tmp_path / "home")
    logs.close()


def told(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """The metadata of what a run materialised, by asset."""
    return {
        event.asset_key.to_user_string(): {
            name: value.value
            for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }


def checked(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], Any]:
    return {(e.asset_key.to_user_string(), e.check_name): e for e in result.get_asset_check_evaluations()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (data,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert data.user_failure_data is not None
    return str(data.user_failure_data.description)


def count(engine: Engine, sql: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(sql)).scalar_one())


def test_an_export_comes_into_the_art_records_and_the_same_bytes_again_are_a_no_op_that_says_so(
    world: World, engine: Engine, samples: tuple[Export, Export]
) -> None:
    world.drop(samples[0])
    first = world.run()
    assert first.success
    made = told(first)
    assert set(made) == {EXPORTS, *CLEAN.values(), *TABLES.values()}
    assert made[EXPORTS]["files"] == 3
    assert made[EXPORTS]["layouts"]["Editions-2025-10-29 export.csv"]["layout"] == "editions-28"
    assert made[CLEAN["editions"]]["rows"] == SMALL
    assert made[CLEAN["editions"]]["repaired"] == 2
    art_records = made[TABLES["editions"]]
    assert (art_records["records_created"], art_records["dagster/row_count"], art_records["applied"]) == (
        SMALL,
        SMALL,
        True,
    )
    for name in ("sell_through", "sales_by_month"):
        path = art_records[name].partition("(/previews/")[2].rstrip(")")
        assert (world.exports.parents[1] / "previews" / path).read_bytes().startswith(b"\x89PNG")
    versions = count(engine, "select count(*) from art.edition_versions")
    again = world.run()
    assert again.success
    for table in TABLES:
        assert told(again)[TABLES[table]]["nothing_to_do"] == "the same bytes as last time"
    assert count(engine, "select count(*) from art.edition_versions") == versions
    assert count(engine, "select count(*) from art.syncs") == 1


def test_a_second_export_shows_its_difference_with_personal_texts_masked(
    world: World, engine: Engine, samples: tuple[Export, Export]
) -> None:
    world.drop(samples[0])
    assert world.run().success
    world.drop(samples[1])
    made = told(world.run())[TABLES["editions"]]
    assert made["records_created"] == 1
    assert made["records_updated"] == 47
    assert made["changed_fields"]["is_sold"] == 8
    assert "is_sold: no → yes" in made["difference"]
    assert "notes: unknown → (19 characters)" in made["difference"]
    with engine.connect() as connection:
        notes = connection.execute(text("select notes from art.editions where notes is not null")).scalars()
        assert not any(note in made["difference"] for note in notes)


def test_the_graph_leads_from_the_exports_to_the_models(world: World) -> None:
    nodes = build_defs().get_repository_def().asset_graph
    for table in TABLES:
        assert nodes.get(key(CLEAN[table])).parent_keys == {key(EXPORTS)}
        assert key(CLEAN[table]) in nodes.get(key(TABLES[table])).parent_keys
        staging = {"prints": "art_prints", "distributors": "art_distributors", "editions": "art_editions"}[
            table
        ]
        assert key(TABLES[table]) in nodes.get(dg.AssetKey(["sql", "staging", staging])).parent_keys


def test_checks_ask_the_art_records_and_compare_our_figures_with_the_exports_formulas(
    world: World, engine: Engine, samples: tuple[Export, Export]
) -> None:
    world.drop(samples[0])
    result = world.run()
    asked = checked(result)
    assert asked[TABLES["editions"], "orphan_links"].passed
    duplicates = asked[TABLES["editions"], "duplicate_number"]
    assert not duplicates.passed
    flagged = count(engine, "select count(*) from art.edition_flags where flag = 'duplicate_number'")
    assert duplicates.metadata["records"].value == flagged > 0
    columns = {oracle.column for oracle in formula_oracles(engine, open_art_records(world).objects)}
    assert columns == {column for named in FORMULAS.values() for column in named}
    recent = asked[TABLES["editions"], "data_is_fresh"]
    assert not recent.passed, "a run that finds nothing new makes no old export recent"
    assert str(recent.metadata["newest_export"].value).startswith("2025-10-29")
    assert "art_records/editions" in str(recent.description)
    unsigned = asked[TABLES["editions"], "formula_commissions"]
    assert not unsigned.passed
    assert "An exception waits to be signed: `crown art sign 'Commissions'`." in str(unsigned.description)
    assert "whole price" in unsigned.metadata["exception"].value
    assert unsigned.metadata["signed"].value == "nobody yet"
    assert asked[TABLES["editions"], "formula_invoice_amount"].passed
    assert asked[CLEAN["editions"], VALUES].passed


def open_art_records(world: World) -> Workspace:
    with world.art.workspace() as workspace:
        return workspace


def test_a_value_that_fails_its_rule_is_told_with_its_row_and_its_money(
    world: World, samples: tuple[Export, Export]
) -> None:
    world.drop(samples[0])
    path = world.exports / "Editions-2025-10-29 export.csv"
    before = path.read_bytes()
    line = next(line for line in before.split(b"\n") if b",40%," in line and b'"' not in line)
    path.write_bytes(before.replace(line, line.replace(b",40%,", b",400%,")))
    result = world.run()
    cleaned = told(result)[CLEAN["editions"]]
    assert cleaned["withheld"] == 1
    assert cleaned["by_rule"]["percent, withheld"] == 1
    assert "| Commission | percent | withheld |" in cleaned["set_aside"]
    values = checked(result)[CLEAN["editions"], VALUES]
    assert (values.passed, values.metadata["records"].value) == (False, 1)


def test_a_file_that_cannot_be_read_fails_the_run_with_its_sentence_and_changes_nothing(
    world: World, engine: Engine, samples: tuple[Export, Export]
) -> None:
    world.drop(samples[0])
    assert world.run().success
    state = count(engine, "select count(*) from art.edition_versions")
    path = samples[1].write(world.exports)["editions"]
    path.write_bytes(path.read_bytes()[:-2000] + b',"cut off')
    result = world.run()
    assert not result.success
    assert "Editions-2026-01-01 export.csv, row" in failure(result)
    assert set(told(result)) == set()
    assert count(engine, "select count(*) from art.edition_versions") == state


def test_a_table_without_a_file_is_left_out_and_says_so(world: World, samples: tuple[Export, Export]) -> None:
    world.drop(samples[0], editions=False)
    result = world.run()
    assert result.success
    assert set(told(result)) == {
        EXPORTS, *(asset for t in ("prints", "distributors") for asset in (CLEAN[t], TABLES[t]))
    }  # fmt: skip
    said = checked(result)[TABLES["editions"], APPLIED]
    assert (said.passed, said.description) == (True, "No export of editions was received yet.")


def test_an_empty_folder_is_no_failure(world: World) -> None:
    result = world.run()
    assert result.success
    assert set(told(result)) == {EXPORTS}


def test_a_difference_that_would_close_too_much_waits_for_a_decision_on_exactly_it(
    world: World, engine: Engine, samples: tuple[Export, Export]
) -> None:
    full = world.having(CROWN_ART_RECORDS_MODE="full", CROWN_ART_RECORDS_CLOSE_ROWS="3")
    full.drop(samples[0])
    assert full.run().success
    path = full.exports / "Editions-2025-10-29 export.csv"
    lines = path.read_bytes().split(b"\n")
    plain = [line for line in lines[1:] if line.count(b'"') == 0 and line.count(b",") == lines[0].count(b",")]
    gone = set(plain[:5])
    path.write_bytes(b"\n".join(line for line in lines if line not in gone))
    waits = full.run()
    assert waits.success
    assert set(told(waits)) == {EXPORTS, *CLEAN.values(), TABLES["prints"], TABLES["distributors"]}
    said = checked(waits)[TABLES["editions"], APPLIED]
    assert not said.passed
    assert f"5 of {SMALL} records would be closed (limit 3 records" in said.description
    assert count(engine, "select count(*) from art.editions where is_active") == SMALL
    full.run()
    with engine.connect() as connection:
        (plan,) = plans.open_plans(connection, EXPORTS)
    assert f"5 of {SMALL} records would be closed" in plan.sentence
    assert count(engine, "select count(*) from ledger.plans") == 1, "waiting on is the same plan"
    with full.art.workspace() as workspace:
        difference = arriving.waiting(workspace).diff_hash
        with pytest.raises(Refused, match="The difference now is"):
            arriving.decide(workspace, "0" * 12, "approve", who="eva", via="cli")
        decision = arriving.decide(workspace, difference[:12], "approve", who="eva", via="cli")
    done = full.run()
    made = told(done)[TABLES["editions"]]
    assert (made["records_closed"], made["decided_by"], made["decision"]) == (5, "eva", decision.decision_id)
    assert checked(done)[TABLES["editions"], APPLIED].passed
    assert plan.plan_hash == difference
    with engine.connect() as connection:
        ended = plans.find(connection, EXPORTS, difference)
    assert ended is not None
    assert ended.state == "applied"
    assert count(engine, "select count(*) from art.editions where is_active") == SMALL - 5


def test_ask_waits_with_every_difference_and_a_rejected_one_stays_out(
    world: World, engine: Engine, samples: tuple[Export, Export]
) -> None:
    asking = world.having(CROWN_ART_RECORDS_APPLY="ask")
    asking.drop(samples[0])
    result = asking.run()
    assert "every difference waits" in checked(result)[TABLES["prints"], APPLIED].description
    with asking.art.workspace() as workspace:
        seen = arriving.waiting(workspace).diff_hash
        arriving.decide(workspace, seen, "reject", who="eva", via="console", reason="the wrong base")
    result = asking.run()
    assert checked(result)[TABLES["prints"], APPLIED].description == "eva rejected this difference."
    assert count(engine, "select count(*) from art.syncs") == 0


def test_once_the_art_records_are_primary_exports_merge_and_once_alone_they_are_only_compared(
    world: World, engine: Engine, samples: tuple[Export, Export]
) -> None:
    world.drop(samples[0])
    assert world.run().success
    with world.art.workspace() as workspace, engine.connect() as connection:
        unsold = connection.execute(
            text(
                "select airtable_id from art.editions where is_printed and not is_sold and kind = 'edition'"
                " and retail_price > 0 and commission_percentage is not null and date_in_gallery < '2025-10-01'"
                " order by 1 limit 1"
            )
        ).scalar_one()
        sell(workspace.engine, unsold, who="eva", sold_on=date(2025, 11, 1))
    primary = world.having(CROWN_ART_RECORDS_PHASE="postgres_primary")
    primary.drop(samples[1])
    assert told(primary.run())[TABLES["editions"]]["mode"] == "merge"
    sold = text("select is_sold from art.editions where airtable_id = :i")
    with engine.connect() as connection:
        assert connection.execute(sold, {"i": unsold}).scalar_one() is True, "what was done here is kept"
    alone = world.having(CROWN_ART_RECORDS_PHASE="postgres_only")
    syncs = count(engine, "select count(*) from art.syncs")
    result = alone.run()
    made = told(result)[TABLES["editions"]]
    assert made["applied"] is False
    assert "nothing of it is applied" in made["not_applied"]
    assert unsold in made["difference"], "the comparison shows what still differs"
    assert checked(result)[TABLES["editions"], APPLIED].passed
    assert count(engine, "select count(*) from art.syncs") == syncs


def test_the_tables_take_the_newest_received_exports_from_the_ledger_not_from_dagsters_history(
    world: World, engine: Engine, samples: tuple[Export, Export]
) -> None:
    world.drop(samples[0])
    with world.art.workspace() as workspace:
        receive(engine, workspace.files(), objects=workspace.objects)
    defs = build_defs(resources={"database": world.database, "art": world.art})
    job = defs.resolve_job_def("art_records")
    result = job.execute_in_process(
        instance=world.instance, raise_on_error=False,
        asset_selection=[key(asset) for asset in (*CLEAN.values(), *TABLES.values())],
    )  # fmt: skip
    assert result.success
    assert told(result)[TABLES["editions"]]["dagster/row_count"] == SMALL
    with engine.connect() as connection:
        table = versions.current(connection, TABLES["editions"])["editions"]
        back = {(one["asset"], one["key"]) for one in lineage.back(connection, table.output_id)}
        made_of = versions.current(connection, EXPORTS)
    exports = {(EXPORTS, name) for name in ENTITIES}
    assert back == {(TABLES["editions"], "editions"), ("art_records/syncs", "1"), *exports}
    editions = world.exports / "Editions-2025-10-29 export.csv"
    assert made_of["editions"].content_hash == files.sha256(editions)


def test_pictures_are_downloaded_in_a_queue_of_their_own_and_shown_on_the_run_s_page(
    world: World, samples: tuple[Export, Export]
) -> None:
    with served(samples[0]) as export:
        world.drop(export)
        assert ATTACHMENTS not in told(world.run())
        own = world.having(CROWN_ART_RECORDS_ATTACHMENT_HOSTS="127.0.0.1")
        few = {"ops": {"art_records__attachments": {"config": {"limit": 2}}}}
        part = told(own.run("art_records_attachments", run_config=few))[ATTACHMENTS]
        first = own.run("art_records_attachments")
    named = export.prints.count(b"/signed)")
    assert (part["successful"], told(first)[ATTACHMENTS]["successful"], named) == (2, 28, 30)
    assert checked(first)[ATTACHMENTS, NOTHING_LEFT_FAILED].passed
    sheet = told(first)[ATTACHMENTS]["contact_sheet"]
    path = world.exports.parents[1] / "previews" / sheet.partition("(/previews/")[2].rstrip(")")
    assert path.read_bytes()[8:12] == b"WEBP"
    again = told(own.run("art_records_attachments"))[ATTACHMENTS]
    assert (again["successful"], again["skipped"], again["contact_sheet"]) == (0, 30, sheet)


def test_the_daily_run_fetches_the_base_into_the_folder_and_a_dropped_file_does_not(
    world: World, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(GOOD)
    token.chmod(0o600)
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    live = world.having(
        CROWN_ART_RECORDS_AIRTABLE_BASE="appExampleBase0001",
        CROWN_ART_RECORDS_AIRTABLE_TOKEN_FILE=str(token), CROWN_ART_RECORDS_AIRTABLE_URL=address
    )  # fmt: skip
    try:
        assert told(live.run())[EXPORTS]["fetched"] == 0
        assert server.pages == []
        made = told(live.run(run_config=FETCH))
        assert (made[EXPORTS]["fetched"], made[TABLES["editions"]]["records_created"]) == (3, 150)
        again = told(live.run(run_config=FETCH))
        assert again[TABLES["editions"]]["nothing_to_do"] == "the same bytes as last time"
    finally:
        server.shutdown()
        server.server_close()
    assert GOOD not in json.dumps(made)


@pytest.mark.parametrize(
    ("mode", "content", "sentence"),
    [(0o644, "pat-secret", "may be read by others"), (0o600, "", "is empty; put the token into it")],
)
def test_a_token_that_others_may_read_or_that_is_none_is_refused(
    world: World, tmp_path: Path, mode: int, content: str, sentence: str
) -> None:
    token = tmp_path / "token"
    token.write_text(content)
    token.chmod(mode)
    live = world.having(
        CROWN_ART_RECORDS_AIRTABLE_BASE="appExampleBase0001", CROWN_ART_RECORDS_AIRTABLE_TOKEN_FILE=str(token)
    )
    said = failure(live.run(run_config=FETCH))
    assert sentence in said
    assert "pat-secret" not in said


def test_status_tells_of_the_run_without_dagsters_history(
    world: World, engine: Engine, samples: tuple[Export, Export]
) -> None:
    world.drop(samples[0])
    result = world.run()
    with engine.connect() as connection:
        (run,) = activity.newest_runs(connection)
    assert (run.run_id, run.departments) == (result.run_id, ("art_records",))
    assert run.successful == 45 + 23 + SMALL


def test_a_sync_of_the_same_bytes_builds_no_mart_and_a_change_builds_what_reads_it(
    world: World, engine: Engine, samples: tuple[Export, Export]
) -> None:
    world.instance.report_runless_asset_event(dg.AssetMaterialization(key(DOCUMENTS)))
    cursor: str | None = None

    def follow() -> set[str]:
        """One tick of the sensor, and the run that it asks for; what that run built."""
        nonlocal cursor
        with dg.build_sensor_context(instance=world.instance, cursor=cursor) as context:
            done = sql_models_follow.evaluate_tick(context)
        cursor = done.cursor or cursor
        built = set()
        for request in done.run_requests or []:
            result = world.run("sql_models", asset_selection=list(request.asset_selection or []))
            assert result.success
            built |= set(told(result))
        return built

    world.drop(samples[0])
    assert world.run().success
    assert len(follow()) == len(load_models().models) >= 19
    world.drop(samples[0])
    again = told(world.run())
    assert again[TABLES["editions"]]["nothing_to_do"] == "the same bytes as last time"
    assert follow() == set(), "the same bytes"
    with engine.begin() as connection:
        connection.execute(
            text("update art.prints set total_editions = 77 where airtable_id = (select min(airtable_id) from art.prints)")
        )  # fmt: skip
    with dg.build_sensor_context(
        instance=world.instance,
        cursor="[1, 0]",
        resources={"database": world.database},
        definitions=build_defs(),
    ) as context:
        for event in art_changes.evaluate_tick(context).asset_events:
            world.instance.report_runless_asset_event(event)
    built = follow()
    assert "sql/staging/art_prints" in built
    assert "sql/marts/art_artworks" in built
    assert "sql/staging/art_distributors" not in built, "it reads no prints"
    assert follow() == set()
