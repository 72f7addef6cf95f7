"""Render machines from the command line: what one has, and what a project needs of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from crown_cli.common.output import json_option, show_json, show_rows

_LACKS = 1  # the exit code when something critical will fail


@click.command(name="profile-script", short_help="The script that collects a render machine's profile.")
def profile_script() -> None:
    """Print the script that collects fonts, effects, language and version of a render machine.

    Run it there in After Effects (File > Scripts > Run Script File); it writes render_machine.json beside itself.

    \b
    crown motion profile-script > collect_profile.jsx
    """  # noqa: D301
    from crown.motion_jobs.renders.render_machine import profile_script as script

    click.echo(script(), nl=False)


@click.command(short_help="What of a project will fail on a render machine.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("profile", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def preflight(file: Path, profile: Path, as_json: bool) -> None:
    """Compare what a project needs with the profile of a render machine: by profile, not by rendering.

    The exit code is 1 when something critical is missing.

    \b
    crown motion preflight promo.aepx render_machine.json
    """  # noqa: D301
    from crown.motion_jobs.after_effects.ae_project import read_project
    from crown.motion_jobs.after_effects.expression_reads import effect_names, reads_of
    from crown.motion_jobs.renders.render_machine import LABEL, read_machine
    from crown.motion_jobs.renders.render_machine import preflight as lacks_of

    project, machine = read_project(file), read_machine(profile)
    lacks = lacks_of(project, machine, reads_of(project, effect_names(file)))
    if as_json:
        show_json({"label": LABEL, "collected_at": machine.collected, "lacks": lacks})
    else:
        click.echo(
            f"{file.name} on After Effects {machine.version} ({machine.spoken}, {machine.system}), profile of "
            f"{machine.collected:%Y-%m-%d}; {LABEL}."
        )
        show_rows([asdict(one) for one in lacks], empty="Nothing is missing.")
    if any(one.severity == "critical" for one in lacks):
        click.get_current_context().exit(_LACKS)


COMMANDS = (profile_script, preflight)
