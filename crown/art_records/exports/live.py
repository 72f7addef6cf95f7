"""The Airtable API as another source of the same three files.

Belongs here: fetching the tables with `pyairtable` and writing them as the exports that a person would make, so
that everything after is one path. Does not belong here: comparing and writing to the art tables, the API's limits
(`airtable.py`). Nothing is ever written to Airtable. What was changed since a time is asked with a formula, one record
per table; it does not show what was deleted, so every fetch is the whole base, and one a day is made whatever the answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crown.art_records.exports.airtable import BUSY_SECONDS, client
from crown.art_records.outgoing import plain_csv
from crown.errors import BadInput, SourceOutage, SystemicFailure
from crown.store.files import systemic_errors

if TYPE_CHECKING:
    from pyairtable import Api
    from pyairtable.formulas import Formula

    from crown.art_records.exports.files import Layout

SOURCE = "airtable"
"""What the ledger calls the API among its limited resources."""
TABLES = {"prints": "Prints", "distributors": "Distributors", "editions": "Editions"}


def fetch_exports(
    token: str,
    base_id: str,
    folder: Path,
    *,
    tables: Mapping[str, str] | None = None,
    endpoint_url: str = "https://api.airtable.com",
    retries: int = 5,
    timeout: tuple[int, int] = (10, 60),
    busy_seconds: float = BUSY_SECONDS,
    known: Mapping[str, Layout] | None = None,
    on_answer: Callable[[str], None] | None = None,
) -> dict[str, Path]:
    """Fetch the base and write its three tables into `folder` as exports; returns table -> path.

    Args:
        token: A personal access token that may read the base.
        base_id: `app...`.
        folder: Where the files go.
        tables: Our table -> the base's table name; default `Prints`, `Distributors`, `Editions`.
        endpoint_url: The API's address.
        retries: Tries per request on 429 and server errors, with growing pauses.
        timeout: Seconds to connect and to read.
        busy_seconds: Pause after a 429.
        known: The layouts of the exports; default those that come along.
        on_answer: Called with the server's time of every answer, before the first record is read and after.

    A field that the base no longer has is missing in the file, as in an export by hand, and a new one is in it. The
    API leaves empty cells out, so this needs the token's scope schema.bases:read; without it a field that no record
    fills is written as an empty column.

    Raises:
        SystemicFailure: the token is refused or the base unknown.
        SourceOutage: the API cannot be reached or keeps failing.
        BadInput: a record lacks the base's own id.
    """
    from crown.art_records.exports.files import layouts

    api = client(token, base_id, endpoint_url, timeout, retries=retries, busy_seconds=busy_seconds)
    if on_answer is not None:
        _report_times(api, on_answer)
    fetched: dict[str, list[dict[str, Any]]] = {}
    schema = _schema(api, base_id)
    for table, name in (tables or TABLES).items():
        with _sentences(base_id, name):
            fetched[table] = [dict(record) for record in api.table(base_id, name).all()]
    names = _names(fetched)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for table, records in fetched.items():
        layout = (known or layouts())[table]
        columns = _columns(layout, records, schema.get((tables or TABLES)[table]))
        rows = [_row(layout, columns, record, names) for record in sorted(records, key=lambda r: r["id"])]
        path = folder / f"{TABLES[table]}-live.csv"
        unfinished = path.with_name(f".crown-{path.name}")
        with systemic_errors(f"Writing {path}"), unfinished.open("wb") as file:
            file.write(plain_csv(columns, rows))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        paths[table] = path
    return paths


def changed_since(
    token: str,
    base_id: str,
    since: str,
    *,
    tables: Mapping[str, str] | None = None,
    endpoint_url: str = "https://api.airtable.com",
    timeout: tuple[int, int] = (10, 20),
) -> list[str]:
    """Our tables of which a record was changed after a time: one request each, nothing is tried again.

    Args:
        token: As for `fetch_exports`.
        base_id: `app...`.
        since: The server's time, as `fetch_exports` reported it, in ISO 8601.
        tables: As for `fetch_exports`.
        endpoint_url: The API's address.
        timeout: Seconds to connect and to read.

    Raises:
        SystemicFailure: the token is refused or the base unknown.
        SourceOutage: the API cannot be reached, is busy (429) or fails.
    """
    api = client(token, base_id, endpoint_url, timeout)
    changed = []
    for table, name in (tables or TABLES).items():
        with _sentences(base_id, name):
            if api.table(base_id, name).first(formula=changed_after(since)) is not None:
                changed.append(table)
    return changed


def changed_after(since: str) -> Formula:
    """The formula of records that were created or changed after a time.

    Both functions are Airtable's own (https://support.airtable.com/docs/formula-field-reference), need no field in the
    base and may be used in `filterByFormula` (https://airtable.com/developers/web/api/list-records).
    `LAST_MODIFIED_TIME()` without fields covers all that a person fills; it is empty for a record that was never changed
    since it was created, so that `CREATED_TIME()` takes its place.
    """
    from pyairtable.formulas import CREATED_TIME, DATETIME_PARSE, IF, IS_AFTER, LAST_MODIFIED_TIME, NOT

    newest = IF(NOT(LAST_MODIFIED_TIME()), CREATED_TIME(), LAST_MODIFIED_TIME())
    moment = datetime.fromisoformat(since).astimezone(UTC)
    return IS_AFTER(newest, DATETIME_PARSE(f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"))


def _report_times(api: Api, on_answer: Callable[[str], None]) -> None:
    def note(answer: Any, *_: Any, **__: Any) -> None:
        if "Date" in answer.headers:
            on_answer(parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC).isoformat())

    api.session.hooks["response"].append(note)


@contextmanager
def _sentences(base_id: str, name: str) -> Iterator[None]:
    """What the API answers instead of records, as our errors; the token is in none of them."""
    import requests

    try:
        yield
    except requests.HTTPError as error:
        answer = error.response
        status = answer.status_code if answer is not None else 0
        if status in (401, 403, 404):
            raise SystemicFailure(
                f"Airtable refuses {name} of {base_id} ({status}); check the token, its scopes and the names."
            ) from None
        after = answer.headers.get("Retry-After", "") if answer is not None else ""
        raise SourceOutage(
            f"Airtable answers {status} for {name}; it is tried again later.",
            SOURCE, float(after) if after.isdecimal() else None,
        ) from None  # fmt: skip
    except requests.RequestException as error:
        raise SourceOutage(
            f"Airtable cannot be reached for {name} ({type(error).__name__}).", SOURCE
        ) from None


def _schema(api: Api, base_id: str) -> dict[str, set[str]]:
    """Table -> its fields, as the base describes itself; empty when the token may not ask."""
    import requests

    try:
        return {t.name: {f.name for f in t.fields} for t in api.base(base_id).schema().tables}
    except (requests.RequestException, ValueError):
        return {}  # the records' own requests say what is wrong, if anything is


_LINKS = {"print_record_id": "Print", "distributor_record_id": "Distributor"}
"""Columns of an export that a formula fills, and the link from which the API's records give them."""


def _columns(layout: Layout, records: list[dict[str, Any]], fields: set[str] | None) -> list[str]:
    """The columns of the file: what the base has of the layout, then what no layout knows."""
    filled = {name for record in records for name in record["fields"]}
    there = filled if fields is None else fields
    columns = [
        c
        for c in layout.columns
        if c == layout.identity
        or c in there
        or _LINKS.get(c) in there
        or (fields is None and c not in layout.optional)
    ]
    return columns + sorted(there - set(layout.columns))


def _names(fetched: Mapping[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Record id -> the name that an export shows for a link to it."""
    shown = {"prints": "Print Name", "distributors": "Name", "editions": "Print - Edition"}
    return {r["id"]: str(r["fields"].get(shown[t], "")) for t, records in fetched.items() for r in records}


def _row(
    layout: Layout, columns: list[str], record: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, str]:
    """One API record as the cells of an export."""
    if not isinstance(record.get("id"), str):
        raise BadInput(f"Airtable sent a record of {layout.table} without an id.")
    cells = record["fields"]
    row = {column: _cell(cells.get(column), layout.rules.get(column, ""), names) for column in columns}
    row[layout.identity] = record["id"]
    if layout.table == "editions":
        for column, link in _LINKS.items():
            if isinstance(cells.get(link), list):
                row[column] = ", ".join(cells[link])
    return row


def _cell(value: Any, rule: str, names: Mapping[str, str]) -> str:
    """A JSON value as Airtable's export shows it; the rule of the column distinguishes money, percent and date."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "checked" if value else ""
    if isinstance(value, list):
        return ",".join(_item(item, names) for item in value)
    if rule in ("price", "total") and isinstance(value, (int, float)):
        return f"£{Decimal(str(value)):.2f}"
    if rule == "percent" and isinstance(value, (int, float)):
        return f"{Decimal(str(value)) * 100:f}%"  # the API gives 0.4 for 40%
    if rule in ("date", "long_date"):
        return _date(str(value), rule)
    return str(value)


def _date(value: str, rule: str) -> str:
    """A day as an export shows it; what is no ISO date (the field became a text) stays as it is, for the rule."""
    try:
        day = date.fromisoformat(value[:10])
    except ValueError:
        return value
    return f"{day.month}/{day.day}/{day.year:04d}" if rule == "date" else f"{day:%B} {day.day}, {day.year}"


def _item(item: Any, names: Mapping[str, str]) -> str:
    if isinstance(item, dict):
        # An attachment: its id, which a file by hand does not give, is the address's fragment; no request carries it.
        return f"{item.get('filename', 'file')} ({item.get('url', '')}#{item.get('id', '')})"
    name = names.get(str(item), str(item))
    return f'"{name}"' if "," in name else name
