"""The Airtable API as another source of the same three files.

Belongs here: fetching the tables with `pyairtable` and writing them as the exports that a person would make, so
that everything after is one path. Does not belong here: comparing and writing to the books. Nothing is ever
written to Airtable. Weak by nature: 5 requests a second per base, 30 seconds of silence after a 429, no
server-side "modified since": every fetch is the whole base.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crown.art_records.outgoing import plain_csv
from crown.errors import BadInput, SystemicFailure, TemporaryFailure

if TYPE_CHECKING:
    from crown.art_records.exports import Layout

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

    Raises:
        SystemicFailure: the token is refused or the base unknown.
        TemporaryFailure: the API cannot be reached or keeps failing.
        BadInput: a record lacks the base's own id.
    """
    import requests
    from pyairtable import Api
    from pyairtable.api.retrying import retry_strategy

    from crown.art_records.exports import layouts

    strategy = retry_strategy(total=retries, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504))
    api = Api(token, endpoint_url=endpoint_url, retry_strategy=strategy, timeout=timeout)
    fetched: dict[str, list[dict[str, Any]]] = {}
    for table, name in (tables or TABLES).items():
        try:
            fetched[table] = [dict(record) for record in api.table(base_id, name).all()]
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status in (401, 403, 404):
                raise SystemicFailure(
                    f"Airtable refuses {name} of {base_id} ({status}); check the token, its scopes and the names."
                ) from None
            raise TemporaryFailure(
                f"Airtable answers {status} for {name}; it is tried again later."
            ) from None
        except requests.RequestException as error:
            raise TemporaryFailure(
                f"Airtable cannot be reached for {name} ({type(error).__name__})."
            ) from None
    names = _names(fetched)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for table, records in fetched.items():
        layout = layouts()[table]
        rows = [_row(layout, record, names) for record in sorted(records, key=lambda r: r["id"])]
        present = [
            c for c in layout.columns if c not in layout.optional or any(c in r["fields"] for r in records)
        ]
        path = folder / f"{TABLES[table]}-live.csv"
        unfinished = path.with_name(f".crown-{path.name}")
        with unfinished.open("wb") as file:
            file.write(plain_csv(present, rows))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        paths[table] = path
    return paths


def _names(fetched: Mapping[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Record id -> the name that an export shows for a link to it."""
    shown = {"prints": "Print Name", "distributors": "Name", "editions": "Print - Edition"}
    return {r["id"]: str(r["fields"].get(shown[t], "")) for t, records in fetched.items() for r in records}


def _row(layout: Layout, record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """One API record as the cells of an export."""
    if not isinstance(record.get("id"), str):
        raise BadInput(f"Airtable sent a record of {layout.table} without an id.")
    cells = record["fields"]
    row = {column: _cell(cells.get(column), layout.rules.get(column, ""), names) for column in layout.columns}
    row[layout.identity] = record["id"]
    if layout.table == "editions":
        for column, link in (("print_record_id", "Print"), ("distributor_record_id", "Distributor")):
            if isinstance(cells.get(link), list):
                row[column] = ", ".join(cells[link])
    return row


def _cell(value: Any, rule: str, names: Mapping[str, str]) -> str:
    """A JSON value as Airtable's export shows it; the rule of the column tells money from percent from date."""
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
        day = date.fromisoformat(str(value)[:10])
        return (
            f"{day.month}/{day.day}/{day.year:04d}" if rule == "date" else f"{day:%B} {day.day}, {day.year}"
        )
    return str(value)


def _item(item: Any, names: Mapping[str, str]) -> str:
    if isinstance(item, dict):  # an attachment
        return f"{item.get('filename', 'file')} ({item.get('url', '')})"
    name = names.get(str(item), str(item))
    return f'"{name}"' if "," in name else name
