"""Forecast of product images: what the next runs would make, publish and remove, and what follows from an act.

How a forecast comes about is crown/flow/forecast.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import Connection

from crown.flow import forecast as flow_forecast
from crown.flow.forecast import AssetForecast, Supposed, beyond
from crown.flow.held_removals import HeldRemoval
from crown.product_images.names import VIEW
from crown.product_images.publishing.wanted import path_of, target_of
from crown.product_images.stages import FLOW
from crown.product_images.workspace import COMPLIANCE, PUBLISHED, TEXTS, Workspace


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

    assets: list[AssetForecast] = field(default_factory=list)
    published: list[Change] = field(default_factory=list)
    held: list[HeldRemoval] = field(default_factory=list)

    def counted(self, what: str) -> int:
        """How many published files would be `new`, `changed`, `removed`, `cancelled` or `kept`."""
        return sum(change.what == what for change in self.published)


_PRODUCT = {
    PUBLISHED: "split_part(regexp_replace(i.key, '^[^:]*:', ''), '/', 1)",
    COMPLIANCE: f"regexp_replace(split_part(i.key, '/', 2), '{VIEW}', '')",
    TEXTS: "i.key",
}
_ANY_PRODUCT = f"regexp_replace(split_part(split_part(i.key, '@', 1), '/', 1), '{VIEW}', '')"


def as_row(row: AssetForecast) -> dict[str, Any]:
    """What would be done to an asset, for people and scripts: its subjects are products."""
    return {"products" if name == "subjects" else name: value for name, value in asdict(row).items()}


def forecast(workspace: Workspace, supposed: Supposed | None = None) -> Forecast:
    """What the next runs would do; nothing is changed."""
    found = flow_forecast.forecast(
        FLOW,
        workspace,
        subject=lambda asset: _PRODUCT.get(asset, _ANY_PRODUCT),
        files_of=[PUBLISHED],
        supposed=supposed,
    )
    return Forecast(
        found.assets,
        [Change(target_of(file.key), path_of(file.key), file.what) for file in found.files],
        found.held,
    )


def consequences(
    workspace: Workspace,
    act: Callable[[Connection], object] | None = None,
    *,
    due: Callable[[Connection], Mapping[str, Collection[str]]] | None = None,
) -> Forecast:
    """What follows from an act alone: the forecast with it, less what the next runs would do anyway.

    Args:
        workspace: the department's workspace.
        act: see `Supposed`.
        due: see `Supposed`.
    """
    without, with_it = forecast(workspace), forecast(workspace, Supposed(act, due))
    before = {row.asset: row for row in without.assets}
    known, held = set(without.published), {removal.plan_hash for removal in without.held}
    now = {(change.target, change.path) for change in with_it.published}
    rows = [beyond(row, before.pop(row.asset, None)) for row in with_it.assets]
    rows += [beyond(None, row) for row in before.values()]
    return Forecast(
        [row for row in rows if row is not None],
        [change for change in with_it.published if change not in known]
        + [
            replace(change, what="kept" if change.what == "removed" else "cancelled")
            for change in without.published
            if (change.target, change.path) not in now
        ],
        [removal for removal in with_it.held if removal.plan_hash not in held],
    )
