"""Steps that tests of the flow share: look, run, upload, approve, and finished pictures that need no cut."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from crown.flow.pool_report import PoolReport, Progress
from crown.ledger.claims import Finished
from crown.product_images import stages
from crown.product_images.share import intake, moves, rejected, review, review_folder, unrendered
from crown.product_images.workspace import (
    CUTOUTS,
    GROUPS,
    INBOX,
    MASTERS,
    PRODUCTION,
    READY,
    RENDITIONS,
    Workspace,
    open_workspace,
)
from crown.settings.model import Settings, load_settings
from crown.store import files
from tests.given import with_product_images
from tests.pictures import draw_part


def workspace_settings(home: Path) -> Settings:
    """The settings of a workspace of tests: one worker, and nothing waits for a stalled copy."""
    environment = {"CROWN_HOME": str(home), "CROWN_WORKERS": "1", "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "0"}
    return load_settings(environment, env_file=None)


def any_number(workspace: Workspace) -> Workspace:
    """The workspace with another setting: whatever can be a name is a product number."""
    return open_workspace(
        workspace.engine, with_product_images(workspace.settings, {"product_number_pattern": ".+"})
    )


def look(workspace: Workspace) -> moves.ReviewReport:
    """Two looks at every folder, as two sensor ticks would."""
    for _ in range(2):
        intake.take_in(workspace, settle_seconds=0)
        report = moves.collect(workspace, settle_seconds=0)
    return report


def noting(made: dict[str, list[str]]) -> Progress:
    """Notes the keys of what a run enters, by asset."""

    def note(_: PoolReport, finished: Finished) -> None:
        for item in finished.made:
            made.setdefault(item.job.asset, []).append(item.job.key)

    return note


def run(workspace: Workspace) -> dict[str, list[str]]:
    """Everything that is due, as the job does it; what was made, by asset."""
    look(workspace)
    made: dict[str, list[str]] = {}
    for assets in GROUPS:
        stages.make(workspace, assets, run_id="run-1", on_progress=noting(made))
        if assets in ((CUTOUTS,), (MASTERS,)):
            review_folder.show(workspace)
        if RENDITIONS["web"] in assets:
            unrendered.show(workspace)
    review_folder.show_failures(workspace)
    rejected.show(workspace)
    return made


def upload(workspace: Workspace, *names: str, shade: int = 70) -> None:
    """Put drawn photos into the inbox."""
    for number, name in enumerate(names):
        draw_part(workspace.media(INBOX) / name, shade=shade, seed=number + 1)


def finish(
    workspace: Workspace,
    *photos: str,
    red: int = 200,
    size: tuple[int, int] = (300, 200),
    person: str = "eva",
) -> None:
    """Put finished cut-outs into a person's folder of ready_for_formatting: masters without any cutting."""
    folder = workspace.media(READY) / person
    folder.mkdir(exist_ok=True)
    for photo in photos:
        picture = Image.new("RGBA", size, (0, 0, 0, 0))
        tone = (red, sum(photo.encode()) % 256, 30, 255)
        ImageDraw.Draw(picture).ellipse((0, 0, size[0] - 1, size[1] - 1), fill=tone)
        picture.save(folder / f"{photo}.png")


def approve(workspace: Workspace, pattern: str = "*") -> None:
    """Approve as eva."""
    review.decide(workspace, pattern, "approve", who="eva", via="cli")


def published(workspace: Workspace, target: str = PRODUCTION) -> dict[str, str]:
    """Hashes of what is in a target, by path."""
    return hashes(workspace.roots[target])


def hashes(folder: Path) -> dict[str, str]:
    """Hashes of all files below a folder, by path."""
    return {
        path.relative_to(folder).as_posix(): files.sha256(path)
        for path in folder.rglob("*")
        if path.is_file()
    }
