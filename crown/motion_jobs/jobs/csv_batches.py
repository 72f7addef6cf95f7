"""CSV batches: which rows of an uploaded file become jobs, and why the others do not.

A file that cannot be read as a batch at all raises `BadInput`. A row that breaks a rule is quarantined with
its row, column and reason; its neighbours go on. Nothing is written here, and no database is asked: what
is already taken comes in with the rules.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PureWindowsPath

from crown.errors import BadInput
from crown.motion_jobs.source_files import defect_of

REQUIRED = ("job_id", "psd_path", "aepx_path", "output_name")
OPTIONAL = ("client_name", "project_name", "priority", "notes")
PRIORITIES = ("high", "medium", "low")
EXTENSIONS = {"psd_path": (".psd", ".psb"), "aepx_path": (".aepx", ".aep")}

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,50}")
OUTPUT = re.compile(r"[A-Za-z0-9_-]{1,200}\.aepx?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LENGTHS = {"client_name": 100, "project_name": 100, "psd_path": 4096, "aepx_path": 4096}
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class BatchRules:
    """What a batch is checked against.

    Attributes:
        roots: Folders below which PSD and project files may lie.
        taken_job_ids: Job ids that exist already.
        taken_outputs: Output names of unfinished and finished jobs, in lower case.
        max_bytes: Larger files are refused unread.
        max_rows: Files with more rows are refused.
        defect_of: Says what is wrong with a PSD or project file, or None; asked once for each file.
    """

    roots: tuple[Path, ...]
    taken_job_ids: Collection[str] = frozenset()
    taken_outputs: Collection[str] = frozenset()
    max_bytes: int = 50 * 1024 * 1024
    max_rows: int = 100_000
    defect_of: Callable[[Path], str | None] = defect_of


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule: the column, the rule's name, and a sentence."""

    column: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class JobRow:
    """A row that becomes a job. `extra` holds the columns that are not ours, for data comps."""

    row: int
    job_id: str
    psd_path: Path
    aepx_path: Path
    output_name: str
    client_name: str | None
    project_name: str | None
    priority: str
    notes: str | None
    extra: tuple[tuple[str, str], ...]
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A row that does not become a job, with everything that is wrong with it and its cells as they are."""

    row: int
    job_id: str
    findings: tuple[Finding, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextForm:
    """How the file is written: its encoding, delimiter and SHA-256."""

    encoding: str
    delimiter: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The result of one file: `rows = len(jobs) + len(quarantined) + blank_rows`, always."""

    form: TextForm
    rows: int
    blank_rows: int
    jobs: tuple[JobRow, ...]
    quarantined: tuple[QuarantinedRow, ...]
    notices: tuple[str, ...]


def sample() -> str:
    """A CSV with every column and two rows, for people to start from."""
    rows = (
        (*REQUIRED, *OPTIONAL),
        ("spring_01", "psd/spring.psd", "templates/promo.aepx", "spring_01.aepx", "Harbour FC", "Spring promo", "high",
         "for Friday"),
        ("spring_02", "psd/spring_away.psd", "templates/promo.aepx", "spring_02.aepx", "Harbour FC", "Spring promo",
         "medium", ""),
    )  # fmt: skip
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def batch_id(now: datetime, taken: Collection[str]) -> str:
    """`BATCH_20251030_143022`, with `_2`, `_3` and so on when that id is taken."""
    plain = f"BATCH_{now:%Y%m%d_%H%M%S}"
    if plain not in taken:
        return plain
    number = 2
    while f"{plain}_{number}" in taken:
        number += 1
    return f"{plain}_{number}"


def read_batch(path: Path, rules: BatchRules) -> Batch:
    """Check every row of a CSV file.

    Raises:
        BadInput: The file cannot be read as a batch: its size, encoding, header or number of rows.
    """
    form = _text_form(path, rules.max_bytes)
    with path.open("rb") as raw:
        text = io.TextIOWrapper(raw, encoding=form.encoding, newline="")
        first = text.readline()
        if not first.lower().startswith("sep="):
            text.seek(0)
        reader = csv.reader(text, delimiter=form.delimiter)
        columns = _columns(path, next(reader, []))
        return _checked(path, reader, columns, form, rules)


@dataclass(slots=True)
class _Seen:
    """What the rows before this one have taken, and what is known of each file."""

    job_ids: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    files: dict[tuple[str, str], tuple[Path, Finding | None]] = field(default_factory=dict)


def _checked(
    path: Path, reader: Iterator[list[str]], columns: tuple[str, ...], form: TextForm, rules: BatchRules
) -> Batch:
    jobs: list[JobRow] = []
    quarantined: list[QuarantinedRow] = []
    seen, blank, row = _Seen(), 0, 1
    for row, cells in enumerate(_records(reader), start=2):
        if row - 1 > rules.max_rows:
            raise BadInput(
                f"{path.name} has more than {rules.max_rows:,} rows. Split it into several files and upload each."
            )
        if isinstance(cells, Finding):
            quarantined.append(QuarantinedRow(row, "", (cells,), ()))
        elif not any(cell.strip() for cell in cells):
            blank += 1
        else:
            _sort(_check_row(row, cells, columns, path.parent, rules, seen), jobs, quarantined)
    if not jobs and not quarantined:
        raise BadInput(f"{path.name} has a header and no rows. Add one row for each job and upload it again.")
    notices = (
        (
            f"{path.name} is not UTF-8 and was read as Windows-1252: look at the accents in names and notes, "
            "or save it as 'CSV UTF-8'.",
        )
        if form.encoding == "cp1252"
        else ()
    )
    return Batch(form, row - 1, blank, tuple(jobs), tuple(quarantined), notices)


def _sort(result: JobRow | QuarantinedRow, jobs: list[JobRow], quarantined: list[QuarantinedRow]) -> None:
    if isinstance(result, JobRow):
        jobs.append(result)
    else:
        quarantined.append(result)


def _records(reader: Iterator[list[str]]) -> Iterator[list[str] | Finding]:
    """The records of the file; one that the CSV format forbids comes as a finding, and reading goes on."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Finding(
                "",
                "csv_format",
                f"The row cannot be read ({error}). Look for a quotation mark that is not closed.",
            )


def _text_form(path: Path, max_bytes: int) -> TextForm:
    if not path.is_file():
        raise BadInput(f"{path} is not a file. Name a CSV file.")
    size = path.stat().st_size
    if size > max_bytes:
        raise BadInput(
            f"{path.name} has {size / 1e6:,.0f} MB; a batch has at most {max_bytes / 1e6:,.0f} MB. Split it."
        )
    if size == 0:
        raise BadInput(
            f"{path.name} is empty. Start from a sample file with a header and one row for each job."
        )
    encoding, sha256 = _encoding(path)
    with path.open(encoding=encoding, newline="") as text:
        header = text.readline(_PIECE)
    if header.lower().startswith("sep=") and len(header.strip()) == 5:
        delimiter = header.strip()[4]
    else:
        delimiter = max(",;\t|", key=header.count)
    return TextForm(encoding, delimiter, sha256, size)


def _encoding(path: Path) -> tuple[str, str]:
    """The encoding and the SHA-256, in one pass that keeps one piece of the file in memory."""
    digest = hashlib.sha256()
    with path.open("rb") as raw:
        start = raw.read(4096)
        raw.seek(0)
        encoding = _encoding_by_start(start)
        decoder = codecs.getincrementaldecoder(encoding)()
        fallback = codecs.getincrementaldecoder("cp1252")()
        utf8 = windows = True
        while piece := raw.read(_PIECE):
            digest.update(piece)
            utf8 = utf8 and _decodes(decoder, piece)
            windows = windows and _decodes(fallback, piece)
        utf8 = utf8 and _decodes(decoder, b"", final=True)
    if utf8:
        return encoding, digest.hexdigest()
    if encoding == "utf-8-sig" and windows and not start.startswith(codecs.BOM_UTF8):
        return "cp1252", digest.hexdigest()
    raise BadInput(f"{path.name} is no text that can be read (tried {encoding}). Save it as 'CSV UTF-8'.")


def _decodes(decoder: codecs.IncrementalDecoder, piece: bytes, final: bool = False) -> bool:
    try:
        decoder.decode(piece, final)
    except UnicodeError:
        return False
    return True


def _encoding_by_start(start: bytes) -> str:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(start) >= 4 and start[1::2].count(0) > len(start) * 0.4:
        return "utf-16-le"
    if len(start) >= 4 and start[0::2].count(0) > len(start) * 0.4:
        return "utf-16-be"
    return "utf-8-sig"


def _columns(path: Path, header: list[str]) -> tuple[str, ...]:
    columns = tuple(re.sub(r"\s+", "_", cell.strip().lower()) for cell in header)
    while columns and not columns[-1]:
        columns = columns[:-1]
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise BadInput(
            f"{path.name} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"its first line reads {_short(', '.join(header))!r}. Required are {', '.join(REQUIRED)}."
        )
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice or "" in columns:
        what = f"the column {twice[0]} twice" if twice and twice[0] else "a column without a name"
        raise BadInput(f"{path.name} has {what}. Give each column a name of its own.")
    return columns


def _check_row(
    row: int, cells: list[str], columns: tuple[str, ...], folder: Path, rules: BatchRules, seen: _Seen
) -> JobRow | QuarantinedRow:
    values = {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}
    findings = [*_shape(cells, columns), *_cells(values)]
    if not findings:
        findings += _identity(values, rules, seen)
        findings += _files(values, folder, rules, seen)
    if findings:
        return QuarantinedRow(
            row, _short(values.get("job_id", "")), tuple(findings), tuple(map(_short, cells))
        )
    seen.job_ids[values["job_id"]] = row
    seen.outputs[values["output_name"].lower()] = row
    priority, warnings = _priority(values)
    return JobRow(
        row=row,
        job_id=values["job_id"],
        psd_path=seen.files["psd_path", values["psd_path"]][0],
        aepx_path=seen.files["aepx_path", values["aepx_path"]][0],
        output_name=values["output_name"],
        client_name=values.get("client_name") or None,
        project_name=values.get("project_name") or None,
        priority=priority,
        notes=values.get("notes") or None,
        extra=tuple((k, v) for k, v in values.items() if k not in REQUIRED and k not in OPTIONAL),
        warnings=warnings,
    )


def _shape(cells: list[str], columns: tuple[str, ...]) -> Iterator[Finding]:
    if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
        yield Finding(
            "",
            "too_many_cells",
            f"The row has {len(cells)} cells and the header {len(columns)}. "
            "Put a cell that holds the delimiter into quotation marks.",
        )
    for name in columns[len(cells) :]:
        if name in REQUIRED:
            yield Finding(name, "short_row", f"The row ends before {name}. Add the missing cells.")


def _cells(values: dict[str, str]) -> Iterator[Finding]:
    for name, value in values.items():
        if name in REQUIRED and not value:
            yield Finding(name, "empty", f"{name} is empty. Fill it in.")
        elif _CONTROL.search(value) or ("\n" in value and name in (*REQUIRED, *_LENGTHS, "priority")):
            yield Finding(
                name,
                "control_character",
                f"{name} holds a line break or control character. Look for a quotation mark that is not closed.",
            )
        elif len(value) > _LENGTHS.get(name, 10_000):
            yield Finding(
                name,
                "too_long",
                f"{name} has {len(value)} characters; at most {_LENGTHS.get(name, 10_000)} are kept.",
            )
    job_id, output = values.get("job_id", ""), values.get("output_name", "")
    if job_id and not _IDENTIFIER.fullmatch(job_id):
        yield Finding(
            "job_id",
            "characters",
            f"job_id {_short(job_id)!r} may hold only A-Z, a-z, 0-9, _ and -, and at most 50 of them.",
        )
    if output and not OUTPUT.fullmatch(output):
        yield Finding(
            "output_name",
            "characters",
            f"output_name {_short(output)!r} must be letters, digits, _ and -, and end in .aep or .aepx.",
        )


def _identity(values: dict[str, str], rules: BatchRules, seen: _Seen) -> Iterator[Finding]:
    job_id, output = values["job_id"], values["output_name"]
    if job_id in seen.job_ids:
        yield Finding(
            "job_id",
            "duplicate",
            f"job_id {job_id} is in row {seen.job_ids[job_id]} already. Give this row an id of its own.",
        )
    elif job_id in rules.taken_job_ids:
        yield Finding("job_id", "taken", f"A job {job_id} exists already. Give this row another id.")
    if output.lower() in seen.outputs:
        yield Finding(
            "output_name",
            "duplicate",
            f"Row {seen.outputs[output.lower()]} writes {output} already. Give this row a name of its own.",
        )
    elif output.lower() in rules.taken_outputs:
        yield Finding("output_name", "taken", f"Another job writes {output} already. Choose another name.")


def _files(values: dict[str, str], folder: Path, rules: BatchRules, seen: _Seen) -> Iterator[Finding]:
    for column in EXTENSIONS:
        key = (column, values[column])
        if key not in seen.files:
            try:
                seen.files[key] = _file(column, values[column], folder, rules), None
            except _BadPath as error:
                seen.files[key] = Path(), Finding(column, error.rule, str(error))
        finding = seen.files[key][1]
        if finding:
            yield finding


class _BadPath(BadInput):
    """A cell that names no usable file, with the rule that it breaks."""

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(sentence)
        self.rule = rule


def _file(column: str, value: str, folder: Path, rules: BatchRules) -> Path:
    """The file that a cell names.

    Raises:
        _BadPath: It cannot be used.
    """
    named, roots = f"{column} {_short(value)!r}", _listed(rules.roots)
    if value.startswith("\\\\") or PureWindowsPath(value).drive:
        raise _BadPath(
            "windows_path",
            f"{named} is a path of a Windows computer. Write it as this server sees it, below {roots}.",
        )
    try:
        resolved = (Path(value) if value.startswith("/") else folder / value).resolve()
        inside = any(resolved.is_relative_to(root.resolve()) for root in rules.roots)
        exists, is_file = inside and resolved.exists(), inside and resolved.is_file()
    except (OSError, RuntimeError, ValueError):
        raise _BadPath("unreadable", f"{named} cannot be looked up. Check the path.") from None
    extensions = EXTENSIONS[column]
    for broken, rule, sentence in (
        (not inside, "outside_roots", f"{named} does not lie below {roots}. Move the file there."),
        (not exists, "missing", f"{named} does not exist. Check the path, or copy the file there."),
        (not is_file, "not_a_file", f"{named} is not a file. Name the file itself."),
        (resolved.suffix.lower() not in extensions, "extension", f"{named} must end in {_or(extensions)}."),
    ):
        if broken:
            raise _BadPath(rule, sentence)
    if defect := rules.defect_of(resolved):
        raise _BadPath("damaged", defect)
    return resolved


def _priority(values: dict[str, str]) -> tuple[str, tuple[Finding, ...]]:
    value = values.get("priority", "")
    if value.lower() in PRIORITIES:
        return value.lower(), ()
    if not value:
        return "medium", (Finding("priority", "absent", "No priority is given; medium is used."),)
    reason = f"Priority {_short(value)!r} is not {_or(PRIORITIES)}; medium is used."
    return "medium", (Finding("priority", "unknown", reason),)


def _or(words: tuple[str, ...]) -> str:
    return " or ".join(words)


def _listed(roots: tuple[Path, ...]) -> str:
    return _or(tuple(map(str, roots))) or "a folder that the settings allow (none is set)"


def _short(value: str) -> str:
    return value if len(value) <= 200 else value[:199] + "…"
