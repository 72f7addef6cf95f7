"""Checks of motion jobs: no row is lost, no job is stuck, projects survive the codec, packages are complete."""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from crown.motion_jobs.jobs import checks
from crown.motion_jobs.workspace import BATCHES, DEPLOYMENTS, VALIDATED, Workspace
from crown_assets.factories import key

#: Rows of a check's table.
_SHOWN = 50

ROWS_ARE_ACCOUNTED_FOR = dg.AssetCheckSpec(
    "rows_are_accounted_for",
    asset=key(BATCHES),
    description="Of each batch, rows in = done + quarantined + waiting (+ blank and deleted).",
)
NO_JOB_IS_STUCK = dg.AssetCheckSpec(
    "no_job_is_stuck",
    asset=key(BATCHES),
    description="No job is in work for longer than CROWN_MOTION_JOBS_STUCK_HOURS.",
)
ROUND_TRIP_HELD = dg.AssetCheckSpec(
    "round_trip_held",
    asset=key(VALIDATED),
    description="The project of every validated job goes through the codec byte for byte.",
)
PACKAGES_ARE_COMPLETE = dg.AssetCheckSpec(
    "packages_are_complete",
    asset=key(DEPLOYMENTS),
    description="Every package has the files of its manifest, unchanged, and refers to nothing else.",
)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> dg.MetadataValue:
    if not rows:
        return dg.MetadataValue.md("none")
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows[:_SHOWN])]
    return dg.MetadataValue.md("\n".join(lines))


def rows_are_accounted_for(workspace: Workspace) -> dg.AssetCheckResult:
    """Whether a row of any batch is lost."""
    rows = checks.accounts(workspace.engine)
    lost = [one for one in rows if not one.complete]
    return dg.AssetCheckResult(
        passed=not lost,
        check_name=ROWS_ARE_ACCOUNTED_FOR.name,
        asset_key=key(BATCHES),
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(lost)} batches have lost rows." if lost else None,
        metadata={
            "batches": len(rows),
            "lost": _table(
                ("batch", "rows", "done", "quarantined", "waiting", "blank", "deleted"),
                [(o.batch_id, o.rows, o.done, o.quarantined, o.waiting, o.blank, o.deleted) for o in lost],
            ),
        },
    )


def no_job_is_stuck(workspace: Workspace) -> dg.AssetCheckResult:
    """Whether a job is in work for too long."""
    stuck = checks.stuck(workspace.engine, workspace.settings.motion_jobs.stuck_hours)
    return dg.AssetCheckResult(
        passed=not stuck,
        check_name=NO_JOB_IS_STUCK.name,
        asset_key=key(BATCHES),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(stuck)} jobs are stuck." if stuck else None,
        metadata={
            "stuck": _table(
                ("job", "status", "since"), [(o["job_id"], o["status"], o["updated_at"]) for o in stuck]
            )
        },
    )


def round_trip_held(workspace: Workspace) -> dg.AssetCheckResult:
    """Whether the codec gives back the bytes of every project that was validated."""
    broken = checks.round_trips(workspace.engine)
    return dg.AssetCheckResult(
        passed=not broken,
        check_name=ROUND_TRIP_HELD.name,
        asset_key=key(VALIDATED),
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"broken": _table(("job", "difference"), list(broken.items()))},
    )


def packages_are_complete(workspace: Workspace) -> dg.AssetCheckResult:
    """Whether a package lacks a file or was changed."""
    count, problems = checks.packages(workspace)
    return dg.AssetCheckResult(
        passed=not problems,
        check_name=PACKAGES_ARE_COMPLETE.name,
        asset_key=key(DEPLOYMENTS),
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "packages": count,
            "problems": _table(
                ("job", "problem"), [(job, " ".join(found)) for job, found in problems.items()]
            ),
        },
    )


OF_ASSET: Mapping[str, Sequence[Callable[[Workspace], dg.AssetCheckResult]]] = {
    VALIDATED: (round_trip_held,),
    DEPLOYMENTS: (packages_are_complete,),
}
