"""Turns any Python value into JSON that PostgreSQL stores: the only module with the limits of jsonb.

Redaction of secrets does not belong here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Set
from datetime import date, datetime
from typing import Any

# Deeper than anything we record; stops values that contain themselves.
_DEPTH = 12
# C0 but tab and line ends, DEL, C1; line and paragraph separators; marks that change the direction of text.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]|\r(?!\n)"
)

# What begins a formula (OWASP, CSV injection), also in full width and after blanks.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """`value` made of dict, list, str, int, float, bool and None only.

    Characters that jsonb refuses (NUL, half surrogates from undecodable file names) are written as escapes,
    NaN and infinities as text; what JSON does not know becomes its text.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if depth > 0 and isinstance(value, Mapping):
        return {plain_text(str(key)): plain(item, depth - 1) for key, item in value.items()}
    if depth > 0 and isinstance(value, list | tuple | Set):
        return [plain(item, depth - 1) for item in value]
    return plain_text(_text(value))


def plain_text(value: str) -> str:
    """`value` without what PostgreSQL's text refuses and without control characters; they are written as escapes."""
    value = without_controls(value)
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def without_controls(value: str) -> str:
    """`value` with what would steer a terminal, or turn its text around, written as escapes; lines and tabs stay."""
    return value if value.isprintable() else _CONTROLS.sub(_escaped, value)


def without_formula(value: str) -> str:
    """`value` as a cell that no spreadsheet takes for a formula: one that begins like it is led by an apostrophe."""
    return f"'{value}" if _FORMULA.match(value) else value


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a __str__ of somebody else; a journal does not stop the work for it
        return f"<{type(value).__name__}>"
