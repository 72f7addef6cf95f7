"""The demo of product images: uploads, cut-outs, approvals by a user named demo, renditions, production."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from crown.errors import BadInput
from crown.product_images import names
from crown.product_images.share import review
from crown.product_images.workspace import (
    ERRORS,
    INBOX,
    NAME_CONFLICTS,
    PRODUCTION,
    Workspace,
    open_workspace,
)
from crown.store import files
from crown_cli.common.runs import run_job
from crown_cli.demo.images_changes import DEMO, run_steps
from crown_cli.demo.part import Part

if TYPE_CHECKING:
    import dagster as dg

    from crown_cli.common.world import World


def run_part(world: World, instance: dg.DagsterInstance, images: Path | None) -> Part:
    """Run the department once, approve as `demo`, run again."""
    workspace = open_workspace(world.engine, world.settings)
    part = Part()
    part.items_in = _bring(workspace, images)
    before = _refused(workspace)
    runs: list[dict[str, Any]] = []

    def run() -> dict[str, Any]:
        runs.append(run_job(instance, "product_images"))
        return runs[-1]

    run()
    approved = _approve(workspace)
    if approved:
        run()
    # The changes are about the samples: nobody's own pictures are edited or retired.
    steps = run_steps(world, run) if images is None else []
    _count(workspace, runs, part)
    new = [line for line in _refused(workspace) if line not in before]
    part.items_failed = len(new) + _left_failed(workspace)
    part.messages.append(f"{part.items_in} files were put into the inbox.")
    if approved:
        part.messages.append(f"{len(approved)} cut-outs were approved by {DEMO}: {', '.join(approved)}.")
    part.messages += new or (
        ["Nothing new: everything is current, nothing was made again."] if not (approved or steps) else []
    )
    part.messages += steps
    part.where = {
        "originals": str(workspace.objects.folder),
        "the share": str(workspace.settings.media),
        "published": str(workspace.settings.production),
    }
    return part


def _bring(workspace: Workspace, images: Path | None) -> int:
    """Put pictures into the inbox that are not stored yet; returns how many."""
    from crown.product_images.samples import write_samples

    inbox = workspace.media(INBOX)
    if images is None:
        with workspace.engine.connect() as connection:
            if connection.execute(text("select exists (select from product_images.uploads)")).scalar_one():
                return 0
        return len(write_samples(inbox))
    brought = 0
    for path in sorted(images.iterdir()):
        if path.is_file() and names.accepted(path.name) and not workspace.objects.holds(files.sha256(path)):
            shutil.copyfile(path, inbox / path.name)
            brought += 1
    return brought


def _approve(workspace: Workspace) -> list[str]:
    undecided = [cutout.photo for cutout in review.cutouts(workspace, undecided=True)]
    approved = []
    for photo in undecided:
        try:
            review.decide(
                workspace, photo, "approve", who=DEMO, via="demo", reason="the demo approves everything"
            )
        except BadInput:
            continue  # a key with a pattern character matched nothing
        approved.append(photo)
    return approved


def _count(workspace: Workspace, runs: list[dict[str, Any]], part: Part) -> None:
    for run in runs:
        part.items_made += sum(asset.get("successful", 0) for asset in run["assets"].values())
    with workspace.engine.connect() as connection:
        part.items_current = connection.execute(
            text(
                "select count(*) from ledger.items where starts_with(asset, 'product_images/') and state = 'current'"
            )
        ).scalar_one()
        published = connection.execute(
            text("select count(*) from ledger.files where root = :root"), {"root": PRODUCTION}
        ).scalar_one()
    part.messages.append(f"{published} pictures are published.")


def _refused(workspace: Workspace) -> list[str]:
    """The reasons that are beside refused files."""
    reasons = []
    for folder in (ERRORS, NAME_CONFLICTS):
        for note in sorted(workspace.media(folder).glob("*.error.txt")):
            said = dict(line.split(": ", 1) for line in note.read_text("utf-8").splitlines() if ": " in line)
            reasons.append(f"Refused into {folder}: {said['reason']}")
    return reasons


def _left_failed(workspace: Workspace) -> int:
    with workspace.engine.connect() as connection:
        return connection.execute(
            text(
                "select count(*) from ledger.items where starts_with(asset, 'product_images/')"
                " and state in ('failed', 'quarantined')"
            )
        ).scalar_one()
