"""PostgreSQL's errors as messages for editors of models: file, line, column, and what to do.

Belongs here: translation. Does not: when a model is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from crown.errors import (
    ConfigurationError,
    CrownError,
    PermanentFailure,
    Refused,
    SystemicFailure,
    TemporaryFailure,
)
from crown.sql_models.places import place_at

#: The first two characters of SQLSTATE: errors in the model. All other classes are outside the model.
_CLASSES: dict[str, type[CrownError]] = {
    "42": ConfigurationError,  # syntax, names, types
    "0A": ConfigurationError,  # not supported
    "2B": Refused,  # something depends on it
    "22": PermanentFailure,  # a value that the expression cannot take
    "21": PermanentFailure,  # a subquery with several rows
    "23": PermanentFailure,
    "40": TemporaryFailure,  # serialisation, deadlock
    "55": TemporaryFailure,  # a lock that was not given in time
}
#: No such relation, no such schema: models name only what exists, so it was not built yet.
_NOT_BUILT = {"42P01", "3F000"}
_ADVICE: dict[type[CrownError], str] = {
    ConfigurationError: "correct the SQL there",
    Refused: "change or drop that first",
    PermanentFailure: "guard the expression, or correct the value in the data",
    TemporaryFailure: "run it again when the other work is done",
    SystemicFailure: "look at the database",
}


@contextmanager
def in_file(path: Path, written: str = "", *, before: int | None = None, at_line: int = 1) -> Iterator[None]:
    """Turn an error of PostgreSQL inside the block into one that names the place in `path`.

    Args:
        path: the file whose SQL is sent.
        written: that SQL, as it is in the file.
        before: characters that were put before it in the statement; None: the statement is not the file's,
            so its positions say nothing about the file.
        at_line: the line of the file where `written` begins.

    Raises:
        ConfigurationError: the SQL is wrong. Refused: something depends on it. PermanentFailure: a value is
            wrong. TemporaryFailure: a lock or deadlock. SystemicFailure: anything outside the model.
    """
    try:
        yield
    except DBAPIError as error:
        raise sentence(error, path, written, before=before, at_line=at_line) from None


def sentence(
    error: DBAPIError, path: Path, written: str = "", *, before: int | None = None, at_line: int = 1
) -> CrownError:
    """The error as one of ours, see `in_file`."""
    diagnosis = getattr(error.orig, "diag", None)
    kind = _CLASSES.get(sqlstate(error)[:2], SystemicFailure)
    position = getattr(diagnosis, "statement_position", None)
    where = f"{path}:{at_line}"
    if position is not None and before is not None:
        place = place_at(path, written, int(position) - 1 - before)
        where = f"{path}:{place.line + at_line - 1}:{place.column}"
    advice = _ADVICE[kind]
    if sqlstate(error) in _NOT_BUILT:
        advice = f"build what it reads first: crown sql run +{path.stem}"
    return kind(f"{where}: {message(error)}; {advice}.")


def sqlstate(error: DBAPIError) -> str:
    """The five characters of SQLSTATE; empty when the server said none."""
    return getattr(getattr(error.orig, "diag", None), "sqlstate", None) or ""


def message(error: DBAPIError) -> str:
    """PostgreSQL's own words with detail and hint, on one line, without a full stop at the end."""
    diagnosis = getattr(error.orig, "diag", None)
    names = ["message_primary", "message_detail", "message_hint"]
    if sqlstate(error).startswith("2B"):
        names.pop()  # it advises CASCADE
    parts = [getattr(diagnosis, name, None) for name in names]
    said = " ".join(" ".join(str(part).split()) for part in parts if part) or str(error.orig)
    return said.rstrip(".")
