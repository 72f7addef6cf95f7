"""`crown images`: what is made, what waits, decide, run, verify, trace. The craft is in crown/product_images.

The acts that publish or unpublish are in images_publishing.py, those on cut-out models in images_models.py.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from crown_cli import images_models, images_publishing
from crown_cli.adopt import adopt, phantoms
from crown_cli.images_common import (
    apply_option,
    assets_named,
    decide_on,
    open_images,
    reason_option,
    tell_act,
    who_option,
)
from crown_cli.output import json_option, readable, show_json, show_rows, size

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from crown.product_images.photo_status import PhotoStatus
    from crown.product_images.room import Room


@click.group()
def images() -> None:
    """Product images: from the inbox to the published share.

    \b
    crown images run                       whatever is due, recorded in Dagster
    crown images status                    how much is where
    crown images status 52000123           what has become of a photo
    crown images approve '52000123*'       what an approval would mean; --apply
    crown images trace 52000123            where its files come from
    """  # noqa: D301 - click's mark for lines that keep their breaks


@images.command()
@click.argument("photo", required=False)
@click.option("--review", is_flag=True, help="List the cut-outs that wait for a person, the doubtful first.")
@click.option("--rejected", is_flag=True, help="List the rejected photos with the reasons.")
@click.option("--troubles", is_flag=True, help="List what failed or needs a person, with the reasons.")
@json_option
def status(photo: str | None, review: bool, rejected: bool, troubles: bool, as_json: bool) -> None:
    """How many items of each asset are current, waiting, failed, and how many pictures are where.

    With PHOTO (a photo, a product number, or the name of a file): what has become of it.

    \b
    crown images status
    crown images status 52000123_1
    crown images status --review
    crown images status --rejected
    crown images status --troubles --json
    """  # noqa: D301
    if sum((photo is not None, review, rejected, troubles)) > 1:
        raise click.UsageError("give PHOTO, or --review, or --rejected, or --troubles")
    with open_images() as room:
        if photo is not None:
            _show_photos(room, photo, as_json)
        elif review:
            _show_review(room, as_json)
        elif rejected:
            _show_rejected(room, as_json)
        elif troubles:
            _show_troubles(room, as_json)
        else:
            _show_counts(room, as_json)


def _show_photos(room: Room, photo: str, as_json: bool) -> None:
    from crown.product_images.trace import photos_named

    found = photos_named(room, photo)
    if as_json:
        show_json(found)
        return
    for one in found:
        _say_photo(one)


def _say_photo(one: PhotoStatus) -> None:
    """A sentence, then what people gave and said, and what stands where."""
    click.echo(one.sentence)
    for upload in one.uploads:
        click.echo(
            f"  {upload['kind']} {upload['file_name']} from {upload['uploader']},"
            f" {readable(upload['uploaded_at'])}, sha256 {upload['content_hash'][:12]}"
        )
    for said in one.decisions:
        why = f": {said.reason}" if said.reason else ""
        click.echo(f"  {said.verdict} by {said.who} ({said.via}), {readable(said.decided_at)}{why}")
    for item in one.items:
        if item["state"] not in ("current", "retired"):
            why = item["error"] or item["waiting_for"]
            click.echo(f"  {item['asset']} {item['key']} {item['state']}" + (f": {why}" if why else ""))
    for path in one.published:
        click.echo(f"  published {path}")


def _show_review(room: Room, as_json: bool) -> None:
    from crown.product_images.review import cutouts

    rows = [
        {
            "photo": c.photo,
            "score": c.facts.get("triage", {}).get("score"),
            "flags": ", ".join(c.facts.get("triage", {}).get("flags", [])),
            "content_hash": c.content_hash,
        }
        for c in cutouts(room, undecided=True)
    ]
    columns = ["photo", "score", "flags"]
    show_rows(rows, as_json=as_json, columns=columns, empty="Nothing waits for a person.")


def _show_rejected(room: Room, as_json: bool) -> None:
    from crown.product_images.rejected import rejected

    rows = [vars(one) for one in rejected(room)]
    columns = ["photo", "reason", "who", "decided_at", "original"]
    show_rows(rows, as_json=as_json, columns=columns, empty="Nothing is rejected.")


def _show_troubles(room: Room, as_json: bool) -> None:
    from crown.ledger import counts
    from crown.product_images.room import DEPARTMENT

    with room.engine.connect() as connection:
        show_rows(
            counts.troubles(connection, f"{DEPARTMENT}/"),
            as_json=as_json,
            columns=["asset", "key", "state", "error"],
            empty="Nothing is left failed.",
        )


def _show_counts(room: Room, as_json: bool) -> None:
    from crown.ledger import counts
    from crown.product_images import cutout_models, removals
    from crown.product_images.counters import counters
    from crown.product_images.room import DEPARTMENT

    with room.engine.connect() as connection:
        states = counts.by_state(connection, f"{DEPARTMENT}/")
        held = removals.standing(connection)
        models = cutout_models.standing_sentences(connection, room.settings)
    absent, counted = room.absent_targets(), counters(room)
    if as_json:
        show_json({"counters": counted, "assets": states, "held": held, "absent": absent, "models": models})
        return
    show_rows([{"asset": asset, **count} for asset, count in states.items()])
    click.echo(", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in vars(counted).items()))
    for sentence in (*models, *(removal.sentence for removal in held), *absent.values()):
        click.echo(sentence)


@images.command()
@json_option
def run(as_json: bool) -> None:
    """Make whatever is due, from the inbox to the share; the run appears in the Dagster UI.

    \b
    crown images run
    crown images run --json | jq .run_id
    """  # noqa: D301
    from crown_cli.runs import dagster_instance, run_job
    from crown_cli.world import open_world

    with open_world() as world, dagster_instance(world) as instance:
        done = run_job(instance, "product_images")
    if as_json:
        show_json(done)
        return
    rows = [
        {
            "asset": asset,
            "made": told.get("successful", 0),
            "failed": told.get("failed", 0),
            "current": told.get("skipped", 0),
            "size": size(told.get("bytes", 0)),
            "seconds": told.get("seconds", 0),
        }
        for asset, told in done["assets"].items()
    ]
    show_rows(rows, title=f"Run {done['run_id']}")


@images.command()
@click.argument("patterns", metavar="PATTERN...", nargs=-1)
@click.option(
    "--score-above",
    type=float,
    metavar="N",
    help="Only cut-outs that nobody decided on, with a higher score.",
)
@reason_option(required=False)
@apply_option
@who_option
@json_option
def approve(
    patterns: tuple[str, ...],
    score_above: float | None,
    reason: str | None,
    carry_out: bool,
    who: str | None,
    as_json: bool,
) -> None:
    """Approve the current cut-outs whose photo matches a PATTERN; the next run renders and publishes them.

    Says what would follow and changes nothing without --apply. PATTERN may be left away with --score-above.

    \b
    crown images approve 52000123_1 --apply
    crown images approve '520001*' 52000277 --who eva
    crown images approve --score-above 90 --apply
    """  # noqa: D301
    if not patterns and score_above is None:
        raise click.UsageError("Missing argument 'PATTERN...': name photos, or give --score-above.")
    decide_on(
        patterns or ("*",),
        "approve",
        who=who,
        reason=reason,
        carry_out=carry_out,
        as_json=as_json,
        score_above=score_above,
    )


@images.command()
@click.argument("patterns", metavar="PATTERN...", nargs=-1, required=True)
@reason_option(required=True, help="What is wrong, for the person who mends it.")
@click.option("--try-model", metavar="MODEL", help="Have the photos cut out by this model from now on.")
@apply_option
@who_option
@json_option
def reject(
    patterns: tuple[str, ...],
    reason: str,
    try_model: str | None,
    carry_out: bool,
    who: str | None,
    as_json: bool,
) -> None:
    """Reject the current cut-outs whose photo matches a PATTERN; what is published of them is removed.

    Says what would follow and changes nothing without --apply.

    \b
    crown images reject 52000123 --reason 'the hole is filled' --apply
    crown images reject '7010*' --reason 'wrong series'
    crown images reject 52000123 --reason 'no wire' --try-model isnet-general-use
    """  # noqa: D301

    def other_model(room: Room, person: str) -> Callable[[Connection], object]:
        return images_models.choosing(room, patterns, str(try_model), who=person, reason=reason)

    if try_model is not None:  # nothing is rejected when the weights are not there
        images_models.refuse_unusable(try_model)
    decide_on(
        patterns,
        "reject",
        who=who,
        reason=reason,
        carry_out=carry_out,
        as_json=as_json,
        and_then=other_model if try_model is not None else None,
    )


@images.command()
@click.argument("pattern", default="*")
@click.option("--asset", help="Only items of this asset, for instance cutouts.")
@click.option(
    "--model", help="Cut the photos out by this model from now on; default: by the one that all others have."
)
@reason_option(required=False)
@apply_option
@who_option
@json_option
def retry(
    pattern: str,
    asset: str | None,
    model: str | None,
    reason: str | None,
    carry_out: bool,
    who: str | None,
    as_json: bool,
) -> None:
    """Try failed and quarantined items again whose key matches PATTERN (* and ? as in file names).

    With --model, PATTERN is of photos, and they are cut out anew whatever became of them; their neighbours are not.
    Says what would follow and changes nothing without --apply.

    \b
    crown images retry --apply
    crown images retry '52000123*' --asset cutouts
    crown images retry 52000123_1 --model isnet-general-use --apply
    crown images retry 52000123_1 --model default --apply
    """  # noqa: D301
    from crown.ledger import planning
    from crown.ledger.locks import lock_assets
    from crown.product_images.preview import consequences

    if model is not None and asset not in (None, "cutouts", "product_images/cutouts"):
        raise click.UsageError("--model is about cut-outs; leave --asset away")
    chosen = assets_named(asset)
    like = (
        pattern.replace("\\", "\\\\")
        .replace("%", "\\%")
        .replace("_", "\\_")
        .replace("*", "%")
        .replace("?", "_")
    )

    def again(connection: Connection) -> list[dict[str, Any]]:
        lock_assets(connection, chosen)
        rows = [{"asset": a, "to_try_again": planning.retry(connection, a, like)} for a in chosen]
        return [row for row in rows if row["to_try_again"]]

    with open_images() as room:
        act: Callable[[Connection], list[dict[str, Any]]] = again
        if model is not None:
            person = who or getpass.getuser()
            act = images_models.choosing(room, [pattern], model, who=person, reason=reason)
        rows: list[dict[str, Any]] = []
        told = consequences(room, lambda connection: rows.extend(act(connection)))
        if carry_out:
            with room.engine.begin() as connection:
                act(connection)
            images_models.plan_cutouts(room)
    tell_act(
        told,
        applied=carry_out,
        as_json=as_json,
        sentence="Cut out anew:" if model else "Try again:" if rows else "Nothing is left failed.",
        rows=rows,
        items=rows,
    )


@images.command()
@click.option("--quick", is_flag=True, help="Compare presence and size only, not the bytes.")
@click.option(
    "--emptied", multiple=True, metavar="TARGET", help="This target was emptied on purpose: fill it again."
)
@json_option
@click.pass_context
def verify(context: click.Context, quick: bool, emptied: tuple[str, ...], as_json: bool) -> None:
    """Look at every file: missing ones are made again by the next run, changed ones are left to a person.

    Exit code 1 when something is not as we wrote it.

    \b
    crown images verify && echo sound
    """  # noqa: D301
    from crown.product_images.verify import verify as look

    def say(checked: int) -> None:
        click.echo(f"{checked:,} files checked", err=True)

    with open_images() as room:
        found = look(room, quick=quick, emptied=emptied, on_progress=say)
    if as_json:
        show_json(found)
    else:
        click.echo(f"{found.checked:,} files checked.")
        for name in ("missing", "changed", "foreign"):
            for path in getattr(found, name):
                click.echo(f"{name}: {path}")
        for sentence in found.absent:
            click.echo(sentence)
    context.exit(0 if found.sound else 1)


@images.command()
@click.argument("what", metavar="FILE|PHOTO|NUMBER")
@json_option
def trace(what: str, as_json: bool) -> None:
    """Where a file comes from and what was made of it: original, uploader, recipe, decision, run; and what has become
    of a photo.

    Give a path of ours, a sha256, a product number, a photo, or the name of a file as it was put into the inbox or lies
    in the review. Dagster's own history is not needed.

    \b
    crown images trace products/52000123/source/52000123.png --json
    crown images trace 52000123
    crown images trace IMG_1234.jpg
    crown images trace review/bg_removed/52000123_1.png
    """  # noqa: D301
    from crown.product_images.trace import trace as follow

    with open_images() as room:
        found = follow(room, what)
    if as_json:
        show_json(found)
        return
    if found["made"] is not None:
        _say_file(found)
    for one in found["photos"]:
        _say_photo(one)
    for refused in found["refused"]:
        click.echo(refused["sentence"])


def _say_file(found: dict[str, Any]) -> None:
    click.echo(found["file"] or found["content_hash"])
    if found["unchanged"] is False:
        click.echo("  the bytes there are no longer the ones we made")
    for making in (found["made"], *found["back"]):
        _say_making(making, "made" if making is found["made"] else "of")
    for making in found["forward"]:
        _say_making(making, "used for")
    if chosen := found["chosen_model"]:
        whose = "this photo" if chosen["photo"] else f"all photos (rehearsal {chosen['rehearsal_id']})"
        why = f": {chosen['reason']}" if chosen["reason"] else ""
        click.echo(f"  cut-outs of {whose} by {chosen['model']}, chosen by {chosen['who']}{why}")


def _say_making(making: dict[str, Any], how: str) -> None:
    model = making["recipe_body"].get("model")
    recipe = f"{making['recipe_name']!r}" + (f" ({model})" if model else "")
    verdict = making["verdict"] if model is None else f"{model} chosen"
    by = f", {verdict} by {making['who']} ({making['via']})" if making["who"] else ""
    run = f", run {making['run_id'][:8]}" if making["run_id"] else ""
    gone = "" if making["present"] else ", no longer there"
    click.echo(
        f"  {how} {making['asset']} {making['key']} by recipe {recipe}{by}{run},"
        f" {making['made_at']:%Y-%m-%d %H:%M}{gone}"
    )


for _command in (*images_publishing.COMMANDS, *images_models.COMMANDS, adopt, phantoms):
    images.add_command(_command)
