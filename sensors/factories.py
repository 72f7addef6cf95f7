"""Factories of sensors: folders, decisions, pending work and endpoints, in one form for all departments.

A department names its job, its workspace and its functions; see `sensors/product_images.py`. What a file, a decision or
a change means does not belong here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dagster as dg

from crown.flow.endpoint import Asked
from crown.ledger import counts, decisions
from crown.settings.model import Settings
from crown.store import watch
from crown.store.watch import Seen
from sensors.queues import active_runs, queue_of, waiting_runs

#: What `dg.define_asset_job` returns; Dagster does not export its name.
Job = Any
_ABOUT_TO_START = "A run that will see it is about to start."
#: So many due items are more than the run that is at work will take before it ends (CROWN_RUN_SECONDS).
_BACKLOG = 200


@dataclass(frozen=True)
class Contents:
    """What is in a folder whose files stay: a content hash by name, and the names of files that are still copied."""

    hashes: Mapping[str, str] = field(default_factory=dict)
    copying: Sequence[str] = ()


@dataclass(frozen=True)
class Followed:
    """The cursor of a folder whose files stay.

    Attributes:
        standing: hash of what was at rest at the last look.
        contents: content hash by name, as of the last run that was asked for.
        run_key: key of that run.
    """

    standing: str = ""
    contents: Mapping[str, str] = field(default_factory=dict)
    run_key: str = ""

    @classmethod
    def read(cls, cursor: str | None) -> Followed:
        """What the last tick remembered; fields of earlier versions are left out."""
        stored = json.loads(cursor) if cursor else {}
        return cls(**{name: stored[name] for name in ("standing", "contents", "run_key") if name in stored})

    def cursor(self) -> str:
        """The cursor's text."""
        return json.dumps(asdict(self))


def at_rest(seen: Iterable[Seen]) -> str | None:
    """The run key for what has come to rest; None when nothing has.

    A file that still grows is left out, so it never holds up the others.
    """
    ready = sorted(f"{one.path}\x00{one.token}" for one in seen if one.ready)
    return hashlib.sha256("\x01".join(ready).encode()).hexdigest()[:32] if ready else None


def new_contents(contents: Mapping[str, str], followed: Followed) -> str | None:
    """The run key for files that stay; None when a run has seen exactly these bytes.

    The key before is part of it, so that an older file which is put back is looked at again. A file that was taken
    away asks for nothing.
    """
    if contents.items() <= followed.contents.items():
        return None
    state = json.dumps([followed.run_key, dict(contents)], sort_keys=True)
    return hashlib.sha256(state.encode()).hexdigest()[:32]


def wanted(due: int, active: int, waiting: int) -> str | None:
    """Why a run of a queue is wanted; None when none is.

    Behind a run that is at work the next one waits only when there is a backlog, so that no time is lost between.
    """
    if not due or waiting or (active and due < _BACKLOG):
        return None
    return f"{due} items are due"


def edited(recipes: str, known: str | None, active: int) -> bool:
    """Whether recipes changed since they were remembered; not asked while a run is active, which may use either."""
    return known is not None and recipes != known and not active


def folder_sensor(
    name: str,
    *,
    job: Job,
    resource: str,
    seen: Callable[[Any], Sequence[Seen]],
    every: float,
    description: str,
    contents: Callable[[Any, Sequence[Seen]], Contents] | None = None,
) -> dg.SensorDefinition:
    """A run when something in folders of people has come to rest.

    A failed look is not an empty folder: the tick fails with its sentence, and nothing is requested.

    Args:
        name: of the sensor.
        job: the job that is requested.
        resource: the name of the department's `WorkspaceResource`.
        seen: one look at the folders.
        every: seconds between two ticks.
        description: for the page of the sensor.
        contents: given for a folder whose files stay where they are. They are followed by their bytes, and none is
            before all are at rest. Without it a run takes files away, or a new `token` makes them new.
    """

    @dg.sensor(
        name=name,
        job=job,
        minimum_interval_seconds=round(every),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
        required_resource_keys={resource},
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        with getattr(context.resources, resource).workspace() as workspace:
            found = watch.settled(partial(seen, workspace))
            if contents is not None:
                return _stay(context, job, found, partial(contents, workspace))
        run_key = at_rest(found)
        if run_key is None:
            copying = sum(not one.ready for one in found)
            return dg.SensorResult(
                skip_reason=f"{copying} files are still being copied." if copying else "Nothing new."
            )
        return _request(context, job, run_key)

    return look


def _stay(
    context: dg.SensorEvaluationContext,
    job: Job,
    found: Sequence[Seen],
    contents: Callable[[Sequence[Seen]], Contents],
) -> dg.SensorResult:
    """A tick of a folder whose files stay; they are read only when what is at rest has changed since the last look."""
    followed = Followed.read(context.cursor)
    standing = at_rest(found) or ""
    if standing == followed.standing and all(one.ready for one in found):
        return dg.SensorResult(skip_reason="Nothing new.")
    try:
        held = contents(found)
    except FileNotFoundError as error:
        return dg.SensorResult(skip_reason=f"{error.filename} went away while it was looked at.")
    if held.copying:
        return dg.SensorResult(skip_reason=f"Still being copied: {', '.join(sorted(held.copying))}.")
    run_key = new_contents(held.hashes, followed)
    if run_key is None:
        seen_now = Followed(standing, followed.contents, followed.run_key)
        return dg.SensorResult(skip_reason="Nothing new.", cursor=seen_now.cursor())
    known = Followed(standing, {**followed.contents, **held.hashes}, run_key)
    return _request(context, job, run_key, cursor=known.cursor())


def decision_sensor(
    name: str,
    *,
    job: Job,
    stages: str,
    every: float,
    description: str,
    verdicts: Sequence[str] = (),
) -> dg.SensorDefinition:
    """A run when a person has decided: two small queries; a decision that commits late is not missed.

    Args:
        name: of the sensor.
        job: the job that is requested.
        stages: the beginning of the stages' names (`product_images/`).
        every: seconds between two ticks.
        description: for the page of the sensor.
        verdicts: those that are followed; all when empty.
    """

    @dg.sensor(
        name=name,
        job=job,
        minimum_interval_seconds=round(every),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
        required_resource_keys={"database"},
    )
    def follow(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        with context.resources.database.engine() as engine, engine.connect() as connection:
            newest, look = decisions.since(connection, stages, context.cursor, verdicts=verdicts)
        if newest is None:
            return dg.SensorResult(skip_reason="No new decision.", cursor=look)
        waiting = waiting_runs(context.instance, queue_of(job))
        requests = [] if waiting else [dg.RunRequest(run_key=f"decision-{newest}")]
        return dg.SensorResult(run_requests=requests, cursor=look)

    return follow


def pending_work_sensor(
    name: str,
    *,
    work: Sequence[tuple[Job, Sequence[str]]],
    resource: str,
    every: float,
    description: str,
    recipes: Callable[[Any], str] | None = None,
    sources: Collection[str] = (),
) -> dg.SensorDefinition:
    """A run of a queue with due items that no run is about to take: one query per queue, whatever the number of items.

    Args:
        name: of the sensor.
        work: each job with the assets that its runs make, as the ledger names them.
        resource: the name of the department's `WorkspaceResource`.
        every: seconds between two ticks.
        description: for the page of the sensor.
        recipes: a text that is another one after an edit of recipes, which starts the first job; the cursor holds it as
            it was at the last run.
        sources: limited resources that every item needs; while one of them is closed, nothing is due.
    """

    @dg.sensor(
        name=name,
        jobs=[job for job, _ in work],
        minimum_interval_seconds=round(every),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
        required_resource_keys={resource},
    )
    def ask(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        with getattr(context.resources, resource).workspace() as workspace:
            with workspace.engine.connect() as connection:
                due = {job.name: counts.due(connection, assets, sources) for job, assets in work}
            now = recipes(workspace) if recipes is not None else None
        queues = {job.name: queue_of(job) for job, _ in work}
        active = {job: active_runs(context.instance, queue) for job, queue in queues.items()}
        reasons = {
            job: wanted(count, active[job], waiting_runs(context.instance, queues[job]))
            for job, count in due.items()
        }
        first_job = work[0][0].name
        at_work = active[first_job]
        if now is not None and edited(now, context.cursor, at_work) and reasons[first_job] is None:
            reasons[first_job] = "a recipe was edited"
        # While a run is active the old recipes stay remembered: an edit meanwhile is followed afterwards.
        cursor = context.cursor if at_work and context.cursor is not None else now
        requests = [
            dg.RunRequest(job_name=job, tags={"crown/reason": reason})
            for job, reason in reasons.items()
            if reason is not None
        ]
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=cursor)
        idle = "A run is at it." if any(due.values()) else "Nothing is due."
        return dg.SensorResult(skip_reason=idle, cursor=cursor)

    return ask


def endpoint_sensor(
    name: str,
    *,
    job: Job,
    resource: str,
    source: str,
    ask: Callable[[Any], Asked],
    run_config: Mapping[str, Any],
    every: float,
    description: str,
    absent: Callable[[Settings], str | None],
) -> dg.SensorDefinition:
    """A run that fetches when a source outside says that something was changed since the last fetch.

    A change is asked for again every hour until a fetch has come through.

    Args:
        name: of the sensor.
        job: the job that is requested.
        resource: the name of the department's `WorkspaceResource`.
        source: the name of the source for people (`Airtable`).
        ask: the cheap question; it raises a `SourceOutage` when the source fails.
        run_config: of the run that fetches.
        every: seconds between two ticks.
        description: for the page of the sensor.
        absent: why the settings name no such source; None when they do.
    """

    @dg.sensor(
        name=name,
        job=job,
        minimum_interval_seconds=round(every),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
        required_resource_keys={resource},
    )
    def question(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        opened = getattr(context.resources, resource)
        why_not = absent(opened.settings())
        if why_not is not None:
            return dg.SensorResult(skip_reason=why_not)
        with opened.workspace() as workspace:
            asked = ask(workspace)
        if asked.again_at is not None:
            again = f"{asked.again_at.astimezone():%H:%M:%S}"
            return dg.SensorResult(skip_reason=f"{source} is asked again at {again}: {asked.error}")
        if not asked.changed:
            return dg.SensorResult(skip_reason=f"Nothing was changed in {source}.")
        run_key = f"{source.casefold()}-{asked.version}-{datetime.now(UTC):%Y%m%d%H}"
        return _request(context, job, run_key, run_config=run_config)

    return question


def _request(
    context: dg.SensorEvaluationContext, job: Job, run_key: str, *, cursor: str | None = None, **run: Any
) -> dg.SensorResult:
    """One run, unless one waits that will see the same; then the cursor stays, and the next tick asks again."""
    if waiting_runs(context.instance, queue_of(job)):
        return dg.SensorResult(skip_reason=_ABOUT_TO_START)
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key, **run)], cursor=cursor)
