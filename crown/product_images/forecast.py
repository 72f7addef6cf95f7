"""Forecast: what the next runs would make, publish and remove, with bytes and minutes, before anything is made.

The ledger's own planning is run in a transaction that is rolled back: what one stage would make is supposed made,
then the next is planned on it. So a forecast can never differ from the plan, and it ends where a person decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import Connection, text

from crown.flow.make import plan_stage
from crown.flow.stage import HeldPlan, Stage
from crown.ledger.locks import lock_assets
from crown.product_images import stages
from crown.product_images.names import VIEW
from crown.product_images.publishing.removals import Held
from crown.product_images.publishing.wanted import path_of, target_of
from crown.product_images.workspace import (
    ASSETS,
    COMPLIANCE,
    PUBLISHED,
    TEXTS,
    Workspace,
)


@dataclass(frozen=True)
class Preview:
    """What the next runs would do to one asset.

    `changed` items replace what was made before, the others of `to_make` are new. Bytes and minutes are judged by
    what the same items took before, or by the asset's newest ones; None when nothing was made yet.
    """

    asset: str
    to_make: int
    changed: int
    to_wait: int
    to_retire: int
    products: int
    megabytes: float | None
    minutes: float | None
    keys: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


@dataclass(frozen=True)
class Change:
    """A published file that would be new, changed or removed.

    Of an act also: that is not published (`cancelled`) or not removed (`kept`) after all.
    """

    target: str
    path: str
    what: Literal["new", "changed", "removed", "cancelled", "kept"]


@dataclass
class Forecast:
    """What the next runs would do; contents that are not made yet count as changed."""

    assets: list[Preview] = field(default_factory=list)
    published: list[Change] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)

    def counted(self, what: str) -> int:
        """How many published files would be `new`, `changed`, `removed`, `cancelled` or `kept`."""
        return sum(change.what == what for change in self.published)


_PRODUCT = {
    PUBLISHED: "split_part(regexp_replace(i.key, '^[^:]*:', ''), '/', 1)",
    COMPLIANCE: f"regexp_replace(split_part(i.key, '/', 2), '{VIEW}', '')",
    TEXTS: "i.key",
}
_ANY_PRODUCT = f"regexp_replace(split_part(split_part(i.key, '@', 1), '/', 1), '{VIEW}', '')"
_SUMMARY = """
    with usual as materialized (  -- looked up once, and only when an item was never made
        select avg(size_bytes) as bytes, avg(seconds) as seconds from (
            select size_bytes, seconds from ledger.outputs where asset = :asset
            order by output_id desc limit 200) newest)
    select count(*) as to_make, count(i.output_id) as changed, count(distinct {product}) as products,
           sum(coalesce(m.size_bytes, (select bytes from usual))) as bytes,
           sum(coalesce(m.seconds, (select seconds from usual))) as seconds,
           (array_agg(i.key order by i.key))[1:100] as keys
    from ledger.items i left join ledger.outputs m on m.output_id = i.output_id
    where i.asset = :asset and i.state in ('pending', 'failed')
"""
_CHANGES = """
    select i.key, case when i.state = 'retired' then 'removed' when f.path is null then 'new' else 'changed' end as what
    from ledger.items i left join ledger.outputs m on m.output_id = i.output_id
    left join ledger.files f on f.root = m.root and f.path = m.path
    where i.asset = :asset and (i.state in ('pending', 'failed')
        or (i.state = 'retired' and i.output_id is not null and i.changed_at > transaction_timestamp()))
    order by i.key
"""
_SUPPOSE = """
    with due as (
        select i.asset, i.key, i.wanted, i.recipe, i.decision_id,
               case when i.recipe = any(cast(:copying as text[])) then coalesce(
                   (select m.content_hash from ledger.outputs m
                    where m.output_id = i.inputs[cardinality(i.inputs)]),
                   split_part(i.key, '@', -1)) end as known
        from ledger.items i where i.asset = :asset and i.state in ('pending', 'failed')
    ), made as (
        insert into ledger.outputs (asset, key, fingerprint, content_hash, recipe, decision_id)
        select asset, key, wanted, coalesce(known, 'to be made: ' || wanted), recipe, decision_id from due
        returning output_id, key, fingerprint
    )
    update ledger.items i set state = 'current', output_id = made.output_id, made = made.fingerprint, claim_id = null,
        error_class = null, error = null, next_try = null
    from made where i.asset = :asset and i.key = made.key
"""


def forecast(workspace: Workspace, *, supposing: Callable[[Connection], object] | None = None) -> Forecast:
    """What the next runs would do; nothing is changed.

    Args:
        workspace: the department's workspace.
        supposing: changes something first, in the same transaction, to see what would follow from it.
    """
    told = Forecast()
    with workspace.engine.connect() as connection:
        try:
            lock_assets(connection, ASSETS)  # at once: a run that plans meanwhile takes them in another order
            if supposing is not None:
                supposing(connection)
            for asset in ASSETS:
                one = stages.stage(workspace, asset, connection)
                row, held = _one(connection, workspace, one)
                told.held += [one for one in held if isinstance(one, Held)]
                if row.to_make or row.to_wait or row.to_retire:
                    told.assets.append(row)
                if asset == PUBLISHED:
                    told.published = [
                        Change(target_of(key), path_of(key), what)
                        for key, what in connection.execute(text(_CHANGES), {"asset": asset}).tuples()
                    ]
                elif row.to_make:
                    connection.execute(text(_SUPPOSE), {"asset": asset, "copying": sorted(one.copying)})
        finally:
            connection.rollback()
    return told


def consequences(workspace: Workspace, act: Callable[[Connection], object]) -> Forecast:
    """What follows from an act alone: the forecast with it, less what the next runs would do anyway."""
    without, told = forecast(workspace), forecast(workspace, supposing=act)
    before = {row.asset: row for row in without.assets}
    known, held = set(without.published), {removal.plan_hash for removal in without.held}
    now = {(change.target, change.path) for change in told.published}
    return Forecast(
        [row for row in (_more(row, before.pop(row.asset, None)) for row in told.assets) if row is not None]
        + [row for row in (_more(None, row) for row in before.values()) if row is not None],
        [change for change in told.published if change not in known]
        + [
            replace(change, what="kept" if change.what == "removed" else "cancelled")
            for change in without.published
            if (change.target, change.path) not in now
        ],
        [removal for removal in told.held if removal.plan_hash not in held],
    )


def _more(told: Preview | None, before: Preview | None) -> Preview | None:
    """What one forecast says of an asset beyond another; None when it is nothing. Less of something is negative."""
    if before is None or told is None:
        row = told or before
        return row if row is None or told is not None else _less(row)
    counts = ("to_make", "changed", "to_wait", "to_retire", "products")
    rest: dict[str, Any] = {name: getattr(told, name) - getattr(before, name) for name in counts}
    if not any(rest.values()) and told.keys == before.keys:
        return None
    for name in ("megabytes", "minutes"):
        with_it, without = getattr(told, name), getattr(before, name)
        rest[name] = None if with_it is None else round(with_it - (without or 0), 2)
    return replace(told, **rest, keys=tuple(key for key in told.keys if key not in before.keys))


def _less(row: Preview) -> Preview:
    """An asset of which nothing is left to do."""
    names = ("to_make", "changed", "to_wait", "to_retire", "products", "megabytes", "minutes")
    given = {name: getattr(row, name) for name in names}
    return replace(row, **{name: value and -value for name, value in given.items()}, keys=())


def _one(connection: Connection, workspace: Workspace, one: Stage) -> tuple[Preview, Sequence[HeldPlan]]:
    plan, held = plan_stage(connection, one)
    summary = _SUMMARY.format(product=_PRODUCT.get(one.asset, _ANY_PRODUCT))
    due = connection.execute(text(summary), {"asset": one.asset}).one()
    hands = 1 if one.pool.in_process else workspace.settings.workers
    return Preview(
        one.asset,
        due.to_make,
        due.changed,
        plan.waiting,
        plan.retired,
        due.products,
        None if due.bytes is None else round(float(due.bytes) / 1e6, 2),
        None if due.seconds is None else round(due.seconds / 60 / hands, 2),
        tuple(due.keys or ()),
    ), held
