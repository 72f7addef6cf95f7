"""PostgreSQL servers of the distribution's packages, run by the tests beside the embedded one."""

from __future__ import annotations

import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


def packaged(pattern: str) -> list[Path]:
    """Folders of the programs of the installed versions whose number matches a glob pattern."""
    return sorted(Path("/usr/lib/postgresql").glob(f"{pattern}/bin"))


@contextmanager
def packaged_server(programs: Path, folder: Path) -> Iterator[str]:
    """Run a server in an empty folder; yields the address of its database `postgres`."""
    as_user: list[str] = []
    if psutil.Process().uids().real == 0:  # PostgreSQL does not run as root
        for part in (folder, *folder.parents):
            if part != Path("/") and part.owner() == "root":
                part.chmod(stat.S_IMODE(part.stat().st_mode) | 0o055)
        subprocess.run(["chown", "postgres", folder], check=True)
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data, program = str(folder / "data"), str(programs / "pg_ctl")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    for arguments in (
        ["-D", data, "-o", "--auth=trust --username=postgres --encoding=UTF8", "initdb"],
        ["-D", data, "-w", "-l", str(folder / "log"), "-o", start, "start"],
    ):
        subprocess.run([*as_user, program, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run(
            [*as_user, program, "-D", data, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL
        )
