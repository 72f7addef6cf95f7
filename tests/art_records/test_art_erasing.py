"""A person's text goes everywhere it stands, stays away, and the act is recorded without it."""

from __future__ import annotations

import os
import subprocess

import pytest
from sqlalchemy import text

from crown.art_records.acts import local
from crown.art_records.history.erasing import erase
from crown.database.backup import find_program
from crown.database.engine import check_server
from crown.errors import BadInput, Refused
from crown.journal import notices

from .conftest import ArtTables, distributor_row, edition_row, print_row, rid

PERSON = "Zebedee Quux (the 2nd)"


@pytest.fixture
def known(art_records: ArtTables) -> ArtTables:
    """The person stands in a note, its earlier version, a payment text, a conflict, a change set and a raw file."""
    art_records.sync(
        prints=[print_row(1)],
        editions=[edition_row(1, Notes=f"sold to {PERSON.upper()}, twice"), edition_row(2)],
    )
    local.edit(art_records.engine, "editions", rid("E", 1), {"notes": f"{PERSON} moved away"}, who="ann")
    local.edit(art_records.engine, "editions", rid("E", 2), {"payment_note": f"by {PERSON}"}, who="ann")
    art_records.sync("merge", editions=[edition_row(1, Notes=f"sold to {PERSON}"), edition_row(2)])
    return art_records


def everything(art_records: ArtTables) -> str:
    tables = ("print_versions", "distributor_versions", "edition_versions", "changes", "conflicts", "source_values",
              "quarantine", "erasures", "erased_values", "raw_files", "syncs", "sync_tables")  # fmt: skip
    texts = [str(art_records.rows(f"select to_jsonb(t)::text from art.{table} t")) for table in tables]
    texts += [str(art_records.rows("select to_jsonb(t)::text from journal.activity t"))]
    texts += [path.read_text("utf-8") for path in art_records.objects.folder.iterdir()]
    return "\n".join(texts).casefold()


def test_nothing_in_art_records_history_or_raw_files_names_the_person_afterwards(known: ArtTables) -> None:
    assert PERSON.casefold() in everything(known)
    report = erase(
        known.engine, PERSON, objects=known.objects, who="ann", reason="asked by letter", apply=True
    )
    assert PERSON.casefold() not in everything(known)
    assert known.value(1, "notes") == "[erased] moved away"
    assert report.records == [f"editions/{rid('E', 1)}", f"editions/{rid('E', 2)}"]
    assert len(report.raw_files) == 2
    assert known.rows("select who, reason from art.erasures") == [("ann", "asked by letter")]
    assert known.one("select count(*) from journal.activity where what = 'erase'") == 1


def dump(art_records: ArtTables) -> str:
    """The whole database as pg_dump writes it, with the planner's statistics beside it, and every object."""
    url = art_records.engine.url
    environment = {**os.environ, "PGPASSWORD": url.password or ""}
    at = [f"--host={url.query.get('host') or url.host}", f"--username={url.username}"]
    at += [f"--port={url.port}"] if url.port else []
    program = find_program("pg_dump", check_server(art_records.engine))
    done = subprocess.run([program, *at, str(url.database)], env=environment, capture_output=True, check=True)
    statistics = art_records.rows("select most_common_vals::text, histogram_bounds::text from pg_stats")
    objects = [path.read_text("utf-8") for path in art_records.objects.folder.iterdir()]
    return "\n".join([done.stdout.decode(), str(statistics), *objects]).casefold()


ODD = 'Ann "Quick" Quux'


def test_a_dump_of_everything_and_the_objects_hold_nothing_of_the_person(art_records: ArtTables) -> None:
    """In a reason, a file's name, a contact number, a variation, a doubled quote, a line break and the statistics."""
    sold = [edition_row(n, Notes=f"sold to {ODD}", Variation=f"for {ODD}") for n in range(1, 40)]
    art_records.sync(
        prints=[print_row(1, Image=f"{ODD}.jpg (https://dl.invalid/1)", Description=f"asked by {ODD}")],
        distributors=[distributor_row(1, "Amber Room", **{"Contact Number": f"{ODD} 01632"})],
        editions=[
            *sold,
            edition_row(50, Notes=f"{ODD.replace(' ', chr(10))} called"),
            edition_row(51, Size=ODD),
        ],
        names={"prints": 'Prints Ann "Quick" Quux.csv'},
    )
    local.edit(
        art_records.engine, "editions", rid("E", 51), {"notes": f"by {ODD}"}, who="ann", reason=f"{ODD} wrote"
    )
    with art_records.engine.begin() as connection:
        connection.execute(text("analyze"))
        notices.post(
            connection, kind="review", department="art_records", subject="x", sentence=f"{ODD} waits"
        )
    assert dump(art_records).count("quux") > 100
    report = erase(
        art_records.engine, ODD, objects=art_records.objects, who="ann", reason="asked by letter", apply=True
    )
    assert "quux" not in dump(art_records)
    assert {"syncs.reason", "distributors.contact_number", "editions.variation", "prints.image_names",
            "raw_files.file_name", "quarantine.raw_value"} <= set(report.values)  # fmt: skip
    assert len(report.raw_files) == 3


def test_a_changed_note_does_not_bring_the_person_back_and_is_flagged(known: ArtTables) -> None:
    erase(known.engine, PERSON, objects=known.objects, who="ann", reason="asked by letter", apply=True)
    row = edition_row(1, Notes=f"{PERSON.replace(' ', '  ').upper()} called again")
    report = known.sync(editions=[row, edition_row(2)], limits=None)
    assert known.value(1, "notes") in ("[erased] called again", "[erased] moved away")
    assert [(f.outcome, f.problem) for f in report.table("editions").findings] == [
        ("flagged", "held a text that was erased here; remove it in the base as well")]  # fmt: skip
    assert PERSON.casefold() not in everything(known)
    assert "quux" not in dump(known)


def test_an_erased_text_is_not_entered_by_hand_again(known: ArtTables) -> None:
    erase(known.engine, PERSON, objects=known.objects, who="ann", reason="asked by letter", apply=True)
    with pytest.raises(Refused, match="notes holds a text that was erased"):
        local.edit(known.engine, "editions", rid("E", 1), {"notes": f"for {PERSON}"}, who="ann")
    local.edit(known.engine, "editions", rid("E", 1), {"notes": "for someone else"}, who="ann")


def test_counting_first_changes_nothing(known: ArtTables) -> None:
    before = everything(known)
    report = erase(known.engine, PERSON, objects=known.objects, who="ann", reason="asked by letter")
    assert (report.applied, report.values["editions.notes"], report.values["editions.payment_note"]) == (
        False,
        2,
        1,
    )
    assert everything(known) == before


def test_an_export_that_still_carries_the_text_does_not_bring_it_back(known: ArtTables) -> None:
    erase(known.engine, PERSON, objects=known.objects, who="ann", reason="asked by letter", apply=True)
    row = edition_row(1, Notes=f"sold to {PERSON.upper()}, twice", Size="Small")
    known.sync(editions=[row, edition_row(2)])
    assert (known.value(1, "notes"), known.value(1, "size")) == ("[erased] moved away", "Small")


def test_the_very_file_from_which_a_person_was_erased_is_not_taken_again(known: ArtTables) -> None:
    erase(known.engine, PERSON, objects=known.objects, who="ann", reason="asked by letter", apply=True)
    with pytest.raises(Refused, match="A person was erased from editions"):
        known.sync("merge", editions=[edition_row(1, Notes=f"sold to {PERSON}"), edition_row(2)])
    assert PERSON.casefold() not in everything(known)


@pytest.mark.parametrize(
    ("person", "reason"), [("Q", "asked"), ("Zebedee", " "), ("Zebedee", "zebedee asked")]
)
def test_an_erasure_needs_a_text_and_a_reason_that_does_not_hold_it(
    known: ArtTables, person: str, reason: str
) -> None:
    with pytest.raises(BadInput):
        erase(known.engine, person, objects=known.objects, who="ann", reason=reason, apply=True)
