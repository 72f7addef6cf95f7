"""A render is complete only when its log ends well and every frame of its result is there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from crown.errors import BadInput
from crown.motion_jobs.renders.handback import Expected, Handback, handback
from crown.motion_jobs.renders.render_logs import parse_log, read_log
from tests.motion_jobs.films import aerender, film, nexrender

WANTED = Expected("job_1", "main", 64, 48, 2.0, 25.0)


def said(folder: Path, log: str, output: Path | None = None, sha256: str | None = None) -> Handback:
    path = folder / "render.log"
    path.write_text(log, "utf-8")
    return handback(WANTED, path, output, sha256)


@pytest.mark.parametrize("log", [aerender(), nexrender(), nexrender(more=[aerender()])])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.avi", "a.mkv"])
def test_a_whole_render_is_complete(tmp_path: Path, log: str, name: str) -> None:
    output = film(tmp_path / name)
    found = said(tmp_path, log, output, hashlib.sha256(output.read_bytes()).hexdigest().upper())
    assert (found.verdict, found.opened_in_after_effects) == ("complete", "yes, by its log"), found.reasons
    assert found.result is not None
    assert (found.result.frames, found.result.width, found.result.seconds) == (50, 64, 2.0)
    assert found.result.size == output.stat().st_size
    assert found.sentence().startswith(f"Complete: {name} has all 50 frames (2.000 s) of 64x48, ")


def test_a_crash_that_leaves_a_playable_file_is_short(tmp_path: Path) -> None:
    found = said(tmp_path, aerender(range(1, 31), end=False), film(tmp_path / "a.mov", frames=30))
    assert found.verdict == "short"
    assert found.reasons == (
        "a.mov has 30 of 50 frames (1.200 of 2.000 s).",
        "The log breaks off before the render ends.",
    )


def test_a_short_file_is_short_although_its_log_ends_well(tmp_path: Path) -> None:
    assert said(tmp_path, aerender(), film(tmp_path / "a.mov", frames=49)).verdict == "short"
    assert said(tmp_path, nexrender(), film(tmp_path / "b.mov", frames=1)).verdict == "short"


def test_a_result_that_is_not_there_or_empty_is_missing(tmp_path: Path) -> None:
    found = said(tmp_path, aerender(), tmp_path / "none.mov")
    assert (found.verdict, found.reasons) == ("missing", ("none.mov is not there.",))
    (tmp_path / "empty.mov").touch()
    assert said(tmp_path, aerender(), tmp_path / "empty.mov").reasons == ("empty.mov is empty.",)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    ("name", "options"), [("a.mov", {}), ("a.mp4", {"movflags": "faststart"}), ("a.avi", {})]
)
def test_a_file_cut_anywhere_is_truncated_or_short(
    tmp_path: Path, name: str, options: dict[str, str], part: float
) -> None:
    whole = film(tmp_path / name, options=options).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * part)])
    assert said(tmp_path, aerender(), tmp_path / name).verdict in ("truncated", "short")


def test_a_file_whose_middle_is_damaged_is_not_complete(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", options={"movflags": "faststart"})
    raw = bytearray(path.read_bytes())
    digest = hashlib.sha256(raw).hexdigest()
    raw[len(raw) // 2 : len(raw) // 2 + 2000] = b"\xff" * 2000
    path.write_bytes(raw)
    assert said(tmp_path, aerender(), path, digest).verdict == "truncated"


def test_a_file_that_is_no_video_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    path.write_bytes(b"<html>gateway timeout</html>" * 100)
    found = said(tmp_path, aerender(), path)
    assert found.verdict == "truncated"
    assert "cannot be opened as video" in found.reasons[0]


def test_a_black_result_is_no_result(tmp_path: Path) -> None:
    found = said(tmp_path, aerender(), film(tmp_path / "a.mov", black=True))
    assert found.verdict == "different"
    assert "is black from beginning to end; look for footage that is missing" in found.reasons[0]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"size": (32, 48)}, "is 32x48 instead of 64x48"),
        ({"rate": 30, "frames": 50}, "has 30 frames/s instead of 25"),
        ({"frames": 60}, "has 60 frames instead of 50"),
    ],
)
def test_another_size_rate_or_length_is_named(tmp_path: Path, more: dict[str, int], sentence: str) -> None:
    found = said(tmp_path, aerender(), film(tmp_path / "a.mov", **more))  # type: ignore[arg-type]
    assert (found.verdict, sentence in found.reasons[0]) == ("different", True)


@pytest.mark.parametrize(
    "line",
    [
        "aerender ERROR: No comp was found with the given name.",
        "WARNING: the footage logo.png is missing",
        "After Effects error: Unable to render (-1)",
        "Error: Couldn't find a result file",
        "[job_1] Warning: output file size is less than 1000 bytes (12 bytes), be advised that file is corrupted",
        "After Effects crashed and cannot continue",
    ],
)
def test_an_error_of_the_log_is_never_passed_over(tmp_path: Path, line: str) -> None:
    found = said(tmp_path, aerender(more=[line]), film(tmp_path / "a.mov"))
    assert found.verdict == "failed"
    assert any(line in reason for reason in found.reasons)
    assert said(tmp_path, aerender(more=[line])).verdict == "failed"


def test_names_in_a_log_are_no_errors() -> None:
    lines = [
        'PROGRESS:  Starting composition "missing footage crash ERROR: x".',
        "[job_1] copying /missing footage/a.png",
    ]
    log = parse_log([*aerender().splitlines(), *lines])
    assert log is not None
    assert log.errors == ()


def test_a_log_with_times_before_its_lines_is_read(tmp_path: Path) -> None:
    stamped = "\n".join(f"2026-11-27 10:00:00 {line}" for line in nexrender().splitlines())
    assert said(tmp_path, stamped, film(tmp_path / "a.mov")).verdict == "complete"


def test_the_log_of_another_job_is_refused(tmp_path: Path) -> None:
    found = said(tmp_path, nexrender(uid="job_2"), film(tmp_path / "a.mov"))
    assert (found.verdict, found.reasons[0]) == ("failed", "The log is that of the job job_2, not job_1.")


def test_a_log_alone_proves_no_result(tmp_path: Path) -> None:
    assert said(tmp_path, aerender()).verdict == "log_only"
    assert said(tmp_path, nexrender()).verdict == "log_only"
    assert said(tmp_path, aerender([*range(1, 11), *range(21, 51)])).reasons == (
        "It has 40 of 50 frames, without 11 to 20.",
    )
    assert said(tmp_path, nexrender(percent=40, end=False)).sentence() == (
        "Short: The log breaks off before the render ends. It comes to 40 %."
    )


def test_frames_out_of_order_and_repeated_are_counted_once(tmp_path: Path) -> None:
    frames = [*range(50, 0, -1), 50, 49]
    assert said(tmp_path, aerender(frames)).verdict == "log_only"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_logs_of_every_encoding_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(aerender().replace("“main”", "Ü").replace("\n", "\r\n").encode(encoding))
    log = read_log(path)
    assert (len(log.frames), log.finished, log.frame_rate, log.output, log.version) == (
        50, True, 25.0, "D:\\out\\job_1.mov", "25.5x4",
    )  # fmt: skip


def test_a_german_log_and_drop_frames_are_read() -> None:
    lines = [
        "PROGRESS:  Dauer: 0;00;02;00",
        "PROGRESS:  Framerate: 29,97 (Komp.)",
        "PROGRESS:  0;00;00;00 (1): 0 Sekunden",
        "PROGRESS:  Ausgabe an: /Volumes/aus/a.mov",
    ]
    log = parse_log(lines)
    assert log is not None
    assert (log.frames, log.frame_rate, log.output, log.finished) == (
        frozenset({1}), 29.97, "/Volumes/aus/a.mov", False,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", "hello\n", "\x00\x01" * 500, "[2026-11-27] INFO something\n"])
def test_what_is_no_log_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.log"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"a\.log is no log of aerender or nexrender"):
        read_log(path)


def pictures(folder: Path, numbers: Sequence[int]) -> Path:
    folder.mkdir()
    for number in numbers:
        Image.new("RGB", (64, 48), (200, number % 200, 10)).save(folder / f"main_{number:05}.png")
    return folder


def test_a_folder_of_numbered_pictures_is_counted_and_its_gaps_named(tmp_path: Path) -> None:
    assert said(tmp_path, aerender(), pictures(tmp_path / "whole", range(50))).verdict == "complete"
    gap = said(tmp_path, aerender(), pictures(tmp_path / "gap", [*range(10), *range(13, 50)]))
    assert (gap.verdict, gap.reasons) == (
        "short",
        ("gap has 47 of 50 frames (1.880 of 2.000 s); pictures 10 to 12 are missing.",),
    )
    damaged = pictures(tmp_path / "damaged", range(50))
    (damaged / "main_00020.png").write_bytes(b"\x89PNG")
    assert said(tmp_path, aerender(), damaged).reasons[0] == (
        "damaged is damaged: main_00020.png is damaged (UnidentifiedImageError)."
    )
    (tmp_path / "none").mkdir()
    assert said(tmp_path, aerender(), tmp_path / "none").verdict == "truncated"
