"""The demo of motion jobs: a batch of three rows, two jobs to checked packages, on projects and PSDs that it makes itself.

One preview is rejected and comes back, one critical finding is overridden, one changed PSD re-opens only its job.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from crown.motion_jobs.deliverables.packages import package_problems
from crown.motion_jobs.jobs import batches, jobs, reviewing
from crown.motion_jobs.jobs.acts import Person
from crown.motion_jobs.workspace import BATCH_FOLDER, PACKAGES, Workspace, open_workspace
from crown_cli.common.runs import run_job
from crown_cli.demo.part import Part
from resources.queues import MOTION_BATCHES, MOTION_JOBS

if TYPE_CHECKING:
    import dagster as dg

    from crown_cli.common.world import World

DEMO = "demo"
_JOBS = ("demo_harbour", "demo_night")
_CHANGED = "Now 7.50"


def run_part(world: World, instance: dg.DagsterInstance, images: Path | None) -> Part:  # noqa: ARG001 - every part's
    """Bring the demo's batch to its packages; the runs go through Dagster."""
    workspace = open_workspace(world.engine, world.settings)
    part = Part()
    if _statuses(workspace):
        run_job(instance, MOTION_BATCHES)
        part.messages.append(
            "Nothing new: the batch is known, its jobs are completed, nothing was made again."
        )
    else:
        _bring(workspace, instance, part)
    _count(workspace, part)
    return part


def _bring(workspace: Workspace, instance: dg.DagsterInstance, part: Part) -> None:
    folder = _files(workspace)
    part.items_made += _made(run_job(instance, MOTION_BATCHES))
    [batch] = [one for one in batches.names(workspace.engine) if _of_demo(workspace, one)]
    [bad] = [one for one in jobs.findings(workspace.engine, batch) if one["level"] == "error"]
    part.messages.append(f"{batch}: 2 rows became jobs; row {bad['row']}, {bad['column']}: {bad['reason']}")

    def make() -> None:
        part.items_made += _made(run_job(instance, MOTION_JOBS, partition=batch))

    def approve(*names: str) -> None:
        reviewing.approve(
            workspace, names, Person(DEMO, "demo", "the demo approves"), with_warnings=True, apply=True
        )
        make()

    make()
    approve(*_JOBS)
    why = "the price is last week's"
    reviewing.reject(workspace, ["demo_harbour"], Person(DEMO, "demo", why), apply=True)
    part.messages.append(f"The preview of demo_harbour was rejected ({why}) and went back to matching.")
    approve("demo_harbour")
    approve(*_JOBS)
    critical = [one["message"] for one in _findings(workspace, "demo_night") if one["severity"] == "critical"]
    reviewing.override(
        workspace, ["demo_night"], Person(DEMO, "demo", "we render it on our own machines"), apply=True
    )
    make()
    part.messages.append(f"demo_night was overridden: {critical[0]}")
    _sample_psd(folder / "harbour.psd", "Harbour festival", _CHANGED)
    part.items_made += _made(run_job(instance, MOTION_BATCHES))
    make()
    opened = [job for job, status in _statuses(workspace).items() if status == "awaiting_review"]
    part.messages.append(f"A changed PSD re-opened {', '.join(opened)} and no other job.")
    approve(*opened)
    approve(*opened)
    for job in _JOBS:
        problems = package_problems(workspace.settings.motion / PACKAGES / batch / job)
        said = "complete" if not problems else " ".join(problems)
        part.messages.append(f"The package of {job} is {said}; opened in After Effects: not tested.")


def _files(workspace: Workspace) -> Path:
    """Templates, PSDs and the batch file, in the folder into which people put them."""
    from crown.motion_jobs import samples

    folder = workspace.settings.motion / BATCH_FOLDER / DEMO
    samples.template(folder)
    samples.template(folder, "night.aepx", comp="render_promo (night)")
    _sample_psd(folder / "harbour.psd", "Harbour festival", "Only 9.90")
    _sample_psd(folder / "night.psd", "Night market", "Free entry")
    rows = [
        _row("demo_harbour", "harbour.psd", "promo.aepx"),
        _row("demo_night", "night.psd", "night.aepx"),
        _row("demo_absent", "absent.psd", "promo.aepx"),
    ]
    (folder / "demo.csv").write_text(samples.batch_csv(rows), encoding="utf-8")
    return folder


def _row(job: str, psd: str, project: str) -> dict[str, str]:
    return {
        "job_id": job,
        "psd_path": psd,
        "aepx_path": project,
        "output_name": f"{job}.aepx",
        "client_name": "Harbour Council",
        "priority": "high",
    }


def _sample_psd(path: Path, headline: str, price: str) -> None:
    """A PSD that has been at rest for a minute."""
    from crown.motion_jobs import samples

    samples.promo_psd(path, headline, price)
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 60 * 10**9))


def _of_demo(workspace: Workspace, batch: str) -> bool:
    return any(row["job_id"] in _JOBS for row in jobs.listed(workspace.engine, batch=batch))


def _statuses(workspace: Workspace) -> dict[str, str]:
    return {row["job_id"]: row["status"] for row in jobs.listed(workspace.engine, patterns=_JOBS)}


def _findings(workspace: Workspace, job: str) -> list[dict[str, str]]:
    validation = jobs.show(workspace, job)["validation"]
    return list(validation["findings"]) if validation else []


def _made(run: dict[str, dict[str, dict[str, int]]]) -> int:
    return sum(one.get("successful", 0) for one in run["assets"].values())


def _count(workspace: Workspace, part: Part) -> None:
    found = jobs.stats(workspace.engine)["summary"]
    part.items_in = found["total"] + 1
    part.items_current = found["completed"]
    part.items_failed = found["failed"] + 1
    part.where = {
        "batches": str(workspace.settings.motion / BATCH_FOLDER),
        "packages": str(workspace.settings.motion / PACKAGES),
        "the jobs": "crown motion status, crown motion show demo_harbour",
    }
