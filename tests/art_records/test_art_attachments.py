"""Pictures of prints: downloaded once, kept by hash, shown as the print's image; a failure is one record's sentence."""

from __future__ import annotations

import gzip
import hashlib
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from crown.art_records.attachments import listing, stages
from crown.art_records.history.erasing import erase
from crown.art_records.workspace import ATTACHMENTS, Workspace, kept_objects
from crown.errors import BadInput
from crown.flow import make as flow_make
from crown.flow import worker_pool
from crown.flow.make import StageReport
from crown.ledger import counts, resources
from crown.settings.model import load_settings

from .conftest import ArtTables, print_row, rid
from .picture_server import Pictures, drawn, serving


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    with serving() as server:
        yield server


def workspace_of(art_records: ArtTables, **more: str) -> Workspace:
    settings = load_settings(
        {
            "CROWN_HOME": str(art_records.folder),
            "CROWN_OBJECTS_ROOT": str(art_records.objects.folder),
            "CROWN_ART_RECORDS_ATTACHMENT_HOSTS": "127.0.0.1",
            **more,
        },
        env_file=None,
    )
    return Workspace(art_records.engine, settings)


def make(art_records: ArtTables, cells: dict[int, str], **more: str) -> StageReport:
    """Sync an export whose prints have these cells of pictures, then download what is due."""
    art_records.sync(prints=[print_row(number, Image=cell) for number, cell in cells.items()])
    return stages.make(workspace_of(art_records, **more))


def shown(art_records: ArtTables) -> dict[str, tuple[str, str | None]]:
    return {row["file_name"]: (row["state"], row["reason"]) for row in listing.shown(art_records.engine)}


def image_of(art_records: ArtTables, number: int) -> Any:
    return art_records.one("select primary_image from art.prints where airtable_id = :i", i=rid("P", number))


def test_pictures_are_kept_by_hash_and_the_first_is_the_image_of_its_print(
    pictures: Pictures, art_records: ArtTables
) -> None:
    first, second = pictures.add("/a", 10), pictures.add("/b", 20)
    report = make(art_records, {1: f"Quay, at dusk (1).jpg ({first}),b.jpg ({second})", 2: ""})
    assert report.pool.made == 2
    digest = hashlib.sha256(drawn(10)).hexdigest()
    assert image_of(art_records, 1) == f"objects/{digest}"
    assert image_of(art_records, 2) is None
    assert art_records.objects.path(digest).read_bytes() == drawn(10)
    assert art_records.rows(
        "select position, file_name, width, height from art.print_pictures order by 1"
    ) == [
        (1, "Quay, at dusk (1).jpg", 64, 48),
        (2, "b.jpg", 64, 48),
    ]
    assert set(kept_objects(art_records.engine)) >= {digest, hashlib.sha256(drawn(20)).hexdigest()}


def test_the_same_picture_under_a_new_address_is_not_downloaded_again(
    pictures: Pictures, art_records: ArtTables
) -> None:
    make(art_records, {1: f"a.jpg ({pictures.add('/monday', 10)})"})
    report = make(art_records, {1: f"a.jpg ({pictures.add('/tuesday', 10)})"})
    assert (report.pool.made, report.pool.failed) == (0, 0)
    assert pictures.asked == {"/monday": 1}


def test_an_attachment_id_decides_over_the_name_and_survives_an_export_by_hand(
    pictures: Pictures, art_records: ArtTables
) -> None:
    make(art_records, {1: f"a.jpg ({pictures.add('/1', 10)}#attAAAAAAAAAAAAAA)"})
    make(art_records, {1: f"a.jpg ({pictures.add('/2', 10)})"})
    assert pictures.asked == {"/1": 1}
    make(art_records, {1: f"a.jpg ({pictures.add('/3', 30)}#attBBBBBBBBBBBBBB)"})
    assert pictures.asked == {"/1": 1, "/3": 1}
    assert image_of(art_records, 1) == f"objects/{hashlib.sha256(drawn(30)).hexdigest()}"


def test_a_dead_address_is_one_sentence_its_neighbours_go_on_and_a_new_export_heals_it(
    pictures: Pictures, art_records: ArtTables
) -> None:
    report = make(
        art_records, {1: f"gone.jpg ({pictures.url('/dead')})", 2: f"b.jpg ({pictures.add('/b', 20)})"}
    )
    assert (report.pool.made, report.pool.failed) == (1, 1)
    state, reason = shown(art_records)["gone.jpg"]
    assert state == "quarantined"
    assert reason == (
        "The address of the picture is refused (410), as it is some hours after an export: export the prints again, or"
        " let Crown fetch the base, and it is tried again."
    )
    assert shown(art_records)["b.jpg"][0] == "current"
    make(art_records, {1: f"gone.jpg ({pictures.add('/alive', 10)})", 2: f"b.jpg ({pictures.url('/b')})"})
    assert shown(art_records)["gone.jpg"] == ("current", None)
    assert pictures.asked == {"/dead": 1, "/b": 1, "/alive": 1}


@pytest.mark.parametrize(
    ("answer", "more", "sentence"),
    [
        ((404, b""), {}, "is refused (404)"),
        ((302, b""), {"Location": "http://127.0.0.1:1/"}, "answers 302, which is no picture"),
        ((200, b"%PDF-1.7 a certificate"), {}, "The picture"),
        ((200, drawn(1)[:-40]), {}, "The picture"),
        ((200, drawn(1) + b"\0" * 1_000_000), {}, "larger than 1 MB; raise CROWN_ART_RECORDS_ATTACHMENT_MEGABYTES"),
    ],
)  # fmt: skip
def test_what_is_no_usable_picture_is_quarantined_with_the_reason(
    pictures: Pictures, art_records: ArtTables, answer: tuple[int, bytes], more: dict[str, str], sentence: str
) -> None:
    pictures.answers["/x"], pictures.headers["/x"] = answer, more
    make(art_records, {1: f"x.jpg ({pictures.url('/x')})"}, CROWN_ART_RECORDS_ATTACHMENT_MEGABYTES="1")
    state, reason = shown(art_records)["x.jpg"]
    assert state == "quarantined"
    assert reason is not None
    assert sentence in reason
    assert list(art_records.objects.folder.glob(".*")) == [], "no unfinished file is left"


@pytest.mark.parametrize(
    "wrong", ["https://[bad/x", "http://127.0.0.1:0/x", "http://127.0.0.1:99999/x", "http://a..127.0.0.1/x", "http:///x"]
)  # fmt: skip
def test_an_address_without_host_or_port_is_withheld_and_its_neighbours_are_downloaded(
    pictures: Pictures, art_records: ArtTables, wrong: str
) -> None:
    report = make(art_records, {1: f"x.jpg ({wrong})", 2: f"b.jpg ({pictures.add('/b', 20)})"})
    assert (report.pool.made, report.pool.failed) == (1, 0)
    assert shown(art_records) == {"b.jpg": ("current", None)}
    reasons = art_records.rows("select distinct problem from art.quarantine")
    assert reasons == [("names no host or port that exists in the address of picture 1",)]


def test_a_packed_body_is_refused_before_it_is_unpacked(pictures: Pictures, art_records: ArtTables) -> None:
    pictures.answers["/x"] = (200, gzip.compress(gzip.compress(b"\0" * 3_000_000)))
    pictures.headers["/x"] = {"Content-Encoding": "gzip, gzip"}
    make(art_records, {1: f"x.jpg ({pictures.url('/x')})"})
    assert shown(art_records)["x.jpg"] == (
        "quarantined",
        "The host packs the picture although it was asked not to; give an address that answers with the file.",
    )


def test_a_picture_that_a_cell_names_twice_is_one_at_its_first_place(
    pictures: Pictures, art_records: ArtTables
) -> None:
    address = f"{pictures.add('/a', 10)}#attAAAAAAAAAAAAAA"
    assert make(art_records, {1: f"a.jpg ({address}),a.jpg ({address})"}).pool.made == 1
    assert art_records.rows("select position, file_name from art.print_pictures") == [(1, "a.jpg")]
    assert image_of(art_records, 1) is not None


@pytest.mark.parametrize(("asked", "pause"), [("9" * 40, 86_400), ("\xb2", 30)])
def test_a_host_cannot_ask_for_a_pause_of_more_than_a_day(
    pictures: Pictures, art_records: ArtTables, asked: str, pause: int
) -> None:
    pictures.answers["/x"], pictures.headers["/x"] = (429, b""), {"Retry-After": asked}
    make(art_records, {1: f"x.jpg ({pictures.url('/x')})"})
    seconds = "extract(epoch from closed_until - closed_at) from ledger.closed_resources"
    assert round(art_records.one(f"select {seconds}")) == pause
    assert shown(art_records)["x.jpg"] == ("pending", "The host of the pictures is busy (429).")


def test_a_body_without_a_length_stops_at_the_limit(pictures: Pictures, art_records: ArtTables) -> None:
    pictures.answers["/x"] = (200, drawn(1) + b"\0" * 3_000_000)
    pictures.headers["/x"] = {"Content-Length": "", "Connection": "close"}
    make(art_records, {1: f"x.jpg ({pictures.url('/x')})"}, CROWN_ART_RECORDS_ATTACHMENT_MEGABYTES="1")
    assert "larger than 1 MB" in str(shown(art_records)["x.jpg"][1])


def test_a_host_that_is_busy_is_left_alone_and_costs_no_try(
    pictures: Pictures, art_records: ArtTables
) -> None:
    pictures.answers["/x"], pictures.headers["/x"] = (429, b""), {"Retry-After": "45"}
    make(art_records, {1: f"x.jpg ({pictures.url('/x')})"})
    with art_records.engine.connect() as connection:
        (closed,) = resources.closed(connection, [listing.SOURCE])
        assert counts.of_asset(connection, ATTACHMENTS)["pending"] == 1
        seconds = connection.execute(
            text("select extract(epoch from :until - clock_timestamp())"), {"until": closed.closed_until}
        ).scalar_one()
    assert 30 < seconds <= 45
    assert art_records.one("select attempts from ledger.items where asset = :a", a=ATTACHMENTS) == 0


def test_a_host_that_cannot_be_reached_quarantines_nothing(art_records: ArtTables) -> None:
    with socket.socket() as taken:  # bound and not listening: whoever connects is refused
        taken.bind(("127.0.0.1", 0))
        make(art_records, {1: f"x.jpg (http://127.0.0.1:{taken.getsockname()[1]}/x?sig=secret)"})
    assert shown(art_records)["x.jpg"][0] == "pending"


def test_a_server_error_is_tried_again(pictures: Pictures, art_records: ArtTables) -> None:
    pictures.answers["/x"] = (503, b"")
    make(art_records, {1: f"x.jpg ({pictures.url('/x')})"})
    assert shown(art_records)["x.jpg"] == (
        "failed",
        "The host of the picture answers 503; it is tried again.",
    )


def test_pictures_of_other_hosts_wait_and_are_not_asked_for(
    pictures: Pictures, art_records: ArtTables
) -> None:
    cell = f"x.jpg ({pictures.add('/x', 1)})"
    make(art_records, {1: cell}, CROWN_ART_RECORDS_ATTACHMENT_HOSTS="airtableusercontent.com")
    assert shown(art_records)["x.jpg"] == (
        "waiting",
        "waits for its host in CROWN_ART_RECORDS_ATTACHMENT_HOSTS",
    )
    assert pictures.asked == {}
    assert make(art_records, {1: cell}).pool.made == 1


def test_four_pictures_are_downloaded_at_once_and_no_more(pictures: Pictures, art_records: ArtTables) -> None:
    cells = {n: f"{n}.jpg ({pictures.add(f'/{n}', n)})" for n in range(1, 9)}
    pictures.together = threading.Barrier(4)
    assert make(art_records, cells).pool.made == 8
    assert pictures.most_at_once == 4


def test_no_address_reaches_the_log_the_ledger_or_the_list(
    pictures: Pictures, art_records: ArtTables, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    cells = {1: f"a.jpg ({pictures.url('/dead')})", 2: f"b.jpg ({pictures.add('/b', 1)})"}
    art_records.sync(prints=[print_row(number, Image=cell) for number, cell in cells.items()])
    workspace = workspace_of(art_records)
    listing.register(workspace)
    flow = stages.of(workspace)
    flow_make.plan(stages.FLOW, flow, [ATTACHMENTS])
    # In this process, whose log can be read.
    pool = replace(stages.stage(flow, ATTACHMENTS, None).pool, in_process=True)
    report = worker_pool.run(art_records.engine, pool, flow.limits)
    assert (report.made, report.failed) == (1, 1)
    assert "signed-4711-secret" not in caplog.text
    everywhere = art_records.one(
        "select string_agg(t::text, ' ') from (select row(i.*)::text as t from ledger.items i union all"
        " select row(o.*)::text from ledger.outputs o union all select row(a.*)::text from journal.activity a) t"
    )
    assert "signed-4711-secret" not in everywhere
    assert "signed-4711-secret" not in str(listing.shown(art_records.engine))


def test_pictures_that_the_base_no_longer_names_are_retired_and_their_bytes_kept(
    pictures: Pictures, art_records: ArtTables
) -> None:
    make(art_records, {1: f"a.jpg ({pictures.add('/a', 10)})"})
    report = make(art_records, {1: ""})
    assert report.plans[ATTACHMENTS].retired == 1
    assert image_of(art_records, 1) is None
    digest = hashlib.sha256(drawn(10)).hexdigest()
    assert art_records.objects.holds(digest)
    assert digest in kept_objects(art_records.engine)


def test_a_picture_that_never_arrived_is_not_asked_for_once_its_print_is_gone(
    pictures: Pictures, art_records: ArtTables
) -> None:
    cells = {1: f"gone.jpg ({pictures.url('/dead')})", 2: f"b.jpg ({pictures.add('/b', 20)})"}
    make(art_records, cells | dict.fromkeys(range(3, 31), ""))
    assert shown(art_records)["gone.jpg"][0] == "quarantined"
    export = [print_row(number) for number in range(3, 31)]
    art_records.sync(prints=export, approved=art_records.sync(prints=export, apply=False).diff_hash)
    stages.make(workspace_of(art_records))
    assert shown(art_records) == {"b.jpg": ("current", None)}, "what is kept stays with its closed print"
    with art_records.engine.connect() as connection:
        assert counts.of_asset(connection, ATTACHMENTS)["quarantined"] == 0
    assert pictures.asked == {"/dead": 1, "/b": 1}


def test_an_export_without_the_column_of_pictures_forgets_none(
    pictures: Pictures, art_records: ArtTables
) -> None:
    make(art_records, {1: f"a.jpg ({pictures.add('/a', 10)})"})
    columns = b"Print Name,Description,Total Editions,Web link,Editions,Notes,Record_id\n"
    export = columns + f"Work 1,,,,,,{rid('P', 1)}".encode()
    art_records.sync(prints=export, approved=art_records.sync(prints=export, apply=False).diff_hash)
    assert stages.make(workspace_of(art_records)).plans[ATTACHMENTS].retired == 0
    assert image_of(art_records, 1) is not None


def test_a_failed_picture_is_due_again_when_a_person_says_so(
    pictures: Pictures, art_records: ArtTables
) -> None:
    pictures.answers["/x"] = (404, b"")
    cells = {1: f"x.jpg ({pictures.url('/x')})"}
    make(art_records, cells)
    pictures.add("/x", 5)
    keys = [row["picture"] for row in listing.shown(art_records.engine, "work 1")]
    assert listing.retry(art_records.engine, keys) == 1
    assert make(art_records, cells).pool.made == 1
    with pytest.raises(BadInput, match="None of these pictures failed"):
        listing.retry(art_records.engine, keys)


def test_erasing_a_person_reaches_the_names_of_pictures_and_keeps_the_pictures(
    pictures: Pictures, art_records: ArtTables
) -> None:
    make(art_records, {1: f"for Jane Roe.jpg ({pictures.add('/a', 10)})"})
    erase(art_records.engine, "Jane Roe", objects=art_records.objects, who="ann", reason="asked", apply=True)
    assert art_records.rows("select file_name from art.attachments") == [("for [erased].jpg",)]
    assert image_of(art_records, 1) is not None
    assert stages.make(workspace_of(art_records)).pool.made == 0
    assert pictures.asked == {"/a": 1}


def test_the_image_is_computed_and_an_update_of_the_print_leaves_it(
    pictures: Pictures, art_records: ArtTables
) -> None:
    make(art_records, {1: f"a.jpg ({pictures.add('/a', 10)})"})
    with art_records.engine.begin() as connection:
        connection.execute(text("update art.prints set notes = 'on show'"))
    assert art_records.rows("select notes from art.prints") == [("on show",)]
    assert art_records.rows("select field from art.changes where field is not null") == [("notes",)]
    assert image_of(art_records, 1) is not None


def test_prints_are_not_read_before_the_first_export(art_records: ArtTables, tmp_path: Path) -> None:
    assert listing.register(workspace_of(art_records)) == 0
    assert not list(tmp_path.glob("objects/*"))
