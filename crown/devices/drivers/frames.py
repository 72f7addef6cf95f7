"""Frames `< ... >` of the Shure ASCII protocol out of a stream of bytes, and their words.

A stream gives frames cut and glued: bytes are kept until their frame is whole. What a word means is in
shure_fields.py and shure_values.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: No frame of the documents is longer than 80 bytes; a longer one lost its end.
MAX_FRAME = 512
#: The longest padded text is 32 characters (MODEL of Axient Digital).
MAX_TEXT = 64
_MARK = re.compile(rb"[<>{}]")
_WORD = re.compile(r"\{([^}]*)\}|(\S+)")
_ERROR = "ERR"


@dataclass(frozen=True)
class Message:
    """A frame's words.

    Attributes:
        verb: REP, SAMPLE, GET, SET.
        channel: from 1; None is the device itself.
        name: of the property, `ALL`, or `ERR`.
        values: what follows, without braces and padding.
    """

    verb: str
    channel: int | None
    name: str
    values: tuple[str, ...] = ()

    @property
    def value(self) -> str:
        """The last value; empty when there is none."""
        return self.values[-1] if self.values else ""

    @property
    def is_error(self) -> bool:
        """Whether the device refused a command."""
        return self.verb == "REP" and self.name == _ERROR


class FrameReader:
    """Collects bytes and gives whole frames; memory is bounded by MAX_FRAME.

    Attributes:
        dropped: frames that lost their end.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._left = b""

    def feed(self, data: bytes) -> list[str]:
        """The texts of the frames that `data` completes; how the stream was cut makes no difference."""
        self._left += data
        frames: list[str] = []
        start = self._left.find(b"<")
        while start >= 0:
            end = _end_of_frame(self._left, start)
            if end is None:
                break
            if end > start:
                frames.append(self._left[start + 1 : end].decode("latin-1").strip())
                start = self._left.find(b"<", end)
            else:
                self.dropped += 1
                start = self._left.find(b"<", start + 1)
        self._left = self._left[start:] if start >= 0 else b""
        return frames


def _end_of_frame(data: bytes, start: int) -> int | None:
    """The place of the closing bracket; None: not here yet; `start`: the frame lost its end."""
    brace = -1
    for match in _MARK.finditer(data, start + 1):
        mark, at = match[0], match.start()
        if at - start > MAX_FRAME or (brace >= 0 and at - brace > MAX_TEXT):
            return start
        if brace >= 0:
            brace = -1 if mark == b"}" else brace
        elif mark == b"{":
            brace = at
        elif mark == b"<":
            return start
        elif mark == b">":
            return at
    too_long = len(data) - start > MAX_FRAME or (brace >= 0 and len(data) - brace > MAX_TEXT)
    return start if too_long else None


def read(frame: str) -> Message | None:
    """The message of a frame's text; None for what is no message."""
    words = [text if word == "" else word for text, word in _WORD.findall(frame)]
    if not words or not words[0].isalpha():
        return None
    verb, rest = words[0].upper(), words[1:]
    channel = None
    if rest and rest[0].isascii() and rest[0].isdigit():
        channel, rest = int(rest[0]) or None, rest[1:]
    if not rest:
        return None
    return Message(verb, channel, rest[0].strip().upper(), tuple(value.strip() for value in rest[1:]))


def write(verb: str, channel: int | None, name: str, *values: str) -> bytes:
    """The bytes of a command; channel 0 is all channels, None leaves the number out."""
    words = [verb, *([] if channel is None else [str(channel)]), name, *values]
    return f"< {' '.join(words)} >".encode("latin-1", "replace")
