"""The log of worker processes: what each item's task logs, with the run and the item it is about.

What is logged of the results is stage_log.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from crown.journal import logs
from crown.journal.records import log_context
from crown.ledger.claims import Job
from crown.settings.model import Settings


@dataclass(frozen=True)
class WorkerLog:
    """The `WorkerPool.worker_context`: whatever tasks log says which item and run it is about.

    A worker process has no database: its records wait in the outbox for the process that has one.

    Attributes:
        settings: where the log goes; made by `without_secrets`, for they are sent to the workers.
        department: of all records.
        run_id: of all records.
        number_of: the number that people look for an item by, from its key; a function at the top level of its module.
    """

    settings: Settings
    department: str
    run_id: str | None
    number_of: Callable[[str], str]

    @contextmanager
    def __call__(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Around one call of a task."""
        logs.set_up_once(self.settings, console=False)
        first = jobs[0]
        with log_context(
            subject=self.number_of(first.key),
            run_id=self.run_id,
            department=self.department,
            asset=first.asset,
        ):
            yield


def without_secrets(settings: Settings) -> Settings:
    """The settings for a process that has no need of passwords."""
    return settings.model_copy(update={"database_url": None, "web_token": None})
