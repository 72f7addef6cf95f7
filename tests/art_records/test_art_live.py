"""The Airtable API, spoken to by the real client, ends as the same files as an export made by hand."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import pytest

from crown.art_records.exports.live import fetch_exports
from crown.art_records.history.syncing import sync
from crown.art_records.samples import DISTRIBUTOR_COLUMNS, PRINT_COLUMNS
from crown.errors import SystemicFailure, TemporaryFailure

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
        for n in range(1, 251)
    ],
}  # fmt: skip


class Server(ThreadingHTTPServer):
    """Airtable's list endpoint: pages of 100 with an offset, bearer tokens, 429 now and then."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: list[str] = []
        self.busy = 0
        self.broken = False
        self.base = BASE
        self.modified: dict[str, str] = {}
        """The time of a table's last change, for whoever asks with a formula."""
        self.asked = 0
        self.fields: dict[str, list[str]] | None = None
        """Fields per table as the base describes itself; None: the token may not ask."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        url = urlparse(self.path)
        table = unquote(url.path.rsplit("/", 1)[1])
        start = int(parse_qs(url.query).get("offset", ["0"])[0])
        if self.headers["Authorization"] != f"Bearer {GOOD}":
            self.answer(401, {"error": {"type": "AUTHENTICATION_REQUIRED"}})
        elif self.server.broken:
            self.answer(503, {"error": "unavailable"})
        elif self.server.busy:
            self.server.busy -= 1
            self.answer(429, {"errors": [{"error": "RATE_LIMIT_REACHED"}]})
        elif url.path.startswith("/v0/meta/") and self.server.fields is not None:
            self.answer(200, {"tables": [
                {"id": f"tbl{name}", "name": name, "primaryFieldId": "fld0", "views": [], "fields": [
                    {"id": f"fld{i}", "name": field, "type": "singleLineText"} for i, field in enumerate(fields)]}
                for name, fields in self.server.fields.items()]})  # fmt: skip
        elif table not in BASE:
            self.answer(404, {"error": "NOT_FOUND"})
        elif "filterByFormula" in parse_qs(url.query):
            self.server.asked += 1
            formula = parse_qs(url.query)["filterByFormula"][0]
            since = re.fullmatch(r"IS_AFTER\(LAST_MODIFIED_TIME\(\), DATETIME_PARSE\('(.+)'\)\)", formula)
            assert since is not None
            assert parse_qs(url.query)["maxRecords"] == ["1"]
            newer = self.server.modified.get(table, "") > since[1]
            found = [
                {**r, "createdTime": "2025-01-01T00:00:00.000Z"} for r in self.server.base[table][:1] if newer
            ]
            self.answer(200, {"records": found})
        else:
            self.server.pages.append(f"{table} {start}")
            records = self.server.base[table][start : start + 100]
            more = {"offset": str(start + 100)} if start + 100 < len(self.server.base[table]) else {}
            created = [{**r, "createdTime": "2025-01-01T00:00:00.000Z"} for r in records]
            self.answer(200, {"records": created, **more})

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
    assert airtable.pages == ["Prints 0", "Distributors 0", "Editions 0", "Editions 100", "Editions 200"]
    sync(art_records.engine, paths, "incremental", objects=art_records.objects, who="t", apply=True)
    by_hand = [
        edition_row(n, at=2, Printed="checked", Notes="=1+1", Distributor='"Amber, Room"',
                    **{"Retail Price": "£90.00", "Commission": "40%"},
                    **({"Sold": "checked", "Date Sold": "3/14/2025"} if n == 1 else {}))
        for n in range(1, 251)
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
    assert art_records.one("select count(*) from art.editions where retail_price = 90") == 250


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
        "editions: 250 of 250 known values of retail_price would become unknown (limit 5%)"
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
    airtable.busy = 1
    assert set(fetch(airtable, tmp_path)) == {"prints", "distributors", "editions"}


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
