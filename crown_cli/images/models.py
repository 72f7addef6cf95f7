"""`crown images rehearse, rehearsals, rehearsal, promote, clear-rehearsals`: another cut-out model tried without using it.

The domain code is in crown/product_images: rehearsal, promotion, cutout_models, rehearsal_removal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crown_cli.common.options import apply_option, reason_option
from crown_cli.common.output import (
    json_option,
    rows_option,
    show_json,
    show_rows,
    size,
)
from crown_cli.common.people import acting, who_option
from crown_cli.images.shared import open_images

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from crown.product_images.rehearsal.records import Rehearsal, Result
    from crown.product_images.workspace import Workspace

#: How many of the worst differences are shown to people.
_WORST = 20


@click.command(short_help="Try another cut-out MODEL without using it.")
@click.argument("model")
@click.option("--photos", help="These photos, comma separated; * and ? as in file names.")
@click.option("--rejected", is_flag=True, help="Photos with a rejected cut-out.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="N photos, always the same ones.")
@click.option("--all", "everything", is_flag=True, help="Every photo.")
@click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the weights, when it is not CROWN_PRODUCT_IMAGES_WEIGHTS_DIR.",
)
@who_option
@json_option
def rehearse(
    model: str,
    photos: str | None,
    rejected: bool,
    sample: int | None,
    everything: bool,
    weights: Path | None,
    who: str | None,
    as_json: bool,
) -> None:
    """Cut photos out by MODEL and compare them with today's cut-outs; nothing else is changed.

    Without options: the photos with a rejected cut-out, and a sample of 20.

    \b
    crown images rehearse isnet-general-use --weights ~/weights
    crown images rehearse studio --all
    """  # noqa: D301
    from crown.product_images.rehearsal import trial as rehearsal

    if sum((photos is not None, everything, rejected or sample is not None)) > 1:
        raise click.UsageError("give --photos, or --all, or --rejected and --sample")
    if photos is not None:
        named = tuple(name.strip() for name in photos.split(",") if name.strip())
        selection = rehearsal.Selection(photos=named)
    elif everything:
        selection = rehearsal.Selection(everything=True)
    elif rejected or sample is not None:
        selection = rehearsal.Selection(rejected=rejected, sample=sample or 0)
    else:
        selection = rehearsal.Selection(rejected=True, sample=rehearsal.SAMPLE)

    def say(result: Result, done: int, of: int) -> None:
        click.echo(f"{done:,} of {of:,}  {result.photo}  {result.error or _apart(result)}", err=True)

    from crown.product_images.workspace import CUTOUTS

    with open_images() as workspace:
        done = rehearsal.rehearse(
            workspace,
            model,
            selection,
            who=acting(workspace.engine, who, "run", CUTOUTS),
            weights_dir=weights,
            on_progress=say,
        )
        _show(workspace, done, as_json=as_json)


def _apart(result: Result) -> str:
    if result.same_bytes:
        return "the same bytes"
    if result.difference is None:
        return "there was none to compare with"
    return f"differs by {result.difference:.4f}"


@click.command(short_help="List rehearsals, newest first.")
@rows_option
def rehearsals(as_json: bool) -> None:
    """The rehearsals on record, newest first.

    \b
    crown images rehearsals
    """  # noqa: D301
    from crown.product_images.rehearsal import records as rehearsal_records

    with open_images() as workspace:
        rows = [one.as_row() for one in rehearsal_records.rehearsals(workspace)]
    shown = rows if as_json else [_exact(row) for row in rows]
    show_rows(shown, as_json=as_json, empty="Nothing was rehearsed; `crown images rehearse MODEL` begins.")


@click.command("rehearsal", short_help="Show what came out in one rehearsal.")
@click.argument("number", type=int)
@json_option
def one_rehearsal(number: int, as_json: bool) -> None:
    """What came out in the rehearsal NUMBER, failures and the worst differences first.

    \b
    crown images rehearsal 3
    crown images rehearsal 3 --json | jq '.results[].photo'
    """  # noqa: D301
    from crown.product_images.rehearsal import records as rehearsal_records

    with open_images() as workspace:
        _show(workspace, rehearsal_records.read(workspace, number), as_json=as_json)


def _show(workspace: Workspace, found: Rehearsal, *, as_json: bool) -> None:
    sheet = None if found.sheet is None else workspace.settings.home / "previews" / found.sheet
    rows = [result.as_row() for result in found.results]
    if as_json:
        show_json({**found.as_row(), "sheet": sheet, "results": rows})
        return
    show_rows([_exact(found.as_row())])
    show_rows([_exact(row) for row in rows[:_WORST]], empty="No photo was done.")
    if len(rows) > _WORST:
        click.echo(f"and {len(rows) - _WORST:,} more; --json lists them.")
    if sheet is not None:
        click.echo(
            f"Side by side (today, rehearsed, difference): {sheet}, in the console /previews/{found.sheet}"
        )
    if found.bytes_removed_at is not None:
        click.echo(f"Its bytes and its sheet were removed by {found.bytes_removed_by}; the figures stay.")
    if found.ended_at is None:
        click.echo("It was not finished; start it again, what is done is not cut out again.")


def _exact(row: dict[str, Any]) -> dict[str, Any]:
    """Differences with all their digits: a limit has as many."""
    return {name: f"{value:.4f}" if isinstance(value, float) else value for name, value in row.items()}


@click.command(short_help="Put the model of a rehearsal in force for all photos.")
@click.argument("number", metavar="NUMBER|default")
@click.option(
    "--limit",
    type=click.FloatRange(0, 1),
    help="Up to this difference the promotion is the approval; default 0.02.",
)
@apply_option
@reason_option(required=False)
@who_option
@json_option
def promote(
    number: str, limit: float | None, carry_out: bool, reason: str | None, who: str | None, as_json: bool
) -> None:
    """Put the model of rehearsal NUMBER in force for all photos; `default`: the setting's model again.

    Shows what would change; --apply carries it out.

    \b
    crown images promote 3
    crown images promote 3 --limit 0.01 --apply
    crown images promote default --apply
    """  # noqa: D301
    from crown.errors import BadInput
    from crown.product_images.cutout import models as cutout_models
    from crown.product_images.rehearsal import promotion
    from crown.product_images.workspace import CUTOUTS

    with open_images() as workspace:
        person = acting(workspace.engine, who, "promote", CUTOUTS)
        if number == cutout_models.DEFAULT:
            _back(workspace, carry_out=carry_out, reason=reason, person=person, as_json=as_json)
            return
        if not number.isdecimal():
            raise BadInput(
                f"{number!r} is no rehearsal; write its number (`crown images rehearsals`) or default."
            )
        most = promotion.LIMIT if limit is None else limit
        if carry_out:
            meant = promotion.promote(workspace, int(number), most, who=person, via="cli", reason=reason)
        else:
            meant = promotion.look(workspace, int(number), most)
    if as_json:
        show_json({"applied": carry_out, **meant.__dict__})
        return
    click.echo(
        f"{meant.model} {'is' if carry_out else 'would be'} in force for all photos (rehearsal {meant.rehearsal_id},"
        f" limit {meant.limit:g})."
    )
    for name, count in meant.counts().items():
        if count:
            photos: list[str] = getattr(meant, name)
            shown = ", ".join(photos[:8]) + (" ..." if count > 8 else "")
            click.echo(f"{count:>7,} {_MEANINGS[name]}: {shown}")
    if not any(meant.counts().values()):
        click.echo("No cut-out would change.")
    if not carry_out:
        click.echo("Nothing is changed; --apply does it.")


_MEANINGS = {
    "identical": "come out with the same bytes, nothing follows",
    "carried": "differ by at most the limit, approved by this promotion",
    "returning": "are approved and differ by more: back to the review, published as they are until then",
    "waiting": "are not approved today: shown in the review in their new form",
    "cut_anew": "were not rehearsed: cut out by the next run, then reviewed unless the bytes are the same",
    "failing": "failed in the rehearsal: tried once more by the next run",
}


def _back(workspace: Workspace, *, carry_out: bool, reason: str | None, person: str, as_json: bool) -> None:
    from crown.product_images.rehearsal import promotion

    if carry_out:
        meant = promotion.take_back(workspace, who=person, via="cli", reason=reason)
    else:
        meant = promotion.look_back(workspace)
    if as_json:
        show_json({"applied": carry_out, **meant.__dict__})
        return
    click.echo(
        f"{meant.model} (the setting CROWN_PRODUCT_IMAGES_CUTOUT_MODEL)"
        f" {'holds' if carry_out else 'would hold'} again instead of"
        f" {meant.instead_of}: {len(meant.there):,} earlier cut-outs {'are' if carry_out else 'would be'} back with what"
        f" was said of them, {len(meant.cut_anew):,} to be cut out again."
    )
    if not carry_out:
        click.echo("Nothing is changed; --apply does it.")


@click.command("clear-rehearsals", short_help="Remove the files that rehearsals left.")
@click.argument("numbers", metavar="[NUMBER]...", type=int, nargs=-1)
@click.option(
    "--older-than", type=click.IntRange(min=0), metavar="DAYS", help="All that ended more than DAYS days ago."
)
@apply_option
@who_option
@json_option
def clear_rehearsals(
    numbers: tuple[int, ...], older_than: int | None, carry_out: bool, who: str | None, as_json: bool
) -> None:
    """Remove the cut-outs and the sheets that rehearsals left, by NUMBER or by age; what came out stays on record.

    A cut-out that anything else needs stays: it was promoted, made by a run, or belongs to another rehearsal. The
    rehearsal whose promotion is in force is left as it is. Housekeeping does the same every night with those older than
    CROWN_PRODUCT_IMAGES_REHEARSAL_RETENTION_DAYS. Shows what would be removed; --apply removes it.

    Ends with 1 when there is no such rehearsal or a file cannot be removed, with 3 when one is in force, or a rehearsal
    or a backup is under way.

    \b
    crown images clear-rehearsals 3 4
    crown images clear-rehearsals --older-than 30 --apply
    crown images clear-rehearsals --older-than 30 --json | jq .bytes
    """  # noqa: D301
    from datetime import timedelta

    from crown.art_records.workspace import kept_objects
    from crown.product_images.rehearsal import removal as rehearsal_removal
    from crown.product_images.workspace import CUTOUTS

    if bool(numbers) == (older_than is not None):
        raise click.UsageError("name rehearsals by number (`crown images rehearsals`), or give --older-than")
    with open_images() as workspace:
        person = acting(workspace.engine, who, "apply_removal", CUTOUTS)
        others = kept_objects(workspace.engine)
        if older_than is None:
            done = rehearsal_removal.remove(
                workspace, numbers, who=person, via="cli", others=others, dry_run=not carry_out
            )
        else:
            done = rehearsal_removal.remove_old(
                workspace,
                timedelta(days=older_than),
                who=person,
                via="cli",
                others=others,
                dry_run=not carry_out,
            )
    if as_json:
        show_json({"applied": carry_out, **vars(done)})
        return
    if not done.rehearsals:
        click.echo(f"Nothing to remove: no rehearsal with bytes ended more than {older_than} days ago.")
        return
    click.echo(
        f"Rehearsals {', '.join(str(number) for number in done.rehearsals)}: {done.cutouts:,} cut-outs and"
        f" {done.sheets:,} sheets {'were' if carry_out else 'would be'} removed ({size(done.bytes)}); {done.kept:,} cut-outs"
        " stay, because something else needs them."
    )
    click.echo(
        "The figures stay: `crown images rehearsals`."
        if carry_out
        else "Nothing is changed; --apply removes them."
    )


def refuse_unusable(model: str) -> None:
    """Refuse a model that cannot cut out a photo now, for want of weights for instance."""
    from crown.product_images.cutout import models as cutout_models

    if model == cutout_models.DEFAULT:
        raise click.UsageError(
            "--try-model names a model; `crown images retry PHOTO --model default --apply` takes one back"
        )
    with open_images() as workspace:
        cutout_models.cutting(model, workspace.settings.product_images.weights_dir)


def choosing(
    workspace: Workspace, patterns: Sequence[str], model: str, *, who: str, reason: str | None
) -> Callable[[Connection], list[dict[str, Any]]]:
    """The act that gives the photos that match a model of their own (`default`: takes it back)."""
    from crown.product_images.cutout import models as cutout_models

    named = None if model == cutout_models.DEFAULT else model
    acts = [
        cutout_models.choosing(workspace, pattern, named, who=who, via="cli", reason=reason)
        for pattern in patterns
    ]
    return lambda connection: [vars(one) for act in acts for one in act(connection)]


def plan_cutouts(workspace: Workspace) -> None:
    """Plan the cut-outs: what is due now is seen by the sensor."""
    from crown.product_images import stages
    from crown.product_images.workspace import CUTOUTS

    stages.plan(workspace, [CUTOUTS])


COMMANDS = (rehearse, rehearsals, one_rehearsal, promote, clear_rehearsals)
