"""What is logged of items that were made, failed or removed: lines of the log and rows of the activity trail.

What the lines of a department say is its table of `Messages`. Intake and decisions are logged where they happen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from crown.flow.pool_report import PoolReport, Progress
from crown.flow.workspace import Workspace
from crown.journal import activity
from crown.journal.activity import Entry
from crown.journal.records import log_context
from crown.ledger.claims import Failed, Finished, Made

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """What is said of the outputs of an asset.

    Attributes:
        says: completes a sentence that begins with the subject: `rendered for web`.
        action: in the activity trail; None: no row. Results of several assets with one action are one row.
        news: the new values of that row.
    """

    says: str
    action: str | None = None
    news: Callable[[Sequence[Made]], Mapping[str, object]] | None = None


@dataclass(frozen=True)
class Messages:
    """A department's table of messages; the functions are at the top level of a module.

    Attributes:
        of: by asset; nothing is logged of the others.
        subject_of: what the key of an item is about, for people: results of one subject and asset are one line.
        number_of: the number by which people look for the item with this key or subject: `subject` of a log record,
            `entity` of an activity.
        number_of_path: the same, from the path of a file.
    """

    of: Mapping[str, Message]
    subject_of: Callable[[str], str]
    number_of: Callable[[str], str]
    number_of_path: Callable[[str], str]

    def removed(self, path: str, *, kept: bool) -> None:
        """A line for a file that is no longer wanted: removed, or kept because a person changed it."""
        extra = {"subject": self.number_of_path(path)}
        if kept:
            _log.warning("%s is no longer wanted, but a person changed it: kept.", path, extra=extra)
        else:
            _log.info("%s is no longer wanted: removed.", path, extra=extra)


@dataclass(frozen=True)
class StageLog:
    """Logs the results of a worker pool as they are entered.

    Attributes:
        messages: the department's table.
        workspace: the department's workspace.
        run_id: of the run.
        then: called after each commit, like this.
    """

    messages: Messages
    workspace: Workspace
    run_id: str | None
    then: Progress | None

    def __call__(self, report: PoolReport, finished: Finished) -> None:
        """A line for each subject and asset of the new results, and a row for each that the trail has an action for."""
        rows: dict[tuple[str, str], tuple[Message, list[Made]]] = {}
        with log_context(run_id=self.run_id, department=self.workspace.department):
            for (asset, subject), group in self._by_subject(finished.made).items():
                if asset not in self.messages.of:
                    continue
                message = self.messages.of[asset]
                _log.info("%s %s", subject, message.says, extra=self._extra(asset, subject, group))
                if message.action is not None:
                    rows.setdefault((message.action, subject), (message, []))[1].extend(group)
            for one in finished.failed:
                given = {"asset": one.job.asset, "error_class": one.error_class, "final": one.permanent}
                _log.warning(
                    "%s failed: %s",
                    one.job.key,
                    one.error,
                    extra={"subject": self.messages.number_of(one.job.key), "context": given},
                )
        entries = [
            self._made(action, subject, message, group)
            for (action, subject), (message, group) in rows.items()
        ]
        entries += [self._failed(one) for one in finished.failed]
        with self.workspace.engine.begin() as connection:
            activity.record_all(connection, entries)
        if self.then is not None:
            self.then(report, finished)

    def _made(self, action: str, subject: str, message: Message, group: Sequence[Made]) -> Entry:
        return Entry(
            who=self.workspace.department,
            what=action,
            subject=subject,
            department=self.workspace.department,
            via="run",
            entity=self.messages.number_of(subject),
            new=None if message.news is None else message.news(group),
            run_id=self.run_id,
            duration_ms=_milliseconds(group),
        )

    def _failed(self, one: Failed) -> Entry:
        return Entry(
            who=self.workspace.department,
            what=activity.FAILED,
            subject=one.job.key,
            department=self.workspace.department,
            via="run",
            entity=self.messages.number_of(one.job.key),
            details=one.error,
            new={"asset": one.job.asset, "error_class": one.error_class},
            run_id=self.run_id,
        )

    def _by_subject(self, made: Sequence[Made]) -> dict[tuple[str, str], list[Made]]:
        groups: dict[tuple[str, str], list[Made]] = {}
        for one in made:
            groups.setdefault((one.job.asset, self.messages.subject_of(one.job.key)), []).append(one)
        return groups

    def _extra(self, asset: str, subject: str, group: Sequence[Made]) -> dict[str, object]:
        about: dict[str, object] = {"asset": asset, "bytes": sum(one.size_bytes or 0 for one in group)}
        if len(group) > 1:
            about["files"] = len(group)
        return {
            "subject": self.messages.number_of(subject),
            "execution_time_ms": _milliseconds(group),
            "context": about,
        }


def _milliseconds(group: Sequence[Made]) -> float:
    return round(sum(one.seconds or 0 for one in group) * 1000, 1)
