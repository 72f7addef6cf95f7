"""What each role may do, read from permissions.yaml: a verb on a stage. Identity does not belong here."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict

from crown.errors import BadInput

Role = Literal["viewer", "operator", "admin"]
#: From the least to the most; a role may do whatever the ones before it may.
ROLES: tuple[Role, ...] = get_args(Role)
EVERY_STAGE = "*"


class Grant(BaseModel):
    """Verbs that are allowed on stages; a stage ends in `/*` to mean everything below it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: tuple[str, ...]
    verbs: tuple[str, ...]

    def covers(self, verb: str, stage: str) -> bool:
        """Whether this grant allows the verb on the stage."""
        return verb in self.verbs and any(_matches(pattern, stage) for pattern in self.stages)


class _Permissions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    roles: dict[Role, tuple[Grant, ...]]


def may(role: Role, verb: str, stage: str = EVERY_STAGE) -> bool:
    """Whether a role may do `verb` on `stage` (an asset key, such as `product_images/cutouts`).

    Raises:
        BadInput: no role has such a verb, so that a misspelt one is never simply forbidden.
    """
    if verb not in verbs():
        raise BadInput(f"{verb!r} is not a verb; the verbs are {', '.join(sorted(verbs()))}.")
    granted = ROLES[: ROLES.index(role) + 1]
    return any(grant.covers(verb, stage) for one in granted for grant in _permissions().roles.get(one, ()))


def least_role(verb: str, stage: str = EVERY_STAGE) -> Role | None:
    """The least role that may do the verb on the stage; None when none may."""
    return next((role for role in ROLES if may(role, verb, stage)), None)


@cache
def verbs() -> frozenset[str]:
    """Every verb that some role has on some stage."""
    return frozenset(
        verb for grants in _permissions().roles.values() for grant in grants for verb in grant.verbs
    )


@cache
def _permissions() -> _Permissions:
    described = Path(__file__).with_name("permissions.yaml").read_text(encoding="utf-8")
    return _Permissions.model_validate(yaml.safe_load(described))


def _matches(pattern: str, stage: str) -> bool:
    if pattern in (EVERY_STAGE, stage):
        return True
    return pattern.endswith("/*") and stage.startswith(pattern[:-1])
