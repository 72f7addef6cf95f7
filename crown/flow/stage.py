"""What a department says of its flow: a stage for each asset, what is logged of it, and which libraries shape it.

How stages are planned and made is make.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from crown.flow.held_removals import RemovalRules
from crown.flow.stage_log import Messages
from crown.flow.worker_pool import WorkerPool
from crown.flow.workspace import Workspace
from crown.ledger import recipes
from crown.ledger.recipes import Recipe

W = TypeVar("W", bound=Workspace)


@dataclass(frozen=True)
class Stage:
    """An asset's SELECT of what is wanted, its recipes, and the worker pool that makes it.

    Attributes:
        asset: slash-joined key.
        wanted: see `planning.plan`.
        recipes: all that `wanted` may name.
        parameters: bind parameters of `wanted`.
        pool: how the items are made, with a time limit of its own and the limited resources that it needs.
        copying: hashes of recipes whose result is the bytes of the last input.
        looked_up: see `planning.plan`.
        inputs_decide: whether `wanted` hashes, of an item with inputs, nothing but what these outputs hold; without, all
            hashes are compared at each planning.
        removals: when removals wait for a person's confirmation; None: never.
    """

    asset: str
    wanted: str
    recipes: tuple[Recipe, ...]
    parameters: Mapping[str, Any]
    pool: WorkerPool
    copying: frozenset[str] = frozenset()
    looked_up: str | None = None
    inputs_decide: bool = True
    removals: RemovalRules | None = None


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
