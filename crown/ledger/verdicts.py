"""Verdicts as data: the gates at which people decide, the verdicts that each knows, what each verdict asks for.

A department declares its gates (`crown.flow.summary.Department.gates`); `decisions` accepts nothing else. What follows
from a verdict is the department's planning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from crown.errors import BadInput

#: Takes back what was decided before; every gate knows it.
WITHDRAW = "withdraw"

#: NUL as JSON spells it, after any number of escaped backslashes.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True)
class DeclaredVerdict:
    """A verdict that a gate knows.

    Attributes:
        name: `approve`, `reject`, `return`, `override`, `hold`, `release` ...; also the verb that a user needs
            (crown/people/permissions.yaml).
        min_reason: so many characters the reason must have at least.
        return_stages: stages to which it sends an item back; of several, a decision names one.
        payload: what the decision carries, such as the corrected match; None: nothing.
        batch: whether one decision may give it to a whole batch.
    """

    name: str
    min_reason: int = 0
    return_stages: tuple[str, ...] = ()
    payload: type[BaseModel] | None = None
    batch: bool = False


@dataclass(frozen=True)
class Ruling:
    """A verdict as a person gives it.

    Attributes:
        verdict: the name of one that the gate declares, or `withdraw`.
        who: the person; `share` when a file was moved, which does not show by whom.
        via: `cli`, `console`, `share` or `demo`.
        reason: free text.
        payload: what the verdict carries, JSON-able.
        return_stage: the stage to which the item goes back.
    """

    verdict: str
    who: str
    via: str
    reason: str | None = None
    payload: Mapping[str, Any] | None = None
    return_stage: str | None = None


@dataclass(frozen=True)
class Gate:
    """A point at which a person decides.

    Attributes:
        stage: its name in decisions; the asset's key where outputs are decided on.
        verdicts: those that it knows beside `withdraw`.
        called: what waits at it, for people: `cut-outs`; empty where nothing is counted as waiting for a decision.
    """

    stage: str
    verdicts: tuple[DeclaredVerdict, ...]
    called: str = ""

    def checked(self, ruling: Ruling, *, batch: bool = False) -> Ruling:
        """The ruling as it is recorded: its payload in the declared form, the only return stage filled in.

        Raises:
            BadInput: the gate does not know the verdict, or the reason, the payload or the stage to return to is not
                what the verdict asks for.
        """
        known = {one.name: one for one in self.verdicts} | {WITHDRAW: DeclaredVerdict(WITHDRAW, batch=True)}
        if ruling.verdict not in known:
            raise BadInput(f"{ruling.verdict} is no verdict of {self.stage}; it knows {', '.join(known)}.")
        asked, act = known[ruling.verdict], f"To {ruling.verdict} in {self.stage}"
        if batch and not asked.batch:
            raise BadInput(f"{act} is decided one by one, not for a batch.")
        _require_text(ruling.reason or "", f"The reason {act[0].lower()}{act[1:]}")
        length = sum(character.isprintable() for character in (ruling.reason or "").strip())
        if length < asked.min_reason:
            characters = "1 character" if asked.min_reason == 1 else f"{asked.min_reason} characters"
            raise BadInput(f"{act} takes a reason of at least {characters}; it has {length}.")
        return replace(
            ruling,
            payload=_payload(asked, ruling.payload, act),
            return_stage=_return_stage(asked, ruling.return_stage, act),
        )


def _payload(asked: DeclaredVerdict, given: Mapping[str, Any] | None, act: str) -> Mapping[str, Any] | None:
    if asked.payload is None:
        if given:
            raise BadInput(f"{act} carries nothing; leave {', '.join(sorted(given))} out.")
        return None
    takes = f"{act} takes {', '.join(asked.payload.model_fields)}"
    if given is not None and not isinstance(given, Mapping):
        raise BadInput(f"{takes}, by name.")
    try:
        payload: Mapping[str, Any] = asked.payload.model_validate(dict(given or {})).model_dump(mode="json")
        written = json.dumps(payload, ensure_ascii=False, allow_nan=False)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise BadInput(f"{takes} ({wrong}).") from error
    except ValueError as error:
        raise BadInput(f"{takes}; a number in it is infinite or none.") from error
    _require_text(_NUL.sub("\0", written), f"What is given {act[0].lower()}{act[1:]}")
    return payload


def _require_text(value: str, what: str) -> None:
    """Refuse what the database cannot hold as text: NUL, and halves of characters."""
    try:
        value.encode()
    except UnicodeEncodeError:
        value = "\0"
    if "\0" in value:
        raise BadInput(f"{what} holds a character that is no text; leave it out.")


def _return_stage(asked: DeclaredVerdict, given: str | None, act: str) -> str | None:
    if not asked.return_stages:
        if given is not None:
            raise BadInput(f"{act} returns nothing to another stage; leave {given} out.")
        return None
    if given is None and len(asked.return_stages) == 1:
        return asked.return_stages[0]
    if given not in asked.return_stages:
        stages = ", ".join(asked.return_stages)
        raise BadInput(f"{act} takes the stage to return to: {stages}; {given or 'none'} was given.")
    return given


APPROVE_OR_REJECT = (DeclaredVerdict("approve", batch=True), DeclaredVerdict("reject", batch=True))
HOLD_OR_RELEASE = (DeclaredVerdict("hold", min_reason=10), DeclaredVerdict("release"))
