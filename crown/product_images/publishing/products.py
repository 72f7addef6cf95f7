"""Acts on products and their outputs: retire, withdraw, rebuild.

Each works in the caller's transaction, so that a forecast can suppose it. What follows from it is each stage's planning.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from crown.errors import BadInput, Refused
from crown.flow.patterns import condition
from crown.journal import activity
from crown.ledger import decisions, planning
from crown.ledger.locks import lock_assets
from crown.ledger.verdicts import Ruling
from crown.product_images.gates import RETIREMENTS
from crown.product_images.names import patterns_of, product_number
from crown.product_images.workspace import (
    COMPLIANCE,
    CUTOUTS,
    DEPARTMENT,
    INBOX_PHOTOS,
    MASTERS,
    PHOTOS,
    PUBLISHED,
    RENDITIONS,
    TEXTS,
)

#: The photo of an item of each asset; the item of a text is a product, which is matched like a photo.
_PHOTO = {
    INBOX_PHOTOS: "split_part(i.key, '@', 1)",
    PHOTOS: "i.key",
    CUTOUTS: "i.key",
    MASTERS: "i.key",
    TEXTS: "i.key",
    **dict.fromkeys(RENDITIONS.values(), "split_part(i.key, '/', 1)"),
    COMPLIANCE: "split_part(i.key, '/', 2)",
    PUBLISHED: "(select split_part(m.key, '/', 1) from ledger.outputs m where m.output_id = i.inputs[1])",
}
#: What is made again when nothing else is said: everything after a person's approval.
AFTER_APPROVAL = (*RENDITIONS.values(), COMPLIANCE, PUBLISHED)


def retire(connection: Connection, number: str, *, who: str, via: activity.Via, reason: str) -> str:
    """Say that a product is no longer to be published; returns its number in normal form.

    Originals, cut-outs and approvals stay, so that `unretire` brings everything back without work.

    Raises:
        BadInput: no photo of the product was ever taken in.
        Refused: no reason.
    """
    number = known_number(connection, number)
    if not reason.strip():
        raise Refused("Retiring a product needs a reason; give it with --reason.")
    new = connection.execute(
        text(
            "insert into product_images.retired_products (product_number, who, reason) values (:number, :who, :reason)"
            " on conflict do nothing returning product_number"
        ),
        {"number": number, "who": who, "reason": reason},
    ).first()
    if new is not None:
        _say(connection, number, "reject", "retired", who, via, reason)
    return number


def known_number(connection: Connection, given: str) -> str:
    """A product number that a person gave, in normal form, of which a photo was taken in.

    Raises:
        BadInput: no photo of the product was ever taken in.
    """
    number = product_number(given)
    known = connection.execute(
        text("select exists (select from product_images.uploads where product_number = :number)"),
        {"number": number},
    ).scalar_one()
    if not known:
        raise BadInput(f"No photo of {number} was ever taken in; check the product number.")
    return number


def unretire(connection: Connection, number: str, *, who: str, via: activity.Via, reason: str | None) -> str:
    """Take a retirement back.

    Raises:
        BadInput: the product is not retired.
    """
    number = product_number(number)
    gone = connection.execute(
        text("delete from product_images.retired_products where product_number = :number returning reason"),
        {"number": number},
    ).first()
    if gone is None:
        raise BadInput(f"{number} is not retired.")
    _say(connection, number, "withdraw", "unretired", who, via, reason)
    return number


def _say(
    connection: Connection,
    number: str,
    verdict: decisions.Verdict,
    what: str,
    who: str,
    via: activity.Via,
    reason: str | None,
) -> None:
    said = decisions.decide(connection, RETIREMENTS, number, "", Ruling(verdict, who, via, reason))
    activity.record(
        connection,
        who=who,
        what=what,
        subject=number,
        department=DEPARTMENT,
        via=via,
        entity=number,
        details=reason,
        new={"decision_id": said.decision_id},
    )


def rebuild(
    connection: Connection,
    pattern: str,
    assets: Sequence[str] = AFTER_APPROVAL,
    *,
    who: str,
    via: activity.Via,
    reason: str | None = None,
) -> dict[str, int]:
    """Have what is made of the matching photos made again; returns how many items, by asset.

    Results with the same bytes stop the ripple: what follows from them is left alone.

    Raises:
        BadInput: nothing matches.
    """
    lock_assets(connection, assets)
    chosen = to_rebuild(connection, pattern, assets)
    counted = {asset: planning.remake(connection, asset, keys) for asset, keys in chosen.items()}
    activity.record(
        connection,
        who=who,
        what="rebuild_asked",
        subject=pattern,
        department=DEPARTMENT,
        via=via,
        details=reason,
        new=counted,
    )
    return counted


def to_rebuild(connection: Connection, pattern: str, assets: Sequence[str]) -> dict[str, list[str]]:
    """What `rebuild` is about: keys by asset.

    Raises:
        BadInput: nothing matches.
    """
    chosen: dict[str, list[str]] = {}
    for asset in assets:
        rows = connection.execute(
            text(
                "select i.key from ledger.items i where i.asset = :asset"
                f" and i.state in ('current', 'failed', 'quarantined') and {condition(_PHOTO[asset])}"
            ),
            {"asset": asset, **patterns_of([pattern]).parameters},
        )
        if keys := list(rows.scalars()):
            chosen[asset] = keys
    if not chosen:
        raise BadInput(
            f"Nothing that was made matches {pattern!r}; patterns are of photos, such as '52000123*'."
        )
    return chosen
