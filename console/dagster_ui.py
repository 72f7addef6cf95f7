"""The stock Dagster webserver as an ASGI app, to be mounted beside our own pages.

`WorkspaceProcessContext` is not public: this is the only module that imports it, and a test starts it
and asks `/server_info`. The stock `dagster-webserver` works beside or instead of the console.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dagster import DagsterInstance, DefaultSensorStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import (
    DEFAULT_DB_STATEMENT_TIMEOUT,
    DEFAULT_POOL_MAX_OVERFLOW,
    DEFAULT_POOL_RECYCLE,
)
from dagster_webserver.version import __version__
from sqlalchemy import Engine
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_POLL_MILLISECONDS = 2000


@contextmanager
def dagster_ui(instance: DagsterInstance, workspace: Path) -> Iterator[ASGIApp]:
    """The UI, GraphQL and report endpoints over the code locations of a workspace file.

    Code servers that are not there yet are waited for in the background; the UI shows them as failed
    until they answer.
    """
    instance.optimize_for_webserver(
        DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW
    )
    for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
        # In PostgreSQL these keep a connection each: untried, the first query after a restart of the database fails.
        if isinstance(engine := getattr(storage, "_engine", None), Engine):
            engine.pool._pre_ping = True
    with WorkspaceProcessContext(
        instance, WorkspaceFileTarget([str(workspace)]), version=__version__, read_only=False
    ) as context:
        ui = create_app_from_workspace_process_context(context, live_data_poll_rate=_POLL_MILLISECONDS)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope.get("path", "")
            if path.startswith("/logs/") and path.count("/", len("/logs/")) == 0:
                # Dagster's own page breaks on a log without a folder.
                await PlainTextResponse("There is no such log.", 404)(scope, receive, send)
            else:
                await ui(scope, receive, send)

        ui.state.workspace = context
        app.state = ui.state  # type: ignore[attr-defined]
        yield app


@dataclass(frozen=True)
class Sensor:
    """A sensor that is switched on unless somebody switched it off: how Dagster's tables name it, and its interval."""

    selector_id: str
    interval_seconds: float


@dataclass(frozen=True)
class Location:
    """A code location as the console sees it: its socket, why it is not loaded (None: it is), its sensors."""

    name: str
    socket: str | None
    error: str | None
    sensors: tuple[Sensor, ...] = ()


def locations(app: ASGIApp) -> list[Location]:
    """The code locations behind an app of `dagster_ui`; asks nobody, Dagster follows its servers itself."""
    context: WorkspaceProcessContext = app.state.workspace  # type: ignore[attr-defined]
    found = []
    for name, entry in context.get_current_workspace().code_location_entries.items():
        socket = getattr(entry.origin, "socket", None)
        if entry.code_location is None:
            said = entry.load_error.message if entry.load_error else "it is still loading"
            found.append(Location(name, socket, said.strip().splitlines()[0]))
            continue
        sensors = (
            Sensor(sensor.selector_id, sensor.min_interval_seconds)
            for repository in entry.code_location.get_repositories().values()
            for sensor in repository.get_sensors()
            if sensor.default_status is DefaultSensorStatus.RUNNING
        )
        found.append(Location(name, socket, None, tuple(sensors)))
    return found
