"""The console's own pages, and the stock webserver beside them."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from crown.database.engine import connect

_ITEMS = """
insert into ledger.recipes (recipe, asset, name, body) values ('r', 'product_images/cutouts', 'studio', '{}');
insert into ledger.items (asset, key, state, waiting_for, wanted, recipe, attempts, error_class, error)
values ('product_images/cutouts', '1001-front', 'current', null, 'w', 'r', 0, null, null),
       ('product_images/cutouts', '1002-front', 'current', null, 'w', 'r', 0, null, null),
       ('product_images/cutouts', '<b>1003</b>', 'quarantined', null, 'w', 'r', 4, 'permanent', 'It is <i>no</i> picture.'),
       ('product_images/masters', '1001-front', 'waiting', 'approval', 'w', 'r', 0, null, null),
       ('art_records/records', 'rec1', 'pending', null, 'w', 'r', 0, null, null);
"""


def test_the_private_import_still_starts_the_stock_webserver(open_console: TestClient) -> None:
    info = open_console.get("/server_info").json()
    assert info["dagster_webserver_version"] == info["dagster_version"]
    assert "dagster" in open_console.get("/overview").text.lower()


def test_health_says_whether_the_database_answers_and_no_more(
    open_console: TestClient, console: Callable[..., TestClient]
) -> None:
    healthy = open_console.get("/health")
    assert (healthy.status_code, healthy.json()) == (200, {"status": "ok"})
    away = connect("postgresql://someone:secret-word@127.0.0.1:1/none")
    client = console(engine=away)
    answer = client.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "the database does not answer"})
    page = client.get("/console/")
    assert page.status_code == 503
    assert "crown doctor" in page.text
    assert "secret-word" not in page.text
    away.dispose()


def test_the_start_page_counts_items_by_department_and_shows_what_waits_and_what_failed(
    console: Callable[..., TestClient], engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text(_ITEMS))
    page = console(engine=engine).get("/console/").text
    assert page.index('id="product_images"') < page.index('id="art_records"')
    row = re.search(r'href="/assets/product_images/cutouts">cutouts</a></th>(.*?)</tr>', page, re.DOTALL)
    assert row is not None
    assert re.findall(r'scope="col">(\w+)</th>', page)[1:6] == [
        "current",
        "pending",
        "waiting",
        "failed",
        "quarantined",
    ]
    assert re.findall(r">([^<>]+)</td>", row[1]) == ["2", "–", "–", "–", "1"]
    waiting = page[page.index('id="waiting"') : page.index('id="troubles"')]
    assert "approval" in waiting
    assert 'href="/assets/product_images/masters"' in waiting
    troubles = page[page.index('id="troubles"') :]
    assert "&lt;b&gt;1003&lt;/b&gt;" in troubles
    assert "It is &lt;i&gt;no&lt;/i&gt; picture." in troubles


def test_a_new_installation_says_what_to_do(open_console: TestClient) -> None:
    assert "Put a picture into the inbox" in open_console.get("/console/").text


def test_our_pages_load_nothing_from_foreign_networks(open_console: TestClient) -> None:
    for path in ("/console/", "/console/static/crown.css"):
        text_of = open_console.get(path).text
        assert not re.search(r"(src|href|url|@import)\W{1,3}(https?:)?//", text_of)


def test_the_address_without_its_slash_leads_to_the_page(open_console: TestClient) -> None:
    answer = open_console.get("/console")
    assert (answer.status_code, answer.headers["location"]) == (308, "/console/")


def test_an_api_for_programs_is_described(open_console: TestClient) -> None:
    assert "/health" in open_console.get("/console/api/openapi.json").json()["paths"]
