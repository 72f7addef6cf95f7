"""`crown logs` and `crown activity`: what the program logged, and who did what to what."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from crown_cli.common.output import csv_option, json_option, readable, show_csv, show_json, show_json_line

if TYPE_CHECKING:
    from crown.journal.search import Filter

_Command = TypeVar("_Command", bound=Callable[..., Any])
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FOLLOW_SECONDS = 1.0
_CSV_RECORDS = (
    "at",
    "level",
    "department",
    "module",
    "subject",
    "message",
    "who",
    "execution_time_ms",
    "run_id",
)
_CSV_ACTS = (
    "at",
    "department",
    "who",
    "what",
    "subject",
    "via",
    "details",
    "source_file",
    "run_id",
    "duration_ms",
)


class Moment(click.ParamType):
    """A time: `2h` ago (s, m, h, d, w), a day, or a time of the day, in this machine's zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment that is meant."""
        if isinstance(value, datetime):
            return value
        try:
            if ago := re.fullmatch(r"(\d{1,6})\s*([smhdw])", value.strip()):
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            return datetime.fromisoformat(value.strip()).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; write 2h, 7d, 2026-11-28 or 2026-11-28T14:30", param, ctx)


def _filters(command: _Command) -> _Command:
    options = (
        click.option("-d", "--department", metavar="NAME", help="Such as product_images or art_records."),
        click.option("-s", "--subject", metavar="KEY", help="A product or item; * matches anything."),
        click.option("--who", metavar="PERSON", help="The person who did it."),
        click.option("--since", type=Moment(), metavar="TIME", help="2h, 7d, a date, or 2026-11-28T14:30."),
        click.option("--until", type=Moment(), metavar="TIME", help="The same; older than this."),
        click.option(
            "-g", "--grep", "containing", metavar="TEXT", help="Text that it contains, in any case."
        ),
        click.option(
            "-n",
            "--lines",
            "limit",
            type=click.IntRange(1),
            default=50,
            show_default=True,
            help="The newest so many.",
        ),
        click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C."),
        json_option,
        csv_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.option(
    "-l",
    "--level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"], case_sensitive=False),
    help="This level and above.",
)
@_filters
def logs(level: str | None, limit: int, follow: bool, as_json: bool, as_csv: bool, **filters: Any) -> None:
    """Show what the program logged, the newest last.

    The records are those of the database; CROWN_LOG_RETENTION_DAYS says how long
    they stay. With --follow, --json prints one object a line.

    \b
    crown logs --level warning --since 1d
    crown logs -d product_images -s '52000123*'
    crown logs --follow --json | jq .message
    """  # noqa: D301
    from crown.journal.search import Filter

    _show(
        "records", Filter(level=level.upper() if level else None, **filters), limit, follow, as_json, as_csv
    )


@click.command()
@click.option("--what", metavar="ACTION", help="Such as human_approved, published, refused.")
@_filters
def activity(what: str | None, limit: int, follow: bool, as_json: bool, as_csv: bool, **filters: Any) -> None:
    """Show who did what to what, the newest last.

    The trail is append-only and never pruned; imported acts of CrownPipe are in it.
    With --follow, --json prints one object a line.

    \b
    crown activity -s 52000123
    crown activity --who mary --what human_approved --since 7d
    crown activity -d art_records --csv > acts.csv
    """  # noqa: D301
    from crown.journal.search import Filter

    _show("acts", Filter(what=what, **filters), limit, follow, as_json, as_csv)


def _show(kind: str, wanted: Filter, limit: int, follow: bool, as_json: bool, as_csv: bool) -> None:
    from crown.journal import search
    from crown_cli.common.world import open_world

    if as_json and as_csv:
        raise click.UsageError("Choose --json or --csv.")
    columns, line = (_CSV_RECORDS, _record) if kind == "records" else (_CSV_ACTS, _act)

    def rows(found: Iterable[Mapping[str, Any]], *, header: bool = False) -> None:
        if as_csv:
            show_csv(found, columns, header=header)
        elif as_json:
            for row in found:
                show_json_line(row)
        else:
            for row in found:
                click.echo(line(row))

    with open_world() as world:
        if not follow:
            with world.engine.connect() as connection:
                read = search.records if kind == "records" else search.acts
                found = read(connection, wanted, limit)
            if as_json:
                show_json(found)
            elif not found and not as_csv:
                click.echo("Nothing.")
            else:
                rows(found, header=True)
            return
        follower = search.Follower(kind, wanted)
        with world.engine.connect() as connection:
            rows(follower.begin(connection, limit), header=True)
        with suppress(KeyboardInterrupt):  # the way to end it
            pause = threading.Event()
            while not pause.wait(_FOLLOW_SECONDS):
                with world.engine.connect() as connection:
                    rows(follower.more(connection))


def _record(row: Mapping[str, Any]) -> str:
    about = " ".join(
        part for part in (row["department"], f"[{row['subject']}]" if row["subject"] else None) if part
    )
    rest = ", ".join(
        part
        for part in (
            row["who"],
            f"{row['execution_time_ms']:,} ms" if row["execution_time_ms"] is not None else None,
        )
        if part
    )
    line = f"{readable(row['at'])} {row['level']:<7} {about or row['module']}: {row['message']}"
    line += f" ({rest})" if rest else ""
    return line if not row["exception"] else f"{line}\n    " + row["exception"].replace("\n", "\n    ")


def _act(row: Mapping[str, Any]) -> str:
    line = f"{readable(row['at'])} {row['department']}: {row['who']} {row['what']} {row['subject']} (via {row['via']})"
    if row["details"]:
        line += f": {row['details']}"
    for name, label in (("old_values", "before"), ("new_values", "after")):
        if row[name]:
            line += f"\n    {label}: {readable(row[name])}"
    return line
