"""What a render machine hands back: its log and its result, held against what the job asks for.

A crash can leave a file that plays and is short, so that frames and length decide, not that the file is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crown.motion_jobs.renders.render_logs import RenderLog, gaps, read_log
from crown.motion_jobs.renders.video_facts import VideoFacts, video_facts

#: Complete; too few frames; no result; cut off or damaged; the render failed; another size, rate or length, or black;
#: the log alone, which proves no result.
Verdict = Literal["complete", "short", "missing", "truncated", "failed", "different", "log_only"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a job's result must be."""

    job_id: str
    comp: str
    width: int
    height: int
    duration: float
    frame_rate: float

    @property
    def frames(self) -> int:
        """How many frames the composition has."""
        return round(self.duration * self.frame_rate)


@dataclass(frozen=True, slots=True)
class Handback:
    """What is said of a render: the verdict, why, and what it was read from.

    Attributes:
        opened_in_after_effects: `yes, by its log` when frames were rendered, else `not tested`.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    log: RenderLog
    result: VideoFacts | None

    @property
    def opened_in_after_effects(self) -> str:
        """Whether After Effects opened the project, as its log shows."""
        return "yes, by its log" if self.log.frames or self.log.percent else "not tested"

    def sentence(self) -> str:
        """The verdict as a person reads it."""
        said = self.verdict.replace("_", " ")
        return f"{said[0].upper()}{said[1:]}: {' '.join(self.reasons)}"


def handback(
    expected: Expected, log: Path, output: Path | None = None, sha256: str | None = None
) -> Handback:
    """Hold a render's log and result against the job.

    Args:
        expected: What the result must be.
        log: The log of aerender or nexrender.
        output: The rendered file, or a folder of numbered pictures.
        sha256: The hash that the render machine gives for its file.

    Raises:
        BadInput: The log cannot be read.
    """
    read = read_log(log)
    if output is None:
        return _by_log(expected, read)
    if not output.exists() or (output.is_file() and output.stat().st_size == 0):
        empty = "is empty" if output.exists() else "is not there"
        return Handback("missing", (f"{output.name} {empty}.", *_log_problems(expected, read)), read, None)
    facts = video_facts(output, expected.frame_rate)
    verdict, reasons = _judged(expected, read, facts, output.name, sha256)
    return Handback(verdict, tuple(reasons), read, facts)


def _by_log(expected: Expected, log: RenderLog) -> Handback:
    problems = tuple(_log_problems(expected, log))
    if log.errors:
        return Handback("failed", problems, log, None)
    if problems or (log.frames and len(log.frames) < expected.frames):
        return Handback("short", (*problems, *_log_frames(expected, log)), log, None)
    seen = f"all {expected.frames:,} frames" if log.frames else "a finished render"
    return Handback("log_only", (f"The log has {seen}; the result was not looked at.",), log, None)


def _judged(
    expected: Expected, log: RenderLog, facts: VideoFacts, name: str, sha256: str | None
) -> tuple[Verdict, list[str]]:
    problems = list(_log_problems(expected, log))
    if sha256 is not None and sha256.lower() != facts.sha256:
        return "truncated", [
            f"{name} is not the file that the render machine wrote: its hash is another.",
            *problems,
        ]
    if facts.damage:
        return "truncated", [f"{name} is damaged: {facts.damage}.", *problems]
    if facts.gaps or facts.frames < expected.frames:
        return "short", [_too_few(expected, facts, name), *problems]
    if problems:
        return "failed", [*problems, f"{name} has all {facts.frames:,} frames all the same; look at it."]
    if other := list(_other(expected, facts, name)):
        return "different", other
    return "complete", [
        f"{name} has all {facts.frames:,} frames ({facts.seconds:.3f} s) of {expected.width}x{expected.height}, "
        f"{facts.size:,} bytes, sha256 {facts.sha256[:12]}."
    ]


def _too_few(expected: Expected, facts: VideoFacts, name: str) -> str:
    missing = ", ".join(f"{one}" if one == other else f"{one} to {other}" for one, other in facts.gaps[:5])
    where = f"; pictures {missing} are missing" if missing else ""
    return (
        f"{name} has {facts.frames:,} of {expected.frames:,} frames ({facts.seconds:.3f} of "
        f"{expected.duration:.3f} s){where}."
    )


def _other(expected: Expected, facts: VideoFacts, name: str) -> Iterator[str]:
    if (facts.width, facts.height) != (expected.width, expected.height):
        wanted = f"{expected.width}x{expected.height}"
        yield f"{name} is {facts.width}x{facts.height} instead of {wanted}."
    if facts.frame_rate and abs(facts.frame_rate - expected.frame_rate) > 0.01:
        yield f"{name} has {facts.frame_rate:g} frames/s instead of {expected.frame_rate:g}."
    if facts.frames > expected.frames:
        yield f"{name} has {facts.frames:,} frames instead of {expected.frames:,}."
    if facts.black:
        yield f"{name} is black from beginning to end; look for footage that is missing on the render machine."


def _log_problems(expected: Expected, log: RenderLog) -> Iterator[str]:
    if log.uid and log.uid != expected.job_id:
        yield f"The log is that of the job {log.uid}, not {expected.job_id}."
    for line in log.errors[:3]:
        yield f"The log says: {line}"
    if not log.finished:
        yield "The log breaks off before the render ends."


def _log_frames(expected: Expected, log: RenderLog) -> Iterator[str]:
    """How far the log comes. Where there is a result, its own frames decide instead."""
    if log.frames:
        holes = ", ".join(f"{one} to {other}" for one, other in list(gaps(log.frames))[:3])
        without = f", without {holes}" if holes else ""
        yield f"It has {len(log.frames):,} of {expected.frames:,} frames{without}."
    elif log.percent is not None:
        yield f"It comes to {log.percent} %."
    else:
        yield "It shows no rendered frame."
