"""A batch's rows: good ones become jobs, bad ones are quarantined with row, column and reason."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crown.errors import BadInput
from crown.motion_jobs.jobs.csv_batches import (
    Batch,
    BatchRules,
    batch_id,
    read_batch,
    sample,
)

HEADER = "job_id,psd_path,aepx_path,output_name,client_name,project_name,priority,notes"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.psd", "b.psb", "t.aepx", "t.aep", "bad.psd", "text.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "dir.psd").mkdir()
    return tmp_path


def batch(folder: Path, text: str | bytes, **rules: object) -> Batch:
    path = folder / "batch.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_batch(path, given_rules(folder, **rules))


def given_rules(folder: Path, **rules: object) -> BatchRules:
    given = {
        "roots": (folder,),
        "defect_of": lambda file: "It is broken." if file.name == "bad.psd" else None,
    }
    return BatchRules(**{**given, **rules})  # type: ignore[arg-type]


def row(
    job_id: str = "j1", psd: str = "a.psd", ae: str = "t.aepx", output: str = "", rest: str = ",,high,"
) -> str:
    return f"{job_id},{psd},{ae},{output or job_id + '.aepx'},{rest}"


def findings(result: Batch) -> list[tuple[int, str, str]]:
    return [(bad.row, item.column, item.rule) for bad in result.quarantined for item in bad.findings]


def test_good_rows_go_on_beside_a_bad_one(folder: Path) -> None:
    result = batch(folder, "\n".join([HEADER, row("j1"), row("j 2"), row("j3", "b.psb", "t.aep")]))
    assert [job.job_id for job in result.jobs] == ["j1", "j3"]
    assert findings(result) == [(3, "job_id", "characters"), (3, "output_name", "characters")]
    assert result.jobs[1].psd_path == folder / "b.psb"
    assert result.rows == len(result.jobs) + len(result.quarantined) + result.blank_rows == 3


@pytest.mark.parametrize(
    ("line", "column", "rule"),
    [
        (row(""), "job_id", "empty"),
        (row("x" * 51, output="o.aep"), "job_id", "characters"),
        (row(psd=""), "psd_path", "empty"),
        (row(psd="none.psd"), "psd_path", "missing"),
        (row(psd="dir.psd"), "psd_path", "not_a_file"),
        (row(psd="text.txt"), "psd_path", "extension"),
        (row(psd="bad.psd"), "psd_path", "damaged"),
        (row(ae=""), "aepx_path", "empty"),
        (row(ae="none.aepx"), "aepx_path", "missing"),
        (row(ae="a.psd"), "aepx_path", "extension"),
        (row(output=" "), "output_name", "empty"),
        (row(output="o.mov"), "output_name", "characters"),
        (row(output="../o.aep"), "output_name", "characters"),
        (row(psd="../../etc/passwd"), "psd_path", "outside_roots"),
        (row(psd="/etc/passwd"), "psd_path", "outside_roots"),
        (row(psd="\\\\server\\share\\a.psd"), "psd_path", "windows_path"),
        (row(psd="C:\\work\\a.psd"), "psd_path", "windows_path"),
        (row(psd="a\x00.psd"), "psd_path", "control_character"),
        (row(psd="x" * 300 + ".psd"), "psd_path", "unreadable"),
        ("j1,a.psd", "aepx_path", "short_row"),
        (row() + ",too,many", "", "too_many_cells"),
    ],
)
def test_a_broken_rule_names_row_column_and_reason(folder: Path, line: str, column: str, rule: str) -> None:
    result = batch(folder, f"{HEADER}\n{line}\n{row('good')}\n")
    assert (2, column, rule) in findings(result)
    assert [job.job_id for job in result.jobs] == ["good"]
    assert all(item.reason.endswith(".") for item in result.quarantined[0].findings)


def test_a_link_out_of_the_allowed_folders_is_refused(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.psd"
    outside.write_bytes(b"x")
    (folder / "link.psd").symlink_to(outside)
    assert findings(batch(folder, f"{HEADER}\n{row(psd='link.psd')}")) == [(2, "psd_path", "outside_roots")]


def test_without_allowed_folders_nothing_is_read(folder: Path) -> None:
    result = batch(folder, f"{HEADER}\n{row()}", roots=())
    assert findings(result) == [(2, "psd_path", "outside_roots"), (2, "aepx_path", "outside_roots")]


def test_a_job_id_twice_in_the_file_or_taken_is_refused_once_each(folder: Path) -> None:
    result = batch(
        folder, "\n".join([HEADER, row("a"), row("a", output="z.aep"), row("old")]), taken_job_ids={"old"}
    )
    assert findings(result) == [(3, "job_id", "duplicate"), (4, "job_id", "taken")]
    assert "row 2" in result.quarantined[0].findings[0].reason


def test_two_rows_never_write_one_output_whatever_its_capitals(folder: Path) -> None:
    lines = [HEADER, row("a", output="Out.aep"), row("b", output="out.AEP".replace("AEP", "aep")), row("c")]
    result = batch(folder, "\n".join(lines), taken_outputs={"c.aepx"})
    assert findings(result) == [(3, "output_name", "duplicate"), (4, "output_name", "taken")]


def test_a_row_after_a_bad_row_with_the_same_id_goes_on(folder: Path) -> None:
    result = batch(folder, "\n".join([HEADER, row("a", psd="none.psd"), row("a")]))
    assert [(job.row, job.job_id) for job in result.jobs] == [(3, "a")]


def test_an_unknown_priority_is_never_kept(folder: Path) -> None:
    lines = [HEADER, row("a", rest=",,urgent!,"), row("b", rest=",,,"), row("c", rest=",,LOW,")]
    jobs = batch(folder, "\n".join(lines)).jobs
    assert [job.priority for job in jobs] == ["medium", "medium", "low"]
    assert [[item.rule for item in job.warnings] for job in jobs] == [["unknown"], ["absent"], []]


@pytest.mark.parametrize(
    ("encoding", "read_as"),
    [("utf-8", "utf-8-sig"), ("utf-8-sig", "utf-8-sig"), ("cp1252", "cp1252"), ("utf-16", "utf-16")],
)
def test_the_encodings_that_spreadsheets_write_are_read(folder: Path, encoding: str, read_as: str) -> None:
    result = batch(folder, f"{HEADER}\r\n{row(rest='Müller,,low,naïve')}\r\n".encode(encoding))
    assert result.form.encoding == read_as
    assert (result.jobs[0].client_name, result.jobs[0].notes) == ("Müller", "naïve")
    assert bool(result.notices) == (encoding == "cp1252")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_read(folder: Path, encoding: str) -> None:
    assert batch(folder, f"{HEADER}\n{row()}\n".encode(encoding)).jobs[0].job_id == "j1"


@pytest.mark.parametrize(("delimiter", "first"), [(";", ""), ("\t", ""), ("|", ""), (";", "sep=;\n")])
def test_other_delimiters_are_read(folder: Path, delimiter: str, first: str) -> None:
    result = batch(folder, first + f"{HEADER}\n{row()}\n".replace(",", delimiter))
    assert (result.form.delimiter, result.jobs[0].job_id) == (delimiter, "j1")


def test_bytes_that_are_no_text_are_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match="no text that can be read"):
        batch(folder, HEADER.encode() + b"\n\x81\x8d\xff\xfe")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("\n\n", "lacks the columns job_id"),
        ("job_id,psd_path\nj1,a.psd", "lacks the columns aepx_path, output_name"),
        (HEADER + "\n", "has a header and no rows"),
        (HEADER + "\n\n,,,\n", "has a header and no rows"),
        (HEADER + ",notes\n" + row(), "has the column notes twice"),
        (HEADER + ",,x\n" + row(), "has a column without a name"),
    ],
)
def test_a_file_that_is_no_batch_is_refused_in_a_sentence(folder: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        batch(folder, text)


def test_headers_may_be_written_with_blanks_and_capitals(folder: Path) -> None:
    result = batch(
        folder, "Job ID, PSD Path ,aepx_path,Output Name,Headline,,\nj1,a.psd,t.aep,o.aep,Up 5 %\n"
    )
    assert result.jobs[0].extra == (("headline", "Up 5 %"),)


def test_a_quotation_mark_left_open_costs_only_the_rows_it_swallows(folder: Path) -> None:
    lines = [HEADER, row("a"), '"b,a.psd,t.aep,b.aep,,,,', row("c")]
    result = batch(folder, "\n".join(lines))
    assert [job.job_id for job in result.jobs] == ["a"]
    assert (3, "job_id", "control_character") in findings(result)
    assert "c.aepx" in "".join(result.quarantined[0].cells)


def test_row_numbers_are_those_of_the_spreadsheet(folder: Path) -> None:
    result = batch(
        folder, "\n".join([HEADER, "", row("a", rest=',,low,"two\nlines"'), row("b c", output="o.aep")])
    )
    assert (result.jobs[0].row, result.jobs[0].notes, findings(result)[0][0]) == (3, "two\nlines", 4)


def test_more_rows_or_bytes_than_allowed_are_refused(folder: Path) -> None:
    text = "\n".join([HEADER, row("a"), row("b")])
    with pytest.raises(BadInput, match="more than 1 rows"):
        batch(folder, text, max_rows=1)
    with pytest.raises(BadInput, match="at most 0 MB"):
        batch(folder, text, max_bytes=10)


def test_a_hundred_thousand_rows_ask_each_file_once_within_seconds(folder: Path) -> None:
    asked: list[Path] = []
    lines = [HEADER, *(row(f"j{number}") for number in range(100_000))]
    lines[500] = row("j1")

    def defect_of(path: Path) -> None:
        asked.append(path)

    started = time.process_time()
    result = batch(folder, "\n".join(lines), defect_of=defect_of)
    assert time.process_time() - started < 20
    assert (len(result.jobs), len(result.quarantined), result.rows) == (99_999, 1, 100_000)
    assert sorted(path.name for path in asked) == ["a.psd", "t.aepx"]


def test_batch_ids_keep_their_form_and_never_collide() -> None:
    now = datetime(2025, 10, 30, 14, 30, 22, tzinfo=UTC)
    assert batch_id(now, ()) == "BATCH_20251030_143022"
    assert batch_id(now, {"BATCH_20251030_143022", "BATCH_20251030_143022_2"}) == "BATCH_20251030_143022_3"


def test_the_same_bytes_have_the_same_hash(folder: Path) -> None:
    text = f"{HEADER}\n{row()}"
    assert batch(folder, text).form.sha256 == batch(folder, text).form.sha256
    assert batch(folder, text).form.sha256 != batch(folder, text + "\n").form.sha256


def test_the_sample_has_every_column_and_passes_where_its_files_exist(tmp_path: Path) -> None:
    (tmp_path / "batch.csv").write_text(sample())
    for name in ("psd/spring.psd", "psd/spring_away.psd", "templates/promo.aepx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    read = read_batch(tmp_path / "batch.csv", BatchRules((tmp_path,), defect_of=lambda _: None))
    assert [(job.job_id, job.priority) for job in read.jobs] == [
        ("spring_01", "high"),
        ("spring_02", "medium"),
    ]
    assert read.quarantined == ()
