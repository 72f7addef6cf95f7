"""Housekeeping on a database with Dagster's real tables, filled by a real run."""

# No postponed annotations here: Dagster reads the type of `context` as it stands.
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterEventType
from sqlalchemy import Engine, text

from crown.database.engine import dagster_url
from crown.database.retention import KEPT_EVENTS, REMOVED_EVENTS, prune_dagster_events
from crown.journal.housekeeping import sizes, tidy
from crown.ledger import claims, planning
from crown.ledger.recipes import Recipe, register
from crown.settings.model import Settings


@dg.asset
def pictures(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.info("a message")
    return dg.MaterializeResult(metadata={"files": 1}, tags={"kind": "test"})


@dg.asset_check(asset=pictures)
def none_failed() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def broken() -> None:
    raise ValueError("no picture")


@pytest.fixture
def instance(database_url: str, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance whose storage is the schema `dagster` of this test's database."""
    home = tmp_path / "dagster"
    home.mkdir()
    url = dagster_url(database_url).render_as_string(hide_password=False)
    (home / "dagster.yaml").write_text(
        f"storage:\n  postgres:\n    postgres_url: '{url}'\ntelemetry: {{enabled: false}}\n"
    )
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def run(instance: dg.DagsterInstance) -> None:
    """One run that succeeds and one that fails."""
    dg.materialize([pictures, none_failed], instance=instance)
    dg.materialize([broken], instance=instance, raise_on_error=False)


def age(engine: Engine, days: int, where: str = "true") -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "update dagster.event_logs set timestamp = timestamp - make_interval(days => :days)"
                f" where {where}"
            ),
            {"days": days},
        )


def events(engine: Engine) -> Counter[str]:
    with engine.connect() as connection:
        return Counter(
            connection.execute(
                text("select coalesce(dagster_event_type, 'message') from dagster.event_logs")
            ).scalars()
        )


def test_every_event_type_of_the_installed_dagster_has_been_judged() -> None:
    assert sorted([*REMOVED_EVENTS, *KEPT_EVENTS]) == sorted({kind.value for kind in DagsterEventType})


def test_old_events_besides_the_assets_are_removed(engine: Engine, instance: dg.DagsterInstance) -> None:
    run(instance)
    before = events(engine)
    assert before["ENGINE_EVENT"]
    assert before["message"]
    age(engine, 31)
    would = prune_dagster_events(engine, 30, dry_run=True)
    assert events(engine) == before
    assert prune_dagster_events(engine, 30) == would
    after = events(engine)
    assert before.total() - after.total() == would
    assert after == Counter({kind: n for kind, n in before.items() if kind in KEPT_EVENTS})
    assert prune_dagster_events(engine, 30) == 0


def test_the_catalogue_and_the_run_page_still_work_after_pruning(
    engine: Engine, instance: dg.DagsterInstance
) -> None:
    run(instance)
    age(engine, 31)
    prune_dagster_events(engine, 30)
    latest = instance.get_latest_materialization_event(pictures.key)
    assert latest is not None
    assert latest.asset_materialization is not None
    assert latest.asset_materialization.metadata["files"].value == 1
    check = instance.event_log_storage.get_asset_check_execution_history(
        next(iter(none_failed.check_keys)), limit=1
    )[0]
    assert check.status.value == "SUCCEEDED"
    for record in instance.get_run_records():
        steps = instance.get_run_step_stats(record.dagster_run.run_id)
        wanted = ["SUCCESS", "SUCCESS"] if record.dagster_run.is_success else ["FAILURE"]
        assert [step.status.value for step in steps] == wanted
    failed = next(r.dagster_run for r in instance.get_run_records() if r.dagster_run.is_failure)
    reasons = instance.all_logs(failed.run_id, of_type=DagsterEventType.STEP_FAILURE)
    assert "no picture" in str(reasons[0].dagster_event.step_failure_data.error)  # type: ignore[union-attr]


def test_recent_events_and_those_of_runs_under_way_are_kept(
    engine: Engine, instance: dg.DagsterInstance
) -> None:
    run(instance)
    assert prune_dagster_events(engine, 30) == 0
    age(engine, 31)
    with engine.begin() as connection:
        connection.execute(text("update dagster.runs set status = 'STARTED'"))
    assert prune_dagster_events(engine, 30) == 0


def test_without_dagster_tables_there_is_nothing_to_do(engine: Engine) -> None:
    assert prune_dagster_events(engine, 30) == 0


def test_tidy_removes_what_is_old_and_frees_what_lost_its_worker(
    engine: Engine, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run(instance)
    age(engine, 31)
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into logs.records (timestamp, level, module, message)"
                " select now() - make_interval(days => n), 'INFO', 'crown', 'x' from generate_series(0, 99) n"
            )
        )
        connection.execute(
            text(
                "insert into journal.notices (kind, department, subject, sentence, posted_at, sent_at)"
                " select 'failure', 'd', n::text, 'x', now() - make_interval(days => n),"
                "        now() - make_interval(days => n) from generate_series(0, 99) n"
            )
        )
        connection.execute(
            text(
                "insert into store.sightings (root, path, size_bytes, mtime_ns, seen_at)"
                " select 'media', n::text, 1, 1, now() - make_interval(days => n) from generate_series(0, 39) n"
            )
        )
        connection.execute(
            text(
                "insert into dagster.asset_event_tags (event_id, asset_key, key, value, event_timestamp)"
                " values (999999, 'a', 'k', 'v', now() at time zone 'utc' - interval '2 days')"
            )
        )
        recipe = Recipe("asset", "recipe", {"version": 1})
        register(connection, [recipe])
        planning.plan(
            connection,
            "asset",
            "select 'key' as key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs,"
            " cast('{}' as text[]) as input_hashes, cast(null as text) as waiting_for,"
            " cast(null as bigint) as decision_id",
            {"recipe": recipe.hash},
        )
    with engine.connect() as worker:
        assert claims.take(worker, ["asset"], 1, lease_seconds=3600) is not None
        worker.invalidate()
    settings = Settings(home=tmp_path, log_retention_days=90, events_retention_days=30)
    would = tidy(engine, settings, dry_run=True)
    assert would.claims == 1
    done = tidy(engine, settings)
    assert done.as_dict() == {**would.as_dict(), "dry_run": False}
    assert (done.logs, done.notices) == (10, 10)
    assert done.orphans == {"store.sightings": 10, "dagster.asset_event_tags": 1}
    assert done.dagster_events > 0
    again = tidy(engine, settings)
    assert (again.logs, again.notices, again.dagster_events, again.claims) == (0, 0, 0, 0)
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from logs.pipeline_logs")).scalar_one() == 90
        assert connection.execute(text("select count(*) from dagster.asset_event_tags")).scalar_one() == 1
    with engine.connect() as worker:
        assert claims.take(worker, ["asset"], 1) is not None


def test_old_claims_and_items_of_which_nothing_was_made_are_removed(engine: Engine, tmp_path: Path) -> None:
    recipe = Recipe("asset", "recipe", {"version": 1})
    with engine.begin() as connection:
        register(connection, [recipe])
        connection.execute(
            text(
                "insert into ledger.outputs (asset, key, fingerprint, content_hash, recipe, claim_id)"
                " values ('asset', 'made', 'w', 'h', :recipe, 1)"
            ),
            {"recipe": recipe.hash},
        )
        connection.execute(
            text(
                "insert into ledger.claims (asset, worker, backend_pid, backend_start, lease_until, ended_at)"
                " select 'asset', 'w', 1, now(), now(), case when n < 3 then now() - make_interval(days => 50 * n) end"
                " from generate_series(1, 3) n"
            )
        )
        connection.execute(
            text(
                "insert into ledger.items (asset, key, state, wanted, recipe, output_id, changed_at)"
                " select 'asset', key, state, 'w', :recipe, output_id, now() - interval '100 days' from (values"
                "  ('made', 'retired', (select output_id from ledger.outputs)), ('never', 'retired', null),"
                "  ('wanted', 'pending', null)) as v(key, state, output_id)"
            ),
            {"recipe": recipe.hash},
        )
    settings = Settings(home=tmp_path, log_retention_days=90)
    assert (tidy(engine, settings, dry_run=True).old_claims, tidy(engine, settings).old_items) == (1, 1)
    with engine.connect() as connection:
        claims_left = (
            connection.execute(text("select claim_id from ledger.claims order by 1")).scalars().all()
        )
        items_left = connection.execute(text("select key from ledger.items order by 1")).scalars().all()
        output = connection.execute(text("select claim_id from ledger.outputs")).scalar_one()
    assert (claims_left, items_left, output) == ([1, 3], ["made", "wanted"], 1)


def test_sizes_tell_what_grows(engine: Engine, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    (settings.logs / "outbox").mkdir(parents=True)
    (settings.logs / "crown.log").write_bytes(b"x" * 10)
    (settings.logs / "crown.log.1").write_bytes(b"x" * 20)
    (settings.logs / "outbox" / "current.jsonl").write_bytes(b"x" * 5)
    run(instance)
    found = sizes(engine, settings)
    assert (found["log files"], found["outbox"]) == (30, 5)
    assert found["dagster.event_logs"] > 10_000
    assert found["logs.records"] > 0


def test_sizes_of_what_is_not_there_are_zero(engine: Engine, tmp_path: Path) -> None:
    found = sizes(engine, Settings(home=tmp_path))
    assert (found["log files"], found["outbox"], found["dagster.event_logs"]) == (0, 0, 0)
