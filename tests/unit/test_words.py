"""Code, docs and help use the terms of docs/architecture.md; the names of earlier versions do not come back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    "benchmarks", "console", "crown", "crown_assets", "crown_cli", "dbt_like_sql", "deploy", "docs", "resources",
    "sensors", "training", "README.md", "Makefile", "dagster.yaml", "pyproject.toml",
)  # fmt: skip
SUFFIXES = {".py", ".md", ".yml", ".yaml", ".sql", ".html", ".toml", ".service", ".timer", ""}

#: Earlier names and metaphors, as words in any case and as parts of names, and what replaces them.
OLD = {
    "makings?": "output",
    "rooms?": "workspace",
    "lanes?": "worker pool, queue",
    "sweeps?|swept|sweeping": "removal, verification, rotating check",
    "teller|telling": "stage log",
    "placed": "written",
    "keeping": "store lock",
    "_?desk": "claim session",
    "phantoms?": "unknown products",
    "books": "art tables",
    "crafts?": "domain",
    "houses?|doors?|floors?": "package, layer",
    "tell|tells|told": "report, show, send",
    "stands?|stood": "is, is in force, is current",
    "lies|lay|lain": "is in, write into",
    "chapters?|story|stories": "part, messages",
}
_OLD = re.compile("|".join(rf"(?P<w{number}>\b(?:{word})\b)" for number, word in enumerate(OLD)))
_INSTEAD = list(OLD.values())
#: `around` as a name: a parameter, variable or attribute, not the English preposition.
AROUND = re.compile(r"\baround\s*(?::\s*[A-Z]|=[^=])|\.around\b|\baround\(")

#: Uses that are English or data: names in samples and examples, numpy's function, a backdrop of photography.
ALLOWED = {
    "amber room": "a gallery of the sample base",
    "blue door": "a gallery of the sample base",
    "deck house": "a gallery of the sample base",
    "lifeboat house": "a print of the sample base",
    "finch lane": "a print of the sample base",
    "np.floor": "numpy",
    "math.floor": "Python",
    "file.tell(": "Python",
    "reader.tell(": "Python",
    "crown sweep gb": "a setting of an earlier version, refused with its new name",
    "stands for": "means",
    "stand for": "mean",
    "white sweep": "a backdrop in photography; seeds of the generated pictures are made of it",
}
_ALLOWED = re.compile("|".join(map(re.escape, ALLOWED)))
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
#: Words with a meaning of their own in one folder.
ALLOWED_IN = {
    ("crown/product_images/cutout/studio/", "around"): "pixels that surround a piece",
    ("crown/devices/", "rooms"): "rooms of a building",
    ("crown/devices/", "room"): "a room of a building",
    ("docs/devices.md", "rooms"): "rooms of a building",
    ("docs/devices.md", "room"): "a room of a building",
    ("crown/motion_jobs/", "placed"): "Photoshop's placed layers",
    ("docs/motion-jobs.md", "placed"): "Photoshop's placed layers",
    ("crown/art_records/checks.py", "placed"): "a check's key, under which people accepted records",
}


def _files() -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        top = ROOT / folder
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.suffix in SUFFIXES and path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


#: Folders that still use the newest words of the list.
def _allowed_in(name: str, word: str) -> bool:
    return any(name.startswith(folder) and word == of for folder, of in ALLOWED_IN)


def old_words(name: str, text: str) -> list[str]:
    """`file:line: word: use ...` for each earlier name in a file."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        plain = _ALLOWED.sub("", _CAMEL.sub(" ", line.replace("_", " ")).lower())
        met = {match[0]: match.lastgroup for match in _OLD.finditer(plain)}
        for word, group in met.items():
            if not _allowed_in(name, word):
                found.append(f"{name}:{number}: {word}: use {_INSTEAD[int(str(group)[1:])]}")
        if AROUND.search(line) and not _allowed_in(name, "around"):
            found.append(f"{name}:{number}: around: use worker context")
    return found


def test_the_names_of_earlier_versions_do_not_come_back() -> None:
    assert [entry for name, text in _files() for entry in old_words(name, text)] == []


def test_an_earlier_name_is_found_and_a_sample_name_is_not() -> None:
    text = 'def run(room: Room) -> None:\n    """Sold at the Amber Room."""\n    with around(task):\n        pass\n'
    assert old_words("a.py", text) == ["a.py:1: room: use workspace", "a.py:3: around: use worker context"]
