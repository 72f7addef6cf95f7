"""The rest of the product images demo: rejections, retouches and later changes.

Each step runs once: the activity trail records it, so a second demo makes nothing new.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from crown.journal import activity
from crown.product_images.publishing import products, texts
from crown.product_images.samples import write_sample
from crown.product_images.share import review
from crown.product_images.workspace import (
    DEPARTMENT,
    INBOX,
    PUBLISHED,
    READY,
    RENDITIONS,
    Workspace,
    open_workspace,
)
from crown.store.files import Ownership, write_text
from resources import asset_keys

if TYPE_CHECKING:
    from crown_cli.common.world import World

DEMO = "demo"
_STEP = "demo_step"
Run = Callable[[], dict[str, Any]]


def run_steps(world: World, run: Run) -> list[str]:
    """Run every step that has not run yet; returns what happened, a sentence each."""
    sentences = []
    for name, step in _STEPS.items():
        workspace = open_workspace(world.engine, world.settings)
        if not _has_run(workspace, name):
            sentences.append(step(workspace, run))
            with workspace.engine.begin() as connection:
                activity.record(
                    connection,
                    who=DEMO,
                    what=_STEP,
                    subject=name,
                    department=DEPARTMENT,
                    via="demo",
                    details=sentences[-1],
                )
    return sentences


def _has_run(workspace: Workspace, name: str) -> bool:
    with workspace.engine.connect() as connection:
        return any(
            row.what == _STEP for row in activity.history(connection, subject=name, department=DEPARTMENT)
        )


def _made(done: dict[str, Any], *assets: str) -> int:
    return sum(
        done["assets"].get("/".join(asset_keys.path(asset)), {}).get("successful", 0) for asset in assets
    )


def _text_edit(workspace: Workspace, run: Run) -> str:
    texts.say(workspace, "52000125", who=DEMO, via="demo", description="Hexagon bolt, zinc plated")
    done = run()
    return (
        f"A text edit of 52000125 rewrote the tags of {_made(done, PUBLISHED)} published files;"
        f" {_made(done, *RENDITIONS.values())} pictures were rendered again."
    )


def _spec_edit(workspace: Workspace, run: Run) -> str:
    path = workspace.settings.product_images.output_specs
    if path is None:
        return "No spec was edited: the demo runs with the specs that are shipped."
    before = path.read_text(encoding="utf-8")
    line = next(line for line in before.splitlines() if line.strip().startswith("128x128_72dpi_jpeg:"))
    write_text(path, before.replace(line, line.replace("dpi: 72", "dpi: 72, quality: 80")), Ownership())
    done = run()
    return (
        f"An edit of the spec 128x128_72dpi_jpeg made {_made(done, *RENDITIONS.values())} thumbnails and published"
        f" {_made(done, PUBLISHED)} files; nothing else was touched."
    )


def _uploads(workspace: Workspace, run: Run) -> str:
    inbox = workspace.media(INBOX)
    write_sample(inbox / "52000126.jpg", "disc", (120, 60, 40), (244, 244, 244), seed=41)
    write_sample(inbox / "52000124_3.jpg", "ring", (52, 56, 64), (243, 243, 243), seed=42)
    write_sample(inbox / "52000125_1.jpg", "plate", (92, 96, 104), (247, 247, 247), seed=43)
    run()
    waiting = sorted(cutout.photo for cutout in review.cutouts(workspace, undecided=True))
    return f"A re-upload of 52000126 and two new views came in; their cut-outs wait for a person: {', '.join(waiting)}."


def _decisions(workspace: Workspace, run: Run) -> str:
    review.decide(workspace, "52000126", "approve", who=DEMO, via="demo")
    review.decide(
        workspace, "52000125_1", "reject", who=DEMO, via="demo", reason="the wrong part was photographed"
    )
    _retouch(workspace, "52000124_3")
    done = run()
    return (
        "The re-upload was approved and replaced the published pictures of 52000126, 52000125_1 was rejected with a"
        " reason, and a retouched 52000124_3 in ready_for_formatting/demo/ was taken with its own hash:"
        f" {_made(done, PUBLISHED)} files published."
    )


def _retouch(workspace: Workspace, photo: str) -> None:
    """A person's manual step: edits the shown cut-out and moves it to their folder."""
    from PIL import Image

    shown = review.cutouts(workspace, photo)[0].path
    with Image.open(shown) as opened:
        picture = opened.copy()
    red, green, blue, alpha = picture.split()
    retouched = Image.merge("RGBA", (red.point(lambda v: min(255, v + 12)), green, blue, alpha))
    folder = workspace.media(READY) / DEMO
    folder.mkdir(exist_ok=True)
    retouched.save(folder / f"{photo}.png")


def _mass_removal(workspace: Workspace, run: Run) -> str:
    numbers = ("52000123", "52000124", "52000127")
    with workspace.engine.begin() as connection:
        for number in numbers:
            products.retire(connection, number, who=DEMO, via="demo", reason="a slip in a list")
    published = _published(workspace)
    run()
    stayed = _published(workspace) == published
    with workspace.engine.begin() as connection:
        for number in numbers:
            products.unretire(connection, number, who=DEMO, via="demo", reason="it was a slip")
    run()
    held = "was held until a person confirms it, nothing was removed" if stayed else "WENT THROUGH"
    return f"Retiring {len(numbers)} products at once {held}; the retirement was then taken back."


def _published(workspace: Workspace) -> int:
    with workspace.engine.connect() as connection:
        return connection.execute(
            text("select count(*) from ledger.items where asset = :asset and state = 'current'"),
            {"asset": PUBLISHED},
        ).scalar_one()


_STEPS: dict[str, Callable[[Workspace, Run], str]] = {
    "text edit": _text_edit,
    "spec edit": _spec_edit,
    "uploads": _uploads,
    "decisions": _decisions,
    "mass removal": _mass_removal,
}


def own_specs(home: Path) -> Path:
    """The demo's own output_specs.yaml, a copy of the shipped one made once: a step edits it."""
    from crown.product_images.renditions import specs

    path = home / "output_specs.yaml"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        shipped = Path(specs.__file__).with_name("output_specs.yaml")
        write_text(path, shipped.read_text(encoding="utf-8"), Ownership())
    return path
