"""Builds models as views and tables, each in one transaction: readers see the old one or the new one.

Belongs here: replacing a relation while others depend on it. Does not: the order of models and their
columns (project.py, lineage.py), questions to the catalogue (relations.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from crown.errors import CrownError, Refused
from crown.sql_models import relations
from crown.sql_models.complaints import in_file, message, sentence, sqlstate
from crown.sql_models.lineage import read_columns
from crown.sql_models.project import Model, Project
from crown.sql_models.relations import Relation, literal, quoted, raw

#: Part of the comment of every relation we made; one without it is a person's and is not replaced.
MARK = "Built by Crown from "
#: How long a replacement waits for readers of the old relation before it gives up, in milliseconds.
LOCK_TIMEOUT_MS = 30_000
# What CREATE OR REPLACE VIEW answers when columns went or changed their type.
_OTHER_COLUMNS = "42P16"
_HEADS = {
    "view": "create view {} as\n",
    "or replace": "create or replace view {} as\n",
    "table": "create table {} as\n",
}


@dataclass(frozen=True)
class ColumnSchema:
    """A column as PostgreSQL has it, and what the description says of it."""

    name: str
    type: str
    description: str | None


@dataclass(frozen=True)
class ModelResult:
    """What became of one model.

    `rows` counts the rows of the finished relation; `rebuilt` names the views on it that had to be made again.
    """

    relation: str
    outcome: str
    materialised: str
    rows: int | None = None
    seconds: float = 0.0
    columns: tuple[ColumnSchema, ...] = ()
    rebuilt: tuple[str, ...] = ()
    error: str | None = None


def run(engine: Engine, project: Project, select: Sequence[str] | None = None) -> list[ModelResult]:
    """Build models in order, each in its own transaction.

    A model that fails keeps what was there before; those that depend on it are skipped, the others go on.

    Args:
        engine: on the database.
        project: the models.
        select: words as `Project.select` takes them; nothing builds all.

    Returns:
        One result per selected model, in order: outcome `built`, `failed` (with the sentence) or `skipped`.

    Raises:
        ConfigurationError: a column anywhere in the project is wrong; nothing was built.
    """
    chosen = project.select(select)
    read_columns(project)
    results: list[ModelResult] = []
    lost: set[str] = set()
    for model in chosen:
        blame = sorted(lost & project.ancestors(model.relation))
        if blame:
            result = ModelResult(
                model.relation,
                "skipped",
                model.description.materialised,
                error=f"it depends on {', '.join(blame)}",
            )
        else:
            started = time.perf_counter()
            try:
                result = build(engine, project, model)
            except CrownError as error:
                seconds = time.perf_counter() - started
                result = ModelResult(
                    model.relation,
                    "failed",
                    model.description.materialised,
                    seconds=seconds,
                    error=str(error),
                )
        if result.outcome != "built":
            lost.add(model.relation)
        results.append(result)
    return results


def build(engine: Engine, project: Project, model: Model) -> ModelResult:
    """Build one model in one transaction; `read_columns` finds wrong columns before PostgreSQL does.

    Raises:
        ConfigurationError: its SQL is wrong, with file, line and column. PermanentFailure: a value breaks it.
        Refused: a relation of that name is not ours, or a view that is not a model depends on it.
        TemporaryFailure: readers held the old relation too long.
    """
    started = time.perf_counter()
    with in_file(model.path), engine.begin() as connection:
        raw(connection, f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
        rebuilt = _build(connection, project, model)
        found = relations.columns(connection, model.relation)
        # Counting whole rows makes PostgreSQL compute every column of a view, so that a column that cannot be
        # computed fails here and not at the first reader.
        rows = connection.execute(text(f"select count(m) from {quoted(model.relation)} m")).scalar_one()
    described = model.description.columns
    return ModelResult(
        relation=model.relation,
        outcome="built",
        materialised=model.description.materialised,
        rows=rows,
        seconds=time.perf_counter() - started,
        columns=tuple(
            ColumnSchema(name, kind, described[name].description if name in described else None)
            for name, kind in found
        ),
        rebuilt=tuple(rebuilt),
    )


def removed(engine: Engine, project: Project) -> list[str]:
    """Relations that were built from a model which is no longer in the folder; nothing drops them."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
                "where c.relkind in ('r', 'v') and obj_description(c.oid, 'pg_class') like :mark order by 1"
            ),
            {"mark": f"%{MARK}%"},
        )
        return [name for (name,) in rows if name not in project.models]


def _build(connection: Connection, project: Project, model: Model) -> list[str]:
    """Put the model in place of what is there; returns the views that were made again."""
    if not _schema_exists(connection, model.folder):
        _lock(connection, model.folder)
        if not _schema_exists(connection, model.folder):
            raw(connection, f'create schema "{model.folder}"')
    _lock(connection, model.relation)
    old = relations.find(connection, model.relation)
    if old is not None and not is_ours(old):
        raise Refused(
            f"{model.relation} exists and was not built from a model; rename or drop that {old.kind}, "
            f"or rename {model.path}."
        )
    build_kind = _build_table if model.description.materialised == "table" else _build_view
    rebuilt = build_kind(connection, project, model, old)
    _comment(connection, model, model.description.materialised)
    return rebuilt


def _schema_exists(connection: Connection, name: str) -> bool:
    # IF NOT EXISTS asks the session's own cache, which may not know yet what another builder committed.
    known = text("select exists (select from pg_namespace where nspname = :name)")
    return bool(connection.execute(known, {"name": name}).scalar_one())


def is_ours(relation: Relation) -> bool:
    """Whether we built this relation, by the last line of its comment."""
    return (relation.comment or "").rpartition("\n")[2].startswith(MARK)


def _build_view(connection: Connection, project: Project, model: Model, old: Relation | None) -> list[str]:
    if old is not None and old.kind == "view":
        try:
            with connection.begin_nested():
                raw(connection, _HEADS["or replace"].format(quoted(model.relation)) + model.sql)
        except DBAPIError as error:
            if sqlstate(error) != _OTHER_COLUMNS:
                head = _HEADS["or replace"].format(quoted(model.relation))
                raise sentence(error, model.path, model.sql, before=len(head)) from None
        else:
            return []
    if old is None:
        _create(connection, model, "view", model.relation)
        return []
    return _replace(
        connection, project, model, old, lambda: _create(connection, model, "view", model.relation)
    )


def _build_table(connection: Connection, project: Project, model: Model, old: Relation | None) -> list[str]:
    """Fill a table under another name, which may take long, then exchange it, which does not."""
    fresh, name = quoted(f"{model.relation}__new"), f'"{model.name}"'
    _create(connection, model, "table", f"{model.relation}__new")
    raw(connection, f"analyze {fresh}")
    if old is None:
        raw(connection, f"alter table {fresh} rename to {name}")
        return []
    above = [view for view in relations.held_dependents(connection, old) if view.direct]
    if old.kind == "table" and all(view.kind == "view" for view in above):
        try:
            with connection.begin_nested():
                raw(connection, f'alter table {quoted(model.relation)} rename to "{model.name}__old"')
                raw(connection, f"alter table {fresh} rename to {name}")
                # The views still point at the old table; their text, taken before, names the new one.
                for view in above:
                    relations.create_view(connection, view, replace=True)
                raw(connection, f"drop table {quoted(f'{model.relation}__old')}")
                relations.grant(connection, old.grants)
        except DBAPIError as error:
            if sqlstate(error)[:2] != "42":
                raise
        else:
            return [view.relation for view in above]
    return _replace(
        connection, project, model, old, lambda: raw(connection, f"alter table {fresh} rename to {name}")
    )


def _replace(
    connection: Connection, project: Project, model: Model, old: Relation, make: Callable[[], None]
) -> list[str]:
    """Drop what depends on the old relation, exchange it, and create the dependants again."""
    above = relations.held_dependents(connection, old)
    for view in reversed(above):
        relations.drop(connection, view)
    relations.drop(connection, old)
    make()
    relations.grant(connection, old.grants)
    for view in above:
        _put_up(connection, project, model, view)
    return [view.relation for view in above]


def _put_up(connection: Connection, project: Project, below: Model, view: Relation) -> None:
    """Make a view again: as it was; if that no longer fits and it is a model, as its file says now."""
    if relations.find(connection, view.relation) is not None:
        return  # made again on the way, see below
    try:
        with connection.begin_nested():
            relations.create_view(connection, view, replace=False)
    except DBAPIError as error:
        if not is_ours(view) or view.relation not in project.models:
            raise Refused(
                f"{below.path}: {view.relation}, which is not a model, depends on {below.relation} and would break "
                f"({message(error)}); change or drop that view first."
            ) from None
        again = project.models[view.relation]
        # Its file may read what was not built yet.
        between = project.ancestors(again.relation) - project.ancestors(below.relation) - {below.relation}
        for relation, model in project.models.items():
            if relation in between:
                _build(connection, project, model)
        _create(connection, again, "view", again.relation)
        _comment(connection, again, "view")
        relations.grant(connection, view.grants)


def _create(connection: Connection, model: Model, kind: str, relation: str) -> None:
    head = _HEADS[kind].format(quoted(relation))
    with in_file(model.path, model.sql, before=len(head)):
        raw(connection, head + model.sql)


def _comment(connection: Connection, model: Model, kind: str) -> None:
    """The description goes where database browsers show it, with our mark."""
    said = f"{model.description.description}\n\n{MARK}{model.folder}/{model.path.name}"
    raw(connection, f"comment on {kind} {quoted(model.relation)} is {literal(said)}")
    for name, column in model.description.columns.items():
        raw(
            connection,
            f'comment on column {quoted(model.relation)}."{name}" is {literal(column.description)}',
        )


def _lock(connection: Connection, name: str) -> None:
    """Two builders of the same thing go one after the other; held until the transaction ends."""
    connection.execute(text("select pg_advisory_xact_lock(hashtextextended(:name, 7263203))"), {"name": name})
