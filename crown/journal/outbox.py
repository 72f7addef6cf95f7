"""The outbox of log records: files in a folder until the database has them.

Every record is appended here first, so that neither an outage nor a killed process loses one; any process that
reaches the database delivers the records of all processes. A record arrives once, however often it is sent.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError, IntegrityError

from crown.journal.locks import try_flock, try_lock

_BATCH = 500
# `pipeline` and `product_number` are what an earlier Crown called department and subject in records that still wait.
_INSERT = text("""
insert into logs.records (record_id, timestamp, level, department, module, message, context, exception, user_id,
                          execution_time_ms, subject, run_id)
select record_id, timestamp, level::varchar(20), coalesce(department, pipeline)::varchar(50), module::varchar(100),
       message, context, exception, user_id::varchar(100), execution_time_ms,
       coalesce(subject, product_number)::varchar(100), run_id
from jsonb_to_recordset(cast(:rows as jsonb)) as r(
    record_id uuid, timestamp timestamptz, level text, department text, pipeline text, module text, message text,
    context jsonb, exception text, user_id text, execution_time_ms integer, subject text, product_number text, run_id text)
on conflict (record_id) do nothing
""")


class Outbox:
    """The folder, and how records enter and leave it.

    Args:
        folder: on a local disk; made when missing.
        max_bytes: above this size further records are left to the log file alone, and counted.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.not_kept = 0
        self._current = folder / "current.jsonl"
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a record; one append by the kernel, waits for nobody.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        # An empty line first: what a killed writer left unfinished then spoils no other record.
        line = b"\n" + json.dumps(row, ensure_ascii=False).encode() + b"\n"
        while True:
            with _open(self._current, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
                # Shared by all writers. Whoever delivers holds it alone, on a file that is no longer the current one.
                if not try_flock(descriptor, fcntl.LOCK_SH):
                    continue
                info = os.fstat(descriptor)
                if info.st_nlink == 0:
                    continue
                if info.st_size + len(line) > self.max_bytes:
                    self.not_kept += 1
                elif os.write(descriptor, line) < len(line):
                    raise OSError(f"{self._current} is full")
                return

    def waiting(self) -> bool:
        """Whether any record waits for delivery."""
        return self._current.exists() or any(self.folder.glob("part-*.jsonl"))

    def deliver(self, engine: Engine) -> int:
        """Send what waits, in the order in which it came; returns the records sent, 0 when another process is at it.

        Raises:
            SQLAlchemyError: the database is out of reach or lacks the table; what was not sent stays.
        """
        with try_lock(self.folder / ".deliver.lock") as mine:
            if not mine or not self.waiting():
                return 0
            # Connected first, so that an outage does not leave a part file per attempt.
            with engine.connect() as connection:
                if self._current.exists():
                    self._current.replace(
                        self.folder / f"part-{time.time_ns():020}-{uuid.uuid4().hex[:8]}.jsonl"
                    )
                return sum(
                    self._deliver_part(connection, part) for part in sorted(self.folder.glob("part-*.jsonl"))
                )

    def _deliver_part(self, connection: Connection, part: Path) -> int:
        sent = 0
        with part.open("rb") as file:
            # A writer that opened the file before it was renamed is still at it: next time.
            if not try_flock(file.fileno(), fcntl.LOCK_EX):
                return 0
            try:
                rows = self._rows(file)
                while batch := list(islice(rows, _BATCH)):
                    sent += self._send(connection, batch)
                part.unlink()
            finally:
                fcntl.flock(file.fileno(), fcntl.LOCK_UN)
        return sent

    def _rows(self, file: BinaryIO) -> Iterator[dict[str, Any]]:
        for line in file:
            if line.isspace():
                continue
            try:
                yield json.loads(line)
            except ValueError:
                self._refuse(line)

    def _send(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        try:
            with connection.begin():
                connection.execute(_INSERT, {"rows": json.dumps(rows)})
        except (DataError, IntegrityError):
            # One of them cannot be stored: found by halves, the others go on.
            if len(rows) == 1:
                self._refuse(json.dumps(rows[0]).encode() + b"\n")
                return 0
            middle = len(rows) // 2
            return self._send(connection, rows[:middle]) + self._send(connection, rows[middle:])
        return len(rows)

    def _refuse(self, line: bytes) -> None:
        with _open(self.folder / "refused.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
            os.write(descriptor, line)


@contextmanager
def _open(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o640)
    try:
        yield descriptor
    finally:
        # Said aloud: a child forked meanwhile shares the descriptor and would keep the lock.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
