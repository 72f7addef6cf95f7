"""Keeps passwords and tokens out of the journal: known values, and what looks like one.

Where secrets come from, and who may read them, does not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

HIDDEN = "***"
# Shorter values would blot out ordinary words.
_SHORTEST = 4
_known: set[str] = set()

_WORDS = r"password|passwd|secret|token|api[_-]?key|authorization|credential"
_NAME = re.compile(_WORDS, re.IGNORECASE)
# Every repetition is bounded and begins at a fixed word: a long line costs linear time.
_IN_URL = re.compile(r"(://[^\s:/@]{0,200}):[^\s@/]{0,500}@")
_ASSIGNED = re.compile(
    rf"((?:{_WORDS})[\w-]{{0,40}}[\"']?\s{{0,3}}[=:]\s{{0,3}})(?:(?:bearer|basic)\s+)?"
    r"('[^']*'|\"[^\"]*\"|[^\s\"',;&]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE)


def hide(*secrets: str | None) -> None:
    """Never show these values in a record again, however they get there."""
    for secret in secrets:
        if secret and len(secret) >= _SHORTEST:
            _known.update((secret, quote(secret, safe="")))


def redact(text: str) -> str:
    """`text` with every known secret, URL password and `token=...` replaced by `***`."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _IN_URL.sub(rf"\1:{HIDDEN}@", text)
    text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
    return _BEARER.sub(rf"\1{HIDDEN}", text)


def redact_values(value: Any) -> Any:
    """A JSON-able value with its texts redacted, and values under names like `password` hidden."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _NAME.search(str(key)) and item is not None else redact_values(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [redact_values(item) for item in value]
    return value
