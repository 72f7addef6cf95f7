"""What people do with jobs: review, approve, reject, return, override, hold, retry, archive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crown_cli.common.options import apply_option, reason_option
from crown_cli.common.output import json_option, show_json, show_rows
from crown_cli.common.people import acting, who_option
from crown_cli.motion.shared import batch_option, open_motion, show_act

if TYPE_CHECKING:
    from crown.motion_jobs.jobs.acts import Acted, Person
    from crown.motion_jobs.jobs.reviewing import Corrections

_jobs = click.argument("jobs", metavar="JOB...", nargs=-1, required=True)
_maybe_jobs = click.argument("jobs", metavar="[JOB...]", nargs=-1)
_seen = click.option("--seen", metavar="HASH", help="Only if what waits still begins with this hash.")
_ADJUSTMENTS = ("accept", "reupload", "manual_adjust", "crop", "scale_fill", "scale_fit")


@click.command(short_help="The matches of JOB, to be approved.")
@click.argument("job")
@json_option
def review(job: str, as_json: bool) -> None:
    """Show which layer fills which slot of JOB, how sure that is and why.

    \b
    crown motion review spring_01
    crown motion approve spring_01 --set headline="Line 1" --skip logo
    """  # noqa: D301
    from crown.motion_jobs.jobs.jobs import show

    with open_motion() as workspace:
        found = show(workspace, job)
    matches = found["matches"]
    if as_json:
        show_json(matches)
        return
    if matches is None:
        click.echo(f"{job} is {found['job']['status']}; nothing is matched yet.")
        return
    layers = {one["id"]: one["name"] for one in matches["layers"]}
    pairs = {one["slot_id"]: one for one in matches["matches"]}
    rows = [
        {
            "slot": slot["id"],
            "name": slot["name"],
            "kind": "text" if slot["is_text"] else "picture",
            "layer": layers.get(pair["layer_id"]) if pair else None,
            "confidence": pair["confidence"] if pair else None,
            "band": pair["band"] if pair else "no layer",
            "why": pair["reasons"][0] if pair else "",
        }
        for slot in matches["slots"]
        for pair in [pairs.get(slot["id"])]
    ]
    show_rows(rows, title=f"{job}: {matches['comp'][0]}, seen as {matches['content_hash'][:12]}")
    free = [
        f"{one['id']} {one['name']}" for one in matches["layers"] if one["id"] in matches["unmatched_layers"]
    ]
    click.echo(f"Layers that fill nothing: {', '.join(free) or 'none'}.")
    show_rows(
        [{"severity": one["severity"], "warning": one["message"]} for one in matches["warnings"]], empty=""
    )


@click.command(short_help="The mapping sheet of JOB, as a picture.")
@click.argument("job")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: JOB.png in this folder."
)
@json_option
def preview(job: str, output: Path | None, as_json: bool) -> None:
    """Write the mapping sheet and layout estimate of JOB as PNG. It is no render.

    \b
    crown motion preview spring_01 -o sheet.png
    """  # noqa: D301
    from crown.errors import BadInput
    from crown.motion_jobs.jobs.jobs import document
    from crown.motion_jobs.workspace import PREVIEWS

    target = output or Path(f"{job}.png")
    with open_motion() as workspace, workspace.engine.connect() as connection:
        found = document(workspace, connection, job, PREVIEWS)
        if found is None:
            raise BadInput(f"There is no preview of {job}; `crown motion show {job}` says where it is.")
        picture = workspace.objects.path(found["content_hash"]).read_bytes()
    try:
        with target.open("xb") as file:
            file.write(picture)
    except FileExistsError:
        raise BadInput(f"{target} exists already; name another file with -o.") from None
    if as_json:
        show_json(
            {
                "job_id": job,
                "file": str(target),
                "content_hash": found["content_hash"],
                "label": found["label"],
            }
        )
    else:
        click.echo(f"{target}: {found['label']}, seen as {found['content_hash'][:12]}.")


@click.command(short_help="Approve matches or previews.")
@_maybe_jobs
@click.option(
    "--set", "sets", metavar="SLOT=LAYER", multiple=True, help="Let LAYER fill SLOT (names or ids)."
)
@click.option("--skip", metavar="SLOT", multiple=True, help="Leave SLOT as the template has it.")
@click.option("--adjust", metavar="SLOT=HOW", multiple=True, help=f"{', '.join(_ADJUSTMENTS[3:])}, ...")
@click.option("--with-warnings", is_flag=True, help="Approve a preview although there are critical warnings.")
@click.option("--remembered", is_flag=True, help="With --batch: all whose matches were decided so before.")
@batch_option
@_seen
@apply_option
@reason_option()
@who_option
@json_option
def approve(
    jobs: tuple[str, ...], sets: tuple[str, ...], skip: tuple[str, ...], adjust: tuple[str, ...], with_warnings: bool,
    remembered: bool, batch: str | None, seen: str | None, carry_out: bool, reason: str | None, who: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Approve what jobs wait for: their matches (stage 2) or their previews (stage 3).

    \b
    crown motion approve spring_01 --apply
    crown motion approve spring_01 --set headline="Line 1" --apply
    crown motion approve 'spring_*' --with-warnings --apply
    crown motion approve --batch BATCH_20251030_143022 --remembered --apply
    """  # noqa: D301
    from crown.errors import BadInput
    from crown.motion_jobs.jobs import reviewing
    from crown.motion_jobs.workspace import MATCHES, PREVIEWS

    if not jobs and batch is None:
        raise BadInput("Name jobs, or a batch with --batch.")
    corrections = _corrections(sets, skip, adjust)
    with open_motion() as workspace:
        person = _person(workspace.engine, who, "approve", MATCHES, reason)
        _person(
            workspace.engine, who, "approve_with_warnings" if with_warnings else "approve", PREVIEWS, reason
        )
        if remembered:
            if batch is None or jobs or corrections != reviewing.NO_CORRECTIONS:
                raise BadInput("--remembered takes --batch and neither jobs nor corrections.")
            acted, others = reviewing.approve_remembered(workspace, batch, person, apply=carry_out)
        else:
            others = []
            acted = reviewing.approve(
                workspace, jobs, person, batch=batch, corrections=corrections, with_warnings=with_warnings, seen=seen,
                apply=carry_out,
            )  # fmt: skip
    show_act(acted, applied=carry_out, as_json=as_json)
    if others and not as_json:
        click.echo(
            f"{len(others)} jobs of the batch differ from what was decided before: {', '.join(others[:20])}."
        )


def _corrections(sets: Sequence[str], skip: Sequence[str], adjust: Sequence[str]) -> Corrections:
    from crown.errors import BadInput
    from crown.motion_jobs.jobs.reviewing import Corrections

    layers: dict[str, str | None] = dict.fromkeys(skip)
    layers |= dict(_split(one, "--set", "headline=Line 1") for one in sets)
    adjustments: dict[str, Any] = dict(_split(one, "--adjust", "photo=scale_fit") for one in adjust)
    for how in adjustments.values():
        if how not in _ADJUSTMENTS:
            raise BadInput(f"{how!r} is no adjustment; choose {', '.join(_ADJUSTMENTS)}.")
    return Corrections(layers, adjustments)


def _split(value: str, option: str, example: str) -> tuple[str, str]:
    from crown.errors import BadInput

    name, equals, text = value.rpartition("=") if option == "--adjust" else value.partition("=")
    if not equals or not name or not text:
        raise BadInput(f"{option} {value!r} is not SLOT=VALUE; write for instance {example!r}.")
    return name, text


def _person(engine: Any, who: str | None, verb: str, stage: str, reason: str | None) -> Person:
    from crown.motion_jobs.jobs.acts import Person

    return Person(acting(engine, who, verb, stage), "cli", reason)


def _act(
    name: str,
    verb: str,
    stage: str,
    short: str,
    text: str,
    *,
    function: str,
    by_batch: bool = False,
    needs_reason: bool = False,
) -> click.Command:
    """A command that does one thing with jobs: it shows its plan, and does it with --apply."""

    def command(
        jobs: tuple[str, ...],
        carry_out: bool,
        reason: str | None,
        who: str | None,
        as_json: bool,
        batch: str | None = None,
        seen: str | None = None,
    ) -> None:
        from crown.errors import BadInput
        from crown.motion_jobs import workspace as names
        from crown.motion_jobs.jobs import lifecycle, reviewing

        if not jobs and batch is None:
            raise BadInput("Name jobs, or a batch with --batch.")
        more: dict[str, Any] = {"batch": batch} if by_batch else {"seen": seen}
        act: Callable[..., list[Acted]] = getattr(lifecycle if by_batch else reviewing, function)
        with open_motion() as workspace:
            person = _person(workspace.engine, who, verb, getattr(names, stage), reason)
            acted = act(workspace, jobs, person, apply=carry_out, **more)
        show_act(acted, applied=carry_out, as_json=as_json)

    decorators = (
        _maybe_jobs if by_batch else _jobs,
        batch_option if by_batch else _seen,
        apply_option,
        reason_option(required=needs_reason),
        who_option,
        json_option,
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return click.command(name=name, short_help=short, help=text)(command)


reject = _act(
    "reject", "reject", "PREVIEWS", "Send previews back to matching.",
    "Reject the previews of jobs: they go back to matching (stage 2). The reason has 10 characters or more.\n\n"
    "\b\ncrown motion reject spring_01 --reason 'the name is cut off' --apply",
    function="reject", needs_reason=True,
)  # fmt: skip
send_back = _act(
    "return", "return", "VALIDATED", "Send jobs with critical findings back to matching.",
    "Send jobs with a critical finding back to matching (stage 2).\n\n"
    "\b\ncrown motion return spring_01 --reason 'another logo' --apply",
    function="send_back",
)  # fmt: skip
override = _act(
    "override", "override", "VALIDATED", "Let jobs pass in spite of critical findings.",
    "Let jobs pass in spite of critical findings; one that would render black cannot be overridden. The reason has 10"
    " characters or more.\n\n\b\ncrown motion override spring_01 --reason 'rendered by ourselves' --apply",
    function="override", needs_reason=True,
)  # fmt: skip
hold = _act(
    "hold", "hold", "DEPARTMENT", "Take jobs out of work.",
    "Take jobs out of work until they are released. The reason has 10 characters or more.\n\n"
    "\b\ncrown motion hold spring_01 --reason 'waits for the client' --apply\n"
    "crown motion hold --batch BATCH_20251030_143022 --reason 'client changed'",
    function="hold", by_batch=True, needs_reason=True,
)  # fmt: skip
release = _act(
    "release", "release", "DEPARTMENT", "Put held jobs back.",
    "Put held jobs back to where they would be; no gate is passed.\n\n\b\ncrown motion release spring_01 --apply",
    function="release", by_batch=True,
)  # fmt: skip
retry = _act(
    "retry", "retry", "DEPARTMENT", "Try failed jobs again.",
    "Try failed jobs again, from the stage at which they failed.\n\n"
    "\b\ncrown motion retry spring_01 --apply\ncrown motion retry --batch BATCH_20251030_143022 --apply",
    function="retry", by_batch=True,
)  # fmt: skip
archive = _act(
    "archive", "archive", "DEPARTMENT", "Freeze completed jobs.",
    "Freeze completed jobs: their packages stay, changed files touch them no more.\n\n"
    "\b\ncrown motion archive spring_01 --apply",
    function="archive", by_batch=True,
)  # fmt: skip
unarchive = _act(
    "unarchive", "archive", "DEPARTMENT", "Take jobs back out of the archive.",
    "Take jobs back out of the archive; files that changed meanwhile re-open them.\n\n"
    "\b\ncrown motion unarchive spring_01 --apply",
    function="unarchive", by_batch=True,
)  # fmt: skip

COMMANDS = (review, preview, approve, reject, send_back, override, hold, release, retry, archive, unarchive)
