"""Whether the parts of a running installation really answer, asked from outside as a client would.

Nothing is started or stopped here, and no Dagster is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from crown.database.engine import connect

_SECONDS = 3.0
_STATE = """
{ instance { daemonHealth { allDaemonStatuses { daemonType required lastHeartbeatTime lastHeartbeatErrors { message } } } }
  workspaceOrError { __typename ... on PythonError { message }
    ... on Workspace { locationEntries { name loadStatus
      locationOrLoadError { __typename ... on PythonError { message } } } } } }
"""
_TERMINATE = """
mutation End($runs: [String!]!) { terminateRuns(runIds: $runs, terminatePolicy: SAFE_TERMINATE) { __typename } }
"""


@dataclass(frozen=True)
class DagsterState:
    """What Dagster says of itself.

    Attributes:
        definitions_loaded: every code location is loaded.
        load_error: what prevents it, when that is final.
        beating_since: the oldest of the last heartbeats of the daemons that must run; None: one never beat.
    """

    definitions_loaded: bool
    load_error: str | None
    beating_since: float | None


class Console:
    """The console at an address, as a client with the token."""

    def __init__(self, address: str, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # trust_env: a proxy of the environment has no business between us and this machine.
        self._client = httpx.Client(base_url=address, headers=headers, timeout=_SECONDS, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def health(self) -> int | None:
        """The status of `/health`: 200, 503 without its database, None when it does not answer."""
        try:
            return self._client.get("/health").status_code
        except httpx.TransportError:
            return None

    def dagster(self) -> DagsterState | None:
        """What Dagster says of itself; None when it does not answer properly yet."""
        try:
            answer = self._client.post("/graphql", json={"query": _STATE})
            data = answer.json()["data"] if answer.status_code == 200 else None
        except (httpx.TransportError, ValueError):
            return None
        return None if data is None else _state(data)

    def end_runs(self, run_ids: list[str]) -> None:
        """Ask runs to end in order; what does not answer is left to the kill that follows."""
        try:
            self._client.post(
                "/graphql", json={"query": _TERMINATE, "variables": {"runs": run_ids}}, timeout=10 * _SECONDS
            )
        except httpx.TransportError:
            return


def _state(data: dict[str, Any]) -> DagsterState:
    workspace = data["workspaceOrError"]
    entries = workspace.get("locationEntries", [])
    errors = [workspace.get("message")] + [
        (entry["locationOrLoadError"] or {}).get("message")
        for entry in entries
        if entry["loadStatus"] == "LOADED"
    ]
    loaded = bool(entries) and all(
        entry["loadStatus"] == "LOADED"
        and (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
        for entry in entries
    )
    daemons = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    beats = [daemon["lastHeartbeatTime"] for daemon in daemons if daemon["required"]]
    return DagsterState(
        definitions_loaded=loaded,
        load_error=next((error for error in errors if error), None),
        beating_since=None if not beats or None in beats else min(beats),
    )


def code_server_answers(socket: Path) -> bool:
    """Whether the code server on this Unix socket says that it serves (gRPC health protocol)."""
    import grpc  # type: ignore[import-untyped]
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=_SECONDS
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def runs_of(database_url: str, socket: Path) -> list[str]:
    """Ids of the runs that the code server on this socket launched and that have not ended.

    Dagster notes at each run which server launched it; runs of other processes on the same database are
    not among them.
    """
    engine = connect(database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            return list(
                connection.execute(
                    text(
                        "select r.run_id from dagster.runs r join dagster.run_tags t using (run_id)"
                        " where r.status in ('STARTING', 'STARTED', 'CANCELING')"
                        " and t.key = '.dagster/grpc_info' and t.value::jsonb ->> 'socket' = :socket"
                    ),
                    {"socket": str(socket)},
                ).scalars()
            )
    except SQLAlchemyError:
        return []
    finally:
        engine.dispose()
