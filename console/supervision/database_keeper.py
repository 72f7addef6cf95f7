"""Stops the embedded database when its supervisor was killed before it could.

`python -m console.supervision.database_keeper FOLDER` waits on its standard input, a pipe that the supervisor and all
keepers hold open. A byte means a regular stop. End of file without one means that they were killed; the
server is then opened and closed once more, and its last user stops it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def main() -> None:
    """The entry point."""
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    folder = Path(sys.argv[1])
    if os.read(0, 1):
        return
    from crown.database.embedded import embedded_server, running_server

    if running_server(folder) is not None:
        with embedded_server(folder):
            pass


if __name__ == "__main__":
    main()
