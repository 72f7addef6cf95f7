"""Only crown/ledger writes the ledger's tables."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_WRITES = re.compile(
    r"(insert\s+into|update|delete\s+from|merge\s+into|truncate)\s+(only\s+)?ledger\.\w+", re.IGNORECASE
)
_PRODUCT = ("crown", "crown_assets", "crown_cli", "console", "resources", "sensors", "dbt_like_sql")
#: A string that goes on in the next line.
_JOINT = re.compile(r'"\s*\n\s*f?"')


def _writers(root: Path) -> list[str]:
    """Statements outside crown/ledger that write a table of the ledger, with the file they are in."""
    found = []
    for folder in _PRODUCT:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in {".py", ".sql"} or (root / "crown" / "ledger") in path.parents:
                continue
            source = _JOINT.sub("", path.read_text(encoding="utf-8"))
            found += [f"{path.relative_to(root)}: {match.group()}" for match in _WRITES.finditer(source)]
    return found


def test_only_the_ledger_writes_its_tables() -> None:
    assert _writers(ROOT) == []


def test_a_statement_that_writes_the_ledger_is_found_wherever_it_breaks(tmp_path: Path) -> None:
    (tmp_path / "crown" / "ledger").mkdir(parents=True)
    (tmp_path / "crown" / "ledger" / "own.py").write_text("delete from ledger.items")
    (tmp_path / "crown" / "other.py").write_text('x = (\n    "Update "\n    f"ledger.items set x"\n)')
    assert _writers(tmp_path) == ["crown/other.py: Update ledger.items"]
