"""Column lineage, and unknown columns, read from the SQL alone.

Belongs here: names of columns. Does not: their types, which PostgreSQL alone knows.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from crown.errors import ConfigurationError
from crown.settings.yaml_files import line_in
from crown.sql_models.parsing import DIALECT, place_of
from crown.sql_models.places import Place
from crown.sql_models.project import ColumnLineage, Model, Project

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope


def read_columns(project: Project, upto: str | None = None) -> dict[str, ColumnLineage]:
    """The column lineage of every model by relation, or of `upto` and what it depends on.

    Raises:
        ConfigurationError: a column that is not there, is ambiguous or has no name, or a description of a
            column that the model does not have; with file, line and column.
    """
    known: dict[str, tuple[str, ...]] = {name: source.columns for name, source in project.sources.items()}
    wanted = set(project.models) if upto is None else project.ancestors(upto) | {upto}
    found: dict[str, ColumnLineage] = {}
    for relation, model in project.models.items():
        if relation not in wanted:
            continue
        if relation not in project.lineage:
            lineage = _lineage(model, known)
            _described(model, tuple(lineage))
            project.lineage[relation] = lineage
        found[relation] = project.lineage[relation]
        known[relation] = tuple(found[relation])
    return found


def _lineage(model: Model, known: Mapping[str, tuple[str, ...]]) -> ColumnLineage:
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.optimizer import build_scope
    from sqlglot.optimizer.qualify import qualify

    for number, projection in enumerate(model.query.selects, 1):
        if not isinstance(projection, exp.Alias | exp.Column | exp.Star):
            place = place_of(model.path, model.sql, next(projection.find_all(exp.Identifier), None))
            raise ConfigurationError(f"{place}: column {number} has no name; write `as name` after it.")
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for relation in model.upstream:
        db, table = relation.split(".")
        schema.setdefault(db, {})[table] = dict.fromkeys(known[relation], "unknown")
    try:
        query = qualify(
            model.query.copy(),
            dialect=DIALECT,
            schema=dict(schema),
            allow_partial_qualification=True,
            validate_qualify_columns=False,
            identify=False,
        )
        scope = build_scope(query)
        assert scope is not None
        _all_there(model, scope, known)
        # Trimmed selects are for drawing; each costs a copy of the whole query.
        nodes = lineage(
            None, query, dict(schema), dialect=DIALECT, scope=scope, trim_selects=False, copy=False
        )
    except SqlglotError as error:
        raise ConfigurationError(
            f"{model.path}: its columns cannot be followed ({str(error).splitlines()[0]}); "
            "write the table before each column."
        ) from None
    result: ColumnLineage = {}
    for column, node in nodes.items():
        origins: dict[tuple[str, str], None] = {}
        for leaf in node.walk():
            read = leaf.expression
            if isinstance(read, exp.Table) and isinstance(read.this, exp.Identifier) and read.db:
                origins[(f"{read.db}.{read.name}", leaf.name.rpartition(".")[2].strip('"'))] = None
        result[column] = [origin for origin in origins if origin[1] in known.get(origin[0], ())]
    return result


def _all_there(model: Model, root: Scope, known: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse columns that their relation does not have."""
    for scope in root.traverse():
        for column in scope.columns:
            where = place_of(model.path, model.sql, column.this)
            if not column.table:
                _unqualified(where, column, scope, known)
                continue
            source = _source(scope, column.table)
            if source is None:
                raise ConfigurationError(
                    f"{where}: {column.table} is not in this FROM; correct the name before the point."
                )
            names = _names(source, known)
            if names is not None and column.name not in names:
                near = difflib.get_close_matches(column.name, names, n=1)
                advice = f"did you mean {near[0]}?" if near else f"it has {', '.join(names)}."
                raise ConfigurationError(f"{where}: {column.table} has no column {column.name}; {advice}")


def _unqualified(
    where: Place, column: exp.Column, scope: Scope, known: Mapping[str, tuple[str, ...]]
) -> None:
    """Refuse a bare name that no relation in reach has, or that several have."""
    from sqlglot import exp

    if isinstance(scope.expression, exp.SetOperation) and column.name in scope.expression.named_selects:
        return  # ORDER BY of a UNION speaks of its output
    reach: list[str] = []
    for here in _outwards(scope):
        names = {alias: _names(source, known) for alias, (_, source) in here.selected_sources.items()}
        if column.name in names or None in names.values():
            return  # a whole row, or a function whose columns PostgreSQL alone knows
        having = [alias for alias, columns in names.items() if column.name in (columns or ())]
        if having:
            raise ConfigurationError(
                f"{where}: {column.name} is ambiguous, {' and '.join(having)} have it; write one of them before it."
            )
        reach += [name for columns in names.values() for name in columns or ()]
    near = difflib.get_close_matches(column.name, reach, n=1)
    advice = f"did you mean {near[0]}?" if near else "correct or remove it."
    raise ConfigurationError(f"{where}: no relation in this FROM has a column {column.name}; {advice}")


def _outwards(scope: Scope) -> Iterator[Scope]:
    """A scope and those around it that a subquery may refer to."""
    here: Scope | None = scope
    while here is not None:
        yield here
        here = here.parent


def _source(scope: Scope, alias: str) -> object | None:
    for here in _outwards(scope):
        if alias in here.selected_sources:
            return here.selected_sources[alias][1]
        if alias in here.sources:
            return here.sources[alias]
    return None


def _names(source: object, known: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """The columns of a relation, subquery or table expression; None when only PostgreSQL knows."""
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope

    if isinstance(source, exp.Table):
        return known.get(f"{source.db}.{source.name}")
    if not isinstance(source, Scope):
        return None
    if source.outer_columns:
        return tuple(source.outer_columns)
    inner = source.expression
    if isinstance(inner, exp.Lateral) and isinstance(inner.this, exp.Subquery):
        inner = inner.this.unnest()
    if isinstance(inner, exp.Query):
        return None if inner.is_star else tuple(inner.named_selects)
    return None


def _described(model: Model, columns: tuple[str, ...]) -> None:
    """Refuse a description or a test of a column that the model does not have."""
    description = model.description
    for column in description.columns:
        if column not in columns:
            _refuse(model, ("columns", column), column, columns)
    for at, test in enumerate(description.tests):
        for row, column in enumerate(test.unique or ()):
            if column not in columns:
                _refuse(model, ("tests", at, "unique", row), column, columns)


def _refuse(model: Model, location: tuple[int | str, ...], column: str, columns: tuple[str, ...]) -> None:
    line = line_in(model.description_path, location)
    near = difflib.get_close_matches(column, columns, n=1)
    advice = f"did you mean {near[0]}?" if near else f"it has {', '.join(columns)}."
    raise ConfigurationError(
        f"{model.description_path}:{line}: {model.relation} has no column {column!r}; {advice}"
    )
