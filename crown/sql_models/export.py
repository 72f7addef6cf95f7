"""A model's rows as CSV, written by the server (COPY) and streamed: a table of any size takes no memory here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from crown.errors import ConfigurationError
from crown.sql_models.complaints import sentence, sqlstate
from crown.sql_models.project import Model
from crown.sql_models.relations import quoted
from crown.store.files import Ownership, finish, make_folder, systemic_errors, temporary


@dataclass(frozen=True)
class Exported:
    """A file that was written: the model, its rows, the bytes."""

    model: str
    file: Path
    rows: int
    bytes: int


def export(
    engine: Engine, models: Sequence[Model], folder: Path, ownership: Ownership, as_of: date | None = None
) -> Iterator[Exported]:
    """Write `<model>.csv` for each model, whole or not at all; all of them show the same moment.

    Args:
        engine: on the database.
        models: models that are built.
        folder: made when missing.
        ownership: mode and group of the files.
        as_of: the day that views count from instead of today.

    Raises:
        ConfigurationError: a model was not built yet.
        SystemicFailure: the folder cannot be written.
    """
    with systemic_errors(f"Writing into {folder}"), _reading(engine, as_of) as copy:
        make_folder(folder, ownership)
        for model in models:
            file = folder / f"{model.relation.rpartition('.')[2]}.csv"
            unfinished = temporary(file)
            try:
                with unfinished.open("wb") as stream:
                    rows = copy(model, stream)
                finish(unfinished, ownership)
                unfinished.rename(file)
            finally:
                unfinished.unlink(missing_ok=True)
            yield Exported(model.relation, file, rows, file.stat().st_size)


def write(engine: Engine, model: Model, stream: BinaryIO, as_of: date | None = None) -> int:
    """Write one model's rows to a stream; returns how many.

    Raises:
        ConfigurationError: it was not built yet.
    """
    with _reading(engine, as_of) as copy:
        return copy(model, stream)


class _Copy:
    def __init__(self, engine: Engine, as_of: date | None) -> None:
        self.connection = engine.connect().execution_options(isolation_level="REPEATABLE READ")
        self.connection.execute(text("set transaction read only"))
        if as_of is not None:
            self.connection.execute(
                text("select set_config('crown.as_of', :day, true)"), {"day": as_of.isoformat()}
            )

    def __call__(self, model: Model, stream: BinaryIO) -> int:
        statement = f"copy (select * from {quoted(model.relation)} order by 1) to stdout with (format csv, header true)"
        try:
            # Asked through SQLAlchemy first: its errors are those that `sentence` reads.
            self.connection.execute(text(f"select from {quoted(model.relation)} limit 0"))
        except DBAPIError as error:
            if sqlstate(error) in ("42P01", "3F000"):
                raise ConfigurationError(
                    f"{model.relation} is not built yet; build it first: crown sql run +{model.relation}."
                ) from None
            raise sentence(error, model.path) from None
        driver = self.connection.connection.driver_connection
        assert driver is not None
        with driver.cursor() as cursor:
            with cursor.copy(statement) as rows:
                for block in rows:
                    stream.write(block)
            return int(cursor.rowcount)


@contextmanager
def _reading(engine: Engine, as_of: date | None) -> Iterator[_Copy]:
    copy = _Copy(engine, as_of)
    try:
        yield copy
    finally:
        copy.connection.close()
