"""One supervised service: started under a keeper, logged, stopped or restarted on request by the supervisor."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ROUTINE = re.compile(r" - (DEBUG|INFO) - ")
#: Lines of a traceback; they are in the log, the last line is shown.
_TRACEBACK = re.compile(r"\s|Traceback |Stack Trace:|The above exception|During handling")
_TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+")
_BACKUPS = 3
_LAST_LINE_SECONDS = 5.0
#: The same line is not shown to people again so soon; the log has it each time.
_SAID_SECONDS = 60.0


@dataclass(frozen=True)
class Service:
    """What to run.

    Attributes:
        name: for people and for the log file.
        command: program and arguments; never a secret.
        grace: seconds between the request to end and the kill.
        fds: file descriptors handed over to it.
    """

    name: str
    command: tuple[str, ...]
    grace: float
    fds: tuple[int, ...] = ()


class Running:
    """A service that was started.

    Args:
        service: what runs.
        environment: its whole environment.
        log: file for all it says.
        log_bytes: size at which that file rotates.
        witness: a file descriptor that the keeper, but not the service, keeps open while it lives.
        say: called with each line that a person should see.
    """

    def __init__(
        self,
        service: Service,
        environment: Mapping[str, str],
        log: Path,
        log_bytes: int,
        witness: int,
        say: Callable[[str], None],
    ) -> None:
        self.service = service
        self.log = log
        self.started = time.monotonic()
        self.last_words: deque[str] = deque(maxlen=20)
        self._say = say
        self._said: dict[str, float] = {}
        self._handler = RotatingFileHandler(log, maxBytes=log_bytes, backupCount=_BACKUPS, encoding="utf-8")
        read_end, write_end = os.pipe()
        self._lifeline: int | None = write_end
        fds = ",".join(map(str, service.fds)) or "-"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "console.supervision.keeper", str(service.grace), fds, *service.command],
            stdin=read_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            pass_fds=(*service.fds, witness),
            start_new_session=True,  # Ctrl-C in the terminal reaches the supervisor alone
        )
        os.close(read_end)
        self._reader = threading.Thread(target=self._write_down, name=f"log-{service.name}", daemon=True)
        self._reader.start()

    def status(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """Begin the stop: SIGTERM, the grace, SIGKILL for what is left. Asking again changes nothing."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def kill(self) -> None:
        """End it and all it started now."""
        if self.status() is None:
            self._process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Ask it to end, wait until it has, and write down its last line."""
        self.ask_to_end()
        self._process.wait()
        self._reader.join(timeout=_LAST_LINE_SECONDS)
        self._handler.close()

    def _write_down(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            line = _COLOURS.sub("", raw.decode(errors="replace")).rstrip()
            self._handler.emit(logging.makeLogRecord({"msg": line}))
            if line and not _ROUTINE.search(line):
                self.last_words.append(line)
                if not _TRACEBACK.match(line) and self._is_news(line):
                    self._say(f"{self.service.name:<11} | {line}")
        self._process.stdout.close()

    def _is_news(self, line: str) -> bool:
        """Whether a line was not shown lately: a tick that fails every 15 s must not fill the terminal."""
        said_now, now = _TIME.sub("", line), time.monotonic()
        self._said = {said: at for said, at in self._said.items() if now - at < _SAID_SECONDS}
        news = said_now not in self._said
        if news:
            self._said[said_now] = now
        return news
