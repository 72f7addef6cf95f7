"""What definitions and the command line import stays light: heavy libraries load when the work begins."""

from __future__ import annotations

import subprocess
import sys

LIGHT = ("history.syncing", "history.rollback", "acts.local", "history.states", "checks", "exports.oracles",
         "history.erasing", "previews", "exports.live", "outgoing", "reports", "history.comparing",
         "tables")  # fmt: skip
HEAVY = ("pandas", "numpy", "matplotlib", "pyairtable", "requests")


def test_entry_points_load_without_the_heavy_libraries() -> None:
    program = (
        "import sys\n"
        + "".join(f"import crown.art_records.{name}\n" for name in LIGHT)
        + f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
