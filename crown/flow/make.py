"""Plans and makes what is due of a department's assets. When and why is decided by whoever calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Connection

from crown.flow import held_removals, removal, worker_pool
from crown.flow.held_removals import HeldRemoval
from crown.flow.patterns import Patterns, condition
from crown.flow.pool_report import PoolReport, Progress
from crown.flow.removal import Removed
from crown.flow.stage import Flow, Stage, W
from crown.flow.stage_log import StageLog
from crown.flow.worker_log import WorkerLog, without_secrets
from crown.ledger import counts, planning, recipes
from crown.ledger.locks import in_transaction
from crown.ledger.planning import Plan

_MANY = 5_000
"""So many changed items make the statistics of the ledger old."""


@dataclass
class StageReport:
    """What was planned and made of some assets in one run."""

    plans: dict[str, Plan] = field(default_factory=dict)
    pool: PoolReport = field(default_factory=PoolReport)
    removal: Removed = field(default_factory=Removed)
    #: Parts of the plans that wait for a person.
    held: list[HeldRemoval] = field(default_factory=list)


@dataclass(frozen=True)
class Only:
    """The part of what is due that a run makes; everything is planned as ever.

    Attributes:
        pattern: a shell pattern of the key or of any part of it (a photo, a product, a spec), in any case; empty for all.
        limit: at most so many items of each asset; 0 for all.
        recipe: values that the recipe of an item holds.
        batch: only items of this batch; empty for all.
    """

    pattern: str = ""
    limit: int = 0
    recipe: Mapping[str, str] = field(default_factory=dict)
    batch: str = ""

    def condition(self) -> str:
        """The condition on an item in SQL, to be bound with `parameters`."""
        wanted = ["recipe in (select r.recipe from ledger.recipes r where r.body @> cast(:values as jsonb))"]
        if self.pattern:
            parts = f"select from regexp_split_to_table(lower(key), '[/@]') as part where {condition('part')}"
            wanted.append(f"({condition('lower(key)')} or exists ({parts}))")
        if self.batch:
            wanted.append("batch = :batch")
        return " and ".join(wanted)

    def parameters(self) -> dict[str, object]:
        """Bind parameters of `condition`."""
        return {
            "values": json.dumps(dict(self.recipe)),
            **({"batch": self.batch} if self.batch else {}),
            **Patterns.of([self.pattern], str.lower).parameters,
        }


def plan(flow: Flow[W], workspace: W, assets: Sequence[str]) -> tuple[dict[str, Plan], list[HeldRemoval]]:
    """Plan the assets, in the given order, each in a transaction of its own."""
    plans: dict[str, Plan] = {}
    held: list[HeldRemoval] = []
    for asset in assets:
        plan_one = partial(plan_stage, one=flow.stage(workspace, asset, None))
        plans[asset], waiting = in_transaction(workspace.engine, plan_one)
        held += waiting
        if plans[asset].changed > _MANY:
            planning.analyze(workspace.engine)
    return plans, held


def plan_stage(connection: Connection, one: Stage) -> tuple[Plan, list[HeldRemoval]]:
    """Plan one stage in the caller's transaction."""
    recipes.register(connection, one.recipes)
    carry_out = partial(
        planning.plan,
        connection,
        one.asset,
        one.wanted,
        one.parameters,
        inputs_decide=one.inputs_decide,
        looked_up=one.looked_up,
    )
    return (
        (carry_out(), []) if one.removals is None else held_removals.plan(connection, one.removals, carry_out)
    )


def make(
    flow: Flow[W],
    workspace: W,
    assets: Sequence[str],
    *,
    run_id: str | None = None,
    on_progress: Progress | None = None,
    seconds: float | None = None,
    copies_only: bool = False,
    only: Only | None = None,
) -> StageReport:
    """Plan and make assets that share a worker pool, then remove what is no longer wanted of them.

    Args:
        flow: the department's.
        workspace: the department's workspace.
        assets: what to make; the pool is that of the first one's stage.
        run_id: stamped on what is made.
        on_progress: called after each commit.
        seconds: begin nothing new after so long; None makes everything that is due.
        copies_only: make only what is a copy of its input, such as a person's own version.
        only: the part of what is due that is made; None for all of it.

    Raises:
        SystemicFailure: the disk or the database failed; what was done is entered.
    """
    plans, held = plan(flow, workspace, assets)
    report = StageReport(plans, held=held)
    chosen = [flow.stage(workspace, asset, None) for asset in assets]
    keys = _keys(workspace, chosen, copies_only, only)
    if keys is None or keys:
        report.pool = worker_pool.run(
            workspace.engine,
            replace(
                chosen[0].pool,
                assets=tuple(assets),
                resources_of={one.asset: one.pool.resources for one in chosen},
                worker_context=worker_log(flow, workspace, run_id),
            ),
            replace(workspace.limits, run_seconds=seconds),
            run_id=run_id,
            versions=flow.versions(),
            on_progress=StageLog(flow.messages, workspace, run_id, on_progress),
            keys=keys,
        )
    report.removal = removal.remove_unwanted(workspace, assets, flow.messages)
    return report


def worker_log(flow: Flow[W], workspace: W, run_id: str | None) -> WorkerLog:
    """The log of the worker processes of a run."""
    return WorkerLog(
        without_secrets(workspace.settings), workspace.department, run_id, flow.messages.number_of
    )


def _keys(workspace: W, chosen: Sequence[Stage], copies_only: bool, only: Only | None) -> list[str] | None:
    """The items of a run that makes a part of what is due; None for all of it."""
    if not copies_only and only is None:
        return None
    part = only or Only()
    where = f"{part.condition()} and (not :copies or recipe = any(:copying))"
    with workspace.engine.connect() as connection:
        return [
            key
            for one in chosen
            for key in counts.due_keys(
                connection,
                one.asset,
                where=where,
                bound={**part.parameters(), "copies": copies_only, "copying": sorted(one.copying)},
                limit=part.limit or None,
            )
        ]
