"""A whole run of product images as a process of its own, for tests that kill, stop or starve it.

Usage: python -m tests.crash.flow_process DATABASE_URL HOME [approve]. Prints each stage as it begins.
"""

from __future__ import annotations

import sys
from pathlib import Path

from crown.database.engine import connect
from crown.errors import CrownError
from crown.product_images import stages
from crown.product_images.share import intake, review, review_folder
from crown.product_images.workspace import GROUPS, Workspace, open_workspace
from crown.settings.model import load_settings

#: `product_images/cutouts` is the stage cutouts, all families of renditions are the stage renditions.
STAGES = {group[0].split("/")[1]: list(group) for group in GROUPS}


def open_in(url: str, home: Path, **more: str) -> Workspace:
    settings = {
        "CROWN_HOME": str(home),
        "CROWN_WORKERS": "2",
        "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "0",
        **more,
    }
    return open_workspace(connect(url), load_settings(settings, None))


def run(workspace: Workspace, say=lambda stage: None) -> int:  # type: ignore[no-untyped-def]
    """Intake and every stage, approving whatever is shown; returns how many items were made."""
    say("intake")
    for _ in range(2):
        intake.take_in(workspace, settle_seconds=0)
    made = 0
    for name, assets in STAGES.items():
        say(name)
        made += stages.make(workspace, assets, run_id="crash").pool.made
        if name == "cutouts":
            say("review")
            review_folder.show(workspace)
            if review.cutouts(workspace, undecided=True):
                review.decide(workspace, "*", "approve", who="eva", via="cli")
        if name == "masters":
            review_folder.show(workspace)
    return made


def main() -> None:
    url, home, *more = sys.argv[1:]
    workspace = open_in(url, Path(home), **dict(pair.split("=", 1) for pair in more))
    try:
        made = run(workspace, lambda stage: print(stage, flush=True))
    except CrownError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(9)
    print(f"made {made}", flush=True)


if __name__ == "__main__":
    main()
