"""Verdicts as data of a stage: which ones it knows, what each asks of the person who gives it.

A department declares them with its stages; `decisions` holds every decision to them. What follows from a verdict is the
department's planning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crown.errors import BadInput

#: Takes back what was decided before; every stage knows it.
WITHDRAW = "withdraw"


@dataclass(frozen=True)
class DeclaredVerdict:
    """A verdict that a stage knows.

    Attributes:
        name: `approve`, `reject`, `return`, `override`, `hold`, `release` ...
        min_reason: so many characters the reason must have at least.
        return_stages: stages to which it may send an item back; where there are any, a decision names one of them.
        payload: what the decision must carry, such as the corrected match.
    """

    name: str
    min_reason: int = 0
    return_stages: tuple[str, ...] = ()
    payload: frozenset[str] = frozenset()


APPROVE_OR_REJECT = (DeclaredVerdict("approve"), DeclaredVerdict("reject"))
HOLD_OR_RELEASE = (DeclaredVerdict("hold", min_reason=10), DeclaredVerdict("release"))


def check(
    declared: Sequence[DeclaredVerdict],
    *,
    stage: str,
    verdict: str,
    reason: str | None,
    payload: Mapping[str, Any] | None,
    return_stage: str | None,
) -> None:
    """Hold a decision to what its stage declares.

    Raises:
        BadInput: the stage does not know the verdict, or the reason, the payload or the stage to return to is not what
            the verdict asks for.
    """
    known = {one.name: one for one in declared} | {WITHDRAW: DeclaredVerdict(WITHDRAW)}
    if verdict not in known:
        raise BadInput(f"{verdict} is no verdict of {stage}; it knows {', '.join(known)}.")
    asked = known[verdict]
    length = len((reason or "").strip())
    if length < asked.min_reason:
        raise BadInput(
            f"To {verdict} in {stage} takes a reason of at least {asked.min_reason} characters; it has {length}."
        )
    if missing := sorted(asked.payload - set(payload or {})):
        raise BadInput(f"To {verdict} in {stage} takes {', '.join(missing)}; give it with the decision.")
    if asked.return_stages and return_stage not in asked.return_stages:
        raise BadInput(
            f"To {verdict} in {stage} takes the stage to return to: {', '.join(asked.return_stages)};"
            f" {return_stage or 'none'} was given."
        )
    if not asked.return_stages and return_stage is not None:
        raise BadInput(f"To {verdict} in {stage} returns nothing to another stage; leave {return_stage} out.")
