"""The pairs of a job that a person approves: which layer fills which slot. What they change is job_edits.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from crown.errors import BadInput

Method = Literal["auto", "remembered", "manual", "manual_skip"]
Adjustment = Literal["accept", "reupload", "manual_adjust", "crop", "scale_fill", "scale_fit"]


class Pair(BaseModel):
    """What fills a slot; without a layer it stays as the template has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slot_id: int
    layer_id: int | None
    method: Method = "auto"
    confidence: float | None = None
    adjustment: Adjustment | None = None


def pairs_of(payload: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """The pairs of a decision, by slot.

    Raises:
        BadInput: they are no pairs.
    """
    try:
        return sorted((Pair.model_validate(one) for one in payload), key=lambda pair: pair.slot_id)
    except ValueError as error:
        raise BadInput(f"The matches cannot be read: {error}.") from None


def check_pairs(pairs: Sequence[Pair], layers: Mapping[int, bool], slots: Mapping[int, bool]) -> None:
    """Hold pairs to what there is.

    Args:
        pairs: as a person wants them.
        layers: whether each layer of the PSD is text, by id.
        slots: whether each slot is text, by id.

    Raises:
        BadInput: a layer or slot does not exist, is of another kind, or is used twice.
    """
    used: dict[int, int] = {}
    seen: set[int] = set()
    for pair in pairs:
        if pair.slot_id not in slots:
            raise BadInput(f"There is no slot {pair.slot_id}; the slots are {_listed(slots)}.")
        if pair.slot_id in seen:
            raise BadInput(f"The slot {pair.slot_id} is named twice.")
        seen.add(pair.slot_id)
        if pair.layer_id is None:
            continue
        if pair.layer_id not in layers:
            raise BadInput(f"There is no layer {pair.layer_id}; the layers are {_listed(layers)}.")
        if layers[pair.layer_id] != slots[pair.slot_id]:
            kinds = ("a picture", "text")
            raise BadInput(
                f"The layer {pair.layer_id} is {kinds[layers[pair.layer_id]]} and the slot {pair.slot_id} takes"
                f" {kinds[slots[pair.slot_id]]}."
            )
        if pair.layer_id in used:
            raise BadInput(
                f"The layer {pair.layer_id} fills the slot {used[pair.layer_id]} already; each layer fills one slot."
            )
        used[pair.layer_id] = pair.slot_id


def _listed(ids: Mapping[int, bool]) -> str:
    return ", ".join(map(str, ids)) or "none"
