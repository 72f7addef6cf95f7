"""Starts everything on one machine, keeps it running, and stops it in order: the work of `crown up`.

Database, code server, daemon, console; each service under a keeper of its own. It imports no Dagster:
services are programs with a health probe. Under systemd or a container platform these take its place.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from console import address
from console.dagster_home import (
    LOCATION,
    ROOT,
    dagster_environment,
    settings_environment,
    write_dagster_home,
    write_workspace,
)
from console.supervision.code_server_health import code_server_answers
from console.supervision.probes import Console, runs_of
from console.supervision.service import Running, Service
from crown.database.opening import embedded_folder, open_database, running_database
from crown.errors import ConfigurationError, CrownError
from crown.journal import logs
from crown.settings.model import Settings

_log = logging.getLogger(__name__)

START_SECONDS = 180.0
END_RUNS_SECONDS = 20.0
_POLL = 0.2
_PROBE_EVERY = 10.0
#: Probes in a row without an answer after which a service counts as hung; `/health` is as patient itself.
_HUNG = 6
#: As above for what `/health` calls broken, which has then been silent for most of a minute.
_REPORTED = 2
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
#: So long a service takes to load and to show its first sign of life.
_SETTLING = 60.0
#: A service that ran this long starts again with the shortest pause.
_STABLE = 120.0


class StoppedEarlyError(CrownError):
    """The person asked to stop while we were still starting; not an error."""

    exit_code = 130


@dataclass
class _Watch:
    """What the supervisor remembers of one service between restarts.

    Attributes:
        running: its process.
        answers: whether it answers; None: that is asked of nobody but `/health`.
        parts: the parts of `/health` that are its work.
        pause: before the next restart.
        restart_at: when it starts again; None while it runs.
        silent: probes in a row without an answer.
        reported: probes in a row in which `/health` reported a part of it as broken.
    """

    running: Running
    answers: Callable[[], bool] | None
    parts: frozenset[str] = frozenset()
    pause: float = _FIRST_PAUSE
    restart_at: float | None = None
    silent: int = 0
    reported: int = 0


@dataclass
class Supervisor:
    """One installation while it runs.

    Attributes:
        settings: where, and with what.
        say: shows a line to the person.
        module: the module with the Dagster definitions, and the folder it is imported from.
        folder: see module.
    """

    settings: Settings
    say: Callable[[str], None]
    module: str = "crown_assets.definitions"
    folder: Path = ROOT
    _end: threading.Event = field(default_factory=threading.Event)
    _hurry: bool = False
    _heard: bool = False
    _watches: dict[str, _Watch] = field(default_factory=dict)

    def run(self, ready: Callable[[str], None]) -> None:
        """Start, call `ready` with the web address, watch until SIGINT or SIGTERM, stop.

        Raises:
            ConfigurationError: something cannot start; all that had started is stopped again.
        """
        token = address.token(self.settings)
        with ExitStack() as stack:
            stack.enter_context(self._signals())
            stack.enter_context(_alone(self.settings))
            listener = address.listen(self.settings.web_host, self.settings.web_port)
            stack.callback(listener.close)
            witness = stack.enter_context(self._database_keeper())
            database = stack.enter_context(ExitStack())
            database_url = database.enter_context(open_database(self.settings))
            logs.set_up(self.settings, database_url, console=False)
            stack.callback(logs.close)
            runtime = Path(tempfile.mkdtemp(prefix="crown-"))
            stack.callback(shutil.rmtree, runtime, ignore_errors=True)
            socket = runtime / "code.sock"
            write_dagster_home(self.settings)
            workspace = write_workspace(self.settings, socket)
            port = listener.getsockname()[1]
            web = address.web_address(self.settings.web_host, port)
            client = Console(web, token)
            stack.callback(client.close)
            environment = _environment(self.settings.model_copy(update={"web_port": port}), database_url)
            stack.callback(self._stop, client, database_url, socket)

            def start(service: Service, answers: Callable[[], bool] | None, *parts: str) -> None:
                running = self._spawn(service, environment, witness)
                self._watches[service.name] = _Watch(running, answers, frozenset(parts))

            start(
                _code_server(self.module, self.folder, socket),
                lambda: code_server_answers(socket),
                "code location",
            )
            self._wait("code server", lambda: code_server_answers(socket))
            before_daemon = time.time()
            start(_daemon(workspace), None, "daemon", "sensors")
            start(_console(workspace, listener.fileno()), lambda: client.broken() is not None)
            self._wait("console", lambda: client.broken() is not None)
            self._wait("daemon", lambda: self._conducts(client, before_daemon))
            self._heard = True
            self._report_broken(client)
            ready(web)
            self._watch(client, environment, witness, database)

    def _report_broken(self, client: Console) -> None:
        """A missing folder does not stop the start; the log names it."""
        if broken := client.broken():
            self._warn(f"Not all is well ({', '.join(sorted(broken))}): `crown doctor` says what to do.")

    def _spawn(self, service: Service, environment: Mapping[str, str], witness: int) -> Running:
        environment = {**environment, "PGAPPNAME": f"crown {service.name}"}
        log_bytes = int(self.settings.log_max_size_mb * 1_000_000)
        log = self.settings.logs / f"{service.name.replace(' ', '_')}.log"
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            return Running(service, environment, log, log_bytes, witness, self._pass_on)
        except OSError as error:
            raise ConfigurationError(
                f"{error.filename or log} cannot be used ({error.strerror}); set CROWN_LOG_DIR or CROWN_HOME."
            ) from None

    def _pass_on(self, line: str) -> None:
        """Show what a service says; while we start, one sentence of ours says what is wrong."""
        if self._heard:
            self._say(line)

    def _say(self, line: str) -> None:
        """Say something; a terminal that was closed stops neither us nor the writing of logs."""
        with suppress(OSError):
            self.say(line)

    def _warn(self, line: str) -> None:
        """Say something that is also worth looking up later."""
        _log.warning("%s", line)
        self._say(line)

    def _wait(self, name: str, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            for watch in self._watches.values():
                if watch.running.status() is not None:
                    raise ConfigurationError(_ended_at_once(watch.running))
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"The {name} did not answer within {START_SECONDS:.0f} s; see {self.settings.logs}."
                )
            if self._end.wait(_POLL):
                raise StoppedEarlyError("Stopped before everything was up.")

    def _conducts(self, client: Console, since: float) -> bool:
        state = client.dagster()
        if state is None:
            return False
        if state.load_error:
            raise ConfigurationError(
                f"The definitions in {self.module} do not load: {_first_line(state.load_error)};"
                f" see {self.settings.logs / 'code_server.log'}."
            )
        # Heartbeats of an earlier daemon are still in the database.
        return state.definitions_loaded and state.beating_since is not None and state.beating_since >= since

    def _watch(
        self, client: Console, environment: Mapping[str, str], witness: int, database: ExitStack
    ) -> None:
        next_probe = time.monotonic() + _PROBE_EVERY
        while not self._end.wait(_POLL):
            now = time.monotonic()
            for watch in self._watches.values():
                self._mend(watch, environment, witness, now)
            if now >= next_probe:
                self._probe(client, database)
                next_probe = time.monotonic() + _PROBE_EVERY

    def _mend(self, watch: _Watch, environment: Mapping[str, str], witness: int, now: float) -> None:
        """Restart a service that ended, after a pause that doubles while it keeps ending."""
        status = watch.running.status()
        if status is None:
            return
        name = watch.running.service.name
        if watch.restart_at is None:
            if now - watch.running.started > _STABLE:
                watch.pause = _FIRST_PAUSE
            watch.restart_at = now + watch.pause
            watch.running.close()
            self._warn(f"The {name} ended (status {status}); it starts again in {watch.pause:.0f} s.")
            watch.pause = min(2 * watch.pause, _LONGEST_PAUSE)
        elif now >= watch.restart_at:
            watch.running = self._spawn(watch.running.service, environment, witness)
            watch.restart_at, watch.silent, watch.reported = None, 0, 0

    def _probe(self, client: Console, database: ExitStack) -> None:
        broken = client.broken() or frozenset()
        for name, watch in self._watches.items():
            if watch.running.status() is not None:
                continue
            watch.silent = 0 if watch.answers is None or watch.answers() else watch.silent + 1
            # A service that has just started is not to blame yet for what was broken before.
            settled = time.monotonic() - watch.running.started > _SETTLING
            watch.reported = watch.reported + 1 if settled and broken & watch.parts else 0
            if watch.silent >= _HUNG:
                self._restart(
                    watch,
                    f"The {name} has not answered for {_HUNG * _PROBE_EVERY:.0f} s and is started again.",
                )
            elif watch.reported >= _REPORTED:
                parts = ", ".join(sorted(broken & watch.parts))
                self._restart(watch, f"The {name} is started again: /health calls broken: {parts}.")
        if running_database(self.settings) is None:
            self._warn("The embedded database has ended; it starts again.")
            database.close()
            with suppress(ConfigurationError):  # the next probe tries again
                database.enter_context(open_database(self.settings))

    def _restart(self, watch: _Watch, reason: str) -> None:
        self._warn(reason)
        watch.silent, watch.reported = 0, 0
        watch.running.kill()

    def _stop(self, client: Console, database_url: str, socket: Path) -> None:
        """The daemon first, so that no new run starts; then the runs; then all else together."""
        self._close("daemon")
        runs = [] if self._hurry else runs_of(database_url, socket)
        if runs:
            self._say(f"Waiting for {len(runs)} {'run' if len(runs) == 1 else 'runs'} to end.")
            client.end_runs(runs)
            deadline = time.monotonic() + END_RUNS_SECONDS
            pause = threading.Event()
            while not self._hurry and runs_of(database_url, socket) and time.monotonic() < deadline:
                pause.wait(_POLL)
        for watch in self._watches.values():
            watch.running.ask_to_end()
        for name in list(self._watches):
            self._close(name)

    def _close(self, name: str) -> None:
        watch = self._watches.pop(name, None)
        if watch is not None:
            watch.running.ask_to_end()
            if self._hurry:
                watch.running.kill()
            watch.running.close()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first signal asks to stop, the second kills."""

        def asked(signum: int, _: FrameType | None) -> None:
            if self._end.is_set():
                self._hurry = True
                for watch in list(self._watches.values()):
                    watch.running.kill()
            else:
                self._end.set()
                self._say(f"Stopping ({signal.Signals(signum).name}); once more to kill.")

        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, asked) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def _database_keeper(self) -> Iterator[int]:
        """A process that stops the embedded database should we be killed; yields the end it listens to."""
        import subprocess

        read_end, write_end = os.pipe()
        keeper = None
        if self.settings.database_url is None:
            command = [
                sys.executable,
                "-m",
                "console.supervision.database_keeper",
                str(embedded_folder(self.settings)),
            ]
            keeper = subprocess.Popen(
                command, stdin=read_end, start_new_session=True, env=_environment(self.settings, None)
            )
        os.close(read_end)
        try:
            yield write_end
        finally:
            if keeper is not None:
                with suppress(BrokenPipeError):
                    os.write(write_end, b".")
            os.close(write_end)
            if keeper is not None:
                keeper.wait()


def process_of(settings: Settings) -> int | None:
    """The process of the `crown up` that runs in this CROWN_HOME, or None."""
    path = settings.home.expanduser().absolute() / "up.lock"
    try:
        with path.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(path.read_text() or 0)
    except OSError:
        return None
    return None


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the lock of this CROWN_HOME."""
    path = settings.home.expanduser().absolute() / "up.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+")
    except OSError as error:
        raise ConfigurationError(
            f"{path.parent} cannot be written ({error.strerror}); set CROWN_HOME to a folder that can."
        ) from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            raise ConfigurationError(
                f"`crown up` runs already in {path.parent} (process {stream.read().strip()}); stop it first,"
                " or set another CROWN_HOME."
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def _environment(settings: Settings, database_url: str | None) -> dict[str, str]:
    environment = {**os.environ, **settings_environment(settings), "PYTHONUNBUFFERED": "1"}
    path = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([path] if path else [])])
    if database_url is not None:
        environment |= {"CROWN_DATABASE_URL": database_url, **dagster_environment(settings, database_url)}
    return environment


def _code_server(module: str, folder: Path, socket: Path) -> Service:
    # Not `dagster code-server start`: its proxy hides the death of the process that holds the definitions.
    options = ("-s", str(socket), "-m", module, "-d", str(folder), "--location-name", LOCATION)
    command = (sys.executable, "-m", "dagster", "api", "grpc", "--lazy-load-user-code", *options)
    return Service("code server", (*command, "--use-python-environment-entry-point"), grace=10)


def _daemon(workspace: Path) -> Service:
    return Service("daemon", (sys.executable, "-m", "dagster._daemon", "run", "-w", str(workspace)), grace=15)


def _console(workspace: Path, listener: int) -> Service:
    options = ("--workspace", str(workspace), "--fd", str(listener))
    return Service("console", (sys.executable, "-m", "console.serve", *options), grace=10, fds=(listener,))


def _ended_at_once(running: Running) -> str:
    running.close()
    words = f" saying: {running.last_words[-1]}" if running.last_words else ""
    return f"The {running.service.name} ended at once (status {running.status()}){words}; see {running.log}."


def _first_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[0] if lines else "no reason given"
