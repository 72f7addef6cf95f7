"""Notices: what waits for people is gathered into one message and sent, at most every quarter of an hour.

How a message is sent, and when it must wait, stands in crown/journal/notices.py; failed runs are in failures.py.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import dagster as dg
from sqlalchemy import Connection, text

from crown.journal import notices
from crown.store import mounts
from resources.database import DatabaseResource
from sensors.failures import ENDED, RUNS
from sensors.schedules import QUEUE

#: Where people review: a stage whose current items wait for a verdict, and what they are called.
REVIEWS = {"product_images/cutouts": "cut-outs"}


@dataclass(frozen=True)
class Waiting:
    """What waits for people.

    Attributes:
        reviews: by stage, how many items nobody has judged, and the newest output among them.
        troubles: by department, items that need a person before they can be made.
        lost: folders of the share that are not there, by setting, with a sentence.
    """

    reviews: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    troubles: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What people were told last: the newest output by stage, troubles by department, settings of lost folders."""

    reviews: Mapping[str, int] = field(default_factory=dict)
    troubles: Mapping[str, int] = field(default_factory=dict)
    lost: Sequence[str] = ()


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
    newest = {stage: newest for stage, (_, newest) in waiting.reviews.items()}
    return news, Told({**told.reviews, **newest}, dict(waiting.troubles), sorted(waiting.lost))


def standing(waiting: Waiting, told: Told) -> list[Notice]:
    """What is true now of everything that was or may be told; the sentence is empty where nothing is left."""
    reviews = [_review(stage, waiting.reviews.get(stage, (0, 0))[0]) for stage in REVIEWS]
    departments = sorted(waiting.troubles.keys() | told.troubles.keys())
    roots = sorted(waiting.lost.keys() | set(told.lost))
    return [
        *reviews,
        *(_trouble(name, waiting.troubles.get(name, 0)) for name in departments),
        *(_lost(root, waiting.lost.get(root, "")) for root in roots),
    ]


def _lost(root: str, sentence: str) -> Notice:
    return Notice("failure", "folders", root, sentence)


def _review(stage: str, count: int) -> Notice:
    sentence = f"{count} {REVIEWS[stage]} wait for approval." if count else ""
    return Notice("review", stage.split("/")[0], stage, sentence)


def _trouble(department: str, count: int) -> Notice:
    command = _TROUBLES.get(department, "status")
    sentence = f"{count} items need a person: crown {command}." if count else ""
    return Notice("failure", department, "items", sentence)


_TROUBLES = {"product_images": "images status --troubles"}


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
            waiting, before = replace(_waiting(connection), lost=mounts.lost(settings)), told
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


def _waiting(connection: Connection) -> Waiting:
    reviews = connection.execute(
        text(
            "select i.asset, count(*), max(i.output_id) from ledger.items i join ledger.outputs m using (output_id)"
            " left join ledger.verdicts v on v.stage = i.asset and v.subject = i.key"
            " and v.content_hash = m.content_hash"
            " where i.asset = any(:stages) and i.state = 'current' and v.verdict is null group by i.asset"
        ),
        {"stages": list(REVIEWS)},
    )
    troubles = connection.execute(
        text(
            "select split_part(asset, '/', 1) as department, count(*) as items from ledger.items"
            " where state = 'quarantined' group by 1"
        )
    )
    return Waiting(
        {stage: (count, newest) for stage, count, newest in reviews},
        {row.department: row.items for row in troubles},
    )


SENSORS = [people_are_told]
