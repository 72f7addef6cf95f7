"""The hard card of a template: one composition whose text layers hold values that expressions elsewhere read.

Each text layer is a variable, named as the layer. The card is filled from the further columns of a row or from
a JSON file, like every other text, with proof; what reads it is found in the expressions.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crown.errors import BadInput, Refused
from crown.motion_jobs.after_effects.ae_edit import Edits
from crown.motion_jobs.after_effects.ae_project import Composition, Project, read_bytes
from crown.motion_jobs.after_effects.edit_requests import comp_named
from crown.motion_jobs.after_effects.expression_reads import ExpressionReads

MAX_VALUES_BYTES = 10 * 1024 * 1024
_MAX_VALUES = 1000
_CARD = re.compile(r"hard[ _-]*card", re.I)


@dataclass(frozen=True, slots=True)
class Variable:
    """A text layer of the card.

    Attributes:
        readers: The layers whose expressions read it, as `composition / layer`.
    """

    layer_id: int
    name: str
    value: str
    unique: bool
    driven: bool
    readers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HardCard:
    """The card with its variables, and what else is wrong with what reads it."""

    comp_id: int
    comp: str
    variables: tuple[Variable, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CardFilling:
    """The edits that fill a card, the values that name no variable, and the variables that keep their value."""

    edits: Edits
    unknown: tuple[str, ...]
    kept: tuple[str, ...]


def is_card(comp: Composition) -> bool:
    """Whether a composition is called Hard Card: it holds data and is nothing to render."""
    return bool(_CARD.fullmatch(comp.name.strip()))


def card_comp(project: Project, named: str | None = None) -> Composition:
    """The composition that is the card: the one that is named, or the one called Hard Card.

    Raises:
        Refused: There is none, or several.
    """
    if named:
        return project.composition(comp_named(project, named))
    found = [comp for comp in project.compositions if is_card(comp)]
    if len(found) == 1:
        return found[0]
    have = ", ".join(repr(comp.name) for comp in project.compositions[:8]) or "none"
    raise Refused(
        f"{project.path.name} has {len(found)} compositions called Hard Card (it has {have}). "
        "Name the one that holds the data."
    )


def hard_card(project: Project, reads: Sequence[ExpressionReads], named: str | None = None) -> HardCard:
    """The card of a project with the readers of each variable.

    Raises:
        Refused: There is no card, or several.
    """
    comp = card_comp(project, named)
    texts = [layer for layer in comp.layers if layer.text]
    names = Counter(layer.name for layer in comp.layers)
    driven = {one.layer_id for one in project.expressions if one.property.endswith("ADBE Text Document")}
    readers: dict[str, list[str]] = {}
    problems = []
    for one in reads:
        place = f"{one.comp} / {one.layer}"
        problems += [f"{place}: {one.problem}."] if one.problem else []
        for read in one.reads:
            if read.kind == "layer" and read.comp == comp.name and read.name:
                readers.setdefault(read.name, []).append(place)
            if read.exists is False or read.localised:
                problems.append(f"{place} reads {read.sentence()}.")
    return HardCard(
        comp.id,
        comp.name,
        tuple(
            Variable(
                layer.id,
                layer.name,
                layer.text.text if layer.text else "",
                names[layer.name] == 1,
                layer.id in driven,
                tuple(dict.fromkeys(readers.get(layer.name, ()))),
            )
            for layer in texts
        ),
        tuple(dict.fromkeys(problems)),
    )


def read_values(path: Path) -> dict[str, str]:
    """The values of a JSON file: an object of names and values, or one below `variables`.

    Raises:
        BadInput: It is no such file, or a value is no text, number, truth value or null.
    """
    raw = read_bytes(path, MAX_VALUES_BYTES)
    try:
        body = json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path.name} is no JSON ({str(error)[:120]}). Correct it.") from None
    if isinstance(body, dict) and isinstance(body.get("variables"), dict):
        body = body["variables"]
    if not isinstance(body, dict):
        raise BadInput(f"{path.name} holds no object of names and values.")
    if len(body) > _MAX_VALUES:
        raise BadInput(f"{path.name} has {len(body):,} values; at most {_MAX_VALUES:,} are read.")
    return {name: _value(path, name, value) for name, value in body.items()}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"the name {twice[0]!r} is in it twice")
    return dict(pairs)


def _value(path: Path, name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    raise BadInput(
        f"{path.name}: the value of {name!r} is a {type(value).__name__}. Give a text or a number."
    )


def fill_card(card: HardCard, values: Mapping[str, str]) -> CardFilling:
    """The edits that put values into the card; a name fits whatever its capitals, when it fits one variable.

    Raises:
        Refused: A value would go into several layers, or into one that an expression fills.
    """
    texts: dict[int, str] = {}
    unknown = []
    for name, value in values.items():
        variable = _variable(card, name)
        if variable is None:
            unknown.append(name)
            continue
        if variable.layer_id in texts:
            raise Refused(f"Two values are for the layer {variable.name!r} of {card.comp!r}. Give one.")
        texts[variable.layer_id] = value
    kept = tuple(one.name for one in card.variables if one.layer_id not in texts)
    return CardFilling(Edits(texts=texts), tuple(unknown), kept)


def card_of_row(project: Project, comp_id: int, row: Mapping[str, str]) -> CardFilling | None:
    """What the further columns of a job's row put into the card; None where the template has no card of its own.

    An empty cell keeps what the template has.

    Args:
        project: The template.
        comp_id: The composition that the job fills; its slots are filled by matching.
        row: Text by column.

    Raises:
        Refused: A column fits several variables, or one that an expression fills.
    """
    cards = [comp for comp in project.compositions if is_card(comp)]
    if len(cards) != 1 or cards[0].id == comp_id:
        return None
    return fill_card(hard_card(project, ()), {name: value for name, value in row.items() if value})


def _variable(card: HardCard, name: str) -> Variable | None:
    exact = [one for one in card.variables if one.name == name]
    near = exact or [one for one in card.variables if one.name.casefold() == name.strip().casefold()]
    if not near:
        return None
    if len(near) > 1 or not near[0].unique:
        raise Refused(
            f"{card.comp!r} has several layers named {name!r}. Rename them, so that each is one variable."
        )
    if near[0].driven:
        raise Refused(f"The layer {near[0].name!r} of {card.comp!r} gets its text from an expression.")
    return near[0]
