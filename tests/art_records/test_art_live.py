"""The Airtable API, spoken to by the real client, ends as the same files as an export made by hand."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import pytest

from crown.art_records.exports.live import changed_since, fetch_exports
from crown.art_records.history.syncing import sync
from crown.art_records.sample_files import DISTRIBUTOR_COLUMNS, PRINT_COLUMNS
from crown.errors import SourceOutage, SystemicFailure, TemporaryFailure

from .conftest import PLAIN_EDITION_COLUMNS, ArtTables, distributor_row, edition_row, print_row, rid

GOOD = "pat-good"
BASE: dict[str, list[dict[str, Any]]] = {
    "Prints": [
        {"id": rid("P", 1), "fields": {"Print Name": "Work 1", "Total Editions": 50,
         "Image": [{"id": "att1", "filename": "a.jpg", "url": "https://dl.invalid/a"}]}},
    ],
    "Distributors": [
        {"id": rid("D", 1), "fields": {"Name": "Direct", "Commission": 0}},
        {"id": rid("D", 2), "fields": {"Name": "Amber, Room", "Commission": 0.4, "Date": "2025-10-05"}},
    ],
    "Editions": [
        {"id": rid("E", n), "fields": {
            "Print - Edition": f"Work 1 - {n}", "Print": [rid("P", 1)], "Print Edition": n, "Printed": True,
            "Distributor": [rid("D", 2)], "Retail Price": 90, "Commission": 0.4, "Notes": "=1+1",
            **({"Sold": True, "Date Sold": "2025-03-14"} if n == 1 else {})}}
        for n in range(1, 151)
    ],
}  # fmt: skip


class Server(ThreadingHTTPServer):
    """Airtable's list endpoint as it is documented: pages of up to 100 with an opaque offset, bearer tokens, error bodies,
    five requests a second per base, and after a 429 nothing but 429 for a while (30 s at Airtable).
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: list[str] = []
        self.busy = 0
        self.broken = False
        self.base = BASE
        self.modified: dict[str, str] = {}
        """The time of the last change of a table's first record, for whoever asks with a formula."""
        self.created: dict[str, str] = {}
        """The same of its creation; a record that was never changed has no other time."""
        self.asked = 0
        self.fields: dict[str, list[str]] | None = None
        """Fields per table as the base describes itself; None: the token may not ask."""
        self.quiet_seconds = 30.0
        self.quiet_until = 0.0
        self.begun: deque[float] = deque(maxlen=5)
        self.refused = 0
        self.lock = threading.Lock()

    def over_the_limit(self) -> bool:
        """Whether this request is one too many, or comes too early after one that was."""
        with self.lock:
            now = time.monotonic()
            over = self.busy > 0 or (len(self.begun) == 5 and now - self.begun[0] < 1)
            self.busy -= self.busy > 0
            self.begun.append(now)
            if over:
                self.quiet_until = now + self.quiet_seconds
            refused = over or now < self.quiet_until
            self.refused += refused
            return refused


TOO_MANY = {
    "errors": [{"error": "RATE_LIMIT_REACHED", "message": "Rate limit exceeded. Please try again later"}]
}
FORMULA = re.compile(
    r"IS_AFTER\(IF\(NOT\(LAST_MODIFIED_TIME\(\)\), CREATED_TIME\(\), LAST_MODIFIED_TIME\(\)\),"
    r" DATETIME_PARSE\('(.+)'\)\)"
)


def failure(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message}}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        url = urlparse(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        table = unquote(url.path.rsplit("/", 1)[1])
        if self.headers["Authorization"] != f"Bearer {GOOD}":
            self.answer(401, failure("AUTHENTICATION_REQUIRED", "Authentication required"))
        elif self.server.over_the_limit():
            self.answer(429, TOO_MANY)
        elif self.server.broken:
            self.answer(503, {"error": "SERVICE_UNAVAILABLE"})
        elif url.path.startswith("/v0/meta/"):
            self.describe()
        elif table not in BASE:
            self.answer(
                403, failure("INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", "Invalid permissions, or not found.")
            )
        elif "filterByFormula" in asked:
            self.filtered(table, asked)
        else:
            self.page(table, asked)

    def describe(self) -> None:
        if self.server.fields is None:
            self.answer(403, failure("INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", "Invalid permissions."))
            return
        self.answer(200, {"tables": [
            {"id": f"tbl{name}", "name": name, "primaryFieldId": "fld0", "views": [], "fields": [
                {"id": f"fld{i}", "name": field, "type": "singleLineText"} for i, field in enumerate(fields)]}
            for name, fields in self.server.fields.items()]})  # fmt: skip

    def filtered(self, table: str, asked: dict[str, str]) -> None:
        self.server.asked += 1
        since = FORMULA.fullmatch(asked["filterByFormula"])
        if since is None:
            self.answer(
                422, failure("INVALID_FILTER_BY_FORMULA", "The formula for filtering records is invalid")
            )
            return
        newest = self.server.modified.get(table) or self.server.created.get(table, "2025-01-01T00:00:00.000Z")
        after = datetime.fromisoformat(newest) > datetime.fromisoformat(since[1])
        found = self.server.base[table][: int(asked["maxRecords"])] if after else []
        self.answer(200, {"records": [self.shown(record) for record in found]})

    def page(self, table: str, asked: dict[str, str]) -> None:
        size = min(int(asked.get("pageSize", 100)), 100)
        told = re.fullmatch(r"itr(\d+)/rec\w+", asked.get("offset", "itr0/rec0"))
        if told is None:
            self.answer(
                422, failure("LIST_RECORDS_ITERATOR_NOT_AVAILABLE", "The offset is not valid any more.")
            )
            return
        start, records = int(told[1]), self.server.base[table]
        self.server.pages.append(f"{table} {start}")
        more = (
            {"offset": f"itr{start + size}/{records[start + size]['id']}"}
            if start + size < len(records)
            else {}
        )
        self.answer(200, {"records": [self.shown(r) for r in records[start : start + size]], **more})

    @staticmethod
    def shown(record: dict[str, Any]) -> dict[str, Any]:
        return {**record, "createdTime": "2025-01-01T00:00:00.000Z"}

    def answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Tests stay quiet."""


@pytest.fixture
def airtable() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(server: Server, folder: Path, token: str = GOOD, **more: Any) -> dict[str, Path]:
    url = f"http://127.0.0.1:{server.server_port}"
    return fetch_exports(token, "appXXXXXXXXXXXXXX", folder, endpoint_url=url, **more)


def test_the_live_base_and_an_export_of_it_are_the_same_art_records(
    airtable: Server, art_records: ArtTables, tmp_path: Path
) -> None:
    paths = fetch(airtable, tmp_path / "live")
    assert airtable.pages == ["Prints 0", "Distributors 0", "Editions 0", "Editions 100"]
    sync(art_records.engine, paths, "incremental", objects=art_records.objects, who="t", apply=True)
    by_hand = [
        edition_row(n, at=2, Printed="checked", Notes="=1+1", Distributor='"Amber, Room"',
                    **{"Retail Price": "£90.00", "Commission": "40%"},
                    **({"Sold": "checked", "Date Sold": "3/14/2025"} if n == 1 else {}))
        for n in range(1, 151)
    ]  # fmt: skip
    report = art_records.sync(
        prints=[print_row(1, Image="a.jpg (https://dl.invalid/other)", **{"Total Editions": "50"})],
        distributors=[distributor_row(1, "Direct", Commission="0%"),
                      distributor_row(2, "Amber, Room", Commission="40%", Date="October 5, 2025")],
        editions=by_hand,
    )  # fmt: skip
    assert all(table.nothing_new for table in report.tables)
    assert all(not table.findings for table in report.tables)


FIELDS = {
    "Prints": [c for c in PRINT_COLUMNS if c != "Record_id"],
    "Distributors": [c for c in DISTRIBUTOR_COLUMNS if c != "Record_id"],
    "Editions": [c for c in PLAIN_EDITION_COLUMNS if not c.endswith("record_id")],
}


@pytest.mark.parametrize(
    ("new", "block"),
    [
        ("Price (GBP)", "the column Retail Price is missing and Price (GBP) is new"),
        (None, "the column Retail Price is missing: its field stays as it is in the art tables"),
    ],
)
def test_a_field_that_the_base_renames_or_drops_waits_and_empties_nothing(
    airtable: Server, art_records: ArtTables, tmp_path: Path, new: str | None, block: str
) -> None:
    airtable.fields = FIELDS
    sync(
        art_records.engine,
        fetch(airtable, tmp_path),
        "incremental",
        objects=art_records.objects,
        who="t",
        apply=True,
    )
    airtable.base = {**BASE, "Editions": [
        {**r, "fields": {(new if k == "Retail Price" else k): v for k, v in r["fields"].items()
                         if new or k != "Retail Price"}}
        for r in BASE["Editions"]]}  # fmt: skip
    airtable.fields = {**FIELDS, "Editions": [new if f == "Retail Price" else f for f in FIELDS["Editions"]
                                              if new or f != "Retail Price"]}  # type: ignore[misc]  # fmt: skip
    report = sync(
        art_records.engine,
        fetch(airtable, tmp_path),
        "incremental",
        objects=art_records.objects,
        who="t",
        apply=True,
    )
    assert not report.applied
    assert [b for b in report.blocks if block in b] == report.blocks
    assert art_records.one("select count(*) from art.editions where retail_price = 90") == 150


def test_without_the_right_to_ask_for_fields_an_emptied_one_waits_all_the_same(
    airtable: Server, art_records: ArtTables, tmp_path: Path
) -> None:
    sync(
        art_records.engine,
        fetch(airtable, tmp_path),
        "incremental",
        objects=art_records.objects,
        who="t",
        apply=True,
    )
    airtable.base = {**BASE, "Editions": [
        {**r, "fields": {k: v for k, v in r["fields"].items() if k != "Retail Price"}}
        for r in BASE["Editions"]]}  # fmt: skip
    report = sync(
        art_records.engine,
        fetch(airtable, tmp_path),
        "incremental",
        objects=art_records.objects,
        who="t",
        apply=True,
    )
    assert report.blocks == [
        "editions: 150 of 150 known values of retail_price would become unknown (limit 5%)"
    ]


def test_a_date_field_that_became_a_text_is_withheld_not_a_failure(
    airtable: Server, art_records: ArtTables, tmp_path: Path
) -> None:
    airtable.base = {**BASE, "Editions": [
        {**r, "fields": {**r["fields"], "Date Sold": "last spring"}} for r in BASE["Editions"][:1]]}  # fmt: skip
    report = sync(
        art_records.engine,
        fetch(airtable, tmp_path),
        "incremental",
        objects=art_records.objects,
        who="t",
        apply=True,
    )
    assert [(f.column, f.raw) for f in report.table("editions").findings] == [("Date Sold", "last spring")]


def test_fetching_twice_gives_the_same_bytes(airtable: Server, tmp_path: Path) -> None:
    first = {t: p.read_bytes() for t, p in fetch(airtable, tmp_path / "a").items()}
    assert {t: p.read_bytes() for t, p in fetch(airtable, tmp_path / "b").items()} == first


def test_a_busy_api_is_asked_again(airtable: Server, tmp_path: Path) -> None:
    airtable.busy, airtable.quiet_seconds = 1, 0.3
    assert set(fetch(airtable, tmp_path, busy_seconds=0.4)) == {"prints", "distributors", "editions"}
    assert airtable.refused == 1


def test_a_fetch_keeps_to_five_requests_a_second(airtable: Server, tmp_path: Path) -> None:
    started = time.monotonic()
    for folder in ("a", "b"):
        fetch(airtable, tmp_path / folder)
    assert airtable.refused == 0
    assert len(airtable.pages) == 8
    assert time.monotonic() - started > 1


def test_an_api_that_stays_busy_is_named_with_its_answer(airtable: Server, tmp_path: Path) -> None:
    airtable.busy = 1
    with pytest.raises(SourceOutage, match="Airtable answers 429 for Prints"):
        fetch(airtable, tmp_path, retries=1, busy_seconds=0.1)


@pytest.mark.parametrize(
    ("created", "modified", "changed"),
    [
        ("2026-11-28T03:00:00.000Z", None, []),
        ("2026-11-28T03:00:01.000Z", None, ["editions"]),  # new and never changed: it has no time of a change
        ("2025-01-01T00:00:00.000Z", "2026-11-28T02:59:59.000Z", []),
        ("2025-01-01T00:00:00.000Z", "2026-11-28T03:00:00.001Z", ["editions"]),
    ],
)
def test_the_question_for_changes_finds_new_records_and_changed_ones(
    airtable: Server, created: str, modified: str | None, changed: list[str]
) -> None:
    airtable.created["Editions"] = created
    if modified:
        airtable.modified["Editions"] = modified
    url = f"http://127.0.0.1:{airtable.server_port}"
    since = "2026-11-28T04:00:00+01:00"
    assert changed_since(GOOD, "appXXXXXXXXXXXXXX", since, endpoint_url=url) == changed
    assert airtable.refused == 0


def test_a_refused_token_is_said_without_the_token(airtable: Server, tmp_path: Path) -> None:
    with pytest.raises(SystemicFailure, match="check the token") as caught:
        fetch(airtable, tmp_path, token="pat-bad")
    assert "pat-bad" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_api_that_stays_broken_is_tried_again_later(airtable: Server, tmp_path: Path) -> None:
    airtable.broken = True
    with pytest.raises(TemporaryFailure, match="Prints"):
        fetch(airtable, tmp_path, retries=1)


def test_an_unknown_table_is_named(airtable: Server, tmp_path: Path) -> None:
    with pytest.raises(SystemicFailure, match="Bilder"):
        fetch(airtable, tmp_path, tables={"prints": "Bilder"})
