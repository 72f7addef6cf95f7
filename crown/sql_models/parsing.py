"""Reads a model's SQL: which relations it names, and where.

Belongs here: syntax and names. Does not: which of the names exist (project.py), columns (lineage.py).
sqlglot is imported when a model is read, so that importing this module costs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crown.errors import ConfigurationError
from crown.sql_models.places import Place, place_at

if TYPE_CHECKING:
    from sqlglot import exp

DIALECT = "postgres"

# Whole quotes and comments first, so that an opener that is left over has no end.
_QUOTED = re.compile(
    r"""'(?:[^']|'')*'|"[^"]*"|--[^\n]*|/\*.*?\*/|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|(?P<open>'|"|/\*|\$\w*\$)""",
    re.DOTALL,
)


@dataclass(frozen=True)
class Reference:
    """A relation that a model reads, `schema.table`, and the first place where it is named."""

    relation: str
    place: Place


def parse_model(path: Path, text: str) -> exp.Query:
    """The one query of a model file.

    Raises:
        ConfigurationError: not SQL, not exactly one SELECT, or one that writes; with file, line and column.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import ParseError, TokenError

    try:
        statements = [found for found in sqlglot.parse(text, read=DIALECT) if found is not None]
    except ParseError as error:
        first = error.errors[0]
        near = str(first.get("highlight") or "")
        place = Place(path, int(first["line"] or 1), max(1, int(first["col"] or 1) - len(near) + 1))
        what = str(first.get("description")).split(" but got <Token")[0].split(" for <class")[0]
        raise ConfigurationError(
            f"{place}: the SQL cannot be read at {near!r} ({_lower(what)}); correct it there."
        ) from None
    except TokenError:
        place = place_at(path, text, _unclosed(text))
        raise ConfigurationError(f"{place}: a quote or comment is opened and not closed; close it.") from None
    queries = [found for found in statements if not isinstance(found, exp.Semicolon)]
    if len(queries) != 1 or not isinstance(queries[0], exp.Query):
        raise ConfigurationError(
            f"{path}:1:1: a model is exactly one SELECT, this file holds "
            f"{', '.join(found.key for found in queries) or 'none'}; write one SELECT."
        )
    for found in queries[0].find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Into):
        inside = next(found.find_all(exp.Identifier), None)
        raise ConfigurationError(
            f"{place_of(path, text, inside)}: a model only reads, this one has {found.key}; take it out."
        )
    return queries[0]


def references(path: Path, text: str, query: exp.Query) -> tuple[Reference, ...]:
    """The relations that the query reads, each once, in the order of the text.

    Common table expressions, table functions, VALUES and laterals are not relations.

    Raises:
        ConfigurationError: a relation without its schema, or with a database before it.
    """
    from sqlglot import exp

    found: dict[str, tuple[int, Reference]] = {}
    for table in query.find_all(exp.Table):
        name = table.this
        if not isinstance(name, exp.Identifier):
            continue  # a function in FROM
        place = place_of(path, text, name)
        if table.catalog:
            raise ConfigurationError(
                f"{place}: {table.sql(DIALECT)} names another database; write schema.table."
            )
        if not table.db:
            if _is_common_table(table):
                continue
            raise ConfigurationError(
                f"{place}: {table.name} is neither a common table expression of this query nor "
                "schema.table; write its schema."
            )
        start = int(name.meta.get("start", 0))
        relation = f"{_folded(table.args['db'])}.{_folded(name)}"
        if relation not in found or start < found[relation][0]:
            found[relation] = (start, Reference(relation, place_of(path, text, table.args["db"])))
    return tuple(reference for _, reference in sorted(found.values(), key=lambda pair: pair[0]))


def place_of(path: Path, text: str, node: exp.Expr | None) -> Place:
    """Where a node of the parsed text begins; the beginning of the file when the parser did not note it."""
    offset = node.meta.get("start") if node is not None else None
    return place_at(path, text, int(offset) if offset is not None else 0)


def _is_common_table(table: exp.Table) -> bool:
    """Whether an enclosing WITH defines this name."""
    from sqlglot import exp

    node: exp.Expr | None = table
    while node is not None:
        with_ = node.args.get("with_") or node.args.get("with")
        if isinstance(with_, exp.With) and any(cte.alias == table.name for cte in with_.expressions):
            return True
        node = node.parent
    return False


def _folded(identifier: exp.Identifier) -> str:
    """A name as PostgreSQL sees it: unquoted names in small letters."""
    return identifier.name if identifier.args.get("quoted") else identifier.name.lower()


def _unclosed(text: str) -> int:
    """The offset of the first quote or comment of `text` that has no end."""
    for piece in _QUOTED.finditer(text):
        if piece.group("open"):
            return piece.start()
    return 0


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
