"""The version of the code and rules that decide each asset's result."""

from __future__ import annotations

from pathlib import Path

import yaml

from crown.art_records.workspace import CLEAN, EXPORTS, TABLES


def _shipped(name: str) -> str:
    """The version in a file of rules that comes along; a gallery lays its own over it."""
    path = Path(__file__).parent / "exports" / name
    return str(yaml.safe_load(path.read_text(encoding="utf-8"))["version"])


#: By asset; a test compares them with the version that a sync keeps.
CODE_VERSIONS = {
    EXPORTS: "1",
    **dict.fromkeys(CLEAN.values(), f"{_shipped('rules.yaml')}/names {_shipped('names.yaml')}"),
    **dict.fromkeys(TABLES.values(), "1"),
}
