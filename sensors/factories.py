"""Factories of sensors: folders, decisions, pending work and endpoints, in one form for all departments.

A department names its job, its workspace and its functions; see `sensors/product_images.py`. What a file, a decision or
a change means does not belong here.

Decisions and pending work have one sensor each for all departments (`sensors/departments.py`), as every sensor costs the
same number of ticks however many departments it serves. Folders and endpoints have a sensor for each department: a tick
either fails or requests runs, so one tick for all folders would either hide that a share is lost or keep the files of the
other departments waiting. Each interval follows from how soon its people need an answer, too.
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
from sqlalchemy import Engine

from crown.flow.endpoint import Asked
from crown.ledger import counts, decisions
from crown.settings.model import Settings
from crown.store import watch
from crown.store.watch import Seen
from sensors.queues import active_runs, partitions_at_work, queue_of, waiting_runs

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


def batches_to_run(due: Mapping[str, int], at_work: Collection[str]) -> list[str]:
    """The batches with due items for which no run is under way, in the order in which they are given."""
    return [batch for batch, count in due.items() if count and batch not in at_work]


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


@dataclass(frozen=True)
class FollowedDecisions:
    """What a department declares of the decisions that start its runs.

    Attributes:
        job: the job that is requested.
        stages: the beginning of the stages' names (`product_images/`).
        verdicts: those that are followed; all when empty.
    """

    job: Job
    stages: str
    verdicts: Sequence[str] = ()

    def newest(self, decided: Iterable[decisions.Newest]) -> int | None:
        """The newest decision of those that the department follows; None when there is none."""
        numbers = (
            one.decision_id
            for one in decided
            if one.stage.startswith(self.stages) and (not self.verdicts or one.verdict in self.verdicts)
        )
        return max(numbers, default=None)


def decision_sensor(
    name: str, *, departments: Sequence[FollowedDecisions], every: float, description: str
) -> dg.SensorDefinition:
    """A run of every department in which a person has decided: two small queries for all of them together.

    The cursor is a snapshot of the ledger, so a decision that commits late is not missed.

    Args:
        name: of the sensor.
        departments: whose decisions are followed.
        every: seconds between two ticks.
        description: for the page of the sensor.
    """

    @dg.sensor(
        name=name,
        jobs=[one.job for one in departments],
        minimum_interval_seconds=round(every),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
        required_resource_keys={"database"},
    )
    def follow(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        with context.resources.database.engine() as engine, engine.connect() as connection:
            decided, look = decisions.since(connection, context.cursor)
        newest = {one.job.name: (one, number) for one in departments if (number := one.newest(decided))}
        if not newest:
            return dg.SensorResult(skip_reason="No new decision.", cursor=look)
        requests = [
            dg.RunRequest(job_name=job, run_key=f"decision-{number}", tags={"crown/reason": "people decided"})
            for job, (one, number) in newest.items()
            if not waiting_runs(context.instance, queue_of(one.job))
        ]
        return dg.SensorResult(
            run_requests=requests, skip_reason=None if requests else _ABOUT_TO_START, cursor=look
        )

    return follow


@dataclass(frozen=True)
class BatchedWork:
    """A job of which each batch is a run of its own, and a dynamic partition.

    Attributes:
        job: the job that is requested.
        partitions: the definition of its partitions.
        names: all batches.
        due: due items by batch, what is most urgent first.
        at_once: so many runs are requested in one tick; the next tick requests more.
    """

    job: Job
    partitions: dg.DynamicPartitionsDefinition
    names: Callable[[Engine], Sequence[str]]
    due: Callable[[Engine], Mapping[str, int]]
    at_once: int = 25


@dataclass(frozen=True)
class PendingWork:
    """What a department declares of its work.

    Attributes:
        department: the part of the cursor that is the department's.
        resource: the name of the department's `WorkspaceResource`.
        jobs: each job with the assets that its runs make, as the ledger names them.
        recipes: a text that is another one after an edit of recipes, which starts the first job; the cursor holds it as
            it was at the last run.
        sources: limited resources that every item needs; while one of them is closed, nothing is due.
        batched: a further job that has a run for each batch.
    """

    department: str
    resource: str
    jobs: Sequence[tuple[Job, Sequence[str]]]
    recipes: Callable[[Any], str] | None = None
    sources: Collection[str] = ()
    batched: BatchedWork | None = None


@dataclass
class Requested:
    """What a tick of the sensor of pending work requests, the recipes that it remembers, and what failed."""

    runs: list[dg.RunRequest] = field(default_factory=list)
    partitions: list[dg.AddDynamicPartitionsRequest] = field(default_factory=list)
    recipes: dict[str, str] = field(default_factory=dict)
    at_work: bool = False
    failed: dict[str, Exception] = field(default_factory=dict)


def pending_work_sensor(
    name: str, *, departments: Sequence[PendingWork], every: float, description: str
) -> dg.SensorDefinition:
    """A run of a queue with due items that no run is about to take: one query per queue, whatever the number of items.

    A department that cannot be asked, as its folder is gone, keeps no other one from its work: the others' runs are
    requested, and a tick without any fails with its sentence.

    Args:
        name: of the sensor.
        departments: whose work is looked for.
        every: seconds between two ticks.
        description: for the page of the sensor.
    """
    jobs = [job for one in departments for job in _jobs(one)]

    @dg.sensor(
        name=name,
        jobs=jobs,
        minimum_interval_seconds=round(every),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
        required_resource_keys={one.resource for one in departments},
    )
    def ask(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        found = Requested(recipes=_remembered(context.cursor))
        for one in departments:
            try:
                with getattr(context.resources, one.resource).workspace() as workspace:
                    _look_for_work(one, workspace, context.instance, found)
            except Exception as error:  # noqa: BLE001 - one department never stops the others; raised below
                found.failed[one.department] = error
                context.log.error("%s could not be asked: %s", one.department, error)
        if not found.runs and not found.partitions:
            for failed in found.failed.values():
                raise failed
        idle = "A run is at it." if found.at_work else "Nothing is due."
        return dg.SensorResult(
            run_requests=found.runs,
            dynamic_partitions_requests=found.partitions or None,
            skip_reason=None if found.runs else idle,
            cursor=json.dumps(found.recipes),
        )

    return ask


def _jobs(one: PendingWork) -> list[Job]:
    return [job for job, _ in one.jobs] + ([one.batched.job] if one.batched else [])


def _remembered(cursor: str | None) -> dict[str, str]:
    """The recipes of each department as of its last run."""
    return dict(json.loads(cursor)) if cursor else {}


def _look_for_work(one: PendingWork, workspace: Any, instance: dg.DagsterInstance, found: Requested) -> None:
    """Add the runs that one department needs now."""
    with workspace.engine.connect() as connection:
        due = {job.name: counts.due(connection, assets, one.sources) for job, assets in one.jobs}
    queues = {job.name: queue_of(job) for job, _ in one.jobs}
    active = {job: active_runs(instance, queue) for job, queue in queues.items()}
    reasons = {
        job: wanted(count, active[job], waiting_runs(instance, queues[job])) for job, count in due.items()
    }
    first_job = one.jobs[0][0].name
    at_work, known = active[first_job], found.recipes.get(one.department)
    now = one.recipes(workspace) if one.recipes is not None else None
    if now is not None and edited(now, known, at_work) and reasons[first_job] is None:
        reasons[first_job] = "a recipe was edited"
    batches = _batches(one.batched, workspace.engine, instance, found) if one.batched else []
    found.runs += batches + [
        dg.RunRequest(job_name=job, tags={"crown/reason": reason})
        for job, reason in reasons.items()
        if reason is not None
    ]
    found.at_work |= any(due.values())
    # While a run is active the old recipes stay remembered: an edit meanwhile is followed afterwards.
    if now is not None and not (at_work and known is not None):
        found.recipes[one.department] = now


def _batches(
    work: BatchedWork, engine: Engine, instance: dg.DagsterInstance, found: Requested
) -> list[dg.RunRequest]:
    """A run for each batch with due items that has none; Dagster gets to know new batches."""
    known = set(instance.get_dynamic_partitions(str(work.partitions.name)))
    new = [name for name in work.names(engine) if name not in known]
    if new:
        found.partitions.append(work.partitions.build_add_request(new))
    due = work.due(engine)
    found.at_work |= any(due.values())
    wanted_now = batches_to_run(due, partitions_at_work(instance, queue_of(work.job)))
    return [
        dg.RunRequest(
            job_name=work.job.name, partition_key=batch, tags={"crown/reason": f"{due[batch]} items are due"}
        )
        for batch in wanted_now[: work.at_once]
    ]


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
