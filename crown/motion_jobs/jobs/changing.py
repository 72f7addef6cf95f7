"""Changing rows of jobs, deleting jobs and batches, resolving warnings: each in the activity trail.

Every function says what it would do, and does it with `apply`; whether the person may is asked by whoever calls.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from crown.errors import BadInput
from crown.journal import activity
from crown.ledger import written_files
from crown.motion_jobs import stages
from crown.motion_jobs.jobs import jobs
from crown.motion_jobs.jobs.acts import Person
from crown.motion_jobs.jobs.csv_batches import OUTPUT, PRIORITIES
from crown.motion_jobs.jobs.jobs import Chosen
from crown.motion_jobs.jobs.statuses import STATUSES
from crown.motion_jobs.workspace import DEPARTMENT, DEPLOYMENTS, PACKAGES, Workspace

#: Columns of a job that people change after the upload.
FIELDS = ("priority", "notes", "client_name", "project_name", "output_name")
_MOST = {"client_name": 100, "project_name": 100, "notes": 10_000}


@dataclass(frozen=True)
class Deleted:
    """A job that is or would be deleted; `package`: what becomes of its package."""

    job_id: str
    batch_id: str
    status: str
    package: str


def edit(
    workspace: Workspace,
    patterns: Sequence[str],
    values: Mapping[str, str],
    person: Person,
    *,
    apply: bool = False,
) -> list[dict[str, Any]]:
    """Change columns of jobs; an empty text empties one. Returns old and new values by job.

    Raises:
        BadInput: a column or value that cannot be, or an output name that another job has.
    """
    new = {name: _value(name, value) for name, value in values.items()}
    if not new:
        raise BadInput(f"Name what to change: {', '.join(FIELDS)}.")
    with workspace.engine.connect() as connection:
        chosen = jobs.choose(connection, patterns, STATUSES)
        if "output_name" in new and len(chosen) > 1:
            raise BadInput("An output name is for one job; name that job alone.")
        rows = connection.execute(
            text(
                f"select job_id, {', '.join(new)} from motion.job_records where job_id = any(:jobs) order by job_id"
            ),
            {"jobs": [one.job_id for one in chosen]},
        ).mappings()
        before = {row["job_id"]: {name: row[name] for name in new} for row in rows}
    changed = [{"job_id": job, "old": old, "new": new} for job, old in before.items() if old != new]
    if apply and changed:
        _write(workspace, [str(one["job_id"]) for one in changed], before, new, person)
        stages.plan(workspace)
        stages.follow(workspace, who=person.who, via=person.via)
    return changed


def _value(name: str, value: str) -> str | None:
    if name not in FIELDS:
        raise BadInput(f"{name} cannot be changed; these can: {', '.join(FIELDS)}.")
    if name == "priority" and value not in PRIORITIES:
        raise BadInput(f"Priority {value!r} is not {' or '.join(PRIORITIES)}.")
    if name == "output_name" and not OUTPUT.fullmatch(value):
        raise BadInput(f"output_name {value!r} must be letters, digits, _ and -, and end in .aep or .aepx.")
    if len(value) > _MOST.get(name, 10_000) or "\x00" in value:
        raise BadInput(f"{name} has {len(value)} characters; at most {_MOST.get(name, 10_000)} are kept.")
    return value or None


def _write(
    workspace: Workspace,
    changed: Sequence[str],
    before: Mapping[str, Mapping[str, Any]],
    new: Mapping[str, str | None],
    person: Person,
) -> None:
    columns = ", ".join(f"{name} = :{name}" for name in new)
    try:
        with workspace.engine.begin() as connection:
            connection.execute(
                text(f"update motion.job_records set {columns} where job_id = any(:jobs)"),
                {**new, "jobs": list(changed)},
            )
            _record(connection, [(job, before[job], dict(new)) for job in changed], "edit", person)
    except IntegrityError:
        raise BadInput(f"Another job writes {new.get('output_name')} already. Choose another name.") from None


def delete(
    workspace: Workspace,
    patterns: Sequence[str],
    person: Person,
    *,
    batch: str | None = None,
    apply: bool = False,
) -> list[Deleted]:
    """Delete jobs with their packages; with a batch and no patterns, the batch as well, so that its file may come again.

    A package that somebody changed is kept. What was decided and done stays in the ledger and the trail.
    """
    from crown.motion_jobs.deliverables.packages import package_problems

    with workspace.engine.connect() as connection:
        chosen = (
            jobs.choose(connection, patterns, STATUSES, batch=batch)
            if patterns or not batch
            else _all(connection, batch)
        )
    found = []
    for one in chosen:
        folder = workspace.settings.motion / PACKAGES / one.batch_id / one.job_id
        said = (
            "none"
            if not folder.is_dir()
            else "kept: somebody changed it"
            if package_problems(folder)
            else "removed"
        )
        found.append(Deleted(one.job_id, one.batch_id, one.status, said))
    if apply:
        for deleted in found:
            if deleted.package == "removed":
                shutil.rmtree(workspace.settings.motion / PACKAGES / deleted.batch_id / deleted.job_id)
        _delete(workspace, found, None if patterns else batch, person)
    return found


def _all(connection: Connection, batch: str) -> list[Chosen]:
    """The jobs of a batch, which may have none.

    Raises:
        BadInput: there is no such batch.
    """
    known = connection.execute(
        text("select 1 from motion.batch_records where batch_id = :batch"), {"batch": batch}
    )
    if known.scalar() is None:
        raise BadInput(f"There is no batch {batch}; `crown motion status` lists them.")
    rows = connection.execute(
        text(
            "select job_id, batch_id, status, current_stage from motion.job_records where batch_id = :batch order by job_id"
        ),
        {"batch": batch},
    )
    return [Chosen(row.job_id, row.batch_id, row.status, row.current_stage, None) for row in rows]


def _delete(workspace: Workspace, found: Sequence[Deleted], batch: str | None, person: Person) -> None:
    with workspace.engine.begin() as connection:
        for one in found:
            connection.execute(
                text("delete from motion.job_records where job_id = :job"), {"job": one.job_id}
            )
            connection.execute(
                text(
                    "update motion.batch_records set deleted_jobs = deleted_jobs + 1 where batch_id = :batch"
                ),
                {"batch": one.batch_id},
            )
        _record(connection, [(one.job_id, {"status": one.status}, None) for one in found], "delete", person)
        if batch is not None:
            connection.execute(
                text("delete from motion.batch_records where batch_id = :batch"), {"batch": batch}
            )
            activity.record(
                connection,
                who=person.who,
                what="batch_deleted",
                subject=batch,
                department=DEPARTMENT,
                via=person.via,
                details=person.reason,
                old={"jobs": len(found)},
            )
        # The files are gone: nothing is looked for under their names.
        gone = connection.execute(
            text(
                "select output_id from ledger.outputs where asset = :asset and key = any(:jobs) and present"
            ),
            {"asset": DEPLOYMENTS, "jobs": [one.job_id for one in found if one.package == "removed"]},
        )
        written_files.mark_removed(connection, list(gone.scalars()))
    stages.plan(workspace)
    stages.follow(workspace, who=person.who, via=person.via)


def resolve(
    workspace: Workspace, job_id: str, warnings: Sequence[int], person: Person, *, resolved: bool = True
) -> int:
    """Mark warnings of a job as dealt with, or not; returns how many changed. The reason is kept as a note.

    Raises:
        BadInput: the job has no such warning.
    """
    with workspace.engine.begin() as connection:
        known = connection.execute(
            text("select warning_id from motion.job_warnings where job_id = :job and warning_id = any(:ids)"),
            {"job": job_id, "ids": list(warnings)},
        ).scalars()
        if missing := sorted(set(warnings) - set(known)):
            raise BadInput(f"{job_id} has no warning {missing[0]}; `crown motion show {job_id}` lists them.")
        changed = connection.execute(
            text(
                "update motion.job_warnings set resolved = :resolved, resolution_notes = :notes,"
                " resolved_at = case when :resolved then clock_timestamp() end,"
                " resolved_by = case when :resolved then :who end"
                " where job_id = :job and warning_id = any(:ids) and resolved <> :resolved"
            ),
            {
                "resolved": resolved,
                "notes": person.reason,
                "who": person.who,
                "job": job_id,
                "ids": list(warnings),
            },
        ).rowcount
        act = "resolve_warning" if resolved else "unresolve_warning"
        _record(connection, [(job_id, None, {"warnings": list(warnings)})] if changed else [], act, person)
    return changed


def _record(
    connection: Connection, changes: Sequence[tuple[str, Any, Any]], act: str, person: Person
) -> None:
    activity.record_all(
        connection,
        [
            activity.Entry(
                who=person.who,
                what=f"user_action:{act}",
                subject=job,
                department=DEPARTMENT,
                via=person.via,
                entity=job,
                details=person.reason,
                old=old,
                new=new,
            )
            for job, old, new in changes
        ],
    )
