"""The folder of models: every model, its description and its edges, in build order.

Belongs here: the models and their dependencies. Does not: the database.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crown.errors import ConfigurationError
from crown.settings.yaml_files import line_in, load_model
from crown.sql_models.descriptions import ModelDescription, Source, SourceFile
from crown.sql_models.parsing import Reference, parse_model, references

if TYPE_CHECKING:
    from sqlglot import exp

#: A model may read its own layer and those before it; sources are read by the first layer only.
LAYERS = ("staging", "intermediate", "marts")
SOURCES = "sources.yml"
#: The models that come with Crown.
MODELS = Path(__file__).resolve().parents[2] / "dbt_like_sql"
#: {column: [(upstream relation, its column), ...]}, in the order of the SELECT.
ColumnLineage = dict[str, list[tuple[str, str]]]
# PostgreSQL cuts names at 63 bytes, and a table is built under its name and `__new`.
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,55}")


@dataclass(frozen=True)
class Model:
    """One model: the relation `folder.name` and the SELECT that makes it."""

    folder: str
    name: str
    path: Path
    sql: str
    description: ModelDescription
    references: tuple[Reference, ...]
    query: exp.Query = field(repr=False, compare=False)
    """The parsed SELECT; who changes it copies it first."""

    @property
    def relation(self) -> str:
        """`schema.table` in the database."""
        return f"{self.folder}.{self.name}"

    @property
    def description_path(self) -> Path:
        """The .yml beside it."""
        return self.path.with_suffix(".yml")

    @property
    def fingerprint(self) -> str:
        """sha256 of the SELECT, 64 hexadecimal digits."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def upstream(self) -> tuple[str, ...]:
        """The relations it reads, in the order of the text."""
        return tuple(reference.relation for reference in self.references)


@dataclass(frozen=True)
class Project:
    """All models by relation, every one after those it reads, and the sources."""

    folder: Path
    models: Mapping[str, Model]
    sources: Mapping[str, Source]
    lineage: dict[str, ColumnLineage] = field(default_factory=dict, repr=False, compare=False)
    """What `read_columns` found so far: a project does not change."""

    def asset_key(self, relation: str) -> tuple[str, ...]:
        """The asset that makes a relation: `sql/<folder>/<name>` for a model, the named one for a source."""
        if relation in self.models:
            model = self.models[relation]
            return ("sql", model.folder, model.name)
        return self.sources[relation].asset

    def upstream_keys(self, relation: str) -> tuple[tuple[str, ...], ...]:
        """The assets that a model reads, each once."""
        return tuple(dict.fromkeys(self.asset_key(name) for name in self.models[relation].upstream))

    def downstream(self, relation: str) -> tuple[str, ...]:
        """The models that read a relation directly."""
        return tuple(name for name, model in self.models.items() if relation in model.upstream)

    def ancestors(self, relation: str) -> set[str]:
        """All relations that a model depends on, near and far, sources included."""
        found: set[str] = set()
        for name in self.models[relation].upstream:
            found.add(name)
            if name in self.models:
                found |= self.ancestors(name)
        return found

    def model(self, name: str) -> Model:
        """A model by `folder.name`, or by its name alone.

        Raises:
            ConfigurationError: no model, or several, have that name.
        """
        found = [model for model in self.models.values() if name in (model.relation, model.name)]
        if len(found) == 1:
            return found[0]
        if found:
            both = " or ".join(model.relation for model in found)
            raise ConfigurationError(f"There are several models {name!r}; write {both}.")
        known = [*self.models, *(model.name for model in self.models.values())]
        near = difflib.get_close_matches(name, known, n=1)
        advice = f"did you mean {near[0]}?" if near else f"the models are in {self.folder}."
        raise ConfigurationError(f"There is no model {name!r}; {advice}")

    def select(self, words: Sequence[str] | None = None) -> list[Model]:
        """Models in the order of building.

        Args:
            words: names of models or layers; `+name` takes what it depends on too, `name+` what depends on it.
                Nothing selects every model.

        Raises:
            ConfigurationError: a word names nothing.
        """
        if not words:
            return list(self.models.values())
        chosen: set[str] = set()
        for word in words:
            bare = word.removeprefix("+").removesuffix("+")
            if bare in LAYERS:
                named = [name for name, model in self.models.items() if model.folder == bare]
            else:
                named = [self.model(bare).relation]
            chosen.update(named)
            for relation in named:
                if word.startswith("+"):
                    chosen |= self.ancestors(relation)
                if word.endswith("+"):
                    chosen |= {name for name in self.models if relation in self.ancestors(name)}
        return [model for relation, model in self.models.items() if relation in chosen]


def load_models(folder: Path = MODELS) -> Project:
    """Read every model below `folder` (staging/, intermediate/, marts/) and sources.yml.

    Raises:
        ConfigurationError: a mistake in a file; each sentence has the file, the line and, in SQL, the column.
    """
    if not folder.is_dir():
        raise ConfigurationError(
            f"{folder} is not a folder; name the one with staging/, intermediate/, marts/."
        )
    sources: Mapping[str, Source] = {}
    if (folder / SOURCES).exists():
        sources = load_model(folder / SOURCES, SourceFile).sources
    models = {model.relation: model for layer in LAYERS for model in _models_in(folder / layer)}
    for model in models.values():
        _known_relations(model, models, sources)
    project = Project(folder, {model.relation: model for model in _ordered(models)}, sources)
    for model in project.models.values():
        _related_upstream(model, project)
    return project


def _models_in(folder: Path) -> Iterator[Model]:
    for path in sorted(folder.glob("*.yml")):
        if not path.with_suffix(".sql").exists():
            raise ConfigurationError(
                f"{path}:1: it describes {path.stem}.sql, which is not there; add or rename."
            )
    for path in sorted(folder.glob("*.sql")):
        if not _NAME.fullmatch(path.stem):
            raise ConfigurationError(
                f"{path}: a model's name has small letters, digits and _ only, at most 56 of them; rename it."
            )
        if not path.with_suffix(".yml").exists():
            raise ConfigurationError(
                f"{path}: {path.stem}.yml is missing beside it; write description and owner there."
            )
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
        query = parse_model(path, text)
        yield Model(
            folder=folder.name,
            name=path.stem,
            path=path,
            sql=text,
            description=load_model(path.with_suffix(".yml"), ModelDescription),
            references=references(path, text, query),
            query=query,
        )


def _known_relations(model: Model, models: Mapping[str, Model], sources: Mapping[str, Source]) -> None:
    for reference in model.references:
        if reference.relation in sources:
            if model.folder != LAYERS[0]:
                raise ConfigurationError(
                    f"{reference.place}: {reference.relation} is a source, which only models in {LAYERS[0]}/ read; "
                    "read the staging model of it."
                )
        elif reference.relation not in models:
            known = [*models, *sources]
            near = difflib.get_close_matches(reference.relation, known, n=1)
            advice = f"did you mean {near[0]}?" if near else f"add a model, or name it in {SOURCES}."
            raise ConfigurationError(
                f"{reference.place}: {reference.relation} is neither a model nor a source; {advice}"
            )
        elif LAYERS.index(models[reference.relation].folder) > LAYERS.index(model.folder):
            raise ConfigurationError(
                f"{reference.place}: a model in {model.folder}/ does not read {reference.relation}, which depends on a "
                "later layer; move one of them."
            )


def _ordered(models: Mapping[str, Model]) -> Iterable[Model]:
    """Every model after those it reads; among equals by layer and name, so that the order is always the same."""
    done: dict[str, Model] = {}
    left = dict(models)
    while left:
        ready = [m for m in left.values() if all(name in done or name not in models for name in m.upstream)]
        if not ready:
            raise ConfigurationError(_cycle(left))
        for model in ready:
            done[model.relation] = left.pop(model.relation)
    return done.values()


def _cycle(models: Mapping[str, Model]) -> str:
    """The sentence for a cycle: one way round it, with the place of every step."""
    trail = [next(iter(models))]
    while True:
        step = next(name for name in models[trail[-1]].upstream if name in models)
        if step in trail:
            break
        trail.append(step)
    ring = trail[trail.index(step) :]
    steps = []
    for here, there in zip(ring, [*ring[1:], ring[0]], strict=True):
        reference = next(found for found in models[here].references if found.relation == there)
        steps.append(f"{reference.place} reads {there}")
    return f"The models read each other in a ring: {'; '.join(steps)}; take one of these out."


def _related_upstream(model: Model, project: Project) -> None:
    """A relationships test looks at what the model depends on, so that it is there when the test runs."""
    for name, column in model.description.columns.items():
        for at, test in enumerate(column.tests):
            to = test.relationships.to if test.relationships else None
            if to is not None and to not in project.ancestors(model.relation):
                line = line_in(model.description_path, ("columns", name, "tests", at, "relationships", "to"))
                raise ConfigurationError(
                    f"{model.description_path}:{line}: {to} is nothing that {model.relation} depends on; "
                    "name a relation it reads, directly or through another model."
                )
