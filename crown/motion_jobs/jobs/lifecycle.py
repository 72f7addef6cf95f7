"""How people move jobs aside and back: hold, release, retry, archive. The verdicts are in `reviewing`.

Every function reports what it would do, and does it with `apply`; whether the person may is asked by whoever calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, text

from crown.errors import BadInput
from crown.ledger import planning
from crown.ledger.locks import lock_assets
from crown.motion_jobs.gates import MIN_REASON
from crown.motion_jobs.jobs import acts, jobs
from crown.motion_jobs.jobs.acts import Acted, Person
from crown.motion_jobs.jobs.jobs import Chosen
from crown.motion_jobs.workspace import JOB_ASSETS, SOURCES, Workspace


def hold(
    workspace: Workspace,
    patterns: Sequence[str],
    person: Person,
    *,
    batch: str | None = None,
    apply: bool = False,
) -> list[Acted]:
    """Take jobs out of work until they are released. The reason has 10 characters or more."""
    statuses = (
        "pending", "processing", "awaiting_review", "awaiting_approval", "ready_for_validation", "validation_failed",
        "failed",
    )  # fmt: skip
    if len((person.reason or "").strip()) < MIN_REASON:
        raise BadInput(f"To hold a job takes a reason of at least {MIN_REASON} characters.")

    def steps(connection: Connection, chosen: Sequence[Chosen]) -> None:
        acts.hold_items(connection, chosen, person)

    return _move(workspace, patterns, person, "hold", dict.fromkeys(statuses, "on_hold"), steps, batch, apply)


def release(
    workspace: Workspace,
    patterns: Sequence[str],
    person: Person,
    *,
    batch: str | None = None,
    apply: bool = False,
) -> list[Acted]:
    """Put held jobs back to where they would be."""

    def steps(connection: Connection, chosen: Sequence[Chosen]) -> None:
        acts.release_items(connection, chosen, person)

    return _move(workspace, patterns, person, "release", {"on_hold": "as before"}, steps, batch, apply)


def retry(
    workspace: Workspace,
    patterns: Sequence[str],
    person: Person,
    *,
    batch: str | None = None,
    apply: bool = False,
) -> list[Acted]:
    """Try failed jobs again, from the stage at which they failed."""

    def steps(connection: Connection, chosen: Sequence[Chosen]) -> None:
        lock_assets(connection, (SOURCES, *JOB_ASSETS))
        for asset in JOB_ASSETS:
            for one in chosen:
                planning.retry(connection, asset, _literally(one.job_id))
        _retry_sources(connection, chosen)

    return _move(workspace, patterns, person, "retry", {"failed": "processing"}, steps, batch, apply)


def archive(
    workspace: Workspace,
    patterns: Sequence[str],
    person: Person,
    *,
    batch: str | None = None,
    apply: bool = False,
) -> list[Acted]:
    """Freeze completed jobs: their packages stay, and changed files touch them no more."""

    def steps(connection: Connection, chosen: Sequence[Chosen]) -> None:
        acts.hold_items(
            connection, chosen, replace(person, reason=person.reason or "archived with its package")
        )
        connection.execute(
            text(
                "update motion.job_records set status = 'archived', archived_at = clock_timestamp(), archived_by = :who"
                " where job_id = any(:jobs)"
            ),
            {"who": person.who, "jobs": [one.job_id for one in chosen]},
        )

    return _move(workspace, patterns, person, "archive", {"completed": "archived"}, steps, batch, apply)


def unarchive(
    workspace: Workspace,
    patterns: Sequence[str],
    person: Person,
    *,
    batch: str | None = None,
    apply: bool = False,
) -> list[Acted]:
    """Take jobs back out of the archive; files that changed meanwhile re-open them."""

    def steps(connection: Connection, chosen: Sequence[Chosen]) -> None:
        connection.execute(
            text(
                "update motion.job_records set status = 'completed', archived_at = null, archived_by = null"
                " where job_id = any(:jobs)"
            ),
            {"jobs": [one.job_id for one in chosen]},
        )
        acts.release_items(connection, chosen, person)

    return _move(workspace, patterns, person, "unarchive", {"archived": "completed"}, steps, batch, apply)


def _move(
    workspace: Workspace,
    patterns: Sequence[str],
    person: Person,
    act: str,
    then: Mapping[str, str],
    steps: Callable[[Connection, Sequence[Chosen]], None],
    batch: str | None,
    apply: bool,
) -> list[Acted]:
    """Choose the jobs that an act may move by their status, and carry the act out on them with `apply`."""
    with workspace.engine.connect() as connection:
        chosen = jobs.choose(connection, patterns, tuple(then), batch=batch)

    def act_in(connection: Connection) -> None:
        steps(connection, chosen)
        acts.record(connection, chosen, act, person)

    return acts.carry_out(workspace, chosen, act, then, act_in if apply else None, person)


def _retry_sources(connection: Connection, chosen: Sequence[Chosen]) -> None:
    paths = connection.execute(
        text("select psd_path, aepx_path from motion.job_records where job_id = any(:jobs)"),
        {"jobs": [one.job_id for one in chosen]},
    ).all()
    for path in sorted({path for row in paths for path in row}):
        planning.retry(connection, SOURCES, _literally(path))


def _literally(key: str) -> str:
    r"""A LIKE pattern for exactly this key: `_`, `%` and `\` stand for themselves."""
    return key.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
