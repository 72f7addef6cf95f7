"""What the logs of aerender and nexrender say about a render. Adobe documents no form; this reads what they write.

Words of aerender are in the language of After Effects, times and frame numbers are not: those are read.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from crown.errors import BadInput

MAX_LOG_BYTES = 200 * 1024 * 1024
_TIMECODE = r"\d{1,2}[:;]\d\d[:;]\d\d[:;]\d{2,3}"
_FRAME = re.compile(rf"^PROGRESS:\s+{_TIMECODE}\s+\((\d+)\)")
_TIME = re.compile(rf"^PROGRESS:\s+[^:]{{2,40}}:\s+({_TIMECODE})\s*$")
_RATE = re.compile(r"^PROGRESS:\s+[^:]{2,40}:\s+(\d{1,3}[.,]\d\d)\s+\(")
_OUTPUT = re.compile(r"^PROGRESS:\s+(?:Output To|Ausgabe|[^:]{2,40}):\s+((?:[A-Za-z]:\\|/|\\\\).+?)\s*$")
_ELAPSED = re.compile(r"^PROGRESS:\s+Total Time Elapsed:\s*(.+?)\s*$", re.I)
_VERSION = re.compile(r"aerender version (\S+)", re.I)
_NEXRENDER = re.compile(r"^(?:\S+ ){0,3}\[([^\]\s]{1,100})\] (.+?)\s*$")
_TOOK = re.compile(r"^rendering took ~([\d.]+) sec")
_PERCENT = re.compile(r"^rendering progress (\d+)%")
_ERROR = re.compile(
    r"^(?:aerender )?ERROR\b[: ]|^aerender ERROR|After Effects error|INTERNAL (?:ERROR|FAILURE)|"
    r"couldn.t find a result file|error starting aerender|output file size is less than|job rendering failed|"
    r"unable to (?:render|open|find)|rendering error",
    re.I,
)
_FATAL = re.compile(
    r"footage\b.{0,60}\bmissing|missing footage|crash|segmentation fault|access violation|out of memory|terminated",
    re.I,
)
_MOST = 20


@dataclass(frozen=True, slots=True)
class RenderLog:
    """What a log says.

    Attributes:
        program: aerender or nexrender.
        uid: The job that nexrender names, or "".
        frames: Numbers of the frames that were rendered, as aerender counts them.
        percent: How far nexrender says that it came; None where it says nothing.
        frame_rate: Of the composition; None where the log does not say.
        output: Where the result was written, as the render machine names it.
        finished: Whether the log comes to the end of the render.
        errors: Lines that say what went wrong, at most 20.
        elapsed: How long it took, as the log says it.
        version: Of After Effects.
    """

    program: str
    uid: str
    frames: frozenset[int]
    percent: int | None
    frame_rate: float | None
    output: str
    finished: bool
    errors: tuple[str, ...]
    elapsed: str
    version: str


def read_log(path: Path) -> RenderLog:
    """The log of a file in UTF-8, UTF-16 (as PowerShell redirects) or Windows-1252.

    Raises:
        BadInput: It cannot be read, is too large, or is the log of neither program.
    """
    try:
        size = path.stat().st_size
        if size > MAX_LOG_BYTES:
            raise BadInput(
                f"{path.name} has {size / 1e6:,.0f} MB; at most {MAX_LOG_BYTES / 1e6:,.0f} MB are read."
            )
        raw = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path.name} cannot be read ({error.strerror or error}). Check the file.") from None
    log = parse_log(_text(raw).splitlines())
    if log is None:
        raise BadInput(f"{path.name} is no log of aerender or nexrender: none of its lines is one of theirs.")
    return log


def _text(raw: bytes) -> str:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if raw.startswith(mark):
            return raw.decode(encoding, "replace")
    if raw[1:200:2].count(0) > 50:
        return raw.decode("utf-16-le", "replace")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def parse_log(lines: Iterable[str]) -> RenderLog | None:
    """The log in its lines, or None when none of them is of either program."""
    reading = _Reading()
    for line in lines:
        reading.line(line.strip())
    return reading.log()


class _Reading:
    def __init__(self) -> None:
        self._frames: set[int] = set()
        self._errors: list[str] = []
        self._said: dict[str, str] = {}
        self._programs: set[str] = set()
        self._percent: int | None = None
        self._finished = False

    def line(self, line: str) -> None:
        named = None
        if line.startswith("PROGRESS:"):
            self._aerender(line)
        elif named := _NEXRENDER.match(line):
            self._nexrender(*named.groups())
        elif version := _VERSION.search(line):
            self._programs.add("aerender")
            self._said.setdefault("version", version[1])
        if not line.startswith("PROGRESS:") and (_ERROR.search(line) or (not named and _FATAL.search(line))):
            self._errors.append(line[:300])
        if line.lower().startswith(("aerender error", "aerender warning")):
            self._programs.add("aerender")

    def _aerender(self, line: str) -> None:
        self._programs.add("aerender")
        if frame := _FRAME.match(line):
            self._frames.add(int(frame[1]))
        elif rate := _RATE.match(line):
            self._said.setdefault("rate", rate[1].replace(",", "."))
        elif elapsed := _ELAPSED.match(line):
            self._said["elapsed"] = elapsed[1]
            self._finished = True
        elif not _TIME.match(line) and (output := _OUTPUT.match(line)):
            self._said["output"] = output[1]

    def _nexrender(self, uid: str, text: str) -> None:
        known = (
            _TOOK.match(text)
            or _PERCENT.match(text)
            or re.match(
                r"(?:setting up|downloading|rendering|executing|starting|writing aerender|dumping aerender|applying|"
                r"checking|cleaning|preparing|prerender|postrender|> ?job|job )",
                text,
                re.I,
            )
        )
        if not known:
            return
        self._programs.add("nexrender")
        self._said.setdefault("uid", uid)
        if percent := _PERCENT.match(text):
            self._percent = max(self._percent or 0, int(percent[1]))
        if took := _TOOK.match(text):
            self._said["elapsed"] = f"{took[1]} s"
            self._finished = True

    def log(self) -> RenderLog | None:
        if not self._programs:
            return None
        return RenderLog(
            program="nexrender" if "nexrender" in self._programs else "aerender",
            uid=self._said.get("uid", ""),
            frames=frozenset(self._frames),
            percent=self._percent,
            frame_rate=float(self._said["rate"]) if "rate" in self._said else None,
            output=self._said.get("output", ""),
            finished=self._finished,
            errors=tuple(dict.fromkeys(self._errors))[:_MOST],
            elapsed=self._said.get("elapsed", ""),
            version=self._said.get("version", ""),
        )


def gaps(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of numbers that is missing between the smallest and the largest."""
    ordered = sorted(set(numbers))
    for one, other in pairwise(ordered):
        if other > one + 1:
            yield one + 1, other - 1
