"""How the platform asks motion jobs for their state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection, text

from crown.flow.summary import Department, Finding, Freshness
from crown.motion_jobs.gates import GATES
from crown.motion_jobs.workspace import ASSETS, BATCHES, DEPARTMENT
from crown.settings.model import Settings


def _folders(settings: Settings) -> Mapping[str, Path]:
    return {"motion jobs": settings.motion}


def _freshness(connection: Connection) -> Sequence[Freshness]:
    newest = connection.execute(text("select max(uploaded_at) from motion.batch_records")).scalar_one()
    return [Freshness(BATCHES, "newest batch", newest)]


def _findings(settings: Settings) -> Iterator[Finding]:
    missing = [root for root in settings.motion_jobs.allowed_roots if not root.is_dir()]
    if missing:
        yield Finding(
            "motion jobs",
            "warn",
            f"{missing[0]} is not there, so no file of a job can lie below it",
            "Mount it, or correct CROWN_MOTION_JOBS_ALLOWED_ROOTS.",
        )
    if settings.motion_jobs.root is not None and not settings.motion_jobs.root.is_dir():
        yield Finding(
            "motion jobs",
            "fail",
            f"{settings.motion_jobs.root} is not there",
            "Mount it, or correct CROWN_MOTION_JOBS_ROOT.",
        )


MOTION_JOBS = Department(
    DEPARTMENT,
    "Motion jobs",
    "Put a CSV into motion/batches on the share, or `crown motion upload FILE --user NAME`.",
    flow=ASSETS,
    gates=GATES,
    troubles_command="crown motion jobs --status failed",
    folders=_folders,
    freshness=_freshness,
    findings=_findings,
)
