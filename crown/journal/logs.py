"""Sets up logging: the console, the rotating file, and logs.records by way of the outbox.

Everything a process logs under our names goes through one handler that cleans each record once. The
content of a record is defined in records.py; its storage in rotating.py and outbox.py.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from crown.database.engine import our_url
from crown.journal.outbox import Outbox
from crown.journal.records import LineFormatter, as_row, clean
from crown.journal.rotating import SharedRotatingFile, SteadyHandler
from crown.journal.secrets import hide
from crown.settings.model import Settings

#: The loggers we answer for: one for each of our packages.
OURS = ("crown", "resources", "crown_assets", "sensors", "console", "crown_cli")
FILE_NAME = "crown.log"
OUTBOX_NAME = "outbox"

_log = logging.getLogger(__name__)

# How often records are sent, the longest pause between attempts while the database is away, and how long
# the end of a process may wait for the last ones; what is late is delivered by the next process.
_INTERVAL, _LONGEST_PAUSE, _LAST_WORDS = 1.0, 30.0, 3.0


class OutboxHandler(SteadyHandler):
    """Puts cleaned records into the outbox."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self.outbox = outbox

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record; errors are written to stderr and never raised."""
        try:
            self.outbox.append(as_row(record))
        except Exception:  # noqa: BLE001 - logging never stops the work
            self.handleError(record)


class JournalHandler(SteadyHandler):
    """Cleans each record once and hands it to the others."""

    def __init__(self, handlers: Sequence[logging.Handler]) -> None:
        super().__init__()
        self.handlers = tuple(handlers)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a cleaned copy on."""
        try:
            copy = clean(record)
        except Exception:  # noqa: BLE001 - logging never stops the work
            self.handleError(record)
            return
        for handler in self.handlers:
            handler.handle(copy)

    def close(self) -> None:
        """Close the others."""
        for handler in self.handlers:
            handler.close()
        super().close()


class Delivery:
    """A thread that sends what waits in the outbox, on a connection of its own."""

    def __init__(self, outbox: Outbox, engine: Engine) -> None:
        self.outbox = outbox
        self.away = False
        self._engine = engine
        self._stop = threading.Event()
        self._asked = threading.Event()
        self._turns = threading.Condition()
        self._turn = 0
        self._thread = threading.Thread(target=self._run, name="crown-log-delivery", daemon=True)
        self._thread.start()

    def flush(self, seconds: float) -> bool:
        """Deliver now; whether nothing waits any more after at most so many seconds."""
        with self._turns:
            # The turn under way may have passed our record by: wait for one that begins after this.
            last, before = self._turn + 1, self._turn
            self._asked.set()
            self._turns.wait_for(lambda: self._turn > before, seconds)
            if self.outbox.waiting() and self._turn <= last:
                self._asked.set()
                self._turns.wait_for(lambda: self._turn > last, seconds)
        return not self.outbox.waiting()

    def close(self) -> None:
        """Send the last records, unless the database is away, and end."""
        self._stop.set()
        self._asked.set()
        self._thread.join(_LAST_WORDS)

    def _run(self) -> None:
        pause = _INTERVAL
        while not self._stop.is_set():
            self._asked.wait(pause)
            self._asked.clear()
            if self._stop.is_set() and self.away:
                break
            self._deliver()
            pause = min(pause * 2, _LONGEST_PAUSE) if self.away else _INTERVAL
            with self._turns:
                self._turn += 1
                self._turns.notify_all()
        self._engine.dispose()

    def _deliver(self) -> None:
        if not self.outbox.waiting():
            return
        try:
            sent = self.outbox.deliver(self._engine)
        except (SQLAlchemyError, OSError) as error:
            if not self.away:
                self.away = True
                reason = str(getattr(error, "orig", None) or error).strip().splitlines()[-1:]
                _log.warning(
                    "The log table cannot be written (%s); records wait in %s and the work goes on.",
                    *(reason or [type(error).__name__]),
                    self.outbox.folder,
                )
            return
        if self.away:
            self.away = False
            _log.info("The log table can be written again; %d records were delivered.", sent)
        if self.outbox.not_kept:
            missing, self.outbox.not_kept = self.outbox.not_kept, 0
            _log.warning("%d records are in the log file only: the outbox was full.", missing)


class Logs:
    """What `set_up` made, to be flushed and closed."""

    def __init__(self, handler: JournalHandler, level: str, delivery: Delivery | None) -> None:
        self.delivery = delivery
        self._handler = handler
        self._before = {
            name: (logging.getLogger(name).level, logging.getLogger(name).propagate) for name in OURS
        }
        for name in OURS:
            logger = logging.getLogger(name)
            logger.addHandler(handler)
            logger.setLevel(level)
            # The handlers of the root logger, when someone set any, would say everything twice.
            logger.propagate = False

    def flush(self, seconds: float = 10) -> bool:
        """Whether the database has every record, after at most so many seconds; True without a database."""
        return self.delivery is None or self.delivery.flush(seconds)

    def close(self) -> None:
        """Put the loggers back as they were; records that did not reach the database stay in the outbox."""
        if self.delivery is not None:
            self.delivery.close()
        for name, (level, propagate) in self._before.items():
            logger = logging.getLogger(name)
            logger.removeHandler(self._handler)
            logger.setLevel(level)
            logger.propagate = propagate
        self._handler.close()


_active: Logs | None = None
_active_for: tuple[Path, str | None] | None = None
_one_at_a_time = threading.Lock()


@atexit.register
def close() -> None:
    """End what `set_up` began in this process; done by itself when the process ends."""
    global _active
    if _active is not None:
        _active.close()
        _active = None


def set_up(settings: Settings, database_url: str | None = None, *, console: bool = True) -> Logs:
    """Send what this process logs where the settings say. A second call replaces the first.

    Args:
        settings: log_dir, log_level, log_to_file, log_to_database, log_max_size_mb are read.
        database_url: where logs.records is. Without it, as in worker processes that never open the
            database, records wait in the outbox until a process with the database delivers them.
        console: also write to stderr.

    A log folder that cannot be written, or a database out of reach, is said once and stops nothing.

    Raises:
        ConfigurationError: a database URL that is none.
    """
    global _active, _active_for
    close()
    if settings.web_token is not None:
        hide(settings.web_token.get_secret_value())
    if settings.database_url is not None:
        hide(our_url(settings.database_url.get_secret_value()).password)
    if database_url is not None:
        hide(our_url(database_url).password)
    handlers: list[logging.Handler] = [_console()] if console else []
    delivery = None
    folder_error = _prepare(settings.logs) if settings.log_to_file or settings.log_to_database else None
    if folder_error is None:
        if settings.log_to_file:
            handlers.append(_file(settings))
        if settings.log_to_database:
            outbox = Outbox(settings.logs / OUTBOX_NAME, int(settings.log_max_size_mb * 10 * 1024 * 1024))
            handlers.append(OutboxHandler(outbox))
            if database_url is not None:
                delivery = Delivery(outbox, _own_engine(database_url))
    _active = Logs(JournalHandler(handlers), settings.log_level, delivery)
    _active_for = (settings.logs, database_url)
    if folder_error is not None:
        _log.error(
            "The log folder %s cannot be written (%s); set CROWN_LOG_DIR to one that can.",
            settings.logs,
            folder_error,
        )
    return _active


def set_up_once(settings: Settings, database_url: str | None = None, *, console: bool = True) -> None:
    """As `set_up`, unless this process logs to that folder and database already; costs nothing then.

    For what cannot know whether it is the first in its process: resources, worker processes.
    """
    with _one_at_a_time:
        if _active is not None and _active_for is not None:
            folder, url = _active_for
            if folder == settings.logs and database_url in (None, url):
                return
        set_up(settings, database_url, console=console)


def _console() -> logging.Handler:
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.logging import RichHandler

        rich = RichHandler(console=Console(stderr=True), show_path=False)
        rich.setFormatter(logging.Formatter("%(message)s"))
        return rich
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    return handler


def _file(settings: Settings) -> logging.Handler:
    handler = SharedRotatingFile(settings.logs / FILE_NAME, int(settings.log_max_size_mb * 1024 * 1024))
    handler.setFormatter(LineFormatter())
    return handler


def _prepare(folder: Path) -> str | None:
    """Make the folder; the reason why it cannot be written, or None."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            return "Permission denied"
    except OSError as error:
        return error.strerror or str(error)
    return None


def _own_engine(database_url: str) -> Engine:
    # Bounds on every wait, so that a network that swallows packets holds nothing up but this thread.
    return create_engine(
        our_url(database_url),
        poolclass=NullPool,
        connect_args={
            "connect_timeout": 3,
            "tcp_user_timeout": 10_000,
            "application_name": "crown-logs",
            "options": "-c statement_timeout=15s",
        },
    )
