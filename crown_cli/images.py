"""`crown images`: what is made, what waits, decide, run, verify, trace. The craft is in crown/product_images.

The acts that publish or unpublish are in images_publishing.py, those on cut-out models in images_models.py.
"""

from __future__ import annotations

from typing import Any

import click

from crown_cli import images_models, images_publishing
from crown_cli.adopt import adopt, phantoms
from crown_cli.images_common import assets_named, decide_on, open_images, reason_option, who_option
from crown_cli.output import json_option, show_json, show_rows, size


@click.group()
def images() -> None:
    """Product images: from the inbox to the published share.

    \b
    crown images run                       whatever is due, recorded in Dagster
    crown images status                    how much is where
    crown images approve '52000123*'       release cut-outs for rendering
    crown images trace production/52000123/web/52000123_1000x1000_72dpi_jpeg.jpg
    """  # noqa: D301 - click's mark for lines that keep their breaks


@images.command()
@click.option("--review", is_flag=True, help="List the cut-outs that wait for a person, the doubtful first.")
@click.option("--troubles", is_flag=True, help="List what failed or needs a person, with the reasons.")
@json_option
def status(review: bool, troubles: bool, as_json: bool) -> None:
    """How many items of each asset are current, waiting, failed, and how many pictures are where.

    \b
    crown images status --review
    crown images status --troubles --json
    """  # noqa: D301
    from crown.ledger import counts
    from crown.product_images import cutout_models, removals
    from crown.product_images.counters import counters
    from crown.product_images.review import cutouts
    from crown.product_images.room import DEPARTMENT

    with open_images() as room:
        if review:
            rows = [
                {
                    "photo": c.photo,
                    "score": c.facts.get("triage", {}).get("score"),
                    "flags": ", ".join(c.facts.get("triage", {}).get("flags", [])),
                    "content_hash": c.content_hash,
                }
                for c in cutouts(room, undecided=True)
            ]
            show_rows(rows, as_json=as_json, empty="Nothing waits for a person.")
            return
        with room.engine.connect() as connection:
            if troubles:
                show_rows(
                    counts.troubles(connection, f"{DEPARTMENT}/"),
                    as_json=as_json,
                    columns=["asset", "key", "state", "error"],
                    empty="Nothing is left failed.",
                )
                return
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
@click.argument("pattern")
@reason_option(required=False)
@who_option
@json_option
def approve(pattern: str, reason: str | None, who: str | None, as_json: bool) -> None:
    """Approve the current cut-outs whose photo matches PATTERN; the next run renders and publishes them.

    \b
    crown images approve 52000123_1
    crown images approve '520001*' --who eva
    """  # noqa: D301
    decide_on(pattern, "approve", who, reason, as_json)


@images.command()
@click.argument("pattern")
@reason_option(required=True, help="What is wrong, for the person who mends it.")
@click.option("--try-model", metavar="MODEL", help="Have the photos cut out by this model from now on.")
@who_option
@json_option
def reject(pattern: str, reason: str, try_model: str | None, who: str | None, as_json: bool) -> None:
    """Reject the current cut-outs whose photo matches PATTERN.

    \b
    crown images reject 52000123 --reason 'the hole is filled'
    crown images reject 52000123 --reason 'the wire is gone' --try-model isnet-general-use
    """  # noqa: D301
    if try_model is not None:  # nothing is rejected when the weights are not there
        images_models.refuse_unusable(try_model)
    decide_on(pattern, "reject", who, reason, as_json)
    if try_model is not None:
        with open_images() as room:
            images_models.choose_model(room, pattern, try_model, who=who, reason=reason)


@images.command()
@click.argument("pattern", default="*")
@click.option("--asset", help="Only items of this asset, for instance cutouts.")
@click.option(
    "--model", help="Cut the photos out by this model from now on; default: by the one that all others have."
)
@reason_option(required=False)
@who_option
@json_option
def retry(
    pattern: str, asset: str | None, model: str | None, reason: str | None, who: str | None, as_json: bool
) -> None:
    """Try failed and quarantined items again whose key matches PATTERN (* and ? as in file names).

    With --model, PATTERN is of photos, and they are cut out anew whatever became of them; their neighbours are not.

    \b
    crown images retry
    crown images retry '52000123*' --asset cutouts
    crown images retry 52000123_1 --model isnet-general-use --reason 'chrome on grey'
    crown images retry 52000123_1 --model default
    """  # noqa: D301
    from crown.ledger import planning

    if model is not None:
        if asset not in (None, "cutouts", "product_images/cutouts"):
            raise click.UsageError("--model is about cut-outs; leave --asset away")
        with open_images() as room:
            changed = images_models.choose_model(room, pattern, model, who=who, reason=reason)
        show_rows(changed, as_json=as_json)
        return
    chosen = assets_named(asset)
    like = (
        pattern.replace("\\", "\\\\")
        .replace("%", "\\%")
        .replace("_", "\\_")
        .replace("*", "%")
        .replace("?", "_")
    )
    with open_images() as room, room.engine.begin() as connection:
        rows = [{"asset": a, "to_try_again": planning.retry(connection, a, like)} for a in chosen]
    show_rows([row for row in rows if row["to_try_again"]], as_json=as_json, empty="Nothing to try again.")


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
@click.argument("file")
@json_option
def trace(file: str, as_json: bool) -> None:
    """Where FILE comes from and what was made of it: original, uploader, recipe, decision, run.

    FILE is a path of ours or a sha256. Dagster's own history is not needed.

    \b
    crown images trace /srv/media/production/52000123/web/52000123_1000x1000_72dpi_jpeg.jpg
    crown images trace products/52000123/source/52000123.png --json
    """  # noqa: D301
    from crown.product_images.trace import trace as follow

    with open_images() as room:
        found = follow(room, file)
    if as_json:
        show_json(found)
        return
    click.echo(found["file"] or found["content_hash"])
    if found["unchanged"] is False:
        click.echo("  the bytes there are no longer the ones we made")
    for making in (found["made"], *found["back"]):
        _say_making(making, "made" if making is found["made"] else "of")
    for upload in found["uploads"]:
        click.echo(
            f"  {upload['kind']} {upload['file_name']} from {upload['uploader']},"
            f" {upload['uploaded_at']:%Y-%m-%d %H:%M}, sha256 {upload['content_hash'][:12]}"
        )
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
