"""Notices: what waits for people is gathered into one message and sent, at most every quarter of an hour.

How a message is sent, and when it must wait, stands in crown/journal/notices.py; failed runs are in failures.py.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

import dagster as dg
from sqlalchemy import Connection, text

from crown.errors import CrownError
from crown.journal import notices
from resources.database import DatabaseResource

#: Where people review: a stage whose current items wait for a verdict, and what they are called.
REVIEWS = {"product_images/cutouts": "cut-outs"}


@dataclass(frozen=True)
class Waiting:
    """What waits for people.

    Attributes:
        reviews: by stage, how many items nobody has judged, and the newest making among them.
        troubles: by department, items that need a person before they can be made.
    """

    reviews: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    troubles: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What people were told last: the newest making by stage, the number of troubles by department."""

    reviews: Mapping[str, int] = field(default_factory=dict)
    troubles: Mapping[str, int] = field(default_factory=dict)


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
        Notice("review", stage.split("/")[0], stage, f"{count} {REVIEWS[stage]} wait for approval.")
        for stage, (count, newest) in waiting.reviews.items()
        if newest > told.reviews.get(stage, 0)
    ]
    news += [
        Notice("failure", department, "items", f"{count} items need a person: crown {command}.")
        for department, count in waiting.troubles.items()
        if count > told.troubles.get(department, 0)
        for command in [_TROUBLES.get(department, "status")]
    ]
    newest = {stage: newest for stage, (_, newest) in waiting.reviews.items()}
    return news, Told({**told.reviews, **newest}, dict(waiting.troubles))


_TROUBLES = {"product_images": "images status --troubles"}


@dg.sensor(
    name="notices",
    minimum_interval_seconds=900,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells people, by the addresses of CROWN_NOTIFY_FILE, what failed and what waits for them.",
)
def people_are_told(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """The cursor holds what people were told last."""
    try:
        settings = database.settings()
        with database.engine() as engine:
            with engine.begin() as connection:
                told = Told(**json.loads(context.cursor)) if context.cursor else Told()
                news, told = decide(_waiting(connection), told)
                for notice in news:
                    notices.post(connection, **asdict(notice))
            sent = notices.deliver(engine, settings.notify_file, settings.quiet_hours)
    except CrownError as error:
        return dg.SensorResult(skip_reason=str(error))
    said = f"Notices sent: {sent.notices}." if sent.notices else f"Nothing was sent: {sent.reason}."
    return dg.SensorResult(skip_reason=said, cursor=json.dumps(asdict(told)))


def _waiting(connection: Connection) -> Waiting:
    reviews = connection.execute(
        text(
            "select i.asset, count(*), max(i.making_id) from ledger.items i join ledger.makings m using (making_id)"
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
