"""What every department reports about itself, in one form: made, waiting, failed, freshness, last run, disk.

`crown status`, the console's start page, notices and `crown doctor` read it through the registry
(crown/departments.py). Each department has its own summary.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, Engine, text

from crown.journal import activity
from crown.ledger.counts import STATES, Held, Waiting, by_state, held, waiting
from crown.ledger.verdicts import Gate
from crown.settings.model import Settings
from crown.store import mounts

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One answer of `crown doctor`: the check, how bad, what is the case, what to do (empty when nothing is)."""

    check: str
    verdict: Verdict
    what: str
    do: str = ""


@dataclass(frozen=True)
class Review:
    """A stage whose current items nobody has judged: what they are called, how many, and the newest output."""

    stage: str
    called: str
    items: int
    newest: int


@dataclass(frozen=True)
class Freshness:
    """How old the data of an asset is by its own date, not by the last run.

    Attributes:
        asset: its key.
        dated: what the date is of: `newest upload`.
        at: the date; None when there is no data.
        window: older than this is stale; None: no age is too old.
    """

    asset: str
    dated: str
    at: datetime | None
    window: timedelta | None = None

    def stale(self, now: datetime | None = None) -> bool:
        """Whether the data is older than its window; no data is not stale."""
        if self.at is None or self.window is None:
            return False
        return (now or datetime.now(UTC)) - self.at > self.window

    @property
    def sentence(self) -> str:
        """For people: the date, and the window when it has passed."""
        if self.at is None:
            return f"{self.asset}: no data yet."
        limit = f", older than {self.window.days} days" if self.window and self.stale() else ""
        return f"{self.asset}: {self.dated} of {self.at:%Y-%m-%d}{limit}."


@dataclass(frozen=True)
class Disk:
    """A folder that the department fills, and the bytes that are free there; None when it is not there."""

    name: str
    folder: Path
    free_bytes: int | None


@dataclass
class Summary:
    """The state of one department.

    Attributes:
        name: prefix of its asset keys.
        title: for people.
        assets: counts of each state, by the rest of the asset's key, in flow order.
        waiting: what waits and for what kind of thing, most first.
        held: what people hold and why, most first.
        reviews: stages at which a person is asked.
        freshness: dates of the data.
        last_run: the newest run that ended.
        disk: the folders it fills.
        first_step: what to do while it has nothing.
        troubles_command: lists what needs a person.
    """

    name: str
    title: str
    assets: dict[str, dict[str, int]] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    freshness: list[Freshness] = field(default_factory=list)
    last_run: activity.FinishedRun | None = None
    disk: list[Disk] = field(default_factory=list)
    first_step: str = ""
    troubles_command: str = "crown status"

    @property
    def totals(self) -> dict[str, int]:
        """Items by state over all assets."""
        return {state: sum(counts[state] for counts in self.assets.values()) for state in STATES}

    @property
    def broken(self) -> int:
        """Items that failed or need a person."""
        totals = self.totals
        return totals["failed"] + totals["quarantined"]


def _no_folders(_: Settings) -> Mapping[str, Path]:
    return {}


def _nothing_lost(_: Engine, __: Settings) -> Mapping[str, str]:
    return {}


def _no_findings(_: Settings) -> Iterator[Finding]:
    return iter(())


def _no_database_findings(_: Engine, __: Settings) -> Iterator[Finding]:
    return iter(())


def _no_freshness(_: Connection) -> Sequence[Freshness]:
    return ()


def _no_entity(_: str) -> None:
    return None


def _nothing_more(_: Connection, __: Summary) -> None:
    return None


@dataclass(frozen=True)
class Department:
    """How the platform asks one department. Only the first three are needed; the ledger answers the rest.

    Attributes:
        name: prefix of its asset keys.
        title: for people.
        first_step: what to do while it has nothing.
        flow: its assets in the order in which work passes through them; others follow by name.
        acts: what the ledger keeps as items but no asset makes: acts of people. They are counted nowhere.
        gates: where its people decide.
        troubles_command: lists what needs a person.
        folders: the folders it fills, by name.
        freshness: dates of its data.
        entity_of: from an item's key, the number that people know it by, for the activity trail.
        add: completes the summary with what the ledger does not know.
        lost: folders that were there and are gone, by name, with a sentence each.
        findings: further checks of `crown doctor`.
        database_findings: those that need the database.
    """

    name: str
    title: str
    first_step: str
    flow: Sequence[str] = ()
    acts: Sequence[str] = ()
    gates: Sequence[Gate] = ()
    troubles_command: str = "crown status"
    folders: Callable[[Settings], Mapping[str, Path]] = _no_folders
    freshness: Callable[[Connection], Sequence[Freshness]] = _no_freshness
    entity_of: Callable[[str], str | None] = _no_entity
    add: Callable[[Connection, Summary], None] = _nothing_more
    lost: Callable[[Engine, Settings], Mapping[str, str]] = _nothing_lost
    findings: Callable[[Settings], Iterator[Finding]] = _no_findings
    database_findings: Callable[[Engine, Settings], Iterator[Finding]] = _no_database_findings

    def summary(self, connection: Connection, settings: Settings) -> Summary:
        """The current state. Read-only."""
        found = Summary(
            self.name,
            self.title,
            waiting=waiting(connection, f"{self.name}/"),
            held=held(connection, f"{self.name}/"),
            reviews=_reviews(connection, {one.stage: one.called for one in self.gates if one.called}),
            freshness=list(self.freshness(connection)),
            last_run=next(iter(activity.newest_runs(connection, 1, department=self.name)), None),
            disk=_disk(self.folders(settings), settings),
            first_step=self.first_step,
            troubles_command=self.troubles_command,
        )
        for asset, counts in by_state(connection, f"{self.name}/").items():
            if asset in self.acts:
                continue
            found.assets[asset.partition("/")[2]] = counts
        self.add(connection, found)
        found.assets = dict(sorted(found.assets.items(), key=lambda item: self._place(item[0])))
        found.waiting.sort(key=lambda one: (-one.items, one.asset))
        return found

    def _place(self, kind: str) -> tuple[int, str]:
        asset = f"{self.name}/{kind}"
        places = (n for n, known in enumerate(self.flow) if asset == known or asset.startswith(f"{known}/"))
        return next(places, len(self.flow)), kind


def empty_counts() -> dict[str, int]:
    """No item in any state."""
    return dict.fromkeys(STATES, 0)


def _reviews(connection: Connection, called: Mapping[str, str]) -> list[Review]:
    if not called:
        return []
    rows = connection.execute(
        text(
            "select i.asset, count(*), max(i.output_id) from ledger.items i join ledger.outputs m using (output_id)"
            " left join ledger.verdicts v on v.stage = i.asset and v.subject = i.key"
            " and v.content_hash = m.content_hash"
            " where i.asset = any(:stages) and i.state = 'current' and v.verdict is null group by i.asset"
        ),
        {"stages": list(called)},
    )
    open_now = {stage: (count, newest) for stage, count, newest in rows}
    return [Review(stage, word, *open_now.get(stage, (0, 0))) for stage, word in called.items()]


def _disk(folders: Mapping[str, Path], settings: Settings) -> list[Disk]:
    lost = {mounts.folder_of(settings, root) for root in mounts.lost(settings)}
    return [Disk(name, folder, None if folder in lost else _free(folder)) for name, folder in folders.items()]


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(next(one for one in (folder, *folder.parents) if one.exists())).free
    except OSError:
        return None
