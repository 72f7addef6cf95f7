"""Reads YAML data files with error messages that name file, line and correction.

Belongs here: the reading of data files that people edit (output specs, compliance profiles). Does not:
what the data means; that is said by the pydantic model the caller passes in.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from crown.errors import ConfigurationError

Location = tuple[int | str, ...]
M = TypeVar("M", bound=BaseModel)

# libyaml reads ten times as fast and knows the same places; wheels without it exist.
_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_model(path: Path, model: type[M], renamed: Mapping[str, str] | None = None) -> M:
    """Reads a YAML file into a model.

    Args:
        path: the file.
        model: the pydantic model of the whole file; it should forbid unknown keys.
        renamed: for keys of older files, the sentence that says what is written today.

    Raises:
        ConfigurationError: one line per mistake, each `file:line: what is wrong; what to write`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}); name a readable file."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    try:
        data, repeated = _parsed(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        what = getattr(error, "problem", None) or "not readable as YAML"
        raise ConfigurationError(f"{path}:{line}: {what}; correct the YAML there.") from error
    except (ValueError, RecursionError) as error:  # a date that is none, an alias that holds itself
        raise ConfigurationError(f"{path} cannot be read as YAML ({error}); correct it.") from error
    if repeated:
        raise ConfigurationError("\n".join(f"{path}:{line}: {what}" for line, what in repeated))
    try:
        return model.model_validate(data)
    except ValidationError as error:
        root = yaml.compose(text, Loader=_LOADER)
        lines = [
            f"{path}:{line_of(root, detail['loc'])}: {_sentence(detail, model, renamed or {})}"
            for detail in error.errors(include_url=False)
        ]
        raise ConfigurationError("\n".join(lines)) from error


@lru_cache(maxsize=8)
def _parsed(text: str) -> tuple[Any, list[tuple[int, str]]]:
    """What a YAML text says, and the lines of keys that are given twice; every step of a run reads the same files."""
    repeated = list(_repeated_keys(yaml.compose(text, Loader=_LOADER)))
    return None if repeated else yaml.load(text, Loader=_LOADER), repeated  # noqa: S506 - a safe loader


def line_of(root: yaml.Node | None, location: Location) -> int:
    """The line (from 1) of the deepest part of `location` that is in the file."""
    node, line = root, 1
    if node is not None:
        line = node.start_mark.line + 1
    for step in location:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if getattr(key, "value", None) == str(step)]
            if not pairs:
                continue  # the model's own tag inside the location, not a key of the file
            key, node = pairs[0]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


def line_in(path: Path, location: Location) -> int:
    """The line (from 1) of `location` in a YAML file that has been read before."""
    return lines_in(path)(location)


def lines_in(path: Path) -> Callable[[Location], int]:
    """As `line_in`, for many places of one file: it is parsed once."""
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=_LOADER)
    return lambda location: line_of(root, location)


def _repeated_keys(node: yaml.Node | None, where: str = "") -> Iterator[tuple[int, str]]:
    """YAML keeps the last of two equal keys without a word; here the second is a mistake."""
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in first:
                yield (
                    line,
                    f"{where}{name!r} is given here a second time (first in line {first[name]}); rename or remove one.",
                )
            first.setdefault(name, line)
            yield from _repeated_keys(value, f"{where}{name}: ")
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated_keys(value, where)


def _sentence(detail: ErrorDetails, model: type[BaseModel], renamed: Mapping[str, str]) -> str:
    path = ": ".join(str(step) for step in detail["loc"])
    last = str(detail["loc"][-1]) if detail["loc"] else ""
    if detail["type"] == "extra_forbidden":
        if last in renamed:
            return f"{path}: {last!r} is an old key; {renamed[last]}."
        known = sorted(_known_keys(model))
        near = difflib.get_close_matches(last, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(known)}."
        return f"{path}: unknown key {last!r}; {advice}"
    if detail["type"] == "missing":
        return f"{path}: the key {last!r} is missing; add it."
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "this must be")
    if detail["type"] != "value_error":
        message = message[:1].lower() + message[1:]
    if detail["type"] in ("model_type", "dict_type", "mapping_type"):
        message = "here `key: value` pairs are needed"
    if detail["type"] in ("tuple_type", "list_type"):
        message = "here a list is needed, such as `[15, 15]`"
    given = detail["input"]
    shown = f" (it says {given!r})" if isinstance(given, str | int | float | bool | list) else ""
    return f"{path or 'the file'}: {message}{shown}"


def _known_keys(model: type[BaseModel], seen: frozenset[type] = frozenset()) -> set[str]:
    """All keys that a file of this model may use, at any depth, for the nearest-name advice."""
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        keys.add(field.alias or name)
        for inner in _models_in(field.annotation):
            if inner not in seen:
                keys |= _known_keys(inner, seen | {model})
    return keys


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)
