"""The standard streams of the command line. Imported at every start, so it imports little."""

from __future__ import annotations

import io

from crown.journal.plain import without_controls


class Visible(io.TextIOWrapper):
    """A standard stream on which the control characters of a file's name are spelt out; so is what is no text."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(
            stream.buffer, stream.encoding, "backslashreplace", line_buffering=stream.line_buffering
        )

    def write(self, text: str) -> int:
        """Write `text`."""
        return super().write(without_controls(text))
