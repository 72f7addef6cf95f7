"""docs/dependencies.md says something true of every dependency, and of nothing else."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Short names for what the metadata of older packages spells in many ways.
SPELLINGS = {
    "PSF": "Python Software Foundation",
    "Apache": "Apache",
    "LGPL": "LGPL",
    "BSD": "BSD",
    "BSD-2-Clause": "BSD-2-Clause",
}


def declared() -> list[str]:
    """Names of the dependencies of pyproject.toml, at work and for developers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [
        *project["dependencies"],
        *(line for more in project["optional-dependencies"].values() for line in more),
    ]
    return [re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0] for line in lines]


def documented() -> dict[str, list[str]]:
    """The columns of each line of the page, by package."""
    text = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    return {row[0]: row[1:] for row in rows if row[0] != "Package" and not row[0].startswith("---")}


def test_every_dependency_has_one_line_and_every_line_is_a_dependency() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    names = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    names = [name for name in names if name != "Package" and not name.startswith("---")]
    assert sorted(names) == sorted(set(declared()))


def test_every_line_says_what_for_and_why() -> None:
    for name, columns in documented().items():
        purpose, licence, reason = columns
        assert all((purpose, licence, reason)), f"{name} has an empty column"


@pytest.mark.parametrize("name", sorted(set(declared())))
def test_the_licence_is_the_one_that_is_installed(name: str) -> None:
    licence = documented()[name][1]
    about = metadata.metadata(name)
    said = " ".join(
        [
            about.get("License-Expression") or "",
            (about.get("License") or "").partition("\n")[0],
            *(line for line in about.get_all("Classifier") or [] if line.startswith("License")),
        ]
    )
    assert SPELLINGS.get(licence, licence) in said
