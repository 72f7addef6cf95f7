"""The console's own pages, and the stock webserver beside them."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from crown.art_records import workspace as art_records
from crown.database.engine import connect
from crown.journal import activity
from crown.ledger import holds
from crown.motion_jobs import workspace as motion_jobs
from crown.product_images import workspace as product_images
from crown.settings.model import load_settings
from crown.store import mounts
from crown_assets.definitions import defs

_ITEMS = """
insert into ledger.recipes (recipe, asset, name, body) values ('r', 'product_images/cutouts', 'studio', '{}');
insert into ledger.items (asset, key, state, waiting_for, waiting_kind, wanted, recipe, attempts, error_class, error)
values ('product_images/cutouts', '1001-front', 'current', null, null, 'w', 'r', 0, null, null),
       ('product_images/cutouts', '1002-front', 'current', null, null, 'w', 'r', 0, null, null),
       ('product_images/cutouts', '<b>1003</b>', 'quarantined', null, null, 'w', 'r', 4,
        'permanent', 'It is <i>no</i> picture.'),
       ('product_images/masters', '1001-front', 'waiting', 'approval', 'gate', 'w', 'r', 0, null, null),
       ('art_records/records', 'rec1', 'pending', null, null, 'w', 'r', 0, null, null);
"""

_ART = """
set local session_replication_role = replica;  -- rows as a sync leaves them, without one
insert into art.syncs (sync_type, status, who, via, effective_on) values ('full', 'completed', 'a', 'cli', current_date);
insert into art.print_versions (airtable_id, name, valid_from_sync, op, source, sync_version, created_sync)
values ('rec00000000000001', 'Gate', 1, 'create', 'export', 1, 1);
insert into art.conflicts (sync_number, table_name, airtable_id, field, base_value, local_value, source_value)
values (1, 'prints', 'rec00000000000001', 'name', '"a"', '"b"', '"c"');
"""
#: As Dagster stores runs; only the columns that are read.
_RUNS = """
create table dagster.runs (id serial, run_id text, pipeline_name text, status text, end_time float,
    update_timestamp timestamp default (now() at time zone 'utc'));
create table dagster.event_logs (id serial, run_id text, dagster_event_type text, event text);
insert into dagster.runs (run_id, pipeline_name, status, end_time) values ('run-1', 'nightly', 'FAILURE', 1),
    ('run-2', 'nightly', 'FAILURE', 2), ('run-3', 'weekly', 'SUCCESS', 3);
insert into dagster.event_logs (run_id, dagster_event_type, event) values ('run-2', 'STEP_FAILURE',
    '{"dagster_event": {"event_specific_data": {"user_failure_data": {"description": "The share is gone."}}}}');
"""


def test_the_private_import_still_starts_the_stock_webserver(open_console: TestClient) -> None:
    info = open_console.get("/server_info").json()
    assert info["dagster_webserver_version"] == info["dagster_version"]
    assert "dagster" in open_console.get("/overview").text.lower()


def test_the_start_page_shows_what_people_hold_and_why(
    console: Callable[..., TestClient], engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text(_ITEMS))
        holds.hold(
            connection,
            "product_images/masters",
            ["1001-front"],
            who="eva",
            via="cli",
            reason="the <client> asks to wait",
        )
    page = console(engine=engine).get("/console/").text
    assert "1 held" in page
    held = page[page.index('id="held"') :]
    assert "the &lt;client&gt; asks to wait" in held
    assert "eva" in held
    assert 'href="/assets/product_images/masters"' in held


def test_every_link_of_the_start_page_leads_to_something_that_exists(
    console: Callable[..., TestClient], engine: Engine
) -> None:
    of_ledger = {
        *product_images.ASSETS,
        *motion_jobs.ASSETS,
        *art_records.TABLES.values(),
        *art_records.CLEAN.values(),
        art_records.EXPORTS,
        art_records.ATTACHMENTS,
        art_records.SYNCS,
    }
    with engine.begin() as connection:
        connection.execute(
            text("insert into ledger.recipes (recipe, asset, name, body) values ('r', 'a', 'n', '{}')")
        )
        connection.execute(
            text(
                "insert into ledger.items (asset, key, state, wanted, recipe)"
                " select asset, 'k', 'pending', 'w', 'r' from unnest(cast(:assets as text[])) as g(asset)"
            ),
            {"assets": sorted(of_ledger)},
        )
    client = console(engine=engine)
    page = client.get("/console/").text
    links = set(re.findall(r'href="([^"]+)"', page))
    nodes = {"/assets/" + "/".join(one.key.path) for one in defs.get_repository_def().asset_graph.asset_nodes}
    assets = {link for link in links if link.startswith("/assets/")}
    assert len(assets) >= len(of_ledger) - 1
    assert assets - nodes == set()
    of_dagster = {"/overview", "/asset-groups", "/runs", "/automation"}
    assert of_dagster < links
    assert {link: client.get(link).status_code for link in links - assets - of_dagster} == dict.fromkeys(
        ("/console/", "/console/static/crown.css", "/console/static/crown.svg"), 200
    )


def test_health_says_whether_the_database_answers_and_no_more(
    open_console: TestClient, console: Callable[..., TestClient]
) -> None:
    healthy = open_console.get("/health")
    assert (healthy.status_code, healthy.json()) == (200, {"status": "ok"})
    away = connect("postgresql://someone:secret-word@127.0.0.1:1/none")
    client = console(engine=away)
    answer = client.get("/health")
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "the database does not answer", "broken": ["database"]},
    )
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


def test_a_new_installation_shows_every_department_and_what_to_do(open_console: TestClient) -> None:
    page = open_console.get("/console/").text
    assert page.index('id="product_images"') < page.index("Put a picture into the inbox")
    assert page.index('id="art_records"') < page.index("Put the exports of the art base")
    assert re.findall(r'<section class="card" id="(\w+)">', page)[:6] == [
        "product_images",
        "product_data",
        "art_records",
        "motion_jobs",
        "devices",
        "photo_library",
    ]


def test_a_lost_share_turns_the_start_page_red(console: Callable[..., TestClient], tmp_path: Path) -> None:
    client = console()
    settings = load_settings({"CROWN_HOME": str(tmp_path)}, None)
    mounts.require(settings, ("media_root",))
    assert "is gone or another one" not in client.get("/console/").text
    shutil.rmtree(settings.media)
    page = console().get("/console/").text
    banner = page[page.index('id="broken" role="alert"') :].partition("</section>")[0]
    assert f"The share {settings.media} is gone or another one" in banner


def test_assets_stand_in_the_order_in_which_work_passes_through_them(
    console: Callable[..., TestClient], engine: Engine
) -> None:
    flow = [
        "inbox_photos",
        "photos",
        "cutouts",
        "masters",
        "renditions/print",
        "renditions/web",
        "production",
        "zoo",
    ]
    with engine.begin() as connection:
        connection.execute(
            text("insert into ledger.recipes (recipe, asset, name, body) values ('r', 'a', 'n', '{}')")
        )
        for asset in sorted(flow):
            connection.execute(
                text(
                    "insert into ledger.items (asset, key, state, wanted, recipe)"
                    " values ('product_images/' || :asset, '1', 'current', 'w', 'r')"
                ),
                {"asset": asset},
            )
    page = console(engine=engine).get("/console/").text
    assert re.findall(r'href="/assets/product_images/([\w/]+)"', page) == [
        {"renditions/print": "print_renditions", "renditions/web": "web_renditions"}.get(a, a) for a in flow
    ]


def test_art_records_are_counted_with_what_waits_for_the_book_keeper(
    console: Callable[..., TestClient], engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text(_ART))
    page = console(engine=engine).get("/console/").text
    rows = page[page.index('id="art_records"') :]
    assert re.findall(r'href="/assets/art_records/(\w+)"', rows[: rows.index("</table>")]) == [
        "prints",
        "distributors",
        "editions",
    ]
    prints = re.search(r">prints</a></th>(.*?)</tr>", rows, re.DOTALL)
    assert prints is not None
    assert re.findall(r">([^<>]+)</td>", prints[1]) == ["1", "–", "1", "–", "–"]
    assert "decision on a conflict" in page[page.index('id="waiting"') :]


def test_times_are_those_of_the_place(
    console: Callable[..., TestClient], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        with engine.begin() as connection:
            connection.execute(text("set time zone 'UTC'"))
            connection.execute(text(_ITEMS))
            connection.execute(text("update ledger.items set changed_at = '2026-02-01 20:30+00'"))
        page = console(engine=engine).get("/console/").text
    finally:
        monkeypatch.undo()
        time.tzset()
    assert '<time datetime="2026-02-02T05:30:00+09:00">2026-02-02 05:30 JST</time>' in page
    assert "20:30" not in page


def test_failed_runs_and_refused_files_are_on_the_start_page(
    console: Callable[..., TestClient], engine: Engine, database_url: str
) -> None:
    with engine.begin() as connection:
        activity.record(
            connection, who="anna", what="refused", subject="<i>\x1b[31m.jpg", department="product_images", via="share",
            new={"folder": "errors", "reason": "It is no picture."},
        )  # fmt: skip
        connection.execute(text(_RUNS))
    page = console(engine=engine).get("/console/").text
    runs = page[page.index('id="failed_runs"') : page.index('id="refused"')]
    assert 'href="/runs/run-2">nightly' in runs
    assert "still fails" in runs
    assert "The share is gone." in runs
    assert "2 failed runs" in runs
    refused = page[page.index('id="refused"') :]
    assert "It is no picture." in refused
    assert "&lt;i&gt;" in refused


@pytest.mark.parametrize("path", ["/console/static/crown.svg", "/console/static/crown.css"])
def test_the_logo_and_the_style_load_before_sign_in(console: Callable[..., TestClient], path: str) -> None:
    guarded = console(WEB_TOKEN="a-token-for-tests-0123456789")
    assert path in guarded.get("/console/sign-in").text
    assert guarded.get(path).status_code == 200


def test_our_pages_load_nothing_from_foreign_networks(open_console: TestClient) -> None:
    for path in ("/console/", "/console/static/crown.css"):
        text_of = open_console.get(path).text
        assert not re.search(r"(src|href|url|@import)\W{1,3}(https?:)?//", text_of)


def test_the_address_without_its_slash_leads_to_the_page(open_console: TestClient) -> None:
    answer = open_console.get("/console")
    assert (answer.status_code, answer.headers["location"]) == (308, "/console/")


def test_an_api_for_programs_is_described(open_console: TestClient) -> None:
    assert "/health" in open_console.get("/console/api/openapi.json").json()["paths"]
