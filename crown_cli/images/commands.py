"""`crown images`: what is made, what waits, decide, run, verify, trace. The domain code is in crown/product_images.

The acts that publish or unpublish are in images_publishing.py, those on cut-out models in images_models.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from crown_cli.common.options import apply_option, reason_option
from crown_cli.common.output import (
    csv_wanted,
    json_option,
    readable,
    rows_option,
    show_json,
    show_rows,
    size,
)
from crown_cli.common.people import acting, who_option
from crown_cli.images import models as images_models
from crown_cli.images import publishing as images_publishing
from crown_cli.images.adopt import adopt, unknown_products
from crown_cli.images.shared import (
    assets_named,
    decide_on,
    open_images,
    show_act,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from crown.product_images.photo_status import PhotoStatus
    from crown.product_images.workspace import Workspace


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


@images.command(short_help="Count items by asset, or say what became of a photo.")
@click.argument("photo", required=False)
@click.option("--review", is_flag=True, help="List the cut-outs that wait for a person, the doubtful first.")
@click.option("--rejected", is_flag=True, help="List the rejected photos with the reasons.")
@click.option("--troubles", is_flag=True, help="List what failed or needs a person, with the reasons.")
@rows_option
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
    if photo is not None and csv_wanted():
        raise click.UsageError("what has become of a photo is no table; use --json")
    if sum((photo is not None, review, rejected, troubles)) > 1:
        raise click.UsageError("give PHOTO, or --review, or --rejected, or --troubles")
    with open_images() as workspace:
        if photo is not None:
            _show_photos(workspace, photo, as_json)
        elif review:
            _show_review(workspace, as_json)
        elif rejected:
            _show_rejected(workspace, as_json)
        elif troubles:
            _show_troubles(workspace, as_json)
        else:
            _show_counts(workspace, as_json)


def _show_photos(workspace: Workspace, photo: str, as_json: bool) -> None:
    from crown.product_images.trace import photos_named

    found = photos_named(workspace, photo)
    if as_json:
        show_json(found)
        return
    for one in found:
        _say_photo(one)


def _say_photo(one: PhotoStatus) -> None:
    """A sentence, then uploads, decisions, items that are not current, and published files."""
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


def _show_review(workspace: Workspace, as_json: bool) -> None:
    from crown.product_images.share.review import cutouts

    rows = [
        {
            "photo": c.photo,
            "score": c.facts.get("triage", {}).get("score"),
            "flags": ", ".join(c.facts.get("triage", {}).get("flags", [])),
            "content_hash": c.content_hash,
        }
        for c in cutouts(workspace, undecided=True)
    ]
    columns = ["photo", "score", "flags"]
    show_rows(rows, as_json=as_json, columns=columns, empty="Nothing waits for a person.")


def _show_rejected(workspace: Workspace, as_json: bool) -> None:
    from crown.product_images.share.rejected import rejected

    rows = [vars(one) for one in rejected(workspace)]
    columns = ["photo", "reason", "who", "decided_at", "original"]
    show_rows(rows, as_json=as_json, columns=columns, empty="Nothing is rejected.")


def _show_troubles(workspace: Workspace, as_json: bool) -> None:
    from crown.ledger import counts
    from crown.product_images.workspace import DEPARTMENT

    with workspace.engine.connect() as connection:
        show_rows(
            counts.troubles(connection, f"{DEPARTMENT}/"),
            as_json=as_json,
            columns=["asset", "key", "state", "error"],
            empty="Nothing is left failed.",
        )


def _show_counts(workspace: Workspace, as_json: bool) -> None:
    from crown.flow import held_removals
    from crown.ledger import counts
    from crown.product_images.counters import counters
    from crown.product_images.cutout import models as cutout_models
    from crown.product_images.publishing.removals import RULES
    from crown.product_images.workspace import DEPARTMENT

    with workspace.engine.connect() as connection:
        states = counts.by_state(connection, f"{DEPARTMENT}/")
        held = held_removals.standing(connection, RULES)
        models = cutout_models.standing_sentences(connection, workspace.settings)
    absent, counted = workspace.absent_roots(), counters(workspace)
    if as_json:
        show_json({"counters": counted, "assets": states, "held": held, "absent": absent, "models": models})
        return
    show_rows([{"asset": asset, **count} for asset, count in states.items()])
    if csv_wanted():
        return
    click.echo(", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in vars(counted).items()))
    for sentence in (*models, *(removal.sentence for removal in held), *absent.values()):
        click.echo(sentence)


@images.command(short_help="Make whatever is due, from the inbox to the share.")
@json_option
def run(as_json: bool) -> None:
    """Make whatever is due, from the inbox to the share; the run appears in the Dagster UI.

    \b
    crown images run
    crown images run --json | jq .run_id
    """  # noqa: D301
    from crown_cli.common.runs import dagster_instance, run_job
    from crown_cli.common.world import open_world

    with open_world() as world, dagster_instance(world) as instance:
        done = run_job(instance, "product_images")
    if as_json:
        show_json(done)
        return
    rows = [
        {
            "asset": asset,
            "made": counts.get("successful", 0),
            "failed": counts.get("failed", 0),
            "current": counts.get("skipped", 0),
            "size": size(counts.get("bytes", 0)),
            "seconds": counts.get("seconds", 0),
        }
        for asset, counts in done["assets"].items()
    ]
    show_rows(rows, title=f"Run {done['run_id']}")


@images.command(short_help="Approve cut-outs by photo or by score.")
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

    Shows what would change; --apply carries it out. PATTERN may be left away with --score-above.

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


@images.command(short_help="Reject cut-outs by photo.")
@click.argument("patterns", metavar="PATTERN...", nargs=-1, required=True)
@reason_option(required=True, help="What is wrong, for the person who corrects it.")
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

    Shows what would change; --apply carries it out.

    \b
    crown images reject 52000123 --reason 'the hole is filled' --apply
    crown images reject '7010*' --reason 'wrong series'
    crown images reject 52000123 --reason 'no wire' --try-model isnet-general-use
    """  # noqa: D301

    def other_model(workspace: Workspace, person: str) -> Callable[[Connection], object]:
        return images_models.choosing(workspace, patterns, str(try_model), who=person, reason=reason)

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


@images.command(short_help="Try failed items again, or cut photos out again.")
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

    With --model, PATTERN is of photos, and they are cut out again whatever their state; other photos are not.
    Shows what would change; --apply carries it out.

    \b
    crown images retry --apply
    crown images retry '52000123*' --asset cutouts
    crown images retry 52000123_1 --model isnet-general-use --apply
    crown images retry 52000123_1 --model default --apply
    """  # noqa: D301
    from crown.ledger import planning
    from crown.ledger.locks import lock_assets
    from crown.product_images.cutout import models as cutout_models
    from crown.product_images.forecast import consequences
    from crown.product_images.workspace import CUTOUTS

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

    def due(connection: Connection) -> dict[str, list[str]]:
        if model is not None:
            return {CUTOUTS: cutout_models.failing(connection, pattern)}
        return {a: planning.failing(connection, a, like) for a in chosen}

    with open_images() as workspace:
        rows: list[dict[str, Any]] = []
        act: Callable[[Connection], object] | None = None
        person = acting(workspace.engine, who, "retry", CUTOUTS if model is not None else "*")
        if model is not None:
            choose = images_models.choosing(workspace, [pattern], model, who=person, reason=reason)
            act = lambda connection: rows.extend(choose(connection))  # noqa: E731
        follows = consequences(workspace, act, due=due)
        with workspace.engine.begin() as connection:
            if model is None:
                counted = due(connection).items()
                rows = [{"asset": a, "to_try_again": len(keys)} for a, keys in counted if keys]
            if carry_out and model is not None:
                choose(connection)
                cutout_models.try_again(connection, pattern)
            elif carry_out:
                lock_assets(connection, chosen)
                for a in chosen:
                    planning.retry(connection, a, like)
        if carry_out:
            images_models.plan_cutouts(workspace)
    show_act(
        follows,
        applied=carry_out,
        as_json=as_json,
        sentence="Cut out again:" if model else "Try again:" if rows else "Nothing is left failed.",
        rows=rows,
        items=rows,
    )


@images.command(short_help="Compare every file with what was written.")
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
    from crown.flow.verify import verify as look

    def say(checked: int) -> None:
        click.echo(f"{checked:,} files checked", err=True)

    with open_images() as workspace:
        found = look(workspace, quick=quick, emptied=emptied, on_progress=say)
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


@images.command(short_help="Trace a file: its origin and its outputs.")
@click.argument("what", metavar="FILE|PHOTO|NUMBER")
@json_option
def trace(what: str, as_json: bool) -> None:
    """Where a file comes from and what was made of it: original, uploader, recipe, decision, run; and what has become
    of a photo.

    Give a path of ours, a sha256, a product number, a photo, or the name of a file as it was put into the inbox or is
    shown in the review. Dagster's own history is not needed.

    \b
    crown images trace products/52000123/source/52000123.png --json
    crown images trace 52000123
    crown images trace IMG_1234.jpg
    crown images trace review/bg_removed/52000123_1.png
    """  # noqa: D301
    from crown.product_images.trace import trace as follow

    with open_images() as workspace:
        found = follow(workspace, what)
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
    for output in (found["made"], *found["back"]):
        _say_output(output, "made" if output is found["made"] else "of")
    for output in found["forward"]:
        _say_output(output, "used for")
    if chosen := found["chosen_model"]:
        whose = "this photo" if chosen["photo"] else f"all photos (rehearsal {chosen['rehearsal_id']})"
        why = f": {chosen['reason']}" if chosen["reason"] else ""
        click.echo(f"  cut-outs of {whose} by {chosen['model']}, chosen by {chosen['who']}{why}")


def _say_output(output: dict[str, Any], how: str) -> None:
    model = output["recipe_body"].get("model")
    recipe = f"{output['recipe_name']!r}" + (f" ({model})" if model else "")
    verdict = output["verdict"] if model is None else f"{model} chosen"
    by = f", {verdict} by {output['who']} ({output['via']})" if output["who"] else ""
    run = f", run {output['run_id'][:8]}" if output["run_id"] else ""
    gone = "" if output["present"] else ", no longer there"
    role = f" as {', '.join(output['roles'])}" if output["roles"] else ""
    click.echo(
        f"  {how}{role} {output['asset']} {output['key']} by recipe {recipe}{by}{run},"
        f" {output['made_at']:%Y-%m-%d %H:%M}{gone}"
    )


for _command in (*images_publishing.COMMANDS, *images_models.COMMANDS, adopt, unknown_products):
    images.add_command(_command)
