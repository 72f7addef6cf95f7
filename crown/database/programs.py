"""Runs PostgreSQL's own programs: finds one that is new enough, and passes the address in its environment.

An address may hold a password, and arguments can be read by every user of the machine: none goes there.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from crown.database.embedded import programs
from crown.database.engine import our_url
from crown.errors import ConfigurationError, CrownError

#: Where Debian and its relatives install each version.
_PACKAGED = Path("/usr/lib/postgresql")


def libpq_environment(url: str) -> dict[str, str]:
    """The address as libpq's environment variables (PGHOST, PGPASSWORD, PGSSLMODE ...).

    Raises:
        ConfigurationError: a parameter of the address has no variable.
    """
    from psycopg.pq import Conninfo

    names = {
        option.keyword.decode(): option.envvar.decode()
        for option in Conninfo.get_defaults()
        if option.envvar is not None
    }
    parsed = our_url(url)
    given: dict[str, str | None] = {
        "host": parsed.host,
        "port": str(parsed.port) if parsed.port else None,
        "user": parsed.username,
        "password": str(parsed.password) if parsed.password else None,
        "dbname": parsed.database,
    }
    for keyword, value in parsed.query.items():
        given[keyword] = value if isinstance(value, str) else ",".join(value)
    environment = {}
    for keyword, text in given.items():
        if not text:
            continue
        if keyword not in names:
            raise ConfigurationError(
                f"CROWN_DATABASE_URL has the parameter {keyword}, which PostgreSQL's programs do not take; "
                "remove it there."
            )
        environment[names[keyword]] = text
    return environment


def major_of(path: Path) -> int:
    """The major version that a program reports."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=30)
    found = re.search(r"(\d+)", said.stdout)
    if found is None:
        raise ConfigurationError(f"{path} does not say its version; reinstall PostgreSQL's programs.")
    return int(found.group(1))


def find_program(name: str, at_least: int) -> Path:
    """A program of major version `at_least` or later, the oldest of them: what a newer one writes, an older server
    may not read. Embedded ones, that on PATH, and those where distributions put them.

    Raises:
        ConfigurationError: none is new enough.
    """
    candidates = [*programs(name), *sorted(_PACKAGED.glob(f"*/bin/{name}"))]
    if on_path := shutil.which(name):
        candidates.append(Path(on_path))
    majors = [(major_of(candidate), candidate) for candidate in candidates if candidate.exists()]
    enough = [one for one in majors if one[0] >= at_least]
    if not enough:
        raise ConfigurationError(
            f"No {name} of PostgreSQL {at_least} or later was found; install PostgreSQL {at_least}'s client programs."
        )
    return min(enough, key=lambda one: one[0])[1]


def run_program(path: Path, arguments: Sequence[str], url: str, doing: str) -> str:
    """Run a program against the database at `url`; returns what it printed.

    Raises:
        CrownError: it failed; the sentence holds its last line.
    """
    environment = {**os.environ, **libpq_environment(url), "LC_MESSAGES": "C"}
    try:
        done = subprocess.run(
            [path, *arguments], env=environment, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise CrownError(f"{doing} failed: {path} cannot be run ({error.strerror}).") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error:" in line or "FATAL" in line]
        reason = (lines or done.stderr.splitlines() or [_ending(done.returncode)])[0]
        raise CrownError(f"{doing} failed: {reason.strip()}.")
    return done.stdout


def _ending(status: int) -> str:
    return f"it was ended by {signal.strsignal(-status)}" if status < 0 else f"it ended with {status}"
