"""Files from outside: what is read, and the sentence that refuses the rest, with file, row and column."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from crown.art_records.exports.files import (
    discover,
    kept,
    parse,
    take_in,
)
from crown.art_records.outgoing import neutralised
from crown.art_records.sample_files import Export as Sample
from crown.errors import BadInput, TemporaryFailure
from crown.store.objects import Objects

PRINTS = "Print Name,Image,Description,Total Editions,Web link,Editions,Notes,Record_id"
ID = "recAAAAAAAAAAAAAA"


def read(folder: Path, content: bytes, table: str = "prints", name: str = "Prints.csv"):  # type: ignore[no-untyped-def]
    path = folder / name
    path.write_bytes(content)
    return parse(take_in(path, table, Objects(folder / "objects")))


def prints(*rows: str) -> bytes:
    return "\n".join([PRINTS, *rows]).encode()


def test_both_edition_layouts_and_all_header_spellings_are_read(
    exports: tuple[Sample, Sample], tmp_path: Path
) -> None:
    first = read(tmp_path, exports[0].editions, "editions", "a.csv")
    second = read(tmp_path, exports[1].editions, "editions", "b.csv")
    assert (first.layout_name, second.layout_name) == ("editions-28", "editions-22")
    assert "Invoice Amount" in second.absent
    other = read(
        tmp_path,
        prints(f"A,,,,,,,{ID}").replace(b"Record_id", b"record ID").replace(b"Web link", b"web_link"),
    )
    assert other.frame["Record_id"].tolist() == [ID]


def test_a_byte_order_mark_and_line_breaks_in_quotes_are_part_of_the_format(tmp_path: Path) -> None:
    export = read(tmp_path, b"\xef\xbb\xbf" + prints(f'"two\nlines",,"a ""b"", c",,,,,{ID}'))
    assert export.frame.iloc[0][["Print Name", "Description"]].tolist() == ["two\nlines", 'a "b", c']


def test_a_file_that_was_saved_twice_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    export = read(tmp_path, b"\xef\xbb\xbf" * 2 + prints(f"A,,,,,,,{ID}"))
    assert export.frame.iloc[0]["Print Name"] == "A"


def test_a_column_that_no_layout_knows_is_kept_and_named(tmp_path: Path) -> None:
    export = read(tmp_path, b"Colour," + prints(f"red,A,,,,,,,{ID}"))
    assert (export.unknown, export.frame.iloc[0]["Colour"]) == (("Colour",), "red")


def test_a_full_disk_is_said_as_one(tmp_path: Path) -> None:
    """The kernel's own limit on a file's size stands in for the disk's end."""
    path = tmp_path / "Prints.csv"
    path.write_bytes(prints(f"A{'x' * 100_000},,,,,,,{ID}"))
    said = subprocess.run(
        [sys.executable, "-c", f"""
import resource
from pathlib import Path
from crown.art_records.exports.files import take_in
from crown.errors import SystemicFailure
from crown.store.objects import Objects
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    take_in(Path({str(path)!r}), "prints", Objects(Path({str(tmp_path / "objects")!r})))
except SystemicFailure as error:
    print(error)
"""], capture_output=True, text=True, check=True)  # fmt: skip
    assert "free or mend the disk" in said.stdout
    assert list((tmp_path / "objects").iterdir()) == []


def test_weeks_in_gallery_reveal_the_day_of_the_export(
    exports: tuple[Sample, Sample], tmp_path: Path
) -> None:
    assert read(tmp_path, exports[0].editions, "editions", "renamed.csv").exported_on == date(2025, 10, 29)


def test_without_them_the_file_name_tells_the_day(tmp_path: Path) -> None:
    row = prints(f"A,,,,,,,{ID}")
    assert read(tmp_path, row, name="Prints-1 Jan 2026 export.csv").exported_on == date(2026, 1, 1)
    assert read(tmp_path, row, name="Prints 2025-02-03.csv").exported_on == date(2025, 2, 3)
    assert read(tmp_path, row, name="Prints.csv").exported_on is None


def test_the_bytes_are_kept_by_their_hash_even_when_they_cannot_be_parsed(tmp_path: Path) -> None:
    path = tmp_path / "Prints.csv"
    path.write_bytes(b"a;b\n1;2")
    objects = Objects(tmp_path / "objects")
    raw = take_in(path, "prints", objects)
    assert objects.path(raw.sha256).read_bytes() == b"a;b\n1;2"
    assert kept("prints", "Prints.csv", raw.sha256, objects).data == raw.data
    with pytest.raises(BadInput, match="semicolons"):
        parse(raw)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"Prints.csv is empty"),
        (b"\xef\xbb\xbf", r"Prints.csv is empty"),
        (prints(), r"Prints.csv has a header but no rows"),
        (prints(f"A;;;;;;;{ID}").replace(b",", b";"), r"Prints.csv, row 1: columns are separated by semicolons"),
        (prints(f"A,,,,,,,{ID}").replace(b",", b"\t"), r"Prints.csv, row 1: columns are separated by tabs"),
        (prints("A,,,,,,").replace(b",Record_id", b""), r"Prints.csv, row 1: the column Record_id is missing"),
        (b"Colour,Shape,Taste,Record_id\n,,," + ID.encode(), r"row 1: 1 of the 8 columns of prints are there"),
        (prints(f"A,,,,,,,{ID}").replace(b"\n", b"\r"), r"Prints.csv, row 1: it ends in a lone carriage return"),
        (prints(f"A,,{'x' * 200_000}\xe9,,,,,{ID}").decode().encode("latin-1"),
         r"is not UTF-8 \(byte 0xE9; perhaps Latin-1\) in row 2, column Description"),
        (b"x" * 200_000 + b"," + prints(f"A,,,,,,,{ID},"), r"Prints.csv, row 1: a column's name is too long"),
        (prints(f"A,,,,,,,{ID}").replace(b"Image", b"Notes"), r"row 1, column 7: 'Notes' occurs twice"),
        (prints(f"A,,,,,,,{ID}", "B,,,,"), r"Prints.csv, row 3: it ends after 5 of 8 columns, Editions is missing"),
        (prints(f"A,,,,,,,{ID}", 'B,,"cut'), r"Prints.csv, row 3: a quoted cell is not closed"),
        (prints(f"A, and B,,,,,,,{ID}"), r"Prints.csv, row 2: it has 9 columns, one too many"),
        (prints(f"A,,,,,,,{ID}", "", f"B,,,,,,,{ID[:-1]}B"), r"Prints.csv, row 3: it ends after 1 of 8 columns"),
        (prints(f"A,,,,,,,{ID}", "B,,,,,,,recSHORT"), r"row 3, column Record_id: 'recSHORT' is not a record id"),
        (prints("A,,,,,,,"), r"row 2, column Record_id: '' is not a record id"),
        (prints(f"A,,,,,,,{ID}", "B,,,,,,,recBBBBBBBBBBBBBB", f"C,,,,,,,{ID}"),
         rf"row 4, column Record_id: {ID} is the record id of row 2 already"),
        (prints(f"A,,Caf\xe9,,,,,{ID}").decode().encode("latin-1"),
         r"is not UTF-8 \(byte 0xE9; perhaps Latin-1\) in row 2, column Description"),
        (prints(f"A,,\0,,,,,{ID}"), r"holds a zero byte in row 2, column Description"),
        (prints(f"A,,,,,,,{ID}").decode().encode("utf-16"), r"Prints.csv is UTF-16"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        read(tmp_path, content)


def test_a_short_row_hidden_by_a_long_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="row 2"):
        read(tmp_path, prints(f"A,,,,,,,{ID},", "B,,,,,,recBBBBBBBBBBBBBB"))


def test_a_file_of_200_mb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "Editions.csv"
    with path.open("wb") as file:
        file.truncate(200 * 2**20)
    with pytest.raises(BadInput, match=r"Editions.csv has 200 MB; an export of editions has at most 64 MB"):
        take_in(path, "editions", Objects(tmp_path / "objects"))
    assert not (tmp_path / "objects").exists()


def test_the_newest_export_of_each_table_is_found_by_its_header(
    exports: tuple[Sample, Sample], tmp_path: Path
) -> None:
    old, new = exports[0].write(tmp_path), exports[1].write(tmp_path)
    for age, paths in ((200, old), (100, new)):
        for path in paths.values():
            os.utime(path, (path.stat().st_mtime - age,) * 2)
    (tmp_path / "duplicate_handling_decisions.csv").write_text("record_id,print_edition,size,decision\n")
    (tmp_path / "notes.txt").write_text("Print Name,Record_id")
    assert discover(tmp_path) == {table: new[table] for table in ("prints", "distributors", "editions")}
    spoiled = tmp_path / "wrong delimiter.csv"
    spoiled.write_text(PRINTS.replace(",", ";"))
    assert discover(tmp_path)["prints"] == spoiled


def test_pipes_links_to_nothing_and_folders_beside_an_export_are_passed_over(
    exports: tuple[Sample, Sample], tmp_path: Path
) -> None:
    there = exports[0].write(tmp_path)
    os.mkfifo(tmp_path / "pipe.csv")  # reading it would wait for ever
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / os.fsdecode(b"\xff.csv")).write_text("no export")
    assert discover(tmp_path) == {table: there[table] for table in ("prints", "distributors", "editions")}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"Prints\.csv cannot be read"):
        take_in(tmp_path / "Prints.csv", "prints", Objects(tmp_path / "objects"))


def test_a_file_that_grows_while_it_is_read_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "Prints.csv"
    path.write_bytes(prints(*(f"A,,,,,,,rec{n:014d}" for n in range(400_000))))
    size = path.stat().st_size
    # A program of its own, byte by byte: nothing of ours can keep it from writing.
    append = ["dd", "if=/dev/zero", f"of={path}", "bs=1", "oflag=append", "conv=notrunc", "status=none"]
    with subprocess.Popen(append) as writer:
        while path.stat().st_size == size:
            assert writer.poll() is None
        try:
            with pytest.raises(TemporaryFailure, match=r"Prints\.csv"):
                take_in(path, "prints", Objects(tmp_path / "objects"), max_bytes=2**40)
        finally:
            writer.kill()


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_that_we_write_is_a_formula(cell: str) -> None:
    assert neutralised(cell) == "'" + cell


def test_numbers_and_plain_text_are_written_as_they_are() -> None:
    assert [neutralised(v) for v in (-5, 1.5, None, "Work - 3", "")] == [-5, 1.5, None, "Work - 3", ""]
