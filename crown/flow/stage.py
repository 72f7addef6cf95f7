"""What a department says of its flow: a stage for each asset, what is logged of it, and which libraries shape it.

How stages are planned and made is make.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from crown.flow.stage_log import Messages
from crown.flow.worker_pool import WorkerPool
from crown.flow.workspace import Workspace
from crown.ledger import recipes
from crown.ledger.planning import Plan
from crown.ledger.recipes import Recipe

W = TypeVar("W", bound=Workspace)


class HeldPlan(Protocol):
    """A part of a plan that waits for a person's decision."""

    @property
    def plan_hash(self) -> str:
        """What the decision refers to."""

    @property
    def sentence(self) -> str:
        """What would be done, and how to confirm it."""


@dataclass(frozen=True)
class Stage:
    """An asset's SELECT of what is wanted, its recipes, and the worker pool that makes it.

    Attributes:
        asset: slash-joined key.
        wanted: see `planning.plan`. Of an item with inputs it hashes nothing but what these outputs hold
            (inputs_decide).
        recipes: all that `wanted` may name.
        parameters: bind parameters of `wanted`.
        pool: how the items are made, with a time limit of its own and the limited resources that it needs.
        copying: hashes of recipes whose result is the bytes of the last input.
        looked_up: see `planning.plan`.
        planner: plans the stage in the caller's transaction instead of `planning.plan`; returns what it did and what
            it holds for a person.
        holds: of what a planning has just retired in a relation of items (`ledger.items`, or the forecast's): what is
            held for a person, and the keys that stay.
    """

    asset: str
    wanted: str
    recipes: tuple[Recipe, ...]
    parameters: Mapping[str, Any]
    pool: WorkerPool
    copying: frozenset[str] = frozenset()
    looked_up: str | None = None
    planner: Callable[[Connection, Stage], tuple[Plan, Sequence[HeldPlan]]] | None = None
    holds: Callable[[Connection, str], tuple[Sequence[HeldPlan], Sequence[str]]] | None = None


@dataclass(frozen=True)
class Flow(Generic[W]):
    """A department's stages.

    Attributes:
        stage: the stage that makes an asset, as the settings are now; given a connection, after what was changed in
            its transaction.
        messages: what is logged of the results.
        libraries: distributions whose versions are recorded with each output; no part of the fingerprint.
    """

    stage: Callable[[W, str, Connection | None], Stage]
    messages: Messages
    libraries: tuple[str, ...] = field(default=("crown",))

    def versions(self) -> dict[str, str]:
        """Versions of the libraries that shape a result."""
        return {name: version(name) for name in self.libraries}

    def recipe_state(self, workspace: W) -> str:
        """Changes when a recipe or a parameter of any stage changes: a reason for a run."""
        stages = [self.stage(workspace, asset, None) for asset in workspace.assets]
        state = [(one.asset, [recipe.hash for recipe in one.recipes], one.parameters) for one in stages]
        return hashlib.sha256(recipes.canonical(state)).hexdigest()
