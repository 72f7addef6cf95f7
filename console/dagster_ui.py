"""The stock Dagster webserver as an ASGI app, to be mounted beside our own pages.

`WorkspaceProcessContext` is not public: this is the only module that imports it, and a test starts it
and asks `/server_info`. The stock `dagster-webserver` works beside or instead of the console.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import (
    DEFAULT_DB_STATEMENT_TIMEOUT,
    DEFAULT_POOL_MAX_OVERFLOW,
    DEFAULT_POOL_RECYCLE,
)
from dagster_webserver.version import __version__
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
        # These keep a connection each: without trying it, the first query after a restart of the database fails.
        storage._engine.pool._pre_ping = True  # type: ignore[union-attr]
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

        yield app
