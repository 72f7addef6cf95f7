"""What the commands of `crown art` share: the workspace, and options and kinds of values of one meaning everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from crown.art_records.workspace import Workspace

TABLES = ("prints", "distributors", "editions")


class _Amount(click.ParamType):
    """Pounds or percent as a decimal number."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """The exact number; 90, 90.00, £90 and £1,234.50 are amounts, 12,50 is none."""
        plain = str(value).strip().removeprefix("£").removesuffix("%").strip()
        if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", plain):
            plain = plain.replace(",", "")
        try:
            amount = Decimal(plain)
        except InvalidOperation:
            amount = Decimal("nan")
        if not amount.is_finite():
            self.fail(f"{value!r} is not an amount; write it as 90 or 90.00.", param, ctx)
        return amount


class _Day(click.ParamType):
    """A day, or with `whole_month` a month, as crown/art_records/wording.py reads it."""

    name = "day"

    def __init__(self, *, whole_month: bool = False) -> None:
        self.whole_month = whole_month
        self.name = "month" if whole_month else "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day; of a month the first."""
        from crown.art_records import wording
        from crown.errors import BadInput

        if isinstance(value, date):
            return value
        try:
            return wording.month(value) if self.whole_month else wording.day(value)
        except BadInput as error:
            self.fail(str(error), param, ctx)


AMOUNT = _Amount()
DAY = _Day()
MONTH = _Day(whole_month=True)

on_option = click.option("--on", type=DAY, metavar="DAY", help="The day, such as 2026-02-03; default: today.")
payment_option = click.option("--payment", help="A note on the payment; it is kept as a personal text.")


@contextmanager
def workspace() -> Iterator[Workspace]:
    """The workspace of art records in this invocation's world."""
    from crown.art_records.workspace import open_workspace
    from crown_cli.common.world import open_world

    with open_world() as world:
        yield open_workspace(world.engine, world.settings)


def write_private(target: Path, content: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    from crown.store import files
    from crown.store.files import Ownership

    target = target.absolute()
    unfinished = files.temporary(target)
    with files.systemic_errors(f"Writing {target}"):
        unfinished.write_bytes(content)
        files.finish(unfinished, Ownership(0o600, 0o700))
        unfinished.replace(target)
