"""Enters rows into the database with COPY, through the disk buffer while the database is away; partitions of days.

All of it blocks and runs in a thread of the collector. What the rows say is in rows.py.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from crown.devices.collector.buffer import SAMPLES, STATES, Buffer, Lost, lines_of, table_of
from crown.devices.collector.rows import SAMPLE_COLUMNS, STATE_COLUMNS
from crown.errors import SystemicFailure

_log = logging.getLogger(__name__)
_COLUMNS = {SAMPLES: ", ".join(SAMPLE_COLUMNS), STATES: ", ".join(STATE_COLUMNS)}
#: What says that the database is away or cannot take rows now.
AWAY = (DBAPIError, psycopg.Error, SystemicFailure, OSError)
#: Names of entered files are kept so long, against a file that comes back from a backup.
_NAMES_DAYS = 60


class Writer:
    """The way of rows into the database.

    Args:
        engine: our database.
        buffer: for rows that cannot be entered.

    Attributes:
        entered: samples in the database so far.
        lost: rows that could be kept nowhere, not yet recorded in devices.losses.
        away_since: since when the database has taken nothing; None while it does.
    """

    def __init__(self, engine: Engine, buffer: Buffer) -> None:
        self._engine, self.buffer = engine, buffer
        self._days: set[date] = set()
        self.entered = 0
        self.lost: list[Lost] = []
        self.away_since: datetime | None = None

    def write(self, samples: list[str], states: list[str]) -> bool:
        """Enter rows in one transaction, after everything that waits in the buffer; else they go into the buffer.

        Returns:
            Whether the database took all of it.
        """
        try:
            self._drain()
            self._enter(samples, states)
        except AWAY as error:
            self.keep(samples, states)
            if self.away_since is None:
                self.away_since = datetime.now(UTC)
                _log.warning(
                    "The database takes no samples (%s); they wait in %s.",
                    _first_line(error),
                    self.buffer.folder,
                )
            return False
        if self.away_since is not None:
            _log.info("The database takes samples again.")
            self.away_since = None
        return True

    def keep(self, samples: list[str], states: list[str]) -> None:
        """Put rows into the buffer; what does not fit is lost, counted and logged once."""
        for table, lines in ((STATES, states), (SAMPLES, samples)):
            lost = self.buffer.keep(table, lines)
            if lost is not None:
                if not self.lost:
                    _log.error("Samples are lost from now on: %s.", lost.reason)
                self.lost.append(lost)

    def _enter(self, samples: list[str], states: list[str]) -> None:
        days = _days_of(samples)
        self._make_days(days)
        with self._engine.begin() as connection:
            _copy(connection, SAMPLES, samples, days)
            _copy(connection, STATES, states)
            _mark_days(connection, days)
            for lost in _together(self.lost):
                connection.execute(
                    text("insert into devices.losses (rows, reason) values (:rows, :reason)"), vars(lost)
                )
        self.lost.clear()
        self.entered += len(samples)

    def _drain(self) -> None:
        """Enter the files of the buffer, oldest first, each once."""
        if not self.buffer.files():
            return
        self.buffer.close()
        for path in self.buffer.files():
            try:
                self._enter_file(path)
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                _log.error(
                    "%s holds a row that the database refuses (%s); it is set aside.",
                    path,
                    _first_line(error),
                )
                self.lost.append(Lost(len(lines_of(path)), f"refused by the database: {_first_line(error)}"))
                self.buffer.set_aside(path)

    def _enter_file(self, path: Path) -> None:
        table, lines = table_of(path), lines_of(path)
        days = _days_of(lines) if table == SAMPLES else set()
        self._make_days(days)
        with self._engine.begin() as connection:
            new = connection.execute(
                text(
                    "insert into devices.entered_files (name, rows) values (:name, :rows)"
                    " on conflict do nothing returning name"
                ),
                {"name": path.name, "rows": len(lines)},
            ).one_or_none()
            if new is not None:
                _copy(connection, table, lines, days)
                _mark_days(connection, days)
        self.entered += len(lines) if new is not None and table == SAMPLES else 0
        self.buffer.entered(path)

    def _make_days(self, days: Iterable[date]) -> None:
        for day in sorted(set(days) - self._days):
            with self._engine.begin() as connection:
                connection.execute(text("select pg_advisory_xact_lock(7263171)"))
                connection.execute(
                    text(
                        f"create table if not exists devices.{_partition(day)} partition of devices.samples"
                        f" for values from ('{day} 00:00+00') to ('{day + timedelta(days=1)} 00:00+00')"
                    )
                )
            self._days.add(day)

    def drop_old(self, today: date, keep_days: int) -> list[str]:
        """Drop the partitions of days that are older than `keep_days`; their names."""
        oldest = _partition(today - timedelta(days=keep_days))
        with self._engine.begin() as connection:
            names = connection.execute(
                text(
                    "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
                    " where i.inhparent = cast('devices.samples' as regclass) and c.relname < :oldest order by 1"
                ),
                {"oldest": oldest},
            ).scalars()
            dropped = list(names)
            for name in dropped:
                connection.execute(text(f"drop table devices.{name}"))
            connection.execute(
                text(
                    "delete from devices.entered_files where entered_at < now() - make_interval(days => :days)"
                ),
                {"days": _NAMES_DAYS},
            )
        self._days.clear()
        return dropped


def _partition(day: date) -> str:
    return f"samples_{day:%Y%m%d}"


def _days_of(samples: Sequence[str]) -> set[date]:
    return {date.fromisoformat(day) for day in {row.split("\t", 3)[2][:10] for row in samples}}


def _copy(connection: Connection, table: str, lines: Sequence[str], days: Collection[date] = ()) -> None:
    if not lines:
        return
    # Into the partition itself where all rows are of one day, so that the server routes none of them.
    into = {SAMPLES: "samples", STATES: "state_changes"}[table] if len(days) != 1 else _partition(*days)
    driver = connection.connection.driver_connection
    assert driver is not None
    with (
        driver.cursor() as cursor,
        cursor.copy(f"copy devices.{into} ({_COLUMNS[table]}) from stdin") as copy,
    ):
        copy.write("".join(lines))


def _mark_days(connection: Connection, days: set[date]) -> None:
    if days:
        connection.execute(
            text(
                "insert into devices.days (day, changed_at) select d, clock_timestamp()"
                " from unnest(cast(:days as date[])) d order by d"
                " on conflict (day) do update set changed_at = excluded.changed_at"
            ),
            {"days": sorted(days)},
        )


def _together(losses: Sequence[Lost]) -> list[Lost]:
    by_reason: dict[str, int] = {}
    for lost in losses:
        by_reason[lost.reason] = by_reason.get(lost.reason, 0) + lost.rows
    return [Lost(rows, reason) for reason, rows in by_reason.items()]


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
