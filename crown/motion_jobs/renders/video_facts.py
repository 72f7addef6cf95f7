"""What a rendered file holds: frames that are really there, length, size. Without FFmpeg's programs, through PyAV."""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from crown.motion_jobs.renders.render_logs import gaps

#: So many frames are decoded, spread over the file and with the last one: enough to see black and a cut end.
_SAMPLES = 12
#: Brightness of 0 to 255 up to which a frame is black.
_BLACK = 2.0
_PICTURE = re.compile(r"^(.*?)(\d+)(\.[A-Za-z0-9]{2,4})$")


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """A rendered file, or folder of numbered pictures.

    Attributes:
        frames: Frames whose data is there.
        announced: Frames that the file's own header claims; 0 where it claims nothing.
        seconds: Frames by rate.
        black: Whether every decoded frame is black.
        damage: What is broken, in words, or "".
        gaps: Missing numbers of a sequence, first and last of each run.
    """

    size: int
    sha256: str
    codec: str
    width: int
    height: int
    frame_rate: float
    frames: int
    announced: int
    seconds: float
    black: bool
    damage: str
    gaps: tuple[tuple[int, int], ...] = ()


def video_facts(path: Path, frame_rate: float) -> VideoFacts:
    """The facts of a rendered file or folder.

    Args:
        path: A film, or a folder of numbered pictures.
        frame_rate: Of the composition, for pictures, which have none of their own.
    """
    return _sequence(path, frame_rate) if path.is_dir() else _film(path)


def _film(path: Path) -> VideoFacts:
    import av

    size = path.stat().st_size
    with path.open("rb") as raw:
        digest = hashlib.file_digest(raw, "sha256").hexdigest()
    nothing = VideoFacts(size, digest, "", 0, 0, 0, 0, 0, 0, False, _cut_off(path, size))
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return _but(nothing, "it holds no video")
            return _stream(container, container.streams.video[0], nothing)
    except (av.FFmpegError, EOFError, ValueError, OSError) as error:
        return _but(nothing, f"it cannot be opened as video ({type(error).__name__}: {str(error)[:80]})")


def _cut_off(path: Path, size: int) -> str:
    """Whether a QuickTime, MP4 or AVI file ends before its own parts do; the frames can all be there even so."""
    with path.open("rb") as raw:
        start = raw.read(12)
        if start[:4] == b"RIFF":
            end = 8 + struct.unpack("<I", start[4:8])[0]
        elif start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            end = _end_of_atoms(raw, size)
        else:
            return ""
    return f"it ends at byte {size:,} and its parts at {end:,}" if end > size else ""


def _end_of_atoms(raw: BinaryIO, size: int) -> int:
    at = 0
    while at + 8 <= size:
        raw.seek(at)
        header = raw.read(16)
        length = struct.unpack(">I", header[:4])[0]
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        if length == 0:  # to the end of the file
            return size
        at += max(8, length)
    return at


def _but(facts: VideoFacts, damage: str) -> VideoFacts:
    values = {name: getattr(facts, name) for name in facts.__slots__}
    return VideoFacts(**{**values, "damage": damage})


def _stream(container: Any, stream: Any, nothing: VideoFacts) -> VideoFacts:
    import av

    announced, times, damage = int(stream.frames or 0), [], ""
    try:
        for packet in container.demux(stream):
            if packet.size:
                times.append(packet.pts if packet.pts is not None else packet.dts)
                damage = damage or ("a packet is marked as damaged" if packet.is_corrupt else "")
    except av.FFmpegError as error:
        damage = f"its data ends in the middle ({error})"
    rate = float(stream.average_rate or stream.base_rate or 0)
    black, broken = _samples(container, stream, sorted(time for time in times if time is not None))
    if announced > len(times):
        damage = f"its header announces {announced:,} frames and {len(times):,} are there"
    return VideoFacts(
        size=nothing.size,
        sha256=nothing.sha256,
        codec=str(stream.codec_context.name),
        width=int(stream.codec_context.width),
        height=int(stream.codec_context.height),
        frame_rate=rate,
        frames=len(times),
        announced=announced,
        seconds=len(times) / rate if rate else 0.0,
        black=black,
        damage=nothing.damage or damage or broken,
    )


def _samples(container: Any, stream: Any, times: list[int]) -> tuple[bool, str]:
    """Whether frames spread over the file are all black, and what cannot be decoded."""
    import av

    if not times:
        return False, "it holds no frame"
    step = max(1, len(times) // _SAMPLES)
    bright = []
    for time in dict.fromkeys((*times[::step], times[-1])):
        try:
            container.seek(time, stream=stream)
            frame = next(
                (one for one in container.decode(stream) if one.pts is None or one.pts >= time), None
            )
        except av.FFmpegError as error:
            return False, f"a frame cannot be decoded ({error})"
        if frame is None:
            return False, "its last frames cannot be decoded"
        bright.append(float(frame.to_ndarray(format="gray").mean()))
    return max(bright) <= _BLACK, ""


def _sequence(folder: Path, frame_rate: float) -> VideoFacts:
    numbered = {
        int(found[2]): file
        for file in sorted(folder.iterdir())
        if (found := _PICTURE.match(file.name)) and file.is_file()
    }
    digest, size, damage, bright = hashlib.sha256(), 0, "", []
    width = height = 0
    step = max(1, len(numbered) // _SAMPLES)
    for place, (_, file) in enumerate(sorted(numbered.items())):
        raw = file.read_bytes()
        size += len(raw)
        digest.update(raw)
        try:
            with Image.open(file) as picture:
                width, height = picture.size
                if place % step == 0 or place == len(numbered) - 1:
                    bright.append(float(np.asarray(picture.convert("L")).mean()))
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
            damage = damage or f"{file.name} is damaged ({type(error).__name__})"
    count = len(numbered)
    return VideoFacts(
        size=size,
        sha256=digest.hexdigest(),
        codec="pictures",
        width=width,
        height=height,
        frame_rate=frame_rate,
        frames=count,
        announced=0,
        seconds=count / frame_rate if frame_rate else 0.0,
        black=bool(bright) and max(bright) <= _BLACK,
        damage=damage or ("" if count else "it holds no numbered picture"),
        gaps=tuple(gaps(numbered)),
    )
