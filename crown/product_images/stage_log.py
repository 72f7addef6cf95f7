"""What is told of pictures that were made or failed: a log line for each photo and stage, a row of the trail.

Uploads and decisions are told by intake.py and review.py, where they happen.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import PurePosixPath

from crown.flow.worker_pool import PoolReport, Progress
from crown.journal import activity
from crown.journal.activity import Entry
from crown.journal.records import log_context
from crown.ledger.claims import Failed, Finished, Made
from crown.product_images.names import photo_name
from crown.product_images.workspace import (
    CUTOUTS,
    DEPARTMENT,
    FAMILIES,
    MASTERS,
    PRODUCTS,
    PUBLISHED,
    RENDITIONS,
    Workspace,
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


class StageLog:
    """Tells of a worker pool's results as they are entered: lines of the log and rows of the activity trail.

    Args:
        workspace: the department's workspace.
        run_id: of the run.
        then: called after each commit, like this.
    """

    def __init__(self, workspace: Workspace, run_id: str | None, then: Progress | None) -> None:
        self._workspace, self._run_id, self._then = workspace, run_id, then

    def __call__(self, report: PoolReport, finished: Finished) -> None:
        """A line for each photo and asset of the new results, and a row for each that the trail has an action for."""
        actions: dict[tuple[str, str], list[Made]] = {}
        with log_context(run_id=self._run_id, department=DEPARTMENT):
            for (asset, photo), group in _by_photo(finished.made).items():
                if asset not in _SAYS:
                    continue
                says, action = _SAYS[asset]
                _log.info("%s %s", photo, says, extra=_extra(asset, photo, group))
                if action is not None:  # the families of a photo's renditions are one row
                    actions.setdefault((action, photo), []).extend(group)
            for one in finished.failed:
                given = {"asset": one.job.asset, "error_class": one.error_class, "final": one.permanent}
                _log.warning(
                    "%s failed: %s",
                    one.job.key,
                    one.error,
                    extra={"product_number": product_number(one.job.key), "context": given},
                )
        rows = [self._made(action, photo, group) for (action, photo), group in actions.items()]
        rows += [self._failed(one) for one in finished.failed]
        with self._workspace.engine.begin() as connection:
            activity.record_all(connection, rows)
        if self._then is not None:
            self._then(report, finished)

    def _made(self, action: str, photo: str, group: Sequence[Made]) -> Entry:
        return Entry(
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

    def _failed(self, one: Failed) -> Entry:
        return Entry(
            who=DEPARTMENT,
            what=activity.FAILED,
            subject=one.job.key,
            department=DEPARTMENT,
            via="run",
            product_number=product_number(one.job.key),
            details=one.error,
            new={"asset": one.job.asset, "error_class": one.error_class},
            run_id=self._run_id,
        )


def log_removal(path: str, *, kept: bool) -> None:
    """A line for a file that is no longer wanted: removed, or kept because a person changed it."""
    parts = PurePosixPath(path).parts
    number = parts[1] if parts[0] == PRODUCTS and len(parts) > 1 else parts[0]
    extra = {"product_number": number, "pipeline": DEPARTMENT}
    if kept:
        _log.warning("%s is no longer wanted, but a person changed it: kept.", path, extra=extra)
    else:
        _log.info("%s is no longer wanted: removed.", path, extra=extra)


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
