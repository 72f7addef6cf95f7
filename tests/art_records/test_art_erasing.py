"""A person's text goes everywhere it stands, stays away, and the act is recorded without it."""

from __future__ import annotations

import pytest

from crown.art_records import local
from crown.art_records.erasing import erase
from crown.errors import BadInput, Refused

from .conftest import Books, edition_row, print_row, rid

PERSON = "Zebedee Quux (the 2nd)"


@pytest.fixture
def known(books: Books) -> Books:
    """The person stands in a note, its earlier version, a payment text, a conflict, a change set and a raw file."""
    books.sync(
        prints=[print_row(1)],
        editions=[edition_row(1, Notes=f"sold to {PERSON.upper()}, twice"), edition_row(2)],
    )
    local.edit(books.engine, "editions", rid("E", 1), {"notes": f"{PERSON} moved away"}, who="ann")
    local.edit(books.engine, "editions", rid("E", 2), {"payment_note": f"by {PERSON}"}, who="ann")
    books.sync("merge", editions=[edition_row(1, Notes=f"sold to {PERSON}"), edition_row(2)])
    return books


def everything(books: Books) -> str:
    tables = ("print_versions", "distributor_versions", "edition_versions", "changes", "conflicts", "source_values",
              "quarantine", "erasures", "erased_values", "raw_files", "syncs", "sync_tables")  # fmt: skip
    texts = [str(books.rows(f"select to_jsonb(t)::text from art.{table} t")) for table in tables]
    texts += [str(books.rows("select to_jsonb(t)::text from journal.activity t"))]
    texts += [path.read_text("utf-8") for path in books.objects.folder.iterdir()]
    return "\n".join(texts).casefold()


def test_nothing_in_books_history_or_raw_files_names_the_person_afterwards(known: Books) -> None:
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


def test_counting_first_changes_nothing(known: Books) -> None:
    before = everything(known)
    report = erase(known.engine, PERSON, objects=known.objects, who="ann", reason="asked by letter")
    assert (report.applied, report.values["editions.notes"], report.values["editions.payment_note"]) == (
        False,
        2,
        1,
    )
    assert everything(known) == before


def test_an_export_that_still_carries_the_text_does_not_bring_it_back(known: Books) -> None:
    erase(known.engine, PERSON, objects=known.objects, who="ann", reason="asked by letter", apply=True)
    row = edition_row(1, Notes=f"sold to {PERSON.upper()}, twice", Size="Small")
    known.sync(editions=[row, edition_row(2)])
    assert (known.value(1, "notes"), known.value(1, "size")) == ("[erased] moved away", "Small")


def test_the_very_file_from_which_a_person_was_erased_is_not_taken_again(known: Books) -> None:
    erase(known.engine, PERSON, objects=known.objects, who="ann", reason="asked by letter", apply=True)
    with pytest.raises(Refused, match="A person was erased from editions"):
        known.sync("merge", editions=[edition_row(1, Notes=f"sold to {PERSON}"), edition_row(2)])
    assert PERSON.casefold() not in everything(known)


@pytest.mark.parametrize(
    ("person", "reason"), [("Q", "asked"), ("Zebedee", " "), ("Zebedee", "zebedee asked")]
)
def test_an_erasure_needs_a_text_and_a_reason_that_does_not_hold_it(
    known: Books, person: str, reason: str
) -> None:
    with pytest.raises(BadInput):
        erase(known.engine, person, objects=known.objects, who="ann", reason=reason, apply=True)
