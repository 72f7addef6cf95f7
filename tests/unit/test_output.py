"""What commands print: read back as it was by scripts and spreadsheets, and readable where tables are folded."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout

import pytest

from crown_cli.common.output import show_csv, show_json, show_json_line, show_rows
from crown_cli.common.streams import Visible

ODD = ["\x9b31m", "\x7f", "\x1b[2J", "\u202egnp.exe", "\u2028", "a\rb", "a\tb\n", "\\x9b", "é中"]


def printed(say: Callable[[], None]) -> str:
    """What reaches the reader through the command line's own stream."""
    received = io.BytesIO()
    stream = Visible(below := io.TextIOWrapper(received, "utf-8"))
    with redirect_stdout(stream):
        say()
    stream.flush()
    stream.detach()
    below.detach()
    return received.getvalue().decode()


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("show", [show_json, show_json_line])
def test_json_is_read_back_as_what_it_was_whatever_characters_it_holds(
    show: Callable[[object], None], text: str
) -> None:
    said = printed(lambda: show({text: [text]}))
    assert json.loads(said) == {text: [text]}
    assert all(character.isprintable() or character == "\n" for character in said)


def test_a_number_that_is_none_is_null_in_json() -> None:
    said = printed(lambda: show_json({"share": float("nan"), "most": [float("inf"), 1.5]}))
    assert json.loads(said, parse_constant=pytest.fail) == {"share": None, "most": [None, 1.5]}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\t=1", " =1", "\n=1", "\uff1d1+1", "\uff201"])
def test_no_cell_of_a_csv_answer_begins_like_a_formula(text: str) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(lambda: show_csv([{"a": text, "b": -5}], ["a", "b"])))))
    assert rows == [{"a": f"'{text}", "b": "-5"}]


def test_a_folded_table_keeps_its_width_and_its_words_and_dates_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {
        "sync": 4,
        "table": "distributors",
        "what": "rollback, rolled back",
        "who": "art_records",
        "read as": "2020-04-02",
        "from": "the demo takes a sync back and restores it once more, with all that follows",
        "path": "Distributors-2026-01-01-export.csv",
    }
    show_rows([row], width=100)
    shown = capsys.readouterr().out
    assert max(len(line) for line in shown.splitlines()) == 100
    words = shown.split()
    for whole in ("distributors", "rollback,", "art_records", "2020-04-02", "restores"):
        assert whole in words
    show_rows([row])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "distributors" in line]
    assert row["path"] in line, "without a width nothing is folded"


def test_a_table_of_more_words_than_space_is_folded_within_them(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{f"column {number}": "indivisible" for number in range(9)}], width=60)
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 60
