"""A supervised service: all it says is written down, and people are told what is news."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from console.supervision.service import Running, Service


def test_a_line_that_a_service_repeats_is_shown_once_and_logged_each_time(tmp_path: Path) -> None:
    """A restart of the database made each daemon say the same line ten times."""
    program = "for n in range(30): print('Retrying failed database connection', flush=True)\nprint('Done')"
    shown: list[str] = []
    log = tmp_path / "daemon.log"
    reading, witness = os.pipe()
    running = Running(
        Service("daemon", (sys.executable, "-c", program), grace=5),
        {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        log,
        1_000_000,
        witness,
        shown.append,
    )
    running._process.wait(60)
    running.close()
    os.close(reading)
    os.close(witness)
    assert [line.partition(" | ")[2] for line in shown] == ["Retrying failed database connection", "Done"]
    assert log.read_text().splitlines() == ["Retrying failed database connection"] * 30 + ["Done"]
