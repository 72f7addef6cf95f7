"""What the commands of `crown images` share: the workspace, the person, how an act is shown before it is done.

An act shows what it is about and what follows from it, and changes nothing without --apply.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING

import click

from crown_cli.common.output import show_json, show_rows
from crown_cli.common.people import acting

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from crown.ledger.decisions import Verdict
    from crown.product_images.forecast import Forecast
    from crown.product_images.share.review import Chosen
    from crown.product_images.workspace import Workspace

#: How many rows and files of an act are shown to people.
_SHOWN = 20


@contextmanager
def open_images() -> Iterator[Workspace]:
    """The workspace of product images in this invocation's world."""
    from crown.product_images.workspace import open_workspace
    from crown_cli.common.world import open_world

    with open_world() as world:
        yield open_workspace(world.engine, world.settings)


def decide_on(
    patterns: Sequence[str],
    verdict: Verdict,
    *,
    who: str | None,
    reason: str | None,
    carry_out: bool,
    as_json: bool,
    score_above: float | None = None,
    and_then: Callable[[Workspace, str], Callable[[Connection], object]] | None = None,
) -> None:
    """Show which cut-outs a decision would be about and what would follow; with `carry_out`, decide.

    Args:
        patterns: of photos.
        verdict: the verdict on them.
        who: the person.
        reason: for the record.
        carry_out: decide; without, nothing is changed.
        as_json: answer in JSON.
        score_above: see `review.choose`.
        and_then: another act that belongs to it, given the workspace and the person.
    """
    from crown.ledger.verdicts import Ruling
    from crown.product_images.forecast import consequences
    from crown.product_images.share import rejected, review, review_folder
    from crown.product_images.workspace import CUTOUTS

    with open_images() as workspace:
        person = acting(workspace.engine, who, verdict, CUTOUTS)
        chosen = review.choose(workspace, patterns, verdict, score_above=score_above)
        decide = review.supposed(chosen, Ruling(verdict, person, "cli", reason))
        more = None if and_then is None else and_then(workspace, person)

        def act(connection: Connection) -> None:
            decide(connection)
            if more is not None:
                more(connection)

        forecast, decisions = consequences(workspace, act), []
        if carry_out:
            decisions = review.decide_on(workspace, chosen, verdict, who=person, via="cli", reason=reason)
            if more is not None:
                with workspace.engine.begin() as connection:
                    more(connection)
            review_folder.show(workspace)
            rejected.show(workspace)
    rows = [
        {
            "photo": one.photo,
            "score": one.score,
            "now": f"{one.verdict} ({one.who})" if one.verdict else None,
            "then": one.then,
            "decision": decision,
        }
        for one, decision in zip_longest(chosen, [d.decision_id for d in decisions])
    ]
    show_act(
        forecast,
        applied=carry_out,
        as_json=as_json,
        sentence=_counted(chosen, verdict),
        rows=rows,
        columns=["photo", "score", "now", "then"],
        verdict=verdict,
        photos=rows,
    )


def _counted(chosen: Sequence[Chosen], verdict: Verdict) -> str:
    """How many cut-outs a decision is about, and their verdicts until now."""
    verdicts = Counter(one.verdict or "undecided" for one in chosen)
    words = {"approve": "approved", "reject": "rejected"}
    now = ", ".join(f"{count:,} {words.get(what, what)}" for what, count in sorted(verdicts.items()))
    cutouts = "1 cut-out" if len(chosen) == 1 else f"{len(chosen):,} cut-outs"
    return f"{verdict.capitalize()} {cutouts}; until now {now}."


def show_act(
    forecast: Forecast,
    *,
    applied: bool,
    as_json: bool,
    sentence: str,
    rows: Sequence[Mapping[str, object]] = (),
    columns: Sequence[str] | None = None,
    **more: object,
) -> None:
    """Show what an act is about and what follows from it; `more` are further fields of the JSON answer."""
    if as_json:
        show_json({"applied": applied, **more, **forecast_json(forecast)})
        return
    click.echo(sentence)
    if rows:
        show_rows(rows[:_SHOWN], columns=columns)
    if len(rows) > _SHOWN:
        click.echo(f"  and {len(rows) - _SHOWN:,} more; --json lists them all.")
    show_forecast(forecast, empty="Nothing else follows from it.")
    click.echo("Done; the next run carries it out." if applied else "Nothing is changed; --apply does it.")


def forecast_json(forecast: Forecast, *, all_files: bool = False) -> dict[str, object]:
    """A forecast as an answer for scripts."""
    from crown.product_images.forecast import as_row

    return {
        "assets": [as_row(row) for row in forecast.assets],
        "published": _published(forecast),
        "files": forecast.published if all_files else forecast.published[:_SHOWN],
        "held": forecast.held,
    }


def _published(forecast: Forecast) -> dict[str, int]:
    always = ("new", "changed", "removed")
    counted = {what: forecast.counted(what) for what in (*always, "cancelled", "kept")}
    return {what: count for what, count in counted.items() if count or what in always}


def show_forecast(forecast: Forecast, *, empty: str, all_files: bool = False) -> None:
    """What would be made, published and removed, for people."""
    from crown.product_images.forecast import as_row

    show_rows(
        [as_row(row) for row in forecast.assets],
        columns=["asset", "to_make", "changed", "to_wait", "to_retire", "products", "megabytes", "minutes"],
        empty=empty,
    )
    if forecast.published:
        counted = _published(forecast).items()
        click.echo("Published files: " + ", ".join(f"{count:,} {what}" for what, count in counted) + ".")
    shown = forecast.published if all_files else forecast.published[:_SHOWN]
    for change in shown:
        click.echo(f"  {change.what} {change.target}: {change.path}")
    if len(shown) < len(forecast.published):
        click.echo(
            f"  and {len(forecast.published) - len(shown):,} more; `crown images plan --files` lists them."
        )
    for removal in forecast.held:
        click.echo(removal.sentence)


def assets_named(asset: str | None) -> list[str]:
    """The assets that an option names; all without one."""
    from crown.errors import BadInput
    from crown.product_images.workspace import ASSETS

    chosen = [a for a in ASSETS if asset is None or a in (asset, f"product_images/{asset}")]
    if not chosen:
        raise BadInput(f"{asset} is not an asset; the assets are {', '.join(ASSETS)}.")
    return chosen
