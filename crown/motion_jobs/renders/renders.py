"""What render machines handed back, entered against exactly the package that they rendered. Judging is handback.py."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import BadInput
from crown.journal import activity
from crown.journal.plain import plain
from crown.motion_jobs.renders.handback import Expected, Handback, handback
from crown.motion_jobs.workspace import DEPARTMENT, DEPLOYMENTS, INGESTED, Workspace


def hand_back(
    workspace: Workspace,
    job_id: str,
    log: Path,
    output: Path | None = None,
    sha256: str | None = None,
    *,
    who: str,
    via: activity.Via = "cli",
) -> Handback:
    """Judge a render's log and result and enter the verdict; it counts until the package changes.

    Args:
        workspace: The department's.
        job_id: The job that was rendered.
        log: The log of aerender or nexrender.
        output: The rendered file, or folder of numbered pictures.
        sha256: The hash that the render machine gives for its file.
        who: The person who hands it back.
        via: From where.

    Raises:
        BadInput: There is no such job, it has no package, or the log cannot be read.
    """
    with workspace.engine.connect() as connection:
        expected, package_hash = _expected(connection, job_id)
    found = handback(expected, log, output, sha256)
    with workspace.engine.begin() as connection:
        connection.execute(
            text(
                "insert into motion.handbacks (job_id, package_hash, verdict, reasons, opened_in_after_effects, log,"
                " result, handed_by) values (:job, :hash, :verdict, :reasons, :opened, cast(:log as jsonb),"
                " cast(:result as jsonb), :who)"
            ),
            {
                "job": job_id,
                "hash": package_hash,
                "verdict": found.verdict,
                "reasons": plain(found.reasons),
                "opened": found.opened_in_after_effects,
                "log": _json({**asdict(found.log), "frames": len(found.log.frames)}),
                "result": _json(asdict(found.result)) if found.result else None,
                "who": who,
            },
        )
        activity.record(
            connection,
            who=who,
            what="user_action:handback",
            subject=job_id,
            department=DEPARTMENT,
            via=via,
            entity=job_id,
            details=found.sentence(),
            new={"verdict": found.verdict, "sha256": found.result.sha256 if found.result else None},
            source_file=output.name if output else log.name,
            context={"stage": 4, "package": package_hash},
        )
    return found


def render_of(connection: Connection, job_id: str) -> dict[str, Any] | None:
    """The newest verdict on a render of the current package, or None when nothing was handed back."""
    row = connection.execute(
        text("select * from motion.renders where job_id = :job"), {"job": job_id}
    ).one_or_none()
    return dict(row._mapping) if row else None


def _expected(connection: Connection, job_id: str) -> tuple[Expected, str]:
    row = connection.execute(
        text(
            "select j.status, i.facts, d.content_hash as package from motion.job_records j"
            " left join motion.made i on i.job_id = j.job_id and i.asset = :ingested"
            " left join motion.made d on d.job_id = j.job_id and d.asset = :deployed where j.job_id = :job"
        ),
        {"job": job_id, "ingested": INGESTED, "deployed": DEPLOYMENTS},
    ).one_or_none()
    if row is None:
        raise BadInput(f"There is no job {job_id}; `crown motion jobs` lists them.")
    if row.package is None or row.facts is None:
        raise BadInput(f"{job_id} is {row.status} and has no package yet, so nothing of it can be rendered.")
    facts = row.facts
    width, height = facts["size"]
    return Expected(job_id, facts["comp"], width, height, facts["duration"], facts["frame_rate"]), row.package


def _json(value: object) -> str:
    return json.dumps(plain(value), ensure_ascii=False)
