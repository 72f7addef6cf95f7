"""Reading an export: the file's bytes, kept first, then its rows as text in known columns.

Belongs here: taking a file in without harm, finding out which layout it has, and saying in one sentence with
file, row and column why it cannot be read. Row numbers count records; the header is row 1.
Does not belong here: what a cell means (`rules.py`), writing files for others (`outgoing.py`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from crown.art_records.tables import RECORD_ID
from crown.errors import BadInput
from crown.store.objects import Objects

MAX_BYTES = 64 * 2**20
"""Three times the largest base (100,000 editions are 21 MB); anything above is not an export of it."""

_MANY_RECORD_IDS = re.compile(r"(?:rec[A-Za-z0-9]{14}\n)*")


@dataclass(frozen=True)
class Layout:
    """The known columns of one table's export."""

    table: str
    identity: str
    fields: dict[str, str]
    rules: dict[str, str]
    optional: frozenset[str]
    columns: tuple[str, ...]


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

    `frame` has the layout's column names; columns that the export does not carry are in `absent`.
    """

    raw: RawFile
    frame: pd.DataFrame
    layout: Layout
    absent: frozenset[str]
    header_fingerprint: str
    exported_on: date | None

    @property
    def layout_name(self) -> str:
        """Table and number of columns: `editions-28`."""
        return f"{self.layout.table}-{len(self.layout.columns) - len(self.absent)}"


@cache
def layouts() -> dict[str, Layout]:
    """The layouts of `layouts.yaml` by table."""
    described = yaml.safe_load((Path(__file__).parent / "layouts.yaml").read_text(encoding="utf-8"))
    return {
        table: Layout(
            table=table,
            identity=spec["identity"],
            fields={c: s["field"] for c, s in spec["columns"].items() if "field" in s},
            rules={c: s["rule"] for c, s in spec["columns"].items() if "rule" in s},
            optional=frozenset(c for c, s in spec["columns"].items() if s.get("optional")),
            columns=tuple(spec["columns"]),
        )
        for table, spec in described.items()
    }


def discover(folder: Path) -> dict[str, Path]:
    """The newest export of each table in a folder, recognised by its header; other files are left alone.

    A table that no file belongs to is missing from the answer. Nothing is judged here but the first line: a file
    whose header is nearly right is taken, so that reading it says what is wrong.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.[cC][sS][vV]"), key=lambda p: (p.stat().st_mtime_ns, p.name)):
        table = table_of(path)
        if table is not None:
            found[table] = path
    return {table: found[table] for table in layouts() if table in found}


def table_of(path: Path) -> str | None:
    """Which table's export a file is, by most of its columns; None when it is none."""
    try:
        with path.open("rb") as file:
            line = _first_line(file.read(65_536).removeprefix(b"\xef\xbb\xbf"))
    except OSError:
        return None
    words = {_spelling(word) for word in re.split(r"[,;\t|]", line.decode("latin-1").replace('"', ""))}
    shares = {
        table: sum(_spelling(c) in words for c in layout.columns if c not in layout.optional)
        / sum(c not in layout.optional for c in layout.columns)
        for table, layout in layouts().items()
    }
    best = max(shares, key=lambda table: shares[table])
    return best if shares[best] > 0.6 else None


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
    if not data.strip(b"\xef\xbb\xbf \r\n"):
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


def parse(raw: RawFile) -> Export:
    """The rows of a raw file in the layout of its table.

    Raises:
        BadInput: not UTF-8, another delimiter, a missing or unknown column, a short or long row, an open
            quote, no rows, a malformed or repeated record id. The sentence names file, row and column.
    """
    layout = layouts()[raw.table]
    data = raw.data.removeprefix(b"\xef\xbb\xbf")
    _check_encoding(raw.name, data)
    header = next(csv.reader(io.StringIO(_first_line(data).decode())), [])
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
        header_fingerprint=hashlib.sha256("\n".join(names).encode()).hexdigest()[:16],
        exported_on=_exported_on(frame, raw.name),
    )


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
        record = list(csv.reader(io.StringIO(data[:fault].decode("latin-1"), newline="")))
        columns = next(csv.reader([_first_line(data).decode("latin-1")]))
        at = len(record[-1]) - 1 if record and data[fault - 1 : fault] != b"\n" else 0
        column = columns[at] if at < len(columns) and len(record) > 1 else f"{at + 1} of the header"
        raise BadInput(f"{name} {reason} in row {max(len(record), 1)}, column {column}; export it as UTF-8.")


def _first_line(data: bytes) -> bytes:
    end = data.find(b"\n")
    return (data if end < 0 else data[:end]).rstrip(b"\r")


def _spelling(header: str) -> str:
    return re.sub(r"[\s_]+", "", header).casefold()


def _recognise(name: str, header: list[str], layout: Layout) -> list[str]:
    """The layout's names for a header."""
    known = {_spelling(column): column for column in layout.columns}
    if len(header) == 1:
        for delimiter, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if delimiter in header[0]:
                raise BadInput(f"{name}, row 1: columns are separated by {word}; export it with commas.")
    names = []
    for position, column in enumerate(header, start=1):
        found = known.get(_spelling(column))
        if found is None:
            raise BadInput(
                f"{name}, row 1, column {position}: {column!r} is not a column of the {layout.table} export; "
                "remove it from the export or add it to layouts.yaml."
            )
        if found in names:
            raise BadInput(
                f"{name}, row 1, column {position}: {column!r} occurs twice; export the table again."
            )
        names.append(found)
    missing = [c for c in layout.columns if c not in names and c not in layout.optional]
    if missing:
        raise BadInput(
            f"{name}, row 1: the column {', '.join(missing)} is missing; show it in the view and export again."
        )
    return names


def _read_rows(name: str, data: bytes, header: list[str]) -> pd.DataFrame:
    if data.count(b'"') % 2:
        before = data[: data.rfind(b'"')].split(b'"')[::2]
        row = 1 + sum(part.count(b"\n") for part in before)
        raise BadInput(
            f"{name}, row {row}: a quoted cell is not closed; the file is cut off. Export it again."
        )
    # What lies outside the quotes tells the shape: commas and line ends inside them are text.
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
                    "the row cannot be told from others. Export the table again."
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

    Every row says that the export lies within the seven days that begin `weeks` weeks after its gallery date;
    the rows together leave one day, or few, of which the last is taken.
    """
    if "Weeks in Gallery" in frame and "Date in Gallery" in frame:
        earliest, latest = date.min, date.max
        for shown, weeks in zip(frame["Date in Gallery"], frame["Weeks in Gallery"], strict=True):
            if not shown or not weeks.isdigit():
                continue
            try:
                month, day, year = (int(part) for part in shown.split("/"))
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
