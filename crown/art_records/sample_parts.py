"""Invented names of places and galleries, and values as Airtable writes them into the cells of an export.

Does not belong here: which values a base has (`samples.py`).
"""

from __future__ import annotations

import csv
import io
import string
from datetime import date
from typing import Any

import numpy as np

FORMULA_COLUMNS = {
    "Invoice Amount", "Commissions", "Month Sold", "Year Sold", "Weeks in Gallery", "Print - Edition copy",
}  # fmt: skip
PLACES = [
    "Alder Quay", "Birch Sound", "Cedar Light", "Dune Head", "Elm Roads", "Fern Ledge", "Gorse Bay",
    "Heron Slip", "Ivy Reach", "Juniper Point", "Kelp Bank", "Larch Pier", "Marram Cove", "Nettle Creek",
    "Oak Landing", "Plover Sands", "Quill Rock", "Reed Haven", "Samphire Flats", "Tern Island",
    "Under the Downs", "Vetch Hard", "Willow Lock", "Yarrow Spit", "aspen_steps", "BRACKEN-HILL",
    "Clover Gate v2", "Dock and Ferry", "Eider Watch", "Finch Lane", "Gull on the Mast", "Hazel Fort",
    "Iris Marsh", "Jackdaw Tower", "Kite Beacon",
]  # fmt: skip
GALLERIES = [
    "Amber Room", "Blue Door Prints", "Corner Frame", "Deck House", "East Wall", "Fishbone Gallery",
    "Green Easel", "Harbour Hang", "Inkwell", "Joiner and Plate", "Kiln Yard", "Long Shed", "Mezzotint",
    "North Light", "Open Studio", "Paper Mill", "Quay Pictures", "Red Dot",
]  # fmt: skip
ID_ALPHABET = np.array(list(string.ascii_letters + string.digits))
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December"]  # fmt: skip


def csv_file(header: list[str], rows: Any) -> bytes:
    """Rows as Airtable exports them: BOM, quotes where needed, no newline at the end."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return b"\xef\xbb\xbf" + text.getvalue().rstrip("\n").encode()


def in_list(name: str) -> str:
    """A name as written in a list of links."""
    return f'"{name}"' if "," in name else name


def texts(values: np.ndarray) -> np.ndarray:
    """Texts; nothing for None."""
    return np.array(["" if v is None else v for v in values], dtype=object)


def ticks(values: np.ndarray) -> np.ndarray:
    """`checked` where true."""
    return np.where(values, "checked", "").astype(object)


def amounts(values: np.ndarray) -> np.ndarray:
    """Pence as pounds."""
    return np.array(["" if v is None else f"£{v // 100}.{v % 100:02d}" for v in values], dtype=object)


def days(values: np.ndarray) -> np.ndarray:
    """Days as month/day/year."""
    return np.array(["" if d is None else f"{d[1]}/{d[2]}/{d[0]:04d}" for d in values], dtype=object)


def day_of(number: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days since 1970."""
    d = date.fromordinal(number + 719_163)
    return d.year, d.month, d.day


def number_of(day: tuple[int, int, int] | None) -> int:
    """Days since 1970; 0 for None."""
    return 0 if day is None else date(*day).toordinal() - 719_163
