"""`crown demo`: every department once, end to end, on generated samples or your own pictures.

Each department's part is in its own file and returns a Part; this file prepares the folders and sums up.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crown_cli.common.output import json_option, show_json

if TYPE_CHECKING:
    import dagster as dg

    from crown.settings.model import Settings
    from crown_cli.common.world import World
    from crown_cli.demo.part import Part


def _parts() -> dict[str, Callable[[World, dg.DagsterInstance, Path | None], Part]]:
    from crown_cli.demo import art as demo_art
    from crown_cli.demo import images as demo_images
    from crown_cli.demo import motion as demo_motion

    return {
        "product_images": demo_images.run_part,
        "art_records": demo_art.run_part,
        "motion_jobs": demo_motion.run_part,
    }


@click.command()
@click.option(
    "--images", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Your own pictures."
)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/demo"),
    show_default=True,
    help="Folder of the demo; remove it to start over.",
)
@json_option
def demo(images: Path | None, home: Path, as_json: bool) -> None:
    """Run sample pictures from an inbox to a published share, and say what happened.

    The approvals are decisions of a user named `demo`. A second call makes nothing again.

    \b
    crown demo
    crown demo --images ~/Pictures/parts
    """  # noqa: D301
    from crown_cli.common.runs import dagster_instance
    from crown_cli.common.world import open_world

    started = time.monotonic()
    settings = demo_settings(home)
    parts = {}
    with open_world(settings) as world, dagster_instance(world) as instance:
        for name, run_part in _parts().items():
            begun = time.monotonic()
            parts[name] = run_part(world, instance, images)
            parts[name].seconds = round(time.monotonic() - begun, 2)
    summary = {name: asdict(part) for name, part in parts.items()}
    _write(settings.home / "summary.json", summary)
    if as_json:
        show_json(summary)
    else:
        _show(parts, settings.home, time.monotonic() - started)


def demo_settings(home: Path) -> Settings:
    """The demo's settings; they are left in its `.env` as well, relative to it."""
    from crown.settings.model import load_settings
    from crown.store.files import Ownership, write_text
    from crown_cli.demo.images_changes import own_specs
    from crown_cli.demo.pictures import HOST

    home = home.absolute()
    own = {
        "CROWN_PRODUCT_IMAGES_OUTPUT_SPECS": str(own_specs(home).relative_to(home)),
        "CROWN_HOME": ".",
        "CROWN_ENVIRONMENT": "development",
        # The demo's half file is not a copy that paused.
        "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "0",
        # The demo itself serves the pictures of its prints.
        "CROWN_ART_RECORDS_ATTACHMENT_HOSTS": HOST,
    }
    # Commands that are called in the demo's folder find its settings; in a copy of it, those of the copy.
    write_text(home / ".env", "".join(f"{name}={value}\n" for name, value in own.items()), Ownership())
    here = {name: str(home / own[name]) for name in ("CROWN_PRODUCT_IMAGES_OUTPUT_SPECS", "CROWN_HOME")}
    return load_settings(own | here, env_file=None)


def _write(path: Path, summary: object) -> None:
    from crown.store.files import Ownership, write_text

    write_text(path, json.dumps(summary, indent=2, ensure_ascii=False) + "\n", Ownership())


def _show(parts: dict[str, Part], home: Path, seconds: float) -> None:
    for name, part in parts.items():
        click.echo(f"\n{name.replace('_', ' ')}")
        click.echo(
            f"  {part.items_in:,} in, {part.items_made:,} made, {part.items_current:,} current,"
            f" {part.items_failed:,} refused or failed, {part.seconds:.1f} s"
        )
        for sentence in part.messages:
            click.echo(f"  - {sentence}")
        for what, where in part.where.items():
            click.echo(f"  {what}: {where}")
    click.echo(f"\n{seconds:.1f} s in all. The summary is {home / 'summary.json'}.")
    click.echo(f"To look at it in the Dagster UI: cd {home} && crown up")
