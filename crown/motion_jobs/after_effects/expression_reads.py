"""What expressions read: compositions, layers, effects, footage; and names that hold in one language only.

Expressions are parsed, never evaluated. A name that is not written out stays unknown. Names of parameters and
groups are those of the language in which After Effects runs; their match names are the same in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, RootModel
from tree_sitter import Language, Parser

from crown.motion_jobs.after_effects.ae_project import (
    DAMAGE,
    Expression,
    Project,
    load_tree,
    opened,
)
from crown.settings.yaml_files import load_model

Kind = Literal["composition", "layer", "effect", "parameter", "group", "footage", "file"]
#: Parameters of one layer by effect and display name: their match names.
EffectNames = Mapping[int, Mapping[str, Mapping[str, str]]]


@dataclass(frozen=True, slots=True)
class Read:
    """One thing that an expression reads.

    Attributes:
        comp: The composition that holds it, where it is a layer or something of a layer; "" when it is not known.
        layer: The layer that holds it, where it is an effect or parameter; "" when it is not known.
        name: As the expression writes it; "" when the name is worked out.
        exists: Whether the project has it; None when that cannot be said.
        match_name: What to write in place of a name that depends on the language.
        language: Of the name, when it is known from one.
    """

    kind: Kind
    comp: str
    layer: str
    name: str
    exists: bool | None
    match_name: str | None = None
    language: str | None = None

    @property
    def localised(self) -> bool:
        """Whether the name holds in one language of After Effects only."""
        return self.language is not None or (self.kind == "parameter" and not self.name.startswith("ADBE "))

    def sentence(self) -> str:
        """What is read, in words."""
        where = f" of {self.layer!r}" if self.layer else ""
        where += f" in {self.comp!r}" if self.comp and self.kind != "composition" else ""
        said = (
            f"{self.kind} {self.name!r}{where}"
            if self.name
            else f"a {self.kind}{where} whose name is worked out"
        )
        if self.exists is False:
            said += ", which does not exist"
        if self.localised:
            known = (
                f", named in {self.language}" if self.language else ", a name that depends on the language"
            )
            better = f"; write {self.match_name!r}" if self.match_name else "; its match name is not known"
            said += known + better
        return said


@dataclass(frozen=True, slots=True)
class ExpressionReads:
    """An expression with what it reads; `problem` says when it cannot be parsed."""

    expression: Expression
    comp: str
    layer: str
    reads: tuple[Read, ...]
    problem: str = ""


class _Names(BaseModel):
    model_config = ConfigDict(extra="forbid")

    match_name: str
    names: dict[str, list[str]]


class _NameTable(RootModel[list[_Names]]):
    """Names of groups and properties by language."""


def language_of(name: str) -> tuple[str, str] | None:
    """The language in which a group or property has that name, and its match name; None for other names."""
    return _languages().get(name)


@cache
def _languages() -> dict[str, tuple[str, str]]:
    """Language and match name by localised name."""
    table = load_model(Path(__file__).with_name("localised_names.yaml"), _NameTable).root
    return {
        name: (language, entry.match_name)
        for entry in table
        for language, names in entry.names.items()
        for name in names
    }


def effect_names(path: Path) -> dict[int, dict[str, dict[str, str]]]:
    """The effects of each layer of a project, with the match names of their parameters by display name in English."""
    found: dict[int, dict[str, dict[str, str]]] = {}
    tree, _ = load_tree(path)
    with opened(tree, path.name) as app:
        for comp in app.project.compositions:
            for layer in comp.layers:
                try:
                    effects = list(getattr(layer, "effects", None) or ())
                    found[layer.id] = {
                        str(effect.name): {str(one.name): str(one.match_name) for one in effect}
                        for effect in effects
                    }
                except DAMAGE:  # effects of old versions have no names in the file
                    continue
    return found


def reads_of(project: Project, effects: EffectNames | None = None) -> list[ExpressionReads]:
    """Every expression of a project with what it reads."""
    names = {layer.id: (comp, layer) for comp in project.compositions for layer in comp.layers}
    found = []
    for one in project.expressions:
        if one.layer_id not in names:
            continue
        comp, layer = names[one.layer_id]
        reading = _Reading(project, comp.name, layer.name, effects or {})
        problem = reading.parse(one.code)
        found.append(
            ExpressionReads(one, comp.name, layer.name, tuple(dict.fromkeys(reading.found)), problem)
        )
    return found


@cache
def _parser() -> Parser:
    import tree_sitter_javascript

    return Parser(Language(tree_sitter_javascript.language()))


class _Reading:
    """Walks the calls of one expression."""

    def __init__(self, project: Project, comp: str, layer: str, effects: EffectNames) -> None:
        self.found: list[Read] = []
        self._project = project
        self._own = (comp, layer)
        self._effects = effects
        self._comps = {one.name: one for one in project.compositions}
        self._variables: dict[str, Any] = {}

    def parse(self, code: str) -> str:
        """Read the code; what cannot be parsed is said."""
        root = _parser().parse(code.encode()).root_node
        for node in _calls_and_names(root):
            self._see(node)
        return "it cannot be parsed as a whole" if root.has_error else ""

    def _see(self, node: Any) -> None:
        if node.type == "variable_declarator":
            self._remember(node.child_by_field_name("name"), node.child_by_field_name("value"))
        elif node.type == "assignment_expression":
            self._remember(node.child_by_field_name("left"), node.child_by_field_name("right"))
        elif node.type == "call_expression":
            self._call(node)

    def _remember(self, name: Any, value: Any) -> None:
        if name is not None and value is not None and name.type == "identifier":
            self._variables[_text(name)] = value

    def _call(self, node: Any) -> None:
        function = node.child_by_field_name("function")
        argument = _argument(node)
        if function is None or argument is None:
            return
        name = self._string(argument)
        if function.type == "identifier":
            self._plain_call(_text(function), name)
        elif function.type == "member_expression":
            self._member_call(function, name, argument)
        elif function.type == "call_expression":
            self._call_of_call(function, name)

    def _plain_call(self, function: str, name: str | None) -> None:
        if function == "comp":
            self._add("composition", "", "", name, None if name is None else name in self._comps)
        elif function == "footage":
            names = {item.name for item in self._project.footage}
            self._add("footage", "", "", name, None if name is None else name in names)
        elif function in ("effect", "mask", "content"):
            self._of_layer(function, *self._own, name)
        elif function in ("thisLayer", "thisProperty", "propertyGroup") and name is not None:
            self._group(*self._own, name)

    def _member_call(self, function: Any, name: str | None, argument: Any) -> None:
        method = _text(function.child_by_field_name("property"))
        owner = function.child_by_field_name("object")
        if method == "layer":
            comp = self._comp_of(owner)
            exists = None
            if comp in self._comps and name is not None:
                exists = any(layer.name == name for layer in self._comps[comp].layers)
            if argument.type != "number":
                self._add("layer", comp or "", "", name, exists)
        elif method in ("effect", "mask", "content"):
            self._of_layer(method, *self._layer_of(owner), name)
        elif method in ("evalFile", "callSystem"):
            self._add("file", "", "", name, None)
        elif method == "property" and name is not None:
            self._group(*self._layer_of(owner), name)

    def _of_layer(self, method: str, comp: str, layer: str, name: str | None) -> None:
        if method == "effect":
            self._effect(comp, layer, name)
        elif name is not None:
            self._group(comp, layer, name)

    def _effect(self, comp: str, layer: str, name: str | None) -> None:
        known = self._effects_of(comp, layer)
        exists = None if name is None or known is None else name in known
        self._add("effect", comp, layer, name, exists)

    def _call_of_call(self, function: Any, name: str | None) -> None:
        """`effect("A")("B")`, and groups further down."""
        inner = function.child_by_field_name("function")
        method = (
            _text(inner.child_by_field_name("property"))
            if inner.type == "member_expression"
            else _text(inner)
        )
        if method != "effect":
            if name is not None:
                self._group("", "", name)
            return
        owner = inner.child_by_field_name("object") if inner.type == "member_expression" else None
        comp, layer = self._layer_of(owner) if owner is not None else self._own
        effect = self._string(_argument(function))
        parameters = (self._effects_of(comp, layer) or {}).get(effect or "")
        language, match_name = _languages().get(name or "", (None, None))
        if parameters is not None and name is not None and name in parameters:
            language, match_name = None, parameters[name]
        elif parameters is not None and len(_real(parameters)) == 1:
            match_name = next(
                iter(_real(parameters).values())
            )  # controls have one parameter, whatever its language
        elif parameters is not None and language is not None:
            match_name = None  # the table's are match names of groups, not of a parameter of this effect
        if name is not None:
            self.found.append(Read("parameter", comp, layer, name, None, match_name, language))

    def _group(self, comp: str, layer: str, name: str) -> None:
        language, match_name = _languages().get(name, (None, None))
        self.found.append(Read("group", comp, layer, name, None, match_name, language))

    def _effects_of(self, comp: str, layer: str) -> Mapping[str, Mapping[str, str]] | None:
        if comp not in self._comps:
            return None
        found = [one for one in self._comps[comp].layers if one.name == layer]
        return self._effects.get(found[0].id) if len(found) == 1 else None

    def _comp_of(self, node: Any, depth: int = 0) -> str | None:
        node = self._followed(node, depth)
        if node is None:
            return None
        if node.type == "identifier":
            return self._own[0] if _text(node) == "thisComp" else None
        if node.type == "call_expression" and _text(node.child_by_field_name("function")) == "comp":
            return self._string(_argument(node))
        return None

    def _layer_of(self, node: Any, depth: int = 0) -> tuple[str, str]:
        node = self._followed(node, depth)
        if node is None or node.type == "identifier":
            return self._own if node is not None and _text(node) == "thisLayer" else ("", "")
        function = node.child_by_field_name("function") if node.type == "call_expression" else None
        if function is not None and function.type == "member_expression":
            if _text(function.child_by_field_name("property")) == "layer":
                comp = self._comp_of(function.child_by_field_name("object"))
                return comp or "", self._string(_argument(node)) or ""
            return self._layer_of(function.child_by_field_name("object"), depth + 1)
        if node.type == "member_expression":
            return self._layer_of(node.child_by_field_name("object"), depth + 1)
        return "", ""

    def _followed(self, node: Any, depth: int) -> Any:
        """The value of a variable, where it was set before."""
        if node is None or depth > 20:
            return None
        seen = set()
        while node.type == "identifier" and _text(node) in self._variables and _text(node) not in seen:
            seen.add(_text(node))
            node = self._variables[_text(node)]
        return node

    def _string(self, node: Any) -> str | None:
        node = self._followed(node, 0)
        return _literal(node) if node is not None and node.type == "string" else None

    def _add(self, kind: Kind, comp: str, layer: str, name: str | None, exists: bool | None) -> None:
        self.found.append(Read(kind, comp, layer, name or "", exists))


def _calls_and_names(root: Any) -> Iterator[Any]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.children)


def _argument(node: Any) -> Any:
    arguments = node.child_by_field_name("arguments")
    named = [one for one in arguments.children if one.is_named] if arguments is not None else []
    return named[0] if named else None


def _text(node: Any) -> str:
    return node.text.decode("utf-8", "replace") if node is not None else ""


def _literal(node: Any) -> str:
    """The value of a string as it is written."""
    parts = []
    for child in node.children:
        if child.type == "string_fragment":
            parts.append(_text(child))
        elif child.type == "escape_sequence":
            parts.append(_escape(_text(child)))
    return "".join(parts)


def _escape(written: str) -> str:
    simple = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}
    body = written[1:]
    if body[:1] in ("u", "x"):
        digits = body[1:].strip("{}")
        try:
            return chr(int(digits, 16))
        except ValueError:
            return body
    return simple.get(body, body)


def _real(parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters of an effect without the group that every effect has."""
    return {name: match for name, match in parameters.items() if match != "ADBE Effect Built In Params"}
