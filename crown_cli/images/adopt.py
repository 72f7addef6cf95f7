"""`crown images adopt, unknown products`: takes a CrownPipe tree over, and retires what is no product in it.

The domain code is in crown/product_images: adopt, unknown products.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crown_cli.common.options import apply_option, reason_option
from crown_cli.common.output import (
    csv_wanted,
    json_option,
    rows_option,
    show_json,
    show_rows,
    size,
)
from crown_cli.common.people import acting, who_option
from crown_cli.images.shared import (
    open_images,
)

if TYPE_CHECKING:
    from crown.product_images.adopt.takeover import Adoption

_SHOWN = 20


@click.command(short_help="Take over CrownPipe's pictures below DIR.")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--products", default="*", metavar="PATTERN", help="Only product numbers that match (* and ?).")
@click.option(
    "--untagged-is-srgb", is_flag=True, help="A missing colour profile alone is no reason to make it again."
)
@apply_option
@who_option
@json_option
def adopt(
    folder: Path, products: str, untagged_is_srgb: bool, carry_out: bool, who: str | None, as_json: bool
) -> None:
    """Take over CrownPipe's pictures below DIR: originals, approved masters, and every rendition that is right.

    DIR is the old media folder, usually the one Crown works in now. Renditions that are what their spec makes of
    their master are taken over as they are. The others are listed with the reason; the next run makes them again,
    and their old bytes are kept in the store. Nothing is deleted. Doing it again takes over only what is new.

    Measures and shows what would change; --apply carries it out.

    \b
    crown images adopt /srv/media
    crown images adopt /srv/media --products '5200012*' --apply
    crown images adopt /srv/media --json | jq '.changes[].path'
    """  # noqa: D301 - click's mark for lines that keep their breaks
    from crown.product_images.adopt.takeover import adopt as take_over
    from crown.product_images.workspace import DEPARTMENT

    def say(count: int, total: int) -> None:
        if count % 100 == 0:
            click.echo(f"{count:,} of {total:,} photos", err=True)

    with open_images() as workspace:
        done = take_over(
            workspace,
            folder,
            who=acting(workspace.engine, who, "administer", DEPARTMENT),
            products=products,
            untagged=untagged_is_srgb,
            dry_run=not carry_out,
            on_progress=say,
        )
    if as_json:
        from dataclasses import asdict

        show_json({"applied": carry_out, **asdict(done), "reasons": done.reasons()})
    else:
        _report(done, carry_out)


@click.command(short_help="List or retire numbers that only CrownPipe knew.")
@click.argument("pattern", default="*")
@click.option("--retire", is_flag=True, help="Take them from the share and from this list; needs --reason.")
@reason_option(required=False)
@apply_option
@who_option
@rows_option
def unknown_products(
    pattern: str, retire: bool, reason: str | None, carry_out: bool, who: str | None, as_json: bool
) -> None:
    """Numbers that only CrownPipe knew: products made of a file name's collision, or whose pictures are gone.

    Without --retire, lists those whose number matches PATTERN, with their files on the share. Retiring keeps
    the bytes of every file in the store, by hash, and removes the file; --apply carries it out.

    \b
    crown images unknown-products
    crown images unknown-products 52000123_1 --retire --reason 'a copy'
    crown images unknown-products 52000123_1 --retire --reason 'a copy' --apply
    """  # noqa: D301 - click's mark for lines that keep their breaks
    from crown.product_images.adopt import unknown_products as domain_code
    from crown.product_images.workspace import DEPARTMENT

    if retire and not (reason or "").strip():
        raise click.UsageError("Retiring needs a reason; give it with --reason.")
    if carry_out and not retire:
        raise click.UsageError("--apply needs --retire: there is nothing to carry out in a list.")
    with open_images() as workspace:
        if carry_out:
            person = acting(workspace.engine, who, "retire", DEPARTMENT)
            found = domain_code.retire(workspace, pattern, who=person, via="cli", reason=reason or "")
        else:
            found = domain_code.unknown_products(workspace, pattern)
    if as_json:
        show_json({"retired": carry_out, "unknown_products": found})
        return
    show_rows(
        [
            {
                "number": one.number,
                "acts": one.acts,
                "files": len(one.files),
                "published": one.published,
                "first": one.files[0] if one.files else None,
            }
            for one in found
        ],
        title="Retired; their bytes are in the store" if carry_out else None,
        empty="There is no unknown product.",
    )
    if retire and found and not carry_out and not csv_wanted():
        click.echo("Nothing is changed; --apply retires them.")


def _report(done: Adoption, applied: bool) -> None:
    from crown.product_images.adopt.tree import WAITING

    would = "" if applied else "would be "
    click.echo(
        f"{done.photos:,} photos of {done.products:,} products: {done.originals:,} originals, {done.masters:,} masters"
        f" and {done.approvals:,} approvals {would}taken over, {size(done.bytes_stored)} {would}stored."
    )
    click.echo(
        f"{len(done.adopted):,} renditions {would}taken over as they are, {done.known:,} known already,"
        f" {done.missing:,} missing."
    )
    click.echo(
        f"The next run would make {len(done.changes):,} files again, {len(done.published_changes):,} of them published."
    )
    if done.changes:
        show_rows([{"reason": kind, "files": count} for kind, count in done.reasons().items()])
        for change in done.changes[:_SHOWN]:
            click.echo(f"{change.path}: {'; '.join(d.sentence for d in change.differences)}.")
        _more(len(done.changes))
    if not applied:
        click.echo("Nothing is changed; --apply takes them over.")
    _list("have an original and no master: they will be cut out and wait for a person", done.to_cut_out)
    _list(
        "have an original newer than their master: a new cut-out will wait for a person", done.newer_originals
    )
    _list("have a master and no original: the master is taken as its own original", done.without_original)
    for folder, count in done.waiting.items():
        click.echo(f"{folder}/ holds {count:,} files that CrownPipe had not finished: {WAITING[folder]}.")
    if done.left:
        click.echo(f"{len(done.left):,} files are left as they are:")
        for sentence in list(done.left.values())[:_SHOWN]:
            click.echo(f"  {sentence}")
        _more(len(done.left))


def _list(what: str, photos: list[str]) -> None:
    if photos:
        click.echo(f"{len(photos):,} photos {what}: {', '.join(photos[:_SHOWN])}")
        _more(len(photos))


def _more(count: int) -> None:
    if count > _SHOWN:
        click.echo(f"  and {count - _SHOWN:,} more; --json lists them all.")
