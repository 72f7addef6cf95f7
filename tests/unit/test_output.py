"""What commands print for scripts and spreadsheets is read back as what it was, whatever characters it holds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout

import pytest

from crown_cli.common.output import show_csv, show_json, show_json_line
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
