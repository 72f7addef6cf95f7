"""SQL models: a run that builds those whose text, or a table that they read, has become another.

A table that was written again the same keeps its data version, and starts nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from crown.sql_models.project import Project, load_models
from sensors.queues import active_runs, queue_of
from sensors.schedules import sql_models_job

_PROJECT = load_models()
#: The tag in which Dagster keeps the data version of a materialization.
_DATA_VERSION = "dagster/data_version"


def decide(project: Project, now: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    """The models to build: those that changed, or read anything that did, near or far; in the order of building.

    `now` and `known` are the versions of sources and models, now and when a run was last requested.
    """
    changed = {relation for relation, version in now.items() if known.get(relation) != version}
    return [name for name in project.models if changed & {name, *project.ancestors(name)}]


def versions(instance: dg.DagsterInstance, project: Project) -> dict[str, str]:
    """The version of every source (none without data) and model; a model that reads nothing changes with the day."""
    found = {
        name: model.fingerprint[:16]
        if model.upstream
        else f"{model.fingerprint[:16]} {datetime.now(UTC):%Y-%m-%d}"
        for name, model in project.models.items()
    }
    for relation, source in project.sources.items():
        event = instance.get_latest_materialization_event(dg.AssetKey(list(source.asset)))
        made = event.asset_materialization if event is not None else None
        if made is not None:
            found[relation] = (made.tags or {}).get(_DATA_VERSION, "")
    return found


@dg.sensor(
    job=sql_models_job,
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Builds each SQL model when its text or a table that it reads has changed; with a new day, those that"
    " count from it.",
)
def sql_models_follow(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """The cursor holds the versions as they were when a run was last requested."""
    now = versions(context.instance, _PROJECT)
    without = sorted({"/".join(s.asset) for name, s in _PROJECT.sources.items() if name not in now})
    if without:
        return dg.SensorResult(skip_reason=f"No data yet: {', '.join(without)}.")
    wanted = decide(_PROJECT, now, _known(context.cursor))
    if not wanted:
        return dg.SensorResult(skip_reason="Nothing that a model reads has changed.")
    if active_runs(context.instance, queue_of(sql_models_job)):
        # It may have read a table before it changed.
        return dg.SensorResult(skip_reason="A run is at it; what changed meanwhile is built after it.")
    keys = [dg.AssetKey(list(_PROJECT.asset_key(name))) for name in wanted]
    return dg.SensorResult(
        run_requests=[dg.RunRequest(asset_selection=keys)], cursor=json.dumps(now, sort_keys=True)
    )


def _known(cursor: str | None) -> dict[str, str]:
    """What the cursor holds; nothing when another version wrote it."""
    try:
        stored = json.loads(cursor or "{}")
    except json.JSONDecodeError:
        return {}
    return stored if isinstance(stored, dict) else {}


SENSORS = [sql_models_follow]
