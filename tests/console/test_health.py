"""What `/health` calls broken: each part that has to work, within a minute of its last sign of life."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, text
from starlette.applications import Starlette

from console.health import BEATING, Health
from crown.settings.model import Settings, load_settings
from crown.store import mounts

TICKS = """
create schema if not exists dagster;
create table dagster.daemon_heartbeats (daemon_type text, timestamp timestamp);
create table dagster.instigators (selector_id text, status text);
create table dagster.job_ticks (selector_id text, timestamp timestamp);
"""


def _app(*, error: str | None = None) -> Starlette:
    """A workspace as Dagster shows it: one location with a sensor that ticks every 15 s."""
    from dagster import DefaultSensorStatus

    sensor = SimpleNamespace(
        selector_id="folders", min_interval_seconds=15, default_status=DefaultSensorStatus.RUNNING
    )
    repository = SimpleNamespace(get_sensors=lambda: [sensor])
    loaded = SimpleNamespace(get_repositories=lambda: {"r": repository})
    entry = SimpleNamespace(
        origin=SimpleNamespace(),
        code_location=None if error else loaded,
        load_error=SimpleNamespace(message=error) if error else None,
    )
    app = Starlette()
    workspace = SimpleNamespace(code_location_entries={"crown": entry})
    app.state.workspace = SimpleNamespace(get_current_workspace=lambda: workspace)
    return app


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home whose share is there."""
    found = load_settings({"CROWN_HOME": str(tmp_path / "home")}, None)
    mounts.require(found, ("media_root",))
    return found


@pytest.fixture
def dagster(engine: Engine) -> Engine:
    """A database with Dagster's tables in which everything shows signs of life."""
    with engine.begin() as connection:
        connection.execute(text(TICKS))
    _lived(engine, beat=0, tick=0)
    return engine


def _lived(engine: Engine, *, beat: float, tick: float) -> None:
    """Set the last signs of life, so many seconds ago."""
    now = datetime.now(UTC).replace(tzinfo=None)
    with engine.begin() as connection:
        connection.execute(text("delete from dagster.daemon_heartbeats"))
        connection.execute(text("delete from dagster.job_ticks"))
        for daemon in BEATING:
            connection.execute(
                text("insert into dagster.daemon_heartbeats values (:daemon, :at)"),
                {"daemon": daemon, "at": now - timedelta(seconds=beat)},
            )
        connection.execute(
            text("insert into dagster.job_ticks values ('folders', :at)"),
            {"at": now - timedelta(seconds=tick)},
        )


def _broken(settings: Settings, engine: Engine, app: Starlette, *, running_for: float = 3600) -> list[str]:
    health = Health(settings, engine, app, _started=time.time() - running_for)
    return [one.part for one in health.look()]


@pytest.mark.parametrize(
    ("beat", "tick", "running_for", "broken"),
    [
        (40, 40, 3600, []),
        (58, 0, 3600, ["daemon"]),
        (0, 58, 3600, ["sensors"]),
        (900, 900, 30, []),  # signs of life of an earlier start: this one has half a minute yet
    ],
)
def test_a_daemon_or_sensors_silent_for_most_of_a_minute_are_broken(
    settings: Settings, dagster: Engine, beat: float, tick: float, running_for: float, broken: list[str]
) -> None:
    _lived(dagster, beat=beat, tick=tick)
    assert _broken(settings, dagster, _app(), running_for=running_for) == broken


def test_sensors_that_a_person_switched_off_are_not_broken(settings: Settings, dagster: Engine) -> None:
    _lived(dagster, beat=0, tick=4000)
    with dagster.begin() as connection:
        connection.execute(text("insert into dagster.instigators values ('folders', 'STOPPED')"))
    assert _broken(settings, dagster, _app()) == []


def test_a_location_that_is_not_loaded_is_the_one_cause_that_is_told(
    settings: Settings, dagster: Engine
) -> None:
    _lived(dagster, beat=0, tick=4000)
    assert _broken(settings, dagster, _app(error="No module named 'x'\nmore")) == ["code location"]


def test_a_lost_share_is_broken_and_whole_again_when_it_is_mounted(
    settings: Settings, dagster: Engine
) -> None:
    with _unmounted(settings.media):
        assert _broken(settings, dagster, _app()) == ["folders"]
    assert _broken(settings, dagster, _app()) == []


@contextmanager
def _unmounted(folder: Path) -> Iterator[None]:
    """As when a share is not mounted: the bare mount point is left."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.mkdir()
    yield
    folder.rmdir()
    aside.rename(folder)
