"""What is told of pictures that were made or failed: a log line for each photo and stage, a row of the trail.

Uploads and decisions are told by intake.py and review.py, where they happen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from crown.journal import activity
from crown.journal.records import log_context
from crown.ledger.claims import Failed, Made
from crown.ledger.lane import LaneReport
from crown.product_images.names import photo_name
from crown.product_images.room import (
    CUTOUTS,
    DEPARTMENT,
    FAMILIES,
    MASTERS,
    PRODUCTS,
    PUBLISHED,
    RENDITIONS,
    Room,
)

_log = logging.getLogger(__name__)

#: What is said of what a stage made, and the action in the activity trail when the stage has one.
_SAYS: dict[str, tuple[str, str | None]] = {
    CUTOUTS: ("cut out", activity.CUTOUT_MADE),
    MASTERS: ("approved bytes put to the sources", None),
    **{
        asset: (f"rendered for {family}", activity.FORMATTING_COMPLETE)
        for family, asset in RENDITIONS.items()
    },
    PUBLISHED: ("published", activity.PUBLISHED),
}


def product_number(key: str) -> str:
    """The product number in the key of any item of this department."""
    parts = key.rpartition(":")[2].split("/")  # the target of a published file stands before a colon
    if len(parts) == 3 and parts[1] not in FAMILIES:
        return photo_name(parts[1]).number  # a judgement: profile, photo, spec
    return photo_name(parts[0].split("@")[0]).number


class Teller:
    """Tells of a lane's results as they are entered; `finish` adds to the trail what the run made.

    Args:
        room: the department's room.
        run_id: of the run.
        then: called after each commit with the report.
    """

    def __init__(self, room: Room, run_id: str | None, then: Callable[[LaneReport], None] | None) -> None:
        self._room, self._run_id, self._then = room, run_id, then
        self._report = LaneReport()
        self._made = self._failed = 0

    def __call__(self, report: LaneReport) -> None:
        """A line for each photo and asset of the new results."""
        self._report = report
        made, self._made = report.made[self._made :], len(report.made)
        failed, self._failed = report.failed[self._failed :], len(report.failed)
        with log_context(run_id=self._run_id, department=DEPARTMENT):
            for (asset, photo), group in _by_photo(made).items():
                if asset in _SAYS:
                    _log.info("%s %s", photo, _SAYS[asset][0], extra=_extra(asset, photo, group))
            for one in failed:
                given = {"asset": one.job.asset, "error_class": one.error_class, "final": one.permanent}
                _log.warning(
                    "%s failed: %s",
                    one.job.key,
                    one.error,
                    extra={"product_number": product_number(one.job.key), "context": given},
                )
        if self._then is not None:
            self._then(report)

    def finish(self) -> None:
        """Rows of the activity trail: one for each photo and action, one for each item that failed."""
        actions: dict[tuple[str, str], list[Made]] = {}
        for (asset, photo), group in _by_photo(self._report.made).items():
            action = _SAYS.get(asset, ("", None))[1]
            if action is not None:
                actions.setdefault((action, photo), []).extend(group)
        with self._room.engine.begin() as connection:
            for (action, photo), group in actions.items():
                activity.record(
                    connection,
                    who=DEPARTMENT,
                    what=action,
                    subject=photo,
                    department=DEPARTMENT,
                    via="run",
                    product_number=product_number(photo),
                    new=_what_is_new(action, group),
                    run_id=self._run_id,
                    duration_ms=_milliseconds(group),
                )
            for one in self._report.failed:
                _record_failure(connection, one, self._run_id)


def told_of_removal(path: str, *, kept: bool) -> None:
    """A line for a file that is no longer wanted: removed, or kept because a person changed it."""
    parts = PurePosixPath(path).parts
    number = parts[1] if parts[0] == PRODUCTS and len(parts) > 1 else parts[0]
    extra = {"product_number": number, "pipeline": DEPARTMENT}
    if kept:
        _log.warning("%s is no longer wanted, but a person changed it: kept.", path, extra=extra)
    else:
        _log.info("%s is no longer wanted: removed.", path, extra=extra)


def _record_failure(connection: activity.Connection, one: Failed, run_id: str | None) -> None:
    activity.record(
        connection,
        who=DEPARTMENT,
        what=activity.FAILED,
        subject=one.job.key,
        department=DEPARTMENT,
        via="run",
        product_number=product_number(one.job.key),
        details=one.error,
        new={"asset": one.job.asset, "error_class": one.error_class},
        run_id=run_id,
    )


def _by_photo(made: Sequence[Made]) -> dict[tuple[str, str], list[Made]]:
    groups: dict[tuple[str, str], list[Made]] = {}
    for one in made:
        groups.setdefault((one.job.asset, one.job.key.rpartition(":")[2].split("/")[0]), []).append(one)
    return groups


def _extra(asset: str, photo: str, group: Sequence[Made]) -> dict[str, object]:
    about: dict[str, object] = {"asset": asset, "bytes": sum(one.size_bytes or 0 for one in group)}
    if len(group) > 1:
        about["files"] = len(group)
    return {
        "product_number": product_number(photo),
        "execution_time_ms": _milliseconds(group),
        "context": about,
    }


def _what_is_new(action: str, group: Sequence[Made]) -> dict[str, object]:
    if action == activity.CUTOUT_MADE:
        return {"content_hash": group[-1].content_hash, "recipe": group[-1].job.recipe_name}
    return {"files": sorted(PurePosixPath(one.path or one.job.key).name for one in group)}


def _milliseconds(group: Sequence[Made]) -> float:
    return round(sum(one.seconds or 0 for one in group) * 1000, 1)
