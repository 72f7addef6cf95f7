"""Stage 0: CSV files become batches with jobs. The file is kept byte for byte; bad rows are kept with their reasons.

What a row must look like is csv_batches.py.
"""

from __future__ import annotations

import getpass
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from crown.errors import BadInput, TemporaryFailure
from crown.flow import inbox
from crown.flow.inbox import Refusals
from crown.journal import activity
from crown.motion_jobs import sources
from crown.motion_jobs.jobs.csv_batches import (
    Batch,
    BatchRules,
    JobRow,
    batch_id,
    read_batch,
)
from crown.motion_jobs.workspace import BATCH_FOLDER, DEPARTMENT, JOB_ASSETS, MOTION, REFUSED, Workspace
from crown.store import watch
from crown.store.watch import Seen

_log = logging.getLogger(__name__)
#: Levels of folders below batches/ in which files are looked for.
DEPTH = 3


@dataclass(frozen=True)
class Uploaded:
    """What became of a file: its batch, and whether the same bytes were a batch already."""

    batch_id: str
    file: str
    known: bool
    total_jobs: int
    valid_jobs: int
    invalid_jobs: int
    status: str
    notices: tuple[str, ...] = ()


@dataclass
class Intake:
    """What a look at the folder found."""

    uploaded: list[Uploaded] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)


def upload(workspace: Workspace, path: Path, *, who: str, via: activity.Via = "cli") -> Uploaded:
    """Make a batch of a CSV file, which stays where it is.

    Raises:
        BadInput: the file cannot be read as a batch.
    """
    path = path.absolute()
    with _one_at_a_time(workspace):
        batch = validated(workspace, path)
        content_hash, size = workspace.objects.put(path)
        with workspace.engine.begin() as connection:
            return _enter(connection, workspace, path, batch, content_hash, size, who, via)


def validated(workspace: Workspace, path: Path) -> Batch:
    """Check the rows of a file; every PSD and project that it names is read, each once.

    Raises:
        BadInput: the file cannot be read as a batch.
    """
    with workspace.engine.connect() as connection:
        jobs = connection.execute(
            text(
                "select job_id, lower(output_name) as output from motion.job_records"
                " union all select job_id, null from motion.imported_jobs"
            )
        ).all()
    named: dict[Path, None] = {}

    def rules(defect_of: Any) -> BatchRules:
        return BatchRules(
            workspace.allowed_roots,
            frozenset(row.job_id for row in jobs),
            frozenset(row.output for row in jobs if row.output),
            int(workspace.settings.motion_jobs.max_csv_mb * 1e6),
            workspace.settings.motion_jobs.max_rows,
            defect_of,
        )

    read_batch(path, rules(lambda file: named.setdefault(file)))
    seen = sources.seen_now(named)
    sources.read(workspace, seen)
    found = {Path(one.path): _defect(workspace, one) for one in seen}
    return read_batch(path, rules(lambda file: found.get(file)))


def _defect(workspace: Workspace, one: sources.Seen) -> str | None:
    name = Path(one.path).name
    if one.content_hash is None:
        return f"{name} cannot be read. Check its rights."
    try:
        return sources.defect(workspace.cache, one.kind, one.content_hash)
    except TemporaryFailure:
        return f"{name} is being changed. Upload the file again when it is at rest."


def take_in(workspace: Workspace) -> Intake:
    """Make batches of the CSV files in batches/ that are at rest; other files there are left alone."""
    found = Intake()
    folder = workspace.settings.motion / BATCH_FOLDER
    listed = [one for one in inbox.listed(folder, depth=DEPTH) if one[0].lower().endswith(".csv")]
    status = dict(listed)
    refusals = refused(workspace)
    refusals.clear_notes()
    prefix = f"{BATCH_FOLDER}/"
    for sighting in watch.look(workspace.engine, MOTION, _storable(listed), prefix):
        name = sighting.path.removeprefix(prefix)
        if not sighting.complete:
            found.unfinished.append(name)
            continue
        path = folder / name
        try:
            found.uploaded.append(_take(workspace, path, status[name]))
        except BadInput as error:
            found.refused[name] = str(error)
            refusals.set_aside(sighting.path, REFUSED, str(error))
        except (TemporaryFailure, FileNotFoundError):
            found.unfinished.append(name)
    return found


def refused(workspace: Workspace) -> Refusals:
    """The folder of files that could not be read as a batch."""
    folder = workspace.settings.motion / BATCH_FOLDER
    return Refusals(workspace, MOTION, (REFUSED,), lambda: [folder], (), lambda _: None)


def seen_by_people(workspace: Workspace) -> list[Seen]:
    """CSV files in batches/, and files of jobs that are new, changed or gone since the last look."""
    folder = workspace.settings.motion / BATCH_FOLDER
    listed = [one for one in inbox.listed(folder, depth=DEPTH) if one[0].lower().endswith(".csv")]
    looked = watch.look(workspace.engine, MOTION, _storable(listed), f"{BATCH_FOLDER}/")
    seen = [Seen(one.path, f"{one.size_bytes}:{one.mtime_ns}", one.complete) for one in looked]
    return seen + [Seen(path, token, True) for path, token in sources.changed(workspace)]


def _storable(listed: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [one for one in listed if watch.storable(one[0])]


def _take(workspace: Workspace, path: Path, status: Any) -> Uploaded:
    who = inbox.uploader(status)
    with _one_at_a_time(workspace):
        batch = validated(workspace, path)
        entered, _ = inbox.keep(
            workspace,
            path,
            status,
            lambda connection, content_hash, size: _enter(
                connection, workspace, path, batch, content_hash, size, who, "share"
            ),
            key=f"{DEPARTMENT}/batches",
            then=lambda recorded, *_: _log.info(
                "%s %s", path.name, _said(recorded), extra={"department": DEPARTMENT, "user_id": who}
            ),
        )
    return entered


def _said(one: Uploaded) -> str:
    if one.known:
        return f"is the batch {one.batch_id} already"
    return f"is the batch {one.batch_id}: {one.valid_jobs} jobs, {one.invalid_jobs} rows quarantined"


@contextmanager
def _one_at_a_time(workspace: Workspace) -> Iterator[None]:
    """Two files at once would take the same ids; the lock ends with the connection."""
    with workspace.engine.connect() as connection:
        connection.execute(text("select pg_advisory_lock(hashtextextended('motion_jobs/intake', 1))"))
        connection.commit()
        try:
            yield
        finally:
            connection.rollback()
            connection.execute(text("select pg_advisory_unlock(hashtextextended('motion_jobs/intake', 1))"))
            connection.commit()


def _enter(
    connection: Connection,
    workspace: Workspace,
    path: Path,
    batch: Batch,
    content_hash: str,
    size: int,
    who: str,
    via: activity.Via,
) -> Uploaded:
    known = connection.execute(
        text("select batch_id from motion.batch_records where content_hash = :hash"), {"hash": content_hash}
    ).scalar()
    if known is not None:
        return of_batch(connection, known, path.name, known=True)
    taken = connection.execute(text("select batch_id from motion.batches")).scalars().all()
    name = batch_id(datetime.now().astimezone(), taken)
    connection.execute(
        text(
            "insert into motion.batch_records (batch_id, csv_filename, csv_path, content_hash, size_bytes, total_jobs,"
            " valid_jobs, invalid_jobs, blank_rows, uploaded_by, validated_at, notices, status, completed_at)"
            " values (:batch, :file, :path, :hash, :size, :total, :valid, :invalid, :blank, :who, clock_timestamp(),"
            " :notices, case when :valid > 0 then 'validated' else 'failed' end,"
            " case when :valid = 0 then clock_timestamp() end)"
        ),
        {
            "batch": name,
            "file": inbox.readable_name(path.name),
            "path": inbox.readable_name(str(path)),
            "hash": content_hash,
            "size": size,
            "total": batch.rows,
            "valid": len(batch.jobs),
            "invalid": len(batch.quarantined),
            "blank": batch.blank_rows,
            "who": who,
            "notices": list(batch.notices),
        },
    )
    _enter_jobs(connection, name, batch.jobs, who)
    _enter_findings(connection, name, batch)
    activity.record(
        connection,
        who=who,
        what="batch_uploaded",
        subject=name,
        department=DEPARTMENT,
        via=via,
        source_file=path.name,
        details=f"{len(batch.jobs)} jobs, {len(batch.quarantined)} rows quarantined",
        new={"content_hash": content_hash, "jobs": len(batch.jobs), "quarantined": len(batch.quarantined)},
    )
    if workspace.settings.motion_jobs.auto_start:
        queue(connection, name, workspace.settings.motion_jobs.max_jobs, who)
    return of_batch(connection, name, path.name, known=False)


def _enter_jobs(connection: Connection, batch: str, jobs: tuple[JobRow, ...], who: str) -> None:
    columns = (
        "job_id", "csv_row", "psd_path", "aepx_path", "output_name", "client_name", "project_name", "priority", "notes",
        "extra",
    )  # fmt: skip
    rows = [
        {
            **{name: getattr(job, name) for name in columns if name not in ("csv_row", "extra")},
            "psd_path": str(job.psd_path),
            "aepx_path": str(job.aepx_path),
            "csv_row": job.row,
            "extra": json.dumps(dict(job.extra), ensure_ascii=False),
        }
        for job in jobs
    ]
    connection.execute(
        text(
            f"insert into motion.job_records (batch_id, stage0_completed_at, stage0_completed_by, {', '.join(columns)})"
            " select :batch, clock_timestamp(), :who, job_id, cast(csv_row as integer), psd_path, aepx_path, output_name,"
            " client_name, project_name, priority, notes, cast(extra as jsonb)"
            f" from unnest({', '.join(f'cast(:{name} as text[])' for name in columns)}) as g({', '.join(columns)})"
        ),
        {"batch": batch, "who": who}
        | {name: [None if row[name] is None else str(row[name]) for row in rows] for name in columns},
    )


def _enter_findings(connection: Connection, batch: str, read: Batch) -> None:
    rows = [
        (one.row, place, "error", one.job_id, finding, list(one.cells))
        for one in read.quarantined
        for place, finding in enumerate(one.findings)
    ] + [
        (job.row, place, "warning", job.job_id, finding, [])
        for job in read.jobs
        for place, finding in enumerate(job.warnings)
    ]
    columns = ("csv_row", "place", "level", "job_id", "csv_column", "rule", "reason", "cells")
    connection.execute(
        text(
            f"insert into motion.row_findings (batch_id, {', '.join(columns)})"
            " select :batch, csv_row, place, level, job_id, csv_column, rule, reason,"
            " array(select jsonb_array_elements_text(cast(cells as jsonb)))"
            " from unnest(cast(:csv_row as integer[]), cast(:place as integer[]), cast(:level as text[]),"
            " cast(:job_id as text[]), cast(:csv_column as text[]), cast(:rule as text[]), cast(:reason as text[]),"
            f" cast(:cells as text[])) as g({', '.join(columns)})"
        ),
        {
            "batch": batch,
            "csv_row": [row for row, *_ in rows],
            "place": [place for _, place, *_ in rows],
            "level": [level for _, _, level, *_ in rows],
            "job_id": [job.replace("\x00", "") for _, _, _, job, *_ in rows],
            "csv_column": [finding.column for *_, finding, _ in rows],
            "rule": [finding.rule for *_, finding, _ in rows],
            "reason": [finding.reason.replace("\x00", "") for *_, finding, _ in rows],
            "cells": [json.dumps([cell.replace("\x00", "") for cell in cells]) for *_, cells in rows],
        },
    )


def of_batch(connection: Connection, name: str, file: str, *, known: bool) -> Uploaded:
    """A batch as it is answered to whoever uploads it."""
    row = connection.execute(
        text(
            "select batch_id, total_jobs, valid_jobs, invalid_jobs, status, notices from motion.batch_records"
            " where batch_id = :batch"
        ),
        {"batch": name},
    ).one()
    return Uploaded(
        row.batch_id,
        file,
        known,
        row.total_jobs,
        row.valid_jobs,
        row.invalid_jobs,
        row.status,
        tuple(row.notices),
    )


def queue(connection: Connection, batch: str, max_jobs: int, who: str) -> list[str]:
    """Let the next jobs of a batch be processed: the highest priority first, then the oldest; returns their ids."""
    return list(
        connection.execute(
            text(
                "update motion.job_records set queued_at = clock_timestamp(), queued_by = :who where job_id in ("
                " select job_id from motion.job_records where batch_id = :batch and queued_at is null"
                " order by array_position(array['high', 'medium', 'low'], priority), created_at, csv_row"
                " limit :most) returning job_id"
            ),
            {"batch": batch, "who": who, "most": max_jobs},
        ).scalars()
    )


def start(
    workspace: Workspace, batch: str, max_jobs: int, *, who: str, via: activity.Via = "cli"
) -> list[str]:
    """Let the next jobs of a batch be processed; returns their ids.

    Raises:
        BadInput: there is no such batch.
    """
    csv_of(workspace, batch)
    with workspace.engine.begin() as connection:
        started = queue(connection, batch, max_jobs, who)
        if started:
            activity.record(
                connection,
                who=who,
                what="batch_started",
                subject=batch,
                department=DEPARTMENT,
                via=via,
                details=f"{len(started)} jobs",
            )
    return started


def queue_more(workspace: Workspace) -> list[str]:
    """With auto_start: let as many further jobs of each batch be processed as the setting has at once."""
    if not workspace.settings.motion_jobs.auto_start:
        return []
    with workspace.engine.begin() as connection:
        open_now = connection.execute(
            text(
                "select batch_id, count(*) filter (where queued_at is not null and current_stage <= 1"
                " and status in ('pending', 'processing')) as at_work from motion.job_records"
                " group by batch_id having bool_or(queued_at is null)"
            )
        ).all()
        return [
            job
            for row in open_now
            if row.at_work < workspace.settings.motion_jobs.max_jobs
            for job in queue(
                connection,
                row.batch_id,
                workspace.settings.motion_jobs.max_jobs - row.at_work,
                getpass.getuser(),
            )
        ]


def csv_of(workspace: Workspace, batch: str) -> tuple[str, Path]:
    """The name of the uploaded file, and where its bytes are kept.

    Raises:
        BadInput: there is no such batch.
    """
    with workspace.engine.connect() as connection:
        row = connection.execute(
            text("select csv_filename, content_hash from motion.batch_records where batch_id = :batch"),
            {"batch": batch},
        ).one_or_none()
    if row is None:
        raise BadInput(f"There is no batch {batch}; `crown motion status` lists them.")
    return row.csv_filename, workspace.objects.path(row.content_hash)


def names(engine: Engine) -> list[str]:
    """The ids of all batches, the oldest first."""
    with engine.connect() as connection:
        return list(
            connection.execute(
                text("select batch_id from motion.batch_records order by uploaded_at, batch_id")
            ).scalars()
        )


def due(engine: Engine) -> dict[str, int]:
    """Due items by batch: the batch with the highest priority first, then the oldest."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select i.batch, count(*) from ledger.items i join motion.batch_records b on b.batch_id = i.batch"
                " where i.asset = any(:assets) and i.state in ('pending', 'failed') and i.claim_id is null"
                " and (i.next_try is null or i.next_try <= statement_timestamp())"
                " group by i.batch, b.uploaded_at order by max(i.priority) desc, b.uploaded_at, i.batch"
            ),
            {"assets": list(JOB_ASSETS)},
        )
        return dict(rows.tuples().all())


def as_dict(one: Uploaded) -> dict[str, Any]:
    """For an answer in JSON."""
    return asdict(one)
