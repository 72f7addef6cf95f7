"""Reading an export: the file's bytes, kept first, then its rows as text in known columns.

Belongs here: storing a file, detecting its layout, and error messages with file, row and
column. Row numbers count records; the header is row 1.
Does not belong here: what a cell means (`rules.py`), writing files for others (`outgoing.py`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import stat
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from crown.art_records.exports.column_formats import decide
from crown.art_records.tables import RECORD_ID
from crown.errors import BadInput
from crown.store.objects import Objects

MAX_BYTES = 64 * 2**20
"""Three times the largest base (100,000 editions are 21 MB); anything above is not an export of it."""

_MANY_RECORD_IDS = re.compile(r"(?:rec[A-Za-z0-9]{14}\n)*")


@dataclass(frozen=True)
class Layout:
    """The known columns of one table's export; `also` are other names of theirs."""

    table: str
    identity: str
    fields: dict[str, str]
    rules: dict[str, str]
    optional: frozenset[str]
    columns: tuple[str, ...]
    also: Mapping[str, str]

    @property
    def stored(self) -> tuple[str, ...]:
        """Columns that fill a field and that every export must carry."""
        return tuple(c for c in self.columns if c in self.fields and c not in self.optional)


@dataclass(frozen=True)
class RawFile:
    """A file as it arrived, kept under its own hash."""

    table: str
    name: str
    data: bytes
    sha256: str


@dataclass(frozen=True)
class Export:
    """The rows of one export as text.

    `frame` has the layout's column names, then the columns that no layout knows (`unknown`) under their own;
    columns of the layout that the export does not carry are in `absent`.
    """

    raw: RawFile
    frame: pd.DataFrame
    layout: Layout
    absent: frozenset[str]
    unknown: tuple[str, ...]
    header_fingerprint: str
    exported_on: date | None

    @property
    def layout_name(self) -> str:
        """Table and number of columns that Crown's own layouts know: `editions-28`."""
        known = set(layouts()[self.layout.table].columns) - self.absent
        return f"{self.layout.table}-{len(known)}"


def layouts_of(described: Mapping[str, Any]) -> dict[str, Layout]:
    """Layouts by table, as a layouts file describes them."""
    return {
        table: Layout(
            table=table,
            identity=spec["identity"],
            fields={c: s["field"] for c, s in spec["columns"].items() if "field" in s},
            rules={c: s["rule"] for c, s in spec["columns"].items() if "rule" in s},
            optional=frozenset(c for c, s in spec["columns"].items() if s.get("optional")),
            columns=tuple(spec["columns"]),
            also={_spelling(other): c for c, s in spec["columns"].items() for other in s.get("also", ())},
        )
        for table, spec in described.items()
    }


@cache
def layouts() -> dict[str, Layout]:
    """The layouts that come along, by table; a gallery's own are in its rulebook."""
    return layouts_of(yaml.safe_load((Path(__file__).parent / "layouts.yaml").read_text(encoding="utf-8")))


def discover(folder: Path, known: Mapping[str, Layout] | None = None) -> dict[str, Path]:
    """The newest export of each table in a folder, recognised by its header; other files are left alone.

    A table that no file belongs to is missing from the answer. Nothing is judged here but the first line: a file
    whose header is nearly right is taken, so that reading it says what is wrong.
    """
    known = known or layouts()
    found: dict[str, Path] = {}
    there: list[tuple[int, str, Path]] = []
    for path in folder.glob("*.[cC][sS][vV]"):
        with suppress(OSError):  # a link to nothing, or renamed during the look
            status = path.stat()
            if stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
                there.append((status.st_mtime_ns, path.name, path))
    for _, _, path in sorted(there):
        table = table_of(path, known)
        if table is not None:
            found[table] = path
    return {table: found[table] for table in known if table in found}


def table_of(path: Path, known: Mapping[str, Layout] | None = None) -> str | None:
    """Which table's export a file is, by most of its columns; None when it is none."""
    try:
        with path.open("rb") as file:
            line = _first_line(_without_bom(file.read(65_536)))
    except OSError:
        return None
    words = {_spelling(word) for word in re.split(r"[,;\t|]", line.decode("latin-1").replace('"', ""))}
    shares = {}
    for table, layout in (known or layouts()).items():
        required = [c for c in layout.columns if c not in layout.optional]
        shares[table] = len(_named(words, layout) & set(required)) / len(required)
    best = max(shares, key=lambda table: shares[table])
    return best if shares[best] > _ENOUGH else None


_ENOUGH = 0.6
"""A file is a table's export when it carries more than this share of the columns that every export has."""


def _named(words: Collection[str], layout: Layout) -> set[str]:
    """The columns of a layout that spelled headers name."""
    spelled = {_spelling(c): c for c in layout.columns} | dict(layout.also)
    return {spelled[word] for word in words if word in spelled}


# ---- the bytes -------------------------------------------------------------------------------------------


def take_in(path: Path, table: str, objects: Objects, *, max_bytes: int = MAX_BYTES) -> RawFile:
    """Keep a file's bytes as `objects/<sha256>` before anything looks into them; what is read is what is kept.

    Raises:
        BadInput: missing, empty or too large.
        TemporaryFailure: replaced or still written while it was read.
        SystemicFailure: the objects folder cannot be written.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise BadInput(
                f"{path.name} has {size / 2**20:,.0f} MB; an export of {table} has at most "
                f"{max_bytes / 2**20:,.0f} MB. Check that it is the right file."
            )
        digest, _ = objects.put(path)
    except OSError as error:
        raise BadInput(f"{path.name} cannot be read ({error.strerror}); export it again.") from None
    data = objects.path(digest).read_bytes()
    if not _without_bom(data).strip():
        raise BadInput(f"{path.name} is empty; export the table again.")
    return RawFile(table, path.name, data, digest)


def kept(table: str, name: str, digest: str, objects: Objects) -> RawFile:
    """A kept file again; `digest` names the object that holds it now.

    Raises:
        BadInput: the object is gone or damaged.
    """
    if not objects.holds(digest):
        raise BadInput(
            f"The kept bytes of {name} ({digest[:12]}) are missing from {objects.folder} or damaged; "
            "restore them from a backup."
        )
    return RawFile(table, name, objects.path(digest).read_bytes(), digest)


# ---- the rows --------------------------------------------------------------------------------------------


def parse(raw: RawFile, known: Mapping[str, Layout] | None = None) -> Export:
    """The rows of a raw file in the layout of its table.

    Columns that no layout knows are kept as they are; that known ones are missing is for `schema_changes` to say.

    Raises:
        BadInput: not UTF-8, another delimiter or line end, another table's columns, a short or long row, an open
            quote, no rows, a malformed or repeated record id. The sentence names file, row and column.
    """
    layout = (known or layouts())[raw.table]
    data = _without_bom(raw.data)
    _check_encoding(raw.name, data)
    header = _header(raw.name, data)
    names = _recognise(raw.name, header, layout)
    frame = _read_rows(raw.name, data, header)
    frame.columns = pd.Index(names)
    ids = frame[layout.identity].to_numpy()
    _check_identities(raw.name, ids, layout)
    return Export(
        raw=raw,
        frame=frame,
        layout=layout,
        absent=frozenset(layout.columns) - set(names),
        unknown=tuple(name for name in names if name not in layout.columns),
        header_fingerprint=hashlib.sha256("\n".join(names).encode()).hexdigest()[:16],
        exported_on=_exported_on(frame, raw.name),
    )


def _without_bom(data: bytes) -> bytes:
    """The bytes without byte order marks in front: a file that was saved twice has two."""
    while data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    return data


def _check_encoding(name: str, data: bytes) -> None:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadInput(f"{name} is UTF-16; export it as CSV in UTF-8.")
    fault = data.find(b"\0")
    reason = "holds a zero byte"
    if fault < 0:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            fault, reason = error.start, f"is not UTF-8 (byte 0x{data[error.start]:02X}; perhaps Latin-1)"
    if fault >= 0:
        row, cell = _place(data[:fault])
        columns = [c.decode("latin-1") for c in _first_line(data).replace(b'"', b"").split(b",")]
        column = columns[cell] if row > 1 and cell < len(columns) else f"{cell + 1} of the header"
        raise BadInput(f"{name} {reason} in row {row}, column {column}; export it as UTF-8.")
    outside = b"".join(data.split(b'"')[::2]) if b"\r" in data else b""
    if alone := re.search(rb"\r(?!\n)", outside):
        row = outside[: alone.start()].count(b"\n") + 1
        raise BadInput(
            f"{name}, row {row}: it ends in a lone carriage return, as old Macs wrote; save the file as CSV UTF-8."
        )


def _place(before: bytes) -> tuple[int, int]:
    """Row and cell (from 0) in which these first bytes of a file end; what is in quotes is text."""
    outside = b"".join(before.split(b'"')[::2])
    return outside.count(b"\n") + 1, outside[outside.rfind(b"\n") + 1 :].count(b",")


def _header(name: str, data: bytes) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(_first_line(data).decode())), [])
    except csv.Error:
        raise BadInput(f"{name}, row 1: a column's name is too long; this is not an export.") from None


def _first_line(data: bytes) -> bytes:
    end = data.find(b"\n")
    return (data if end < 0 else data[:end]).rstrip(b"\r")


def _spelling(header: str) -> str:
    return re.sub(r"[\s_]+", "", header).casefold()


def _recognise(name: str, header: list[str], layout: Layout) -> list[str]:
    """The layout's names for a header; a column that the layout does not know keeps its own."""
    spelled = {**layout.also, **{_spelling(column): column for column in layout.columns}}
    if len(header) == 1:
        for delimiter, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if delimiter in header[0]:
                raise BadInput(f"{name}, row 1: columns are separated by {word}; export it with commas.")
    names: list[str] = []
    for position, column in enumerate(header, start=1):
        found = spelled.get(_spelling(column))
        if found in names:
            raise BadInput(
                f"{name}, row 1, column {position}: {column!r} occurs twice; export the table again."
            )
        own = column.strip() or f"column {position}"
        names.append(found or (f"{own} ({position})" if own in names or own in layout.columns else own))
    if layout.identity not in names:
        raise BadInput(
            f"{name}, row 1: the column {layout.identity} is missing; show it in the view and export again."
        )
    required = [c for c in layout.columns if c not in layout.optional]
    carried = [c for c in required if c in names]
    if len(carried) <= _ENOUGH * len(required):
        raise BadInput(
            f"{name}, row 1: {len(carried)} of the {len(required)} columns of {layout.table} are there; "
            "this is not an export of that table."
        )
    return names


def _read_rows(name: str, data: bytes, header: list[str]) -> pd.DataFrame:
    if data.count(b'"') % 2:
        before = data[: data.rfind(b'"')].split(b'"')[::2]
        row = 1 + sum(part.count(b"\n") for part in before)
        raise BadInput(
            f"{name}, row {row}: a quoted cell is not closed; the file is cut off. Export it again."
        )
    # The text outside the quotes determines the format: commas and line ends inside them are text.
    data = data.rstrip(b"\r\n")
    outside = b"".join(data.split(b'"')[::2])
    if outside.count(b",") != (len(header) - 1) * (outside.count(b"\n") + 1):
        _name_the_wrong_row(name, outside, header)
    try:
        frame = pd.read_csv(io.BytesIO(data), dtype=object, na_filter=False, skip_blank_lines=False)
    except pd.errors.ParserError:
        _name_the_wrong_row(name, outside, header)
        raise
    if frame.empty:
        raise BadInput(f"{name} has a header but no rows; export the whole table.")
    return frame


def _name_the_wrong_row(name: str, outside: bytes, header: list[str]) -> None:
    for row, line in enumerate(outside.split(b"\n"), start=1):
        cells = line.count(b",") + 1
        if cells < len(header):
            raise BadInput(
                f"{name}, row {row}: it ends after {cells} of {len(header)} columns, {header[cells]} is missing; "
                "the file is cut off or edited. Export it again."
            )
        if cells > len(header):
            raise BadInput(
                f"{name}, row {row}: it has {cells} columns, one too many after {header[-1]}; a comma is not quoted."
            )


def _check_identities(name: str, ids: np.ndarray, layout: Layout) -> None:
    if _MANY_RECORD_IDS.fullmatch("\n".join(ids) + "\n") is None:
        for row, value in enumerate(ids, start=2):
            if RECORD_ID.fullmatch(value) is None:
                raise BadInput(
                    f"{name}, row {row}, column {layout.identity}: {value[:40]!r} is not a record id; "
                    "the row cannot be identified. Export the table again."
                )
    index = pd.Index(ids)
    if not index.is_unique:
        second = int(np.flatnonzero(index.duplicated())[0])
        first = int(np.flatnonzero(ids == ids[second])[0])
        raise BadInput(
            f"{name}, row {second + 2}, column {layout.identity}: {ids[second]} is the record id of row "
            f"{first + 2} already; export the table again."
        )


_ON = re.compile(
    r"(\d{4}-\d{2}-\d{2})|(\d{1,2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* (\d{4})"
)


def _exported_on(frame: pd.DataFrame, name: str) -> date | None:
    """The day of the export: narrowed by Weeks in Gallery, else the date in the file's name, else unknown.

    Every row says that the export is within the seven days that begin `weeks` weeks after its gallery date;
    the rows together leave one day, or few, of which the last is taken.
    """
    if "Weeks in Gallery" in frame and "Date in Gallery" in frame:
        earliest, latest = date.min, date.max
        day_first = decide("date", Counter(frame["Date in Gallery"].tolist()).items())[0].day_first
        for shown, weeks in zip(frame["Date in Gallery"], frame["Weeks in Gallery"], strict=True):
            if not shown or not weeks.isdigit():
                continue
            try:
                month, day, year = (int(part) for part in re.split(r"[/.-]", shown))
                if day_first:
                    month, day = day, month
                first = date(year, month, day) + timedelta(weeks=int(weeks))
            except (ValueError, OverflowError):
                continue
            earliest, latest = max(earliest, first), min(latest, first + timedelta(days=6))
            if earliest >= latest:
                break
        if date.min < earliest <= latest:
            return latest
    found = _ON.search(name)
    if found is None:
        return None
    try:
        if found[1]:
            return date.fromisoformat(found[1])
        months = "JanFebMarAprMayJunJulAugSepOctNovDec"
        return date(int(found[4]), months.index(found[3]) // 3 + 1, int(found[2]))
    except ValueError:
        return None
