"""Looks for what would stop the platform, and says what to do: every check is a function in one table.

Nothing is changed here but short-lived probe files. What the answers look like belongs to the command.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crown import departments
from crown.errors import ConfigurationError, CrownError
from crown.flow.summary import Finding, Verdict
from crown.settings.model import Settings, load_settings, variable
from crown.store import mounts

if TYPE_CHECKING:
    from sqlalchemy import Engine

#: Gone at a restart, or with the container.
_PASSING = {"tmpfs", "ramfs", "overlay"}
#: PostgreSQL's own documentation warns of databases on these.
_REMOTE = {"cifs", "smb3", "smbfs", "nfs", "nfs4", "fuse.sshfs", "9p", "afs", "davfs"}
_MAX_SKEW_SECONDS = 5
#: Where colleagues read and move what we write.
_SHARED = ("media_root", "production_root", "art_exports_root")
#: CrownPipe's variables without its prefix: other programs may use them, so they are not refused.
WITHOUT_EFFECT = frozenset(
    [f"PG_{part}" for part in ("HOST", "PORT", "DATABASE", "USER", "PASSWORD")]
    + [f"FILEMAKER_{part}" for part in ("SERVER", "PORT", "DATABASE", "USERNAME", "PASSWORD")]
    + [f"ISERIES_{part}" for part in ("SERVER", "DATABASE", "USERNAME", "PASSWORD")]
    + [f"DJANGO_{part}" for part in ("SECRET_KEY", "DEBUG", "ALLOWED_HOSTS")]
)


def examine(read: Callable[[], Settings] = load_settings) -> list[Finding]:
    """Every check with the settings that `read` returns; with broken settings only that is said."""
    try:
        settings = read()
    except ConfigurationError as error:
        return [Finding("settings", "fail", str(error), "Correct it, then run `crown doctor` again.")]
    found = [Finding("settings", "ok", f"{settings.environment}, home {settings.home}")]
    for name, check in CHECKS.items():
        try:
            found += [one if isinstance(one, Finding) else Finding(name, *one) for one in check(settings)]
        except (CrownError, OSError) as error:
            found.append(Finding(name, "fail", str(error), ""))
    return found


_Answers = Iterator[tuple[Verdict, str, str] | Finding]


def _folders(settings: Settings) -> dict[str, Path]:
    return {
        "home": settings.home,
        "media_root": settings.media,
        "production_root": settings.production,
        "objects_root": settings.objects,
        **({"art_exports_root": settings.art_exports} if settings.art_exports_root else {}),
        "log_dir": settings.logs,
    }


def _existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next(candidate for candidate in (folder, *folder.parents) if candidate.exists())


def _check_folders(settings: Settings) -> _Answers:
    """Written, synced, renamed and given mode and group, as every result will be."""
    absent = mounts.lost(settings)
    for field, folder in _folders(settings).items():
        if field in absent:
            yield "fail", absent[field], f"Mount it, or correct {variable(field)}; Crown makes no root."
            continue
        there = _existing(folder)
        if not there.is_dir():
            yield "fail", f"{there} is a file, not a folder", f"Move it away or correct {variable(field)}."
            continue
        problem = _probe(there, settings if field in _SHARED else None)
        if problem:
            yield "fail", f"{there}: {problem}", f"Give its owner write access or correct {variable(field)}."
        elif there != folder:
            yield "ok", f"{folder} will be made in {there}", ""
        else:
            yield "ok", f"{folder} can be written", ""


def _probe(folder: Path, share: Settings | None) -> str:
    unfinished, final = (folder / f".crown-doctor-{os.getpid()}{ending}" for ending in ("", ".done"))
    step = "a file cannot be written"
    try:
        with unfinished.open("xb") as stream:
            stream.write(b"crown doctor\n")
            stream.flush()
            os.fsync(stream.fileno())
        if share is not None:
            step = f"mode {share.file_mode:o} cannot be given"
            unfinished.chmod(share.file_mode)
            if share.file_group is not None:
                step = f"group {share.file_group} cannot be given"
                shutil.chown(unfinished, group=share.file_group)
        step = "a file cannot be renamed"
        unfinished.rename(final)
    except (OSError, LookupError) as error:
        return f"{step} ({getattr(error, 'strerror', None) or error})"
    finally:
        for path in (unfinished, final):
            path.unlink(missing_ok=True)
    return ""


def _check_filesystems(settings: Settings) -> _Answers:
    import psutil

    mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    said: set[str | None] = set()
    for field, folder in _folders(settings).items():
        place = _existing(folder).resolve()
        mount = next((str(at) for at in (place, *place.parents) if str(at) in mounts), None)
        kind = mounts[mount] if mount else "unknown"
        if kind in _PASSING:
            yield (
                "warn",
                f"{folder} is on {kind}, which does not outlive a restart or its container",
                f"Point {variable(field)} to a disk or a mounted volume.",
            )
        elif kind in _REMOTE and field == "home" and settings.database_url is None:
            yield (
                "fail",
                f"{folder} is on {kind}: the embedded database needs a local disk",
                "Point CROWN_HOME to a local disk, and CROWN_OBJECTS_ROOT to the share if you like.",
            )
        elif mount not in said:
            yield "ok", f"{folder} is on {kind}", ""
        said.add(mount)


def _check_space(settings: Settings) -> _Answers:
    devices: dict[int, Path] = {}
    for folder in _folders(settings).values():
        devices.setdefault(_existing(folder).stat().st_dev, _existing(folder))
    for place in devices.values():
        free = shutil.disk_usage(place).free / 1e9
        if free < settings.min_free_gb:
            yield (
                "fail",
                f"{free:.1f} GB are free at {place}, less than {settings.min_free_gb:g} GB",
                "Free some space, or lower CROWN_MIN_FREE_GB.",
            )
        else:
            yield "ok", f"{free:.1f} GB are free at {place}", ""


def _check_group(settings: Settings) -> _Answers:
    import grp

    if settings.file_group is None:
        yield "ok", "files keep the group of the user who writes them", ""
        return
    try:
        group = grp.getgrnam(settings.file_group)
    except KeyError:
        yield (
            "fail",
            f"the group {settings.file_group} does not exist",
            f"`groupadd {settings.file_group}`, or correct CROWN_FILE_GROUP.",
        )
        return
    if os.geteuid() != 0 and group.gr_gid not in {*os.getgroups(), os.getegid()}:
        yield (
            "fail",
            f"this user is not in the group {settings.file_group}, so files cannot be given to it",
            f"`usermod -aG {settings.file_group} USER`, then log in again.",
        )
        return
    yield "ok", f"files are given to the group {settings.file_group}", ""


def _check_database(settings: Settings) -> _Answers:
    from crown.database.engine import check_server, connect
    from crown.database.opening import embedded_folder, serve_database

    if settings.database_url is None and not (embedded_folder(settings) / "PG_VERSION").exists():
        yield "ok", f"the embedded database will be made in {embedded_folder(settings)}", ""
        return
    with serve_database(settings) as url:
        engine = connect(url, pool_size=1)
        try:
            major = check_server(engine)
            kind = "embedded" if settings.database_url is None else engine.url.host or "by socket"
            yield "ok", f"PostgreSQL {major} answers ({kind})", ""
            yield from _revision(engine, settings)
            yield from _dagster_tables(engine)
            yield from _clock(engine)
        finally:
            engine.dispose()


def _revision(engine: Engine, settings: Settings) -> _Answers:
    from sqlalchemy import text

    from crown.database.migrations import known_revisions, newest_revision

    newest = newest_revision()
    with engine.connect() as connection:
        there = connection.execute(text("select to_regclass('public.alembic_version') is not null")).scalar()
        now = connection.execute(text("select version_num from alembic_version")).scalar() if there else None
    if now == newest:
        yield "ok", f"the tables are at revision {now}, the newest", ""
        yield from departments.database_findings(engine, settings)
    elif now is None or now in known_revisions():
        yield (
            "warn",
            f"the tables are at revision {now or 'none'}, the newest is {newest}",
            "`crown db migrate`; `crown up` does it too.",
        )
    else:
        yield (
            "fail",
            f"the tables are at revision {now}, which this program does not know",
            "Install the newer Crown that made it, or restore an older backup.",
        )


def _dagster_tables(engine: Engine) -> _Answers:
    from sqlalchemy import text

    wanted = {"runs", "event_logs", "job_ticks", "daemon_heartbeats"}
    with engine.connect() as connection:
        query = text("select tablename from pg_tables where schemaname = 'dagster'")
        missing = sorted(wanted - set(connection.execute(query).scalars()))
    if len(missing) == len(wanted):
        yield "ok", "Dagster's tables will be made at the first start", ""
    elif missing:
        yield (
            "fail",
            f"Dagster's tables are incomplete: {', '.join(missing)} missing in the schema dagster",
            "`dagster instance migrate` with the variables of `crown env`.",
        )
    else:
        yield "ok", "Dagster's tables are there", ""


def _clock(engine: Engine) -> _Answers:
    from sqlalchemy import text

    with engine.connect() as connection:
        connection.execute(text("select 1"))
        before = datetime.now(UTC)
        server = connection.execute(text("select clock_timestamp()")).scalar_one()
        after = datetime.now(UTC)
    skew = max((server - after).total_seconds(), (before - server).total_seconds(), 0.0)
    if skew > _MAX_SKEW_SECONDS:
        yield (
            "warn",
            f"this machine's clock and the database's differ by {skew:.0f} s: leases may end early or late",
            "Set both by NTP.",
        )
    else:
        yield "ok", "this machine's clock agrees with the database's", ""


def _check_programs(settings: Settings) -> _Answers:
    from crown.database.embedded import program

    for name in ("pg_dump", "pg_restore", *(("postgres",) if settings.database_url is None else ())):
        path = program(name)
        try:
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=20)
        except (OSError, subprocess.SubprocessError) as error:
            yield (
                "fail",
                f"{name} of the embedded PostgreSQL does not run ({error})",
                "Install the dependencies again: `make setup`.",
            )
        else:
            yield "ok", said.stdout.strip(), ""


def _check_port(settings: Settings) -> _Answers:
    host, port = settings.web_host, settings.web_port
    loopback = host in ("127.0.0.1", "localhost", "::1")
    if not loopback and settings.web_token is None:
        yield (
            "fail",
            f"{host} can be reached from other machines, and nobody has to sign in",
            "Set CROWN_WEB_TOKEN, or CROWN_WEB_HOST to 127.0.0.1.",
        )
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        near = "127.0.0.1" if loopback or host == "0.0.0.0" else host  # noqa: S104
        health = _asked(near, port, "/health")
        if "status" in health or "dagster_webserver_version" in _asked(near, port, "/server_info"):
            yield "ok", f"the web address {host}:{port} is served already, by `crown up` or Dagster", ""
            if health.get("status", "ok") != "ok":
                yield (
                    "fail",
                    f"the platform that runs there says: {health['status']}",
                    f"Look at the logs in {settings.logs}, and at the start page of the console.",
                )
        else:
            yield (
                "fail",
                f"the web address {host}:{port} cannot be taken ({error.strerror or error})",
                "Stop what uses it, or set CROWN_WEB_PORT or CROWN_WEB_HOST.",
            )
    else:
        yield "ok", f"the web address {host}:{port} is free", ""


def _asked(host: str, port: int, path: str) -> dict[str, object]:
    connection = http.client.HTTPConnection(host, port, timeout=8)
    try:
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read(10_000))
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else {}


def _check_old_names(_: Settings) -> _Answers:
    from dotenv import dotenv_values

    names = {*os.environ, *dotenv_values(".env")}
    if left := sorted(name for name in names if name in WITHOUT_EFFECT):
        yield (
            "warn",
            f"{', '.join(left)} are CrownPipe's and have no effect",
            "Unset them; the database is CROWN_DATABASE_URL now (docs/moving-from-crownpipe.md).",
        )


def _check_secrets(settings: Settings) -> _Answers:
    path = Path(".env")
    if not path.is_file() or (settings.database_url is None and settings.web_token is None):
        return
    if path.stat().st_mode & 0o044:
        yield "warn", f"{path.absolute()} can be read by others and may hold secrets", f"`chmod 600 {path}`."
    else:
        yield "ok", f"{path.absolute()} is private", ""


#: Name of the check, and what answers it.
CHECKS: dict[str, Callable[[Settings], _Answers]] = {
    "folders": _check_folders,
    "file systems": _check_filesystems,
    "free space": _check_space,
    "file group": _check_group,
    "programs": _check_programs,
    "database": _check_database,
    "web address": _check_port,
    "departments": departments.findings,
    "old names": _check_old_names,
    "secrets": _check_secrets,
}
