"""How commands answer: a table for people, JSON for scripts. What is said belongs to the commands."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import PurePath
from typing import Any, TypeVar

import click

from crown.journal.plain import without_controls, without_formula

_Command = TypeVar("_Command", bound=Callable[..., Any])
#: Where an invocation remembers that rows are wanted as CSV.
_CSV = "crown.csv"
#: Control characters that json.dumps leaves as they are.
_CONTROLS = re.compile(r"[\x7f-\x9f]")

#: `@json_option` gives a command the parameter `as_json`.
json_option: Callable[[_Command], _Command] = click.option(
    "--json", "as_json", is_flag=True, help="Answer in JSON, for scripts."
)


#: `@csv_option` gives a command the parameter `as_csv`.
csv_option: Callable[[_Command], _Command] = click.option(
    "--csv", "as_csv", is_flag=True, help="Answer in CSV, for spreadsheets."
)


def show_csv(rows: Iterable[Mapping[str, object]], columns: Sequence[str], *, header: bool = True) -> None:
    """Print rows as CSV (RFC 4180, times in ISO 8601); NULL is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    if header:
        writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    click.echo(text.getvalue().replace("\r\n", "\n"), nl=False)


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: such a text is led by an apostrophe."""
    if value is None or isinstance(value, bool | int | float | Decimal):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_plain)
    return without_formula(said)


def show_json_line(value: object) -> None:
    """Print `value` as JSON on one line, for streams."""
    click.echo(_json(value))


def _csv_wanted(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        context.meta[_CSV] = True


def rows_option(command: _Command) -> _Command:
    """Gives a command that answers with rows `--json` (its parameter `as_json`) and `--csv` (see show_rows)."""
    option = click.option(
        "--csv",
        is_flag=True,
        expose_value=False,
        callback=_csv_wanted,
        help="Answer in CSV, for spreadsheets.",
    )
    return json_option(option(command))


def csv_wanted() -> bool:
    """Whether this invocation answers in CSV: then nothing but the rows may be printed."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_CSV))


def show_json(value: object) -> None:
    """Print `value` as JSON; dataclasses, paths, dates, decimals and sets are spelt out."""
    click.echo(_json(value, indent=2))


def _json(value: object, *, indent: int | None = None) -> str:
    """JSON that every reader takes, also of a stream that spells out controls: theirs are JSON's own escapes."""
    try:
        written = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:  # a number that is none, which JSON does not know
        known = json.loads(json.dumps(value, default=_plain), parse_constant=lambda _: None)
        written = json.dumps(known, indent=indent, ensure_ascii=False)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def show_rows(
    rows: Sequence[Mapping[str, object]],
    *,
    as_json: bool = False,
    columns: Sequence[str] | None = None,
    title: str | None = None,
    empty: str = "Nothing.",
    width: int | None = None,
) -> None:
    """Print rows as a table, as a JSON list of objects, or as CSV when the command was asked for it (rows_option).

    Args:
        rows: one mapping each.
        as_json: JSON instead of a table.
        columns: the keys to show in this order (not in JSON); default: those of the first row.
        title: a line above the table.
        empty: what to say instead of an empty table.
        width: fold the table into so many columns, also in a pipe; default: the terminal's, none in a pipe.
    """
    if as_json:
        show_json([dict(row) for row in rows])
        return
    if csv_wanted():
        show_csv(rows, list(columns or (rows[0] if rows else ())))
        return
    if not rows:
        click.echo(empty)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    columns = list(columns or rows[0])
    cells = [[readable(row.get(column)) for column in columns] for row in rows]
    heads = [column.replace("_", " ") for column in columns]
    # A pipe has no width: nothing is folded there unless the caller says so. Colours are control characters, which
    # our streams spell out.
    fold = None if sys.stdout.isatty() else width or 10_000
    console = Console(width=fold, highlight=False, color_system=None)
    widths = _widths(list(zip(heads, *cells, strict=True)), console.width - 3 * len(columns) + 1)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column, head, wide in zip(columns, heads, widths, strict=True):
        numbers = all(isinstance(row.get(column), int | float | None) for row in rows)
        table.add_column(head, justify="right" if numbers else "left", overflow="fold", width=wide)
    for row_cells in cells:
        table.add_row(*map(escape, row_cells))
    with console.capture() as answer:  # written by click, whose errors are the command's
        console.print(table)
    click.echo(answer.get(), nl=False)


def _widths(columns: Sequence[Sequence[str]], space: int) -> list[int] | list[None]:
    """Widths of columns in which words of up to 16 characters stay whole; None where rich has to decide.

    What is left beside the words goes to the narrowest columns first, as far as they need it.
    """
    from rich.cells import cell_len

    needed = [max(cell_len(cell) for cell in column) for column in columns]
    if sum(needed) <= space:
        return [None] * len(columns)
    widths = [
        min(16, max((cell_len(word) for cell in column for word in cell.split()), default=1))
        for column in columns
    ]
    if sum(widths) > space:
        return [None] * len(columns)
    for _ in range(space - sum(widths)):
        narrowest = min(
            (at for at, width in enumerate(widths) if width < needed[at]), key=lambda at: widths[at]
        )
        widths[narrowest] += 1
    return widths


def readable(value: object) -> str:
    """A value in a table cell: numbers with separators, times without fractions, nothing as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return without_controls(str(value))


def size(count: int) -> str:
    """Bytes for people: `1.4 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
