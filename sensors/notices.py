"""Notices: what waits for people is gathered into one message and sent, at most every quarter of an hour.

Sending and quiet hours are in crown/journal/notices.py; failed runs are in failures.py.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import dagster as dg
from sqlalchemy import Connection

from crown.departments import DEPARTMENTS, lost_folders, summaries
from crown.journal import notices
from crown.settings.model import Settings
from resources.database import DatabaseResource
from sensors.failures import ENDED, RUNS
from sensors.schedules import QUEUE

#: Where people review: a stage whose current items wait for a verdict, and what they are called.
REVIEWS = {stage: called for one in DEPARTMENTS for stage, called in one.reviews.items()}
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
    """

    reviews: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    troubles: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)
    stale: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What people were told last: the newest output by stage, troubles by department, lost folders, stale assets."""

    reviews: Mapping[str, int] = field(default_factory=dict)
    troubles: Mapping[str, int] = field(default_factory=dict)
    lost: Sequence[str] = ()
    stale: Sequence[str] = ()


@dataclass(frozen=True)
class Notice:
    """A notice to post; see crown.journal.notices.post."""

    kind: Literal["failure", "review"]
    department: str
    subject: str
    sentence: str


def decide(waiting: Waiting, told: Told) -> tuple[list[Notice], Told]:
    """The notices that are news, and what people have been told with them.

    Something is told again when there is more of it, never because it still waits.
    """
    news = [
        _review(stage, count)
        for stage, (count, newest) in waiting.reviews.items()
        if newest > told.reviews.get(stage, 0)
    ]
    news += [
        _trouble(department, count)
        for department, count in waiting.troubles.items()
        if count > told.troubles.get(department, 0)
    ]
    news += [_lost(root, sentence) for root, sentence in waiting.lost.items() if root not in told.lost]
    news += [_stale(asset, sentence) for asset, sentence in waiting.stale.items() if asset not in told.stale]
    newest = {stage: newest for stage, (_, newest) in waiting.reviews.items()}
    return news, Told(
        {**told.reviews, **newest}, dict(waiting.troubles), sorted(waiting.lost), sorted(waiting.stale)
    )


def standing(waiting: Waiting, told: Told) -> list[Notice]:
    """What is true now of everything that was or may be told; the sentence is empty where nothing is left."""
    reviews = [_review(stage, waiting.reviews.get(stage, (0, 0))[0]) for stage in REVIEWS]
    departments = sorted(waiting.troubles.keys() | told.troubles.keys())
    roots = sorted(waiting.lost.keys() | set(told.lost))
    return [
        *reviews,
        *(_trouble(name, waiting.troubles.get(name, 0)) for name in departments),
        *(_lost(root, waiting.lost.get(root, "")) for root in roots),
        *(_stale(asset, waiting.stale.get(asset, "")) for asset in sorted({*waiting.stale, *told.stale})),
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
    description="Tells people, by the addresses of CROWN_NOTIFY_FILE, what failed and what waits for them.",
)
def people_are_told(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """The cursor holds what people were told last."""
    settings = database.settings()
    with database.engine() as engine:
        with engine.begin() as connection:
            told = Told(**json.loads(context.cursor)) if context.cursor else Told()
            waiting, before = (
                replace(_waiting(connection, settings), lost=lost_folders(engine, settings)),
                told,
            )
            news, told = decide(waiting, before)
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
    said = f"Notices sent: {sent.notices}." if sent.notices else f"Nothing was sent: {sent.reason}."
    return dg.SensorResult(skip_reason=said, cursor=json.dumps(asdict(told)))


def _works_again(instance: dg.DagsterInstance, pool: str) -> bool:
    """Whether the newest run of a queue, or of a job without one, that has ended has succeeded."""
    for same in (
        dg.RunsFilter(tags={QUEUE: pool}, statuses=ENDED),
        dg.RunsFilter(job_name=pool, statuses=ENDED),
    ):
        for run in instance.get_runs(same, limit=1):
            return run.status is dg.DagsterRunStatus.SUCCESS
    return False


def _waiting(connection: Connection, settings: Settings) -> Waiting:
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
    )


SENSORS = [people_are_told]
