"""Health probes of a running installation, from outside as a client.

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

#: `/health` itself waits up to 3 s for a mount and as long for the code server.
_SECONDS = 8.0
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
    """The health of Dagster's services.

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

    def broken(self) -> frozenset[str] | None:
        """The parts that `/health` calls broken, none when all works; None when the console does not answer."""
        try:
            answer = self._client.get("/health")
            health = answer.json()
        except (httpx.TransportError, ValueError):
            return None
        if answer.status_code == 200:
            return frozenset()
        return frozenset(health.get("broken", ["console"])) if isinstance(health, dict) else None

    def dagster(self) -> DagsterState | None:
        """The health of Dagster's services; None while it does not answer properly."""
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
