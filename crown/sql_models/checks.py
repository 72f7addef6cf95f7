"""Tests of the descriptions as SELECTs of the rows that fail them.

Belongs here: one SELECT per test and its result. Does not: what follows from a failure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from crown.errors import ConfigurationError
from crown.settings.yaml_files import lines_in
from crown.sql_models.complaints import message, sentence, sqlstate
from crown.sql_models.descriptions import ColumnTest, ModelTest, Severity
from crown.sql_models.project import Model, Project
from crown.sql_models.relations import literal, quoted

#: Rows of a broken promise that are shown.
SAMPLE = 5


@dataclass(frozen=True)
class Promise:
    """One test of one model, and the SELECT of the rows that break it."""

    model: Model
    name: str
    sentence: str
    severity: Severity
    offending: str
    path: Path
    line: int


@dataclass(frozen=True)
class Finding:
    """The answer to one test; `count` rows break it, of which `sample` shows a few."""

    relation: str
    name: str
    sentence: str
    severity: Severity
    passed: bool
    count: int
    sample: tuple[dict[str, Any], ...]
    seconds: float
    path: Path
    line: int


def promises(model: Model) -> list[Promise]:
    """The tests of a model in the order of its description, with names that are unique in it."""
    found: list[Promise] = []
    taken: dict[str, int] = {}
    line = lines_in(model.description_path)
    for location, column, test in _tests(model):
        name = f"{column}_{test.kind}" if column else test.kind
        taken[name] = taken.get(name, 0) + 1
        if taken[name] > 1:
            name = f"{name}_{taken[name]}"
        said, condition, offending = (
            _column_test(model, column, test) if isinstance(test, ColumnTest) else _model_test(model, test)
        )
        found.append(
            Promise(
                model,
                name,
                said + (f", where {test.where}" if test.where else ""),
                test.severity,
                offending or f"select * from {_rows(model, test.where)} where {condition}",
                model.description_path,
                line(location),
            )
        )
    return found


def check(engine: Engine, project: Project, select: Sequence[str] | None = None) -> list[Finding]:
    """Ask every test of the selected models (`Project.select`); all of them, in the order of building.

    Raises:
        ConfigurationError: a condition in a description is not SQL, or the model was not built yet.
    """
    return [ask(engine, promise) for model in project.select(select) for promise in promises(model)]


def ask(engine: Engine, promise: Promise) -> Finding:
    """Ask one test.

    Raises:
        ConfigurationError: its condition is not SQL, or the model was not built yet; with file and line.
    """
    started = time.perf_counter()
    statement = (
        f"with offending as ({promise.offending}) select count(*), "
        f"(select jsonb_agg(to_jsonb(s)) from (select * from offending limit {SAMPLE}) s) from offending"
    )
    try:
        with engine.connect() as connection:
            connection.execute(text("set transaction read only"))
            count, sample = connection.exec_driver_sql(
                statement, execution_options={"no_parameters": True}
            ).one()
    except DBAPIError as error:
        if sqlstate(error) in ("42P01", "3F000"):
            raise ConfigurationError(
                f"{promise.path}:{promise.line}: {promise.model.relation} cannot be tested ({message(error)}); "
                f"build it first: crown sql run +{promise.model.relation}."
            ) from None
        raise sentence(error, promise.path, at_line=promise.line) from None
    return Finding(
        relation=promise.model.relation,
        name=promise.name,
        sentence=promise.sentence,
        severity=promise.severity,
        passed=count == 0,
        count=count,
        sample=tuple(sample or ()),
        seconds=time.perf_counter() - started,
        path=promise.path,
        line=promise.line,
    )


def _tests(model: Model) -> Iterator[tuple[tuple[int | str, ...], str, ColumnTest | ModelTest]]:
    for name, column in model.description.columns.items():
        for at, test in enumerate(column.tests):
            yield ("columns", name, "tests", at), name, test
    for at, whole in enumerate(model.description.tests):
        yield ("tests", at), "", whole


def _column_test(model: Model, name: str, test: ColumnTest) -> tuple[str, str, str | None]:
    """What is promised, the condition of a row that breaks it, and the whole SELECT when rows do not do."""
    column = f'"{name}"'
    if test.not_null:
        return f"{name} is never null", f"{column} is null", None
    if test.unique:
        return f"{name} is unique", "", _copies(model, [name], test.where)
    if test.positive:
        return f"{name} is above 0", f"{column} <= 0", None
    if test.accepted_values:
        values = ", ".join(literal(_text(value)) for value in test.accepted_values)
        shown = ", ".join(_text(value) for value in test.accepted_values)
        return f"{name} is one of {shown}", f"{column}::text not in ({values})", None
    if test.between:
        parts = [f"{column} < {test.between.min}"] if test.between.min is not None else []
        parts += [f"{column} > {test.between.max}"] if test.between.max is not None else []
        return f"{name} is {test.between}", " or ".join(parts), None
    if test.relationships:
        to = test.relationships
        missing = f'not exists (select 1 from {quoted(to.to)} r where r."{to.column}" = m.{column})'
        return f"{name} exists in {to.to}.{to.column}", f"{column} is not null and {missing}", None
    return f"{name}: {test.expression}", f"({test.expression}) is false", None


def _model_test(model: Model, test: ModelTest) -> tuple[str, str, str | None]:
    if test.unique:
        return f"{', '.join(test.unique)} are unique together", "", _copies(model, test.unique, test.where)
    if test.row_count:
        parts = [f"count(*) < {test.row_count.min}"] if test.row_count.min is not None else []
        parts += [f"count(*) > {test.row_count.max}"] if test.row_count.max is not None else []
        counted = f"select count(*) as rows from {_rows(model, test.where)} having {' or '.join(parts)}"
        return f"it has {test.row_count} rows", "", counted
    return str(test.expression), f"({test.expression}) is false", None


def _copies(model: Model, names: Sequence[str], where: str | None) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    filled = " and ".join(f'"{name}" is not null' for name in names)
    return (
        f"select {columns}, count(*) as copies from {_rows(model, where)} where {filled} "
        f"group by {columns} having count(*) > 1"
    )


def _rows(model: Model, where: str | None) -> str:
    return (
        f"{quoted(model.relation)} m"
        if where is None
        else (f"(select * from {quoted(model.relation)} where {where}) m")
    )


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
