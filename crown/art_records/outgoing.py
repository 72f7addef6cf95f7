"""The art tables as files for spreadsheets, in which no cell is a formula.

Does not belong here: reading exports (`exports.py`), pictures (`previews.py`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Engine, text

from crown.art_records.tables import ENTITIES
from crown.errors import BadInput
from crown.journal.plain import without_formula


def neutralised(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe in front.

    Numbers are left alone; only text can smuggle a formula (OWASP, CSV injection).
    """
    return without_formula(value) if isinstance(value, str) else value


def write_csv(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as CSV in UTF-8 with BOM, as spreadsheets like it, every text cell neutralised."""
    return plain_csv(columns, ({k: neutralised(v) for k, v in row.items()} for row in rows))


def plain_csv(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as CSV in UTF-8 with BOM, cells as they are: for files that only Crown reads again."""
    columns = list(columns)
    shown = io.StringIO(newline="")
    writer = csv.writer(shown, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row[column] for column in columns] for row in rows)
    return b"\xef\xbb\xbf" + shown.getvalue().encode()


def art_records_csv(engine: Engine, table: str) -> bytes:
    """A table of the art tables as CSV: every record with its computed columns, ordered by record id.

    Raises:
        BadInput: no such table.
    """
    if table not in ENTITIES:
        raise BadInput(f"{table} is not a table of the art tables; choose {', '.join(ENTITIES)}.")
    with engine.connect() as connection:
        result = connection.execute(text(f"select * from art.{table} order by airtable_id"))
        return write_csv(result.keys(), (_listed(dict(row._mapping)) for row in result))


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    return {k: ", ".join(v) if isinstance(v, list) else v for k, v in row.items()}
