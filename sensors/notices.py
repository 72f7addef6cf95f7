"""Notices: what waits for people is gathered into one message and sent, at most every quarter of an hour.

Sending and quiet hours are in crown/journal/notices.py; failed runs are in failures.py.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import dagster as dg
from sqlalchemy import Connection, text

from crown.departments import DEPARTMENTS, lost_folders, summaries
from crown.flow.summary import Summary
from crown.journal import activity, attention, notices
from crown.journal.notices import Kind
from crown.ledger import plans
from crown.settings.model import Settings
from resources.database import DatabaseResource
from sensors.failures import ENDED, RUNS
from sensors.schedules import QUEUE

#: Where people review: a stage whose current items wait for a verdict, and what they are called.
REVIEWS = {gate.stage: gate.called for one in DEPARTMENTS for gate in one.gates if gate.called}
#: The command that lists what needs a person, by department.
_TROUBLES = {one.name: one.troubles_command for one in DEPARTMENTS}


@dataclass(frozen=True)
class Waiting:
    """What waits for people.

    Attributes:
        reviews: by stage, how many items nobody has judged, and the newest output among them.
        troubles: by department, items that need a person before they can be made.
        lost: folders that are not there, by name, with a sentence.
        stale: assets whose data is older than it may be, with a sentence.
        standing: plans that wait for a decision, conflicts and failing checks: department, kind and sentence by subject.
        finished: syncs, newest last: the id of the activity, department, subject and sentence.
    """

    reviews: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    troubles: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)
    stale: Mapping[str, str] = field(default_factory=dict)
    standing: Mapping[str, tuple[str, Kind, str]] = field(default_factory=dict)
    finished: Sequence[tuple[int, str, str, str]] = ()


@dataclass(frozen=True)
class Reported:
    """What the last notices reported: the newest output by stage, troubles by department, lost folders, stale assets.

    `standing` holds department and kind by subject; `finished` the id of the newest sync, None before the first tick.
    """

    reviews: Mapping[str, int] = field(default_factory=dict)
    troubles: Mapping[str, int] = field(default_factory=dict)
    lost: Sequence[str] = ()
    stale: Sequence[str] = ()
    standing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    finished: int | None = None


@dataclass(frozen=True)
class Notice:
    """A notice to post; see crown.journal.notices.post."""

    kind: Kind
    department: str
    subject: str
    sentence: str


def decide(waiting: Waiting, reported: Reported) -> tuple[list[Notice], Reported]:
    """The notices to post, and what has been reported with them.

    A number is reported again when it has grown, never because it still waits.
    """
    news = [
        _review(stage, count)
        for stage, (count, newest) in waiting.reviews.items()
        if newest > reported.reviews.get(stage, 0)
    ]
    news += [
        _trouble(department, count)
        for department, count in waiting.troubles.items()
        if count > reported.troubles.get(department, 0)
    ]
    news += [_lost(root, sentence) for root, sentence in waiting.lost.items() if root not in reported.lost]
    news += [
        _stale(asset, sentence) for asset, sentence in waiting.stale.items() if asset not in reported.stale
    ]
    news += [
        Notice(kind, department, subject, sentence)
        for subject, (department, kind, sentence) in waiting.standing.items()
        if subject not in reported.standing
    ]
    # What was finished before the first notice is not reported.
    news += [
        Notice("news", department, subject, sentence)
        for number, department, subject, sentence in waiting.finished
        if reported.finished is not None and number > reported.finished
    ]
    newest = {stage: newest for stage, (_, newest) in waiting.reviews.items()}
    return news, Reported(
        {**reported.reviews, **newest},
        dict(waiting.troubles),
        sorted(waiting.lost),
        sorted(waiting.stale),
        {subject: [department, kind] for subject, (department, kind, _) in waiting.standing.items()},
        max([reported.finished or 0, *(number for number, *_ in waiting.finished)]),
    )


def standing(waiting: Waiting, reported: Reported) -> list[Notice]:
    """What is true now of everything that was or may be reported; the sentence is empty where nothing is left."""
    reviews = [_review(stage, waiting.reviews.get(stage, (0, 0))[0]) for stage in REVIEWS]
    departments = sorted(waiting.troubles.keys() | reported.troubles.keys())
    roots = sorted(waiting.lost.keys() | set(reported.lost))
    return [
        *reviews,
        *(_trouble(name, waiting.troubles.get(name, 0)) for name in departments),
        *(_lost(root, waiting.lost.get(root, "")) for root in roots),
        *(_stale(asset, waiting.stale.get(asset, "")) for asset in sorted({*waiting.stale, *reported.stale})),
        *(
            Notice(kind, department, subject, sentence)
            for subject, (department, kind, sentence) in waiting.standing.items()
        ),
        *(
            Notice(one[1], one[0], subject, "")  # type: ignore[arg-type]
            for subject, one in reported.standing.items()
            if subject not in waiting.standing
        ),
    ]


def _lost(root: str, sentence: str) -> Notice:
    return Notice("failure", "folders", root, sentence)


def _stale(asset: str, sentence: str) -> Notice:
    return Notice("failure", asset.split("/")[0], f"{asset} is stale", sentence)


def _review(stage: str, count: int) -> Notice:
    sentence = f"{count} {REVIEWS[stage]} wait for approval." if count else ""
    return Notice("review", stage.split("/")[0], stage, sentence)


def _trouble(department: str, count: int) -> Notice:
    command = _TROUBLES.get(department, "crown status")
    sentence = f"{count} items need a person: {command}." if count else ""
    return Notice("failure", department, "items", sentence)


@dg.sensor(
    name="notices",
    minimum_interval_seconds=900,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends notices of failures and of what waits for people to the addresses in CROWN_NOTIFY_FILE.",
)
def send_notices(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """The cursor holds what the last notices reported."""
    settings = database.settings()
    with database.engine() as engine:
        with engine.begin() as connection:
            reported = Reported(**json.loads(context.cursor)) if context.cursor else Reported()
            waiting, before = (
                replace(_waiting(connection, settings, reported), lost=lost_folders(engine, settings)),
                reported,
            )
            news, reported = decide(waiting, before)
            for notice in news:
                notices.post(connection, **asdict(notice))
            # What waited through quiet hours may be settled by now.
            for notice in standing(waiting, before):
                notices.keep_true(connection, **{**asdict(notice), "sentence": notice.sentence or None})
            for pool in notices.unsent(connection, kind="failure", subject=RUNS):
                if _works_again(context.instance, pool):
                    notices.keep_true(
                        connection, kind="failure", department=pool, subject=RUNS, sentence=None
                    )
        sent = notices.deliver(engine, settings.notify_file, settings.quiet_hours)
    result = f"Notices sent: {sent.notices}." if sent.notices else f"Nothing was sent: {sent.reason}."
    return dg.SensorResult(skip_reason=result, cursor=json.dumps(asdict(reported)))


def _works_again(instance: dg.DagsterInstance, pool: str) -> bool:
    """Whether the newest run of a queue, or of a job without one, that has ended has succeeded."""
    for same in (
        dg.RunsFilter(tags={QUEUE: pool}, statuses=ENDED),
        dg.RunsFilter(job_name=pool, statuses=ENDED),
    ):
        for run in instance.get_runs(same, limit=1):
            return run.status is dg.DagsterRunStatus.SUCCESS
    return False


def _waiting(connection: Connection, settings: Settings, reported: Reported) -> Waiting:
    found = summaries(connection, settings)
    return Waiting(
        {
            review.stage: (review.items, review.newest)
            for one in found
            for review in one.reviews
            if review.items
        },
        {one.name: one.totals["quarantined"] for one in found if one.totals["quarantined"]},
        stale={fresh.asset: fresh.sentence for one in found for fresh in one.freshness if fresh.stale()},
        standing=_standing(connection, found),
        finished=_finished(connection, reported.finished),
    )


def _standing(connection: Connection, found: Sequence[Summary]) -> dict[str, tuple[str, Kind, str]]:
    """Held plans, what waits for a decision beside the reviews, and failing checks."""
    standing: dict[str, tuple[str, Kind, str]] = {
        f"plan {plan.plan_hash[:8]}": (plan.stage.split("/")[0], "review", plan.sentence)
        for plan in plans.open_plans(connection)
        if plans.verdict(connection, plan) is None
    }
    for one in found:
        for wait in one.waiting:
            for name in wait.names:
                if name.startswith("decision on"):
                    sentence = f"{wait.items} wait for a {name}: {one.troubles_command}."
                    standing[f"{wait.asset}, {name}"] = (one.name, "review", sentence)
    for check in attention.failed_checks(connection):
        sentence = f"The check {check.check} of {check.asset} fails. {check.reason}".strip()
        standing[f"{check.asset}, {check.check}"] = (check.asset.split("/")[0], "failure", sentence)
    return standing


def _finished(connection: Connection, after: int | None) -> list[tuple[int, str, str, str]]:
    """Syncs that ended since, and the newest one of all; counts of what changed, by table."""
    rows = connection.execute(
        text(
            "select activity_id, department, subject, new_values from journal.activity where what = :what"
            " and activity_id > coalesce(:after, (select max(activity_id) - 1 from journal.activity where what = :what))"
            " order by activity_id"
        ),
        {"what": activity.SYNC, "after": after},
    )
    return [(row.activity_id, row.department, row.subject, _changed(row.new_values)) for row in rows]


def _changed(counts: Mapping[str, Mapping[str, int]] | None) -> str:
    tables = [
        f"{table}: {', '.join(f'{number:,} {what}' for what, number in sorted(each.items()))}"
        for table, each in sorted((counts or {}).items())
        if each
    ]
    return f"Read and written: {'; '.join(tables)}." if tables else "Read; nothing changed."


SENSORS = [send_notices]
