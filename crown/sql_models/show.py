"""The first rows of a model. No checks, no formatting."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from crown.errors import ConfigurationError
from crown.sql_models.complaints import sentence, sqlstate
from crown.sql_models.project import Model
from crown.sql_models.relations import quoted


def first_rows(
    engine: Engine, model: Model, limit: int = 20, as_of: date | None = None
) -> list[dict[str, Any]]:
    """Up to `limit` rows, ordered by the first column.

    Args:
        engine: on the database.
        model: a model that is built.
        limit: how many rows.
        as_of: the day that views count from instead of today; tables show the day they were built.

    Raises:
        ConfigurationError: it was not built yet.
    """
    try:
        with engine.connect() as connection:
            connection.execute(text("set transaction read only"))
            if as_of is not None:
                setting = text("select set_config('crown.as_of', :day, true)")
                connection.execute(setting, {"day": as_of.isoformat()})
            found = connection.execute(
                text(f"select * from {quoted(model.relation)} order by 1 limit :limit"), {"limit": limit}
            )
            return [dict(row._mapping) for row in found]
    except DBAPIError as error:
        if sqlstate(error) in ("42P01", "3F000"):
            raise ConfigurationError(
                f"{model.relation} is not built yet; build it first: crown sql run +{model.relation}."
            ) from None
        raise sentence(error, model.path) from None
