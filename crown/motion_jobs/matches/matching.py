"""Which layer of a PSD fills which slot of a composition: one to one, with confidence and reasons.

Scores come from names (weighted by how rare each word is), equal texts, and for pictures aspect and area.
The assignment maximises the sum of the fourth powers, so that sure pairs are not given up for many weak ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from crown.motion_jobs.after_effects.ae_project import Composition, Footage, Project
from crown.motion_jobs.matches.layer_names import (
    JOINED_EQUAL,
    Name,
    name_of,
    rarity,
    similarity,
)
from crown.motion_jobs.photoshop.psd_file import PsdDocument

ACCEPT_FROM = 0.85
PROPOSE_FROM = 0.70
MIN_SCORE = 0.35
_AMBIGUOUS_WITHIN = 0.08
_AMBIGUOUS = 0.69
_EQUAL_TEXT = 0.75
_IMAGE_SLOTS = frozenset({"footage", "placeholder", "solid", "composition"})
#: How well a kind of PSD layer fills a picture slot.
_PICTURES = {"pixel": 1.0, "smartobject": 1.0, "shape": 0.95, "group": 0.9, "artboard": 0.9}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A layer of the PSD, or a slot of the composition. `fit` is 0 to 1: how well its kind fills a slot."""

    id: int
    name: str
    is_text: bool
    width: float = 0
    height: float = 0
    text: str = ""
    fit: float = 1.0


@dataclass(frozen=True, slots=True)
class Match:
    """A pair with its confidence, its band (accept, propose, review) and the reasons, best first."""

    layer_id: int
    slot_id: int
    confidence: float
    reasons: tuple[str, ...]

    @property
    def band(self) -> str:
        """What is done with the pair: accepted by itself, proposed, or left to a person."""
        if self.confidence >= ACCEPT_FROM:
            return "accept"
        return "propose" if self.confidence >= PROPOSE_FROM else "review"


@dataclass(frozen=True, slots=True)
class Matching:
    """The pairs by slot, and what is left on either side."""

    matches: tuple[Match, ...]
    unmatched_layers: tuple[int, ...]
    unmatched_slots: tuple[int, ...]


def slots_of(project: Project, comp_id: int) -> list[Candidate]:
    """What can be filled in one composition: text layers, and layers that show a picture or composition."""
    comp = project.composition(comp_id)
    sources: dict[int, Footage | Composition] = {item.id: item for item in project.footage}
    sources.update({one.id: one for one in project.compositions})
    found = []
    for layer in comp.layers:
        if layer.text:
            width, height = layer.text.box or (0, 0)
            found.append(Candidate(layer.id, layer.name, True, width, height, layer.text.text))
        elif layer.kind in _IMAGE_SLOTS and layer.source_id in sources:
            source = sources[layer.source_id]
            found.append(Candidate(layer.id, layer.name, False, source.width, source.height))
    return found


def layers_of(document: PsdDocument) -> list[Candidate]:
    """What a PSD offers: its text layers, and layers and groups with pixels. Clipping layers belong to their base."""
    found = []
    for layer in document.layers:
        if layer.clips_to is not None or layer.box is None:
            continue
        width, height = layer.box[2] - layer.box[0], layer.box[3] - layer.box[1]
        if layer.text:
            found.append(Candidate(layer.id, layer.name, True, width, height, layer.text.text))
        else:
            fit = _PICTURES.get(layer.kind, 0.8)
            found.append(Candidate(layer.id, layer.name, False, width, height, fit=fit))
    return found


def match(
    layers: Sequence[Candidate], slots: Sequence[Candidate], remembered: Mapping[str, str] | None = None
) -> Matching:
    """Pair layers with slots.

    Args:
        layers: What the PSD offers.
        slots: What the composition wants filled.
        remembered: Layer name by slot name, as a person decided for this template before.
    """
    pairs = _remembered(layers, slots, remembered or {})
    taken = {pair.layer_id for pair in pairs}, {pair.slot_id for pair in pairs}
    left = [layer for layer in layers if layer.id not in taken[0]]
    open_slots = [slot for slot in slots if slot.id not in taken[1]]
    pairs += _Scores(left, open_slots).pairs()
    order = {slot.id: number for number, slot in enumerate(slots)}
    pairs.sort(key=lambda pair: order[pair.slot_id])
    layer_ids, slot_ids = {pair.layer_id for pair in pairs}, {pair.slot_id for pair in pairs}
    return Matching(
        tuple(pairs),
        tuple(layer.id for layer in layers if layer.id not in layer_ids),
        tuple(slot.id for slot in slots if slot.id not in slot_ids),
    )


def _remembered(
    layers: Sequence[Candidate], slots: Sequence[Candidate], remembered: Mapping[str, str]
) -> list[Match]:
    """The pairs that a person decided before, where both names still stand for exactly one thing."""
    layer_names, slot_names = Counter(one.name for one in layers), Counter(one.name for one in slots)
    by_name = {layer.name: layer for layer in layers}
    pairs, used = [], set()
    for slot in slots:
        name = remembered.get(slot.name, "")
        layer = by_name.get(name)
        if layer is None or layer.id in used or layer.is_text != slot.is_text:
            continue
        if layer_names[name] == slot_names[slot.name] == 1:
            used.add(layer.id)
            pairs.append(Match(layer.id, slot.id, 1.0, ("a person decided so for this template",)))
    return pairs


class _Scores:
    """The score of every pair, and the reasons."""

    def __init__(self, layers: Sequence[Candidate], slots: Sequence[Candidate]) -> None:
        self._layers, self._slots = layers, slots
        self._layer_names = [name_of(one.name) for one in layers]
        self._slot_names = [name_of(one.name) for one in slots]
        weights = rarity([*self._layer_names, *self._slot_names])
        self._texts = tuple(
            Counter(_plain(one.text) for one in side if one.is_text) for side in (layers, slots)
        )
        self._scores = np.zeros((len(layers), len(slots)))
        self._reasons: dict[tuple[int, int], tuple[str, ...]] = {}
        self._exact: set[tuple[int, int]] = set()
        for i, layer in enumerate(layers):
            for j, slot in enumerate(slots):
                if layer.is_text == slot.is_text:
                    self._score(i, j, layer, slot, weights)

    def _score(self, i: int, j: int, layer: Candidate, slot: Candidate, weights: Mapping[str, float]) -> None:
        score, reason = similarity(self._layer_names[i], self._slot_names[j], weights)
        reasons = [f"{reason} ({score:.2f})"]
        if score >= JOINED_EQUAL:
            self._exact.add((i, j))
        if layer.is_text:
            if self._unique_text(layer, slot):
                score += (1 - score) * _EQUAL_TEXT
                reasons.append("the same text, and nothing else has it")
        elif score > 0 and min(layer.width, layer.height, slot.width, slot.height) > 0:
            ratios = layer.width / layer.height, slot.width / slot.height
            areas = layer.width * layer.height, slot.width * slot.height
            aspect, area = min(ratios) / max(ratios), min(areas) / max(areas)
            score = 0.88 * score + 0.08 * aspect + 0.04 * area
            reasons.append(f"aspect {aspect:.2f}, area {area:.2f}")
        if layer.fit < 1:
            score *= layer.fit
            reasons.append("not a picture layer of its own")
        self._scores[i, j] = score
        self._reasons[i, j] = tuple(reasons)

    def _unique_text(self, layer: Candidate, slot: Candidate) -> bool:
        text = _plain(layer.text)
        return (
            len(text) >= 3 and text == _plain(slot.text) and all(counts[text] == 1 for counts in self._texts)
        )

    def pairs(self) -> list[Match]:
        """The best assignment; pairs below `MIN_SCORE` are none."""
        if not self._layers or not self._slots:
            return []
        wanted = np.where(self._scores >= MIN_SCORE, self._scores**4, 0)
        rows, columns = linear_sum_assignment(wanted, maximize=True)
        found = []
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
            if self._scores[i, j] < MIN_SCORE:
                continue
            score, reasons = float(self._scores[i, j]), self._reasons[i, j]
            rival = self._rival(i, j)
            if rival:
                score, reasons = min(score, _AMBIGUOUS), (f"ambiguous: {rival} fits as well", *reasons)
            found.append(Match(self._layers[i].id, self._slots[j].id, round(score, 3), reasons))
        return found

    def _rival(self, i: int, j: int) -> str | None:
        """Another layer or slot that fits nearly as well, unless the two names are equal and the only ones."""
        if (i, j) in self._exact and self._alone(i):
            return None
        limit = max(MIN_SCORE, float(self._scores[i, j]) - _AMBIGUOUS_WITHIN)
        for k in range(len(self._layers)):
            if k != i and self._scores[k, j] >= limit:
                return f"the layer {self._layers[k].name!r}"
        for k in range(len(self._slots)):
            if k != j and self._scores[i, k] >= limit:
                return f"the slot {self._slots[k].name!r}"
        return None

    def _alone(self, i: int) -> bool:
        """Whether no other layer and no other slot has an equal name."""
        layer: Name = self._layer_names[i]
        return (
            sum(name.joined == layer.joined for name in self._layer_names) == 1
            and sum(name.joined == layer.joined for name in self._slot_names) == 1
        )


def _plain(text: str) -> str:
    return " ".join(text.replace("\x03", " ").split()).casefold()
